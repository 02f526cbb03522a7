"""The manifest tree: what a video's credential holds, box by box, to open and close.

In: the path of any file. Out: a `ManifestTree`, which notebooks show as nested native `<details>` (Tab moves,
Enter or Space opens) and terminals as an indented list. All text may be a stranger's: it is read in a guarded
child, bounded, and goes through an autoescaping template.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from sorakit.config import Settings
from sorakit.errors import UsageError
from sorakit.nb.card import environment
from sorakit.video.guard import prescan, run_guarded

__all__ = ["Branch", "ManifestTree"]

MAX_LINES = 3000
MAX_SHOWN = 300
"""Characters of one value."""
_SHORT = 72

_MEANS = {
    "c2pa.actions": "what was done",
    "c2pa.ai-disclosure": "which model made it",
    "c2pa.hash": "binds it to the file",
    "c2pa.ingredient": "a file it was made from",
    "c2pa.soft-binding": "how to find it again",
    "c2pa.thumbnail": "a small picture",
    "cawg.training-mining": "may others train on it",
    "io.github.sorakit.file-type": "binds it to the file's first box",
    "io.github.sorakit.generation": "how it was made",
}


@dataclass(frozen=True, slots=True)
class Branch:
    """One line of the tree. `value`: what stands there; `code`: in a fixed-width face; `open`: at first."""

    name: str
    value: str = ""
    children: tuple["Branch", ...] = ()
    code: bool = False
    open: bool = False


@dataclass(frozen=True)
class ManifestTree:
    """The manifest store of the file at `path`.

    `manifests`: plain data, as `sorakit.nb.manifest.manifests_of` describes it, the active manifest last.
    Raises the errors of `prescan` for a file that is no video or image.

    >>> ManifestTree("clip.mp4").assertions["c2pa.actions.v2"]["actions"][0]["action"]  # doctest: +SKIP
    'c2pa.created'
    """

    path: Path | str
    settings: Settings | None = field(default=None, repr=False)

    @cached_property
    def _found(self) -> dict[str, Any]:
        limits, path = (self.settings or Settings()).limits, Path(self.path)
        prescan(path, limits)
        return run_guarded(
            "sorakit.nb.manifest:manifests_task",
            {"path": str(path.absolute()), "max_boxes": limits.max_boxes},
            timeout=limits.check_seconds,
            memory_bytes=limits.memory_bytes,
        )

    @property
    def manifests(self) -> list[dict[str, Any]]:
        """All manifests; empty where the file has none."""
        found: list[dict[str, Any]] = self._found["manifests"]
        return found

    @property
    def active(self) -> dict[str, Any]:
        """The manifest that speaks for the file; raises `UsageError` where there is none."""
        if not self.manifests:
            raise UsageError(f"{Path(self.path).name} holds no manifest; publish it first, or ask `check`")
        return self.manifests[-1]

    @property
    def assertions(self) -> dict[str, Any]:
        """The active manifest's statements: label to data."""
        return {a["label"]: a["data"] for a in self.active["assertions"]}

    @cached_property
    def root(self) -> Branch:
        """The tree itself."""
        if not self.manifests:
            return Branch("No manifest store", "in this file or beside it")
        last = len(self.manifests) - 1
        parts = tuple(_manifest(m, active=i == last) for i, m in reversed(list(enumerate(self.manifests))))
        return Branch("Manifest store", f"{self._found['bytes']:,} bytes", parts, open=True)

    def _repr_html_(self) -> str:
        template = environment().get_template("tree.html.j2")
        return template.render(root=self.root, title=Path(self.path).name, budget=_Lines())

    def __repr__(self) -> str:
        lines = [f"{Path(self.path).name}: {_line(self.root)}"]
        lines += ["  " * depth + _line(b) for depth, b in _outline(self.root, 1) if depth <= 3]
        return "\n".join(lines[:MAX_LINES])


class _Lines:
    """How many lines a page still has room for."""

    def __init__(self) -> None:
        self.left = MAX_LINES

    def one(self) -> bool:
        """Whether one more line fits."""
        self.left -= 1
        return self.left >= 0


def _outline(branch: Branch, depth: int) -> Iterator[tuple[int, Branch]]:
    for child in branch.children:
        yield depth, child
        yield from _outline(child, depth + 1)


def _line(branch: Branch) -> str:
    value = branch.value if len(branch.value) <= _SHORT else f"{branch.value[:_SHORT]}…"
    return f"{branch.name}: {value}" if value else branch.name


def _manifest(manifest: dict[str, Any], *, active: bool) -> Branch:
    statements = tuple(_assertion(a) for a in manifest["assertions"] if not _is_ingredient(a))
    sources = tuple(_assertion(a) for a in manifest["assertions"] if _is_ingredient(a))
    size = f"{manifest['claim_bytes']:,} bytes: what the signature is made over"
    claim = Branch("Claim", size, _children(manifest["claim"])) if manifest["claim"] else _unread("Claim")
    return Branch(
        "Manifest" if active else "Manifest of an ingredient",
        manifest["id"],
        (
            claim,
            Branch("Assertions", _count(statements, "statement"), statements, open=active),
            Branch("Ingredients", f"{_count(sources, 'file')} it was made from", sources),
            _signature(manifest["signature"]),
        ),
        code=True,
        open=active,
    )


def _count(branches: tuple[Branch, ...], one: str) -> str:
    return f"{len(branches)} {one}{'' if len(branches) == 1 else 's'}"


def _is_ingredient(assertion: dict[str, Any]) -> bool:
    return str(assertion["label"]).startswith("c2pa.ingredient")


def _assertion(assertion: dict[str, Any]) -> Branch:
    words = {True: "fits the claim ✓", False: "differs from the claim ✗", None: "not in the claim ✗"}
    digest = Branch(assertion["algorithm"].upper(), assertion["hash"], code=True)
    data = _children(assertion["data"]) or (Branch("content", "cannot be read"),)
    label = str(assertion["label"])
    means = next((f"{text} · " for start, text in _MEANS.items() if label.startswith(start)), "")
    return Branch(label, f"{means}hash {words[assertion['fits']]}", (digest, *data))


def _signature(signature: dict[str, Any] | None) -> Branch:
    if signature is None:
        return _unread("Signature")
    certificates = tuple(
        Branch(
            "Signer" if i == 0 else "Certificate above it",
            c["subject"],
            (Branch("issued by", c["issuer"]), Branch("valid", f"{c['from'][:10]} to {c['until'][:10]}")),
        )
        for i, c in enumerate(signature["certificates"])
    )
    value = Branch("value", signature["value"], code=True)
    return Branch(
        "Signature",
        f"{signature['algorithm']}, over the claim; `check` tells whether it fits",
        (*certificates, value),
    )


def _unread(name: str) -> Branch:
    return Branch(name, "missing, or cannot be read")


def _children(value: Any) -> tuple[Branch, ...]:
    if isinstance(value, dict):
        return tuple(_value(str(k), v) for k, v in value.items())
    if isinstance(value, list):
        return tuple(_value(f"{i}", v) for i, v in enumerate(value))
    return () if value is None else (_value("value", value),)


def _value(name: str, value: Any) -> Branch:
    if isinstance(value, dict) and set(value) == {"hex", "bytes"}:
        more = "…" if value["bytes"] * 2 > len(value["hex"]) else ""
        return Branch(name, f"{value['hex']}{more} ({value['bytes']} bytes)", code=True)
    if isinstance(value, dict | list):
        one, many = ("entry", "entries") if isinstance(value, list) else ("field", "fields")
        return Branch(name, f"{len(value)} {one if len(value) == 1 else many}", _children(value))
    text = {None: "null", True: "true", False: "false"}[value] if _is_constant(value) else str(value)
    return Branch(name, text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}… ({len(text)} characters)")


def _is_constant(value: Any) -> bool:
    return value is None or isinstance(value, bool)
