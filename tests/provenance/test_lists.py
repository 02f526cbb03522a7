import base64
import datetime as dt
import json

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from typer.testing import CliRunner

from sorakit.cli.app import app
from sorakit.config import Settings
from sorakit.errors import IdentityError, UsageError
from sorakit.provenance.chain import load_chain
from sorakit.provenance.lists import age_days, import_list, read_list, remove_list, stored_lists, validity
from sorakit.provenance.trust import load_trust
from sorakit.provenance.verify import read_credential


@pytest.fixture
def pem(tmp_path, make_signer):
    roots = [make_signer(f"R{i}").root for i in range(3)]
    path = tmp_path / "My List.pem"
    path.write_text("\n".join(f"Subject CN=x\n{r}" for r in roots))
    return path


@pytest.mark.parametrize(
    ("name", "kind", "least"), [("C2PA-TRUST-LIST", "claims", 10), ("C2PA-TSA-TRUST-LIST", "tsa", 2)]
)
def test_the_public_lists_import_with_their_kind(shared_data, tmp_path, name, kind, least):
    found = import_list(tmp_path / "trust", shared_data / "c2pa" / "trust-list" / f"{name}.pem")
    assert found.kind == kind and len(found.anchors) >= least
    assert validity(found)["anchors"] == len(found.anchors)
    (again,) = stored_lists(tmp_path / "trust")
    assert again == found and age_days(found) == 0


def test_json_with_pem_and_der_is_read(tmp_path, pem):
    anchors = read_list(pem).anchors
    der = x509.load_pem_x509_certificate(anchors[1].encode()).public_bytes(serialization.Encoding.DER)
    data = {
        "entities": [{"certs": [anchors[0]]}, {"x5c": [base64.b64encode(der).decode()]}],
        "sig": "MIInotacert",
    }
    (tmp_path / "list.json").write_text(json.dumps(data))
    assert read_list(tmp_path / "list.json").anchors == anchors[:2]


def test_leaves_and_anchors_for_another_use_are_left_out(tmp_path, pem, make_ca, make_signer):
    stamping = make_ca("Stamping", usages=("1.3.6.1.5.5.7.3.8",)).pem
    pem.write_text(pem.read_text() + make_signer().identity.chain_pem.decode() + stamping)
    found = read_list(pem, kind="claims")
    assert (len(found.anchors), found.left_out) == (3, 2)
    (tmp_path / "s.pem").write_text(stamping)
    assert read_list(tmp_path / "s.pem").kind == "tsa"
    with pytest.raises(UsageError, match="none of its 1"):
        read_list(tmp_path / "s.pem", kind="claims")


def test_a_list_is_replaced_removed_and_its_name_is_safe(tmp_path, pem):
    folder = tmp_path / "trust"
    import_list(folder, pem)
    assert import_list(folder, pem).name == "my-list"
    assert [p.name for p in folder.iterdir()] == ["my-list.trust.json"]
    remove_list(folder, "my-list")
    assert stored_lists(folder) == []
    with pytest.raises(UsageError, match="no trust list"):
        remove_list(folder, "../../etc")
    with pytest.raises(UsageError, match="letters"):
        read_list(pem, name="///")


@pytest.mark.parametrize("content", ["{}", "[" * 5000, '{"a": "-----BEGIN CERTIFICATE-----"}', "\0"])
def test_broken_lists_are_refused(tmp_path, content):
    (tmp_path / "x.pem").write_text(content)
    with pytest.raises(UsageError, match="trust anchors"):
        read_list(tmp_path / "x.pem")
    (tmp_path / "trust").mkdir()
    (tmp_path / "trust" / "x.trust.json").write_text(content)
    with pytest.raises(UsageError, match="trust anchors"):
        load_trust(Settings(home=tmp_path))


def test_expired_anchors_are_counted(tmp_path, pem):
    found = read_list(pem)
    later = dt.datetime.now(dt.UTC) + dt.timedelta(days=400)
    assert len(validity(found, later)["expired"]) == 3
    assert validity(found, later)["next_expiry"] is None
    assert validity(found)["expired"] == []


def test_the_credential_names_the_list_that_made_its_signer_trusted(tmp_path, signed, pem):
    folder = tmp_path / "trust"
    import_list(folder, pem)
    (tmp_path / "ours.pem").write_text(signed.signer.root)
    kept = import_list(folder, tmp_path / "ours.pem", kind="claims")
    found = read_credential(signed.path, load_trust(Settings(home=tmp_path))).provenance
    assert found.state == "trusted"
    assert found.trust_list == {
        "name": "ours",
        "source": "ours.pem",
        "imported": kept.imported,
        "sha256": kept.sha256,
    }


@pytest.mark.parametrize("kind", ["tsa", "cawg"])
def test_a_list_of_another_kind_makes_no_claim_trusted(tmp_path, signed, kind):
    (tmp_path / "ours.pem").write_text(signed.signer.root)
    import_list(tmp_path / "trust", tmp_path / "ours.pem", kind=kind)
    found = read_credential(signed.path, load_trust(Settings(home=tmp_path))).provenance
    assert (found.state, found.trust_list) == ("valid_untrusted", None)


def test_commands(tmp_path, pem, monkeypatch):
    monkeypatch.setenv("SORAKIT_HOME", str(tmp_path))
    run = CliRunner().invoke
    done = run(app, ["trust", "import", str(pem), "--kind", "claims", "--name", "mine", "--json"])
    assert json.loads(done.stdout)["anchors"] == 3
    assert json.loads(run(app, ["trust", "list", "--json"]).stdout)["name"] == "mine"
    shown = json.loads(run(app, ["trust", "show", "mine", "--json"]).stdout)
    assert len(shown["anchor_list"]) == 3 and shown["kind"] == "claims"
    assert "mine" in run(app, ["trust", "list"]).output
    assert run(app, ["trust", "remove", "mine"]).exit_code == 0
    assert isinstance(run(app, ["trust", "show", "mine"]).exception, UsageError)


def test_a_file_with_a_name_of_other_letters_counts(tmp_path, pem):
    settings = Settings(home=tmp_path)
    settings.trust_dir.mkdir()
    for path in (tmp_path / "信任.pem", settings.trust_dir / "信任.pem"):
        path.write_bytes(pem.read_bytes())
    assert load_trust(settings, extra=tmp_path / "信任.pem").claims
    (stored,) = stored_lists(settings.trust_dir)
    assert remove_list(settings.trust_dir, stored.name).name == "信任.pem"
    assert stored_lists(settings.trust_dir) == []


def test_roots_that_cannot_be_taken_apart_are_refused(tmp_path, make_ca):
    x400 = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.17"), bytes.fromhex("3002a300"))
    above = make_ca("Root")
    pem = above.issue("Sub", (), ca=True, extra=(x400,)).chain_pem
    (tmp_path / "x400.pem").write_bytes(pem)
    der = x509.load_pem_x509_certificate(above.pem.encode()).public_bytes(serialization.Encoding.DER)
    old = der.replace(bytes.fromhex("a003020102"), bytes.fromhex("a003020101"), 1)
    text = f"-----BEGIN CERTIFICATE-----\n{base64.encodebytes(old).decode()}-----END CERTIFICATE-----\n"
    (tmp_path / "v2.pem").write_text(text)
    for name in ("x400.pem", "v2.pem"):
        with pytest.raises(UsageError, match="trust anchors"):
            read_list(tmp_path / name)
    with pytest.raises(IdentityError, match="in PEM"):
        load_chain(text.encode(), "it")


def test_a_date_without_a_time_zone_is_refused(tmp_path, pem):
    import_list(tmp_path / "trust", pem)
    (path,) = (tmp_path / "trust").iterdir()
    path.write_text(json.dumps(json.loads(path.read_text()) | {"imported": "2026-01-01"}))
    with pytest.raises(UsageError, match="time zone"):
        load_trust(Settings(home=tmp_path))
