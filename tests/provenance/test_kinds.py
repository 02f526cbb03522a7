"""No certificate makes a claim trusted but one for claims, below a root that is listed for claims."""

import datetime as dt
import itertools

import pytest

from sorakit.errors import ProvenanceError
from sorakit.provenance.lists import TrustList
from sorakit.provenance.manifest import ManifestSpec, build_manifest
from sorakit.provenance.sign import sign
from sorakit.provenance.trust import Trust
from sorakit.provenance.verify import read_credential

MANIFEST = build_manifest(ManifestSpec("a.mp4", "generated", "id"))
C2PA, MAIL, DOCUMENT = "1.3.6.1.4.1.62558.2.1", "1.3.6.1.5.5.7.3.4", "1.3.6.1.5.5.7.3.36"
STAMP, OCSP, SERVER, CODE, ANY = (
    "1.3.6.1.5.5.7.3.8",
    "1.3.6.1.5.5.7.3.9",
    "1.3.6.1.5.5.7.3.1",
    "1.3.6.1.5.5.7.3.3",
    "2.5.29.37.0",
)
GOOD = [(C2PA,), (MAIL,), (DOCUMENT,), (C2PA, MAIL)]
BAD = [(STAMP,), (OCSP,), (SERVER,), (CODE,), (ANY,), (), (C2PA, STAMP), (DOCUMENT, OCSP), (C2PA, ANY)]
KINDS = [k for n in range(4) for k in itertools.combinations(("claims", "tsa", "cawg"), n)]


def trust_of(root, kinds):
    """As `load_trust` builds it: a root in several kinds of lists counts for the first of them."""
    lists = tuple(TrustList(f"list-{k}", k, anchors=(root,)) for k in kinds)
    first = kinds[0] if kinds else None
    return Trust(
        claims=(root,) if first == "claims" else (),
        stamps=(root,) if first == "tsa" else (),
        names=(root,) if first == "cawg" else (),
        lists=lists,
    )


def signed_by(identity, plain, out):
    """`out`, signed, when `identity` gets C2PA to sign; None where that refuses already."""
    try:
        sign(plain, out, MANIFEST, identity)
    except ProvenanceError:
        return None
    return out


@pytest.fixture(scope="module")
def root(make_ca):
    return make_ca("Root")


@pytest.mark.parametrize("kinds", KINDS, ids="+".join)
@pytest.mark.parametrize("usages", GOOD)
def test_a_claim_signer_counts_exactly_below_a_root_for_claims(tmp_path, plain, root, usages, kinds):
    out = signed_by(root.issue(usages=usages), plain, tmp_path / "a.mp4")
    found = read_credential(out, trust_of(root.pem, kinds)).provenance
    assert found.state == ("trusted" if "claims" in kinds else "valid_untrusted")
    assert (found.trust_list or {}).get("name") == ("list-claims" if "claims" in kinds else None)


@pytest.mark.parametrize("kinds", KINDS, ids="+".join)
@pytest.mark.parametrize("usages", BAD, ids=str)
def test_a_certificate_for_another_use_never_counts(tmp_path, plain, root, usages, kinds):
    out = signed_by(root.issue(usages=usages), plain, tmp_path / "a.mp4")
    if out is not None:
        assert read_credential(out, trust_of(root.pem, kinds)).provenance.state != "trusted"


@pytest.mark.parametrize("kinds", KINDS, ids="+".join)
def test_a_ca_as_leaf_never_counts(tmp_path, plain, root, kinds):
    out = signed_by(root.issue(usages=(DOCUMENT,), ca=True), plain, tmp_path / "a.mp4")
    if out is not None:
        assert read_credential(out, trust_of(root.pem, kinds)).provenance.state != "trusted"


@pytest.mark.parametrize(
    ("usages", "expected"), [((), "trusted"), ((DOCUMENT,), "trusted"), ((STAMP,), None)]
)
def test_a_time_stamping_ca_in_between_makes_no_signer_of_claims(tmp_path, plain, root, usages, expected):
    between = root.below("Between", usages)
    out = signed_by(between.issue(), plain, tmp_path / "a.mp4")
    assert out is not None
    state = read_credential(out, Trust(claims=(root.pem,))).provenance.state
    assert state == expected if expected else state != "trusted"


@pytest.mark.parametrize("kinds", KINDS, ids="+".join)
def test_an_expired_leaf_without_a_stamp_never_counts(tmp_path, plain, root, kinds):
    start = dt.datetime.now(dt.UTC) - dt.timedelta(days=20)
    out = signed_by(root.issue(days=10, start=start), plain, tmp_path / "a.mp4")
    if out is not None:
        assert read_credential(out, trust_of(root.pem, kinds)).provenance.state != "trusted"


def test_an_expired_leaf_counts_with_a_trusted_stamp_alone(shared_data):
    folder = shared_data / "c2pa"
    path = folder / "own_expired_leaf_with_timestamp.mp4"
    roots = (folder / "own_expired_leaf_roots.pem").read_text().split("-----END CERTIFICATE-----\n")
    first, second = (r[r.index("-----BEGIN") :] + "-----END CERTIFICATE-----\n" for r in roots[:2])
    states = {
        name: read_credential(path, trust).provenance.state
        for name, trust in {
            "both": Trust(claims=(first,), stamps=(second,)),
            "crossed": Trust(claims=(second,), stamps=(first,)),
            "no stamp": Trust(claims=(first,)),
            "stamps alone": Trust(stamps=(first, second)),
            "names alone": Trust(names=(first, second)),
        }.items()
    }
    assert states.pop("both") == "trusted"
    assert "trusted" not in states.values()


def test_an_ingredient_below_a_root_for_stamps_or_names_is_not_trusted(tmp_path, plain, make_ca):
    maker, editor = make_ca("Maker"), make_ca("Editor")
    marked = build_manifest(ManifestSpec("a.mp4", "marked", "id"))
    sign(plain, tmp_path / "a.mp4", MANIFEST, maker.issue())
    sign(tmp_path / "a.mp4", tmp_path / "b.mp4", marked, editor.issue(), parent=tmp_path / "a.mp4")
    for trust, expected in (
        (Trust(claims=(editor.pem, maker.pem)), "trusted"),
        (Trust(claims=(editor.pem,)), "valid_untrusted"),
        (Trust(claims=(editor.pem,), stamps=(maker.pem,)), "valid_untrusted"),
        (Trust(claims=(editor.pem,), names=(maker.pem,)), "valid_untrusted"),
    ):
        found = read_credential(tmp_path / "b.mp4", trust).provenance
        (ingredient,) = found.ingredients
        assert (found.state, ingredient["state"]) == ("trusted", expected)
        assert ingredient["signer"] == "Leaf"
        assert ingredient["digital_source_type"] == "trainedAlgorithmicMedia" and ingredient["declares_ai"]
