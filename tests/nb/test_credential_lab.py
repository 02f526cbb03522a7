"""The credential lab: each changed byte breaks its own link, and trust changes a whole file's verdict."""

import sys
from pathlib import Path
from typing import Any

import pytest

from sorakit.config import Settings
from sorakit.errors import UsageError
from sorakit.nb import CredentialLab
from sorakit.nb.credential_lab import PLACES
from sorakit.provenance.keys import dev_anchor
from sorakit.types import Decision


@pytest.fixture(scope="module")
def lab(
    tmp_path_factory: pytest.TempPathFactory, module_settings: Settings, clip_factory: Any
) -> CredentialLab:
    """Somebody else's file, their root, and one who checks."""
    from sorakit.publish import publish  # noqa: PLC0415

    folder = tmp_path_factory.mktemp("lab")
    path = publish(clip_factory(seconds=1), folder / "a.mp4", settings=module_settings).path
    anchor = dev_anchor(module_settings.keys_dir)
    assert anchor is not None
    (folder / "root.pem").write_bytes(anchor)
    return CredentialLab(path, folder / "root.pem", settings=Settings(home=folder / "you"))


@pytest.mark.parametrize(
    ("where", "codes"),
    [
        ("picture", {"assertion.bmffHash.mismatch"}),
        ("index", {"assertion.bmffHash.mismatch"}),
        ("assertion", {"assertion.hashedURI.mismatch"}),
        ("claim", {"assertion.hashedURI.mismatch", "claimSignature.mismatch"}),
        ("signature", {"claimSignature.mismatch"}),
        ("type", {"ftyp"}),
        ("end", {"assertion.bmffHash.mismatch"}),
    ],
)
def test_each_place_breaks_its_own_link(lab: CredentialLab, where: str, codes: set[str]) -> None:
    changed = lab.run(where, trusted=True)
    assert changed.state == "tampered"
    assert {p.rsplit("(", 1)[-1].split(")")[0] for p in changed.problems} == codes
    original, copy = lab.path.read_bytes(), changed.path.read_bytes()
    differs = [i for i, (a, b) in enumerate(zip(original, copy, strict=False)) if a != b]
    assert (differs or [len(original)]) == [changed.offset]
    assert len(copy) - len(original) == (where == "end")
    assert PLACES[where] in repr(changed)
    assert codes.pop() in changed._repr_html_()


def test_trust_changes_the_verdict_of_a_whole_file_and_mends_none(lab: CredentialLab) -> None:
    stranger, friend = lab.run("nothing"), lab.run("nothing", trusted=True)
    assert (stranger.state, friend.state) == ("valid_untrusted", "trusted")
    assert stranger.verdict.decision is Decision.AI_WATERMARKED
    assert friend.verdict.decision is Decision.AI_DECLARED
    assert (friend.offset, friend.problems) == (None, [])
    assert "everything fits" in repr(friend)
    assert lab.run("end").state == lab.run("end", trusted=True).state == "tampered"


def test_the_widget_does_the_same_with_native_controls(lab: CredentialLab) -> None:
    ipywidgets = pytest.importorskip("ipywidgets")
    row, result = lab.widget().children
    chosen, trusts, button = row.children
    assert [type(w) for w in row.children] == [ipywidgets.Dropdown, ipywidgets.Checkbox, ipywidgets.Button]
    lab.last = None
    trusts.value = True
    assert result.value == "<p>Choose what to change.</p>"  # nothing was asked yet
    button.click()
    assert "AI, declared" in result.value
    trusts.value = False  # the switch checks again
    assert "AI mark, unproven" in result.value
    chosen.value = "picture"
    button.click()
    assert "assertion.bmffHash.mismatch" in result.value
    lab.path.rename(lab.path.with_suffix(".gone"))
    try:
        button.click()
    finally:
        lab.path.with_suffix(".gone").rename(lab.path)
    assert 'role="alert"' in result.value
    assert "No such file" in result.value


def test_what_cannot_be_changed_is_refused(lab: CredentialLab, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="one of nothing, picture"):
        lab.run("everywhere")
    (tmp_path / "x.mp4").write_bytes(b"\0\0\0\x08free")
    with pytest.raises(UsageError, match="no box mdat"):
        CredentialLab(tmp_path / "x.mp4").changed("picture")
    assert lab.changed("end").exists()


def test_without_a_notebook_it_says_what_to_call(lab: CredentialLab, monkeypatch: pytest.MonkeyPatch) -> None:
    display = pytest.importorskip("IPython.display")
    shown: list[object] = []
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    monkeypatch.setattr(display, "display", shown.append)
    lab._ipython_display_()
    assert all(where in str(shown[0]) for where in PLACES)
    assert "lab.run(WHERE, trusted=True or False)" in str(shown[0])
