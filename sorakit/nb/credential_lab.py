"""Change one byte of a signed file, trust its signer or not, and see what the check says: widget or call.

In: the path of an MP4 or MOV of your own that carries a credential, and the root certificate of its signer.
Out: a `CredentialLab`; a notebook shows a list, a checkbox and a button (native ones), a terminal a line. The
changed copies lie in a temporary folder that goes away with the lab.
"""

import shutil
import tempfile
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import escape

from sorakit.check import check
from sorakit.config import Settings
from sorakit.errors import SorakitError, UsageError
from sorakit.nb.card import CredentialCard
from sorakit.nb.shown import Shown
from sorakit.nb.tree import ManifestTree
from sorakit.provenance.jumbf import whole_boxes
from sorakit.provenance.trust import load_trust
from sorakit.types import Verdict

__all__ = ["PLACES", "Change", "CredentialLab"]

PLACES = {
    "nothing": "nothing is changed",
    "picture": "one bit of the picture data (mdat)",
    "index": "one bit of the index (moov), which tells players where frames lie",
    "assertion": "one bit of a statement in the manifest",
    "claim": "one bit of the claim, where it lists a statement's hash",
    "signature": "one bit of the signature",
    "type": "one bit of the file's first box (ftyp)",
    "end": "one byte more, after the end",
}
"""Where a file can be changed, in words."""


@dataclass(frozen=True, slots=True)
class Change:
    """One changed copy and the check's verdict. `offset`: the byte; `before`, `after`: its value or None."""

    where: str
    trusted: bool
    path: Path
    offset: int | None
    before: int | None
    after: int | None
    verdict: Verdict
    card: CredentialCard

    @property
    def state(self) -> str:
        """The credential's state, such as trusted, valid_untrusted or tampered."""
        return self.verdict.evidence.provenance.state

    @property
    def problems(self) -> list[str]:
        """What does not fit, in words."""
        return self.verdict.evidence.provenance.problems

    @property
    def words(self) -> str:
        """What was done to the file, and whether the signer counts."""
        whom = "you trust the signer" if self.trusted else "you trust nobody"
        if self.offset is None:
            return f"{PLACES[self.where]}; {whom}"
        was = "–" if self.before is None else f"{self.before:02x}"
        return f"{PLACES[self.where]}: byte {self.offset:,}, {was} → {self.after:02x}; {whom}"

    def _repr_html_(self) -> str:
        broken = "".join(f"<li>{escape(p)}</li>" for p in self.problems) or "<li>everything fits</li>"
        said = f"<p><strong>{escape(self.words)}</strong></p><p>credential: <code>{self.state}</code></p>"
        return f'<div role="status">{said}<ul>{broken}</ul>{self.card._repr_html_()}</div>'

    def __repr__(self) -> str:
        broken = "; ".join(self.problems) or "everything fits"
        return f"{self.words}: {self.state}, {self.verdict.decision}; {broken}"


class CredentialLab(Shown):
    """A widget that changes a copy of `path` and checks it; without a widget: `lab.run("picture")`.

    `roots`: a PEM file with the root that the signer's certificate leads to, for the switch “I trust the
    signer”; without it the switch believes this user's development root. `settings`: of the one who checks.
    `last`: the latest change.

    >>> lab = CredentialLab("clip.mp4", "root.pem")  # doctest: +SKIP
    >>> lab.run("picture", trusted=True).state  # doctest: +SKIP
    'tampered'
    """

    def __init__(
        self, path: Path | str, roots: Path | str | None = None, *, settings: Settings | None = None
    ) -> None:
        self.path = Path(path)
        self.roots = None if roots is None else Path(roots)
        self.last: Change | None = None
        self._settings = settings or Settings()
        self._folder = Path(tempfile.mkdtemp(prefix="sorakit-credential-"))
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)

    def run(self, where: str = "nothing", *, trusted: bool = False) -> Change:
        """Change a copy at one of `PLACES`, check it, return both. Raises the kit's errors.

        `UsageError` for another place, or one that this file does not have.
        """
        out, offset, before, after = self._write(where)
        verdict = check(out, trust=load_trust(self._settings, **self._whom(trusted)), settings=self._settings)
        card = CredentialCard.of(verdict, self._settings)
        self.last = Change(where, trusted, out, offset, before, after, verdict, card)
        return self.last

    def changed(self, where: str) -> Path:
        """The copy alone, not checked. Raises as `run` does."""
        return self._write(where)[0]

    def _write(self, where: str) -> tuple[Path, int | None, int | None, int | None]:
        """(The copy, the byte's offset, its value before and after)."""
        if where not in PLACES:
            raise UsageError(f"`where` must be one of {', '.join(PLACES)}, got {where!r}")
        data = bytearray(self.path.read_bytes())
        offset, before = self._place(where, bytes(data)), None
        if where == "end":
            data.append(0)
        elif offset is not None:
            before = data[offset]
            data[offset] ^= 1
        out = self._folder / f"{where}{self.path.suffix}"
        out.write_bytes(data)
        return out, offset, before, None if offset is None else data[offset]

    def _whom(self, trusted: bool) -> dict[str, Any]:
        if not trusted:
            return {}
        return {"dev": True} if self.roots is None else {"extra": self.roots}

    def _place(self, where: str, data: bytes) -> int | None:
        """The byte to change; None for nothing."""
        if where == "nothing":
            return None
        if where == "end":
            return len(data)
        kind = {"picture": b"mdat", "index": b"moov", "type": b"ftyp"}.get(where)
        if kind is not None:
            return _middle(data, kind)
        manifest = ManifestTree(self.path, self._settings).active
        # A byte inside a value, so that what is changed can still be read.
        if where == "signature":
            return _find(data, bytes.fromhex((manifest["signature"] or {}).get("value", "")), where)
        if where == "claim":
            listed = [a["hash"] for a in manifest["assertions"] if a["fits"]]
            return _find(data, bytes.fromhex(listed[0]) if listed else b"", where)
        return _find(data, b"AlgorithmicMedia", where)

    def __repr__(self) -> str:
        return (
            f"CredentialLab on {self.path.name}: lab.run(WHERE, trusted=True or False) with WHERE one of "
            f"{', '.join(PLACES)}"
        )

    def widget(self) -> Any:
        """A list of places, a checkbox for trust, a button, and the result below: an `ipywidgets.VBox`.

        Tab moves between them, arrow keys choose, Space ticks, Enter or Space changes and checks.
        """
        import ipywidgets  # noqa: PLC0415 - an extra; `run` works without it

        options = [(words, where) for where, words in PLACES.items()]
        wide = ipywidgets.Layout(width="34rem", max_width="100%")
        chosen = ipywidgets.Dropdown(options=options, description="Change", layout=wide)
        trusts = ipywidgets.Checkbox(description="I trust the signer's root certificate", indent=False)
        button = ipywidgets.Button(description="Change and check", tooltip="Change a copy and check it")
        result = ipywidgets.HTML(value="<p>Choose what to change.</p>")

        def run(_: Any = None) -> None:
            result.value = '<p role="status">working …</p>'
            try:
                result.value = self.run(chosen.value, trusted=trusts.value)._repr_html_()
            except (SorakitError, OSError) as e:  # shown where the reader looks
                result.value = f'<p role="alert">{escape(str(e))}</p>'

        def switched(_: Any) -> None:
            if self.last is not None:  # the verdict changes under the reader's eyes
                run()

        button.on_click(run)
        trusts.observe(switched, "value")
        row = ipywidgets.HBox([chosen, trusts, button], layout=ipywidgets.Layout(flex_flow="row wrap"))
        return ipywidgets.VBox([row, result])


def _middle(data: bytes, kind: bytes) -> int:
    """The byte in the middle of the first top-level box of a kind."""
    at = 0
    for found, head, whole in whole_boxes(memoryview(data)):
        if found == kind:
            return at + head + (len(whole) - head) // 2
        at += len(whole)
    raise UsageError(f"this file has no box {kind.decode()}; take an MP4 or MOV")


def _find(data: bytes, value: bytes, where: str) -> int:
    at = data.find(value) if value else -1
    if at < 0:
        raise UsageError(f"this file has no {where} that can be changed in place; choose another")
    return at + len(value) - 1
