"""Attack a user's file, by one attack or by all: the work behind `sorakit attack`.

In: a video file. Out: attacked copies and what became of the mark in them. The kit measures robustness; it is
no tool to take a credential off somebody's video. So a signed file is refused where the attack would lose its
credential, unless the caller says `strip`; then who signed it and what was made of it is written into this
user's audit log before any file appears. The results are test copies of a video that exists, not generated
video, so they do not pass through `sorakit.publish`; their comment tag says which attack they went through.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from sorakit.config import Settings
from sorakit.errors import OutputError, SorakitError, UsageError
from sorakit.place import move, workplace
from sorakit.regenerate import install
from sorakit.registry.repo import Registry
from sorakit.types import Progress
from sorakit.video.guard import prescan, run_guarded
from sorakit.watermark.attacks import ATTACKS, FAMILIES, Attack, require, spare

__all__ = ["Outcome", "attack_all", "attack_file", "listed"]

_MODEL_MEMORY = 16 << 30
"""Address space for attacks with a model: PyTorch maps much more than it uses."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One attack on one file. `log10_p`: evidence for a mark in the result, None where it was not read.

    `stripped`: the manifest that the source had and the result has not. `error`: why there is no result.
    """

    attack: str
    family: str
    strength: float | None
    seed: int
    file: str | None = None
    bytes: int | None = None
    found: bool | None = None
    payload: str | None = None
    log10_p: float | None = None
    stripped: str | None = None
    error: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The object that `sorakit attack --json` prints."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class How:
    """What attacks on a file have in common.

    `others`: further videos, for attacks that take some. `strip`: go on although a credential is lost.
    `overwrite`: replace results that exist. `read`: look for the mark in the result.
    """

    seed: int = 0
    others: tuple[Path, ...] = ()
    strip: bool = False
    overwrite: bool = False
    read: bool = True


def listed() -> tuple[Attack, ...]:
    """All attacks, those with a model included, family by family."""
    install()
    return tuple(sorted(ATTACKS.values(), key=lambda a: FAMILIES.index(a.family)))


def attack_file(
    source: Path,
    output: Path,
    name: str,
    how: How | None = None,
    *,
    strength: float | None = None,
    settings: Settings | None = None,
    progress: Progress | None = None,
) -> Outcome:
    """Write an attacked copy of `source` and, with `read`, look for the kit's mark in it.

    Raises `UsageError` for what cannot be asked, an existing `output` without `overwrite`, and a signed
    source without `strip`; else the kit's errors of reading and writing. No half file is left.

    >>> attack_file(Path("marked.mp4"), Path("out.mp4"), "h264_crf28").found  # doctest: +SKIP
    True
    """
    install()
    seen = _Source(source, settings or Settings())
    return _attack(seen, output, name, how or How(), strength=strength, progress=progress)


def _attack(
    source: "_Source",
    output: Path,
    name: str,
    how: How,
    *,
    strength: float | None = None,
    progress: Progress | None = None,
) -> Outcome:
    settings = source.settings
    attack = require(name, strength, how.seed, how.others)
    _check_output(output, attack, how)
    spare(output, (source.path, *how.others))
    for path in (source.path, *how.others):
        prescan(path, settings.limits)
    about = source.about
    lost = about["credential"] and (about["beside"] or not attack.keeps_credential)
    if lost and not how.strip:
        raise UsageError(
            f"{source.path.name} carries a credential by {about['signer'] or 'an unknown signer'} and {name} "
            "would lose it; attacks measure robustness and do not clean files: test on an unsigned copy, or "
            "say --strip-credential, which the audit log notes"
        )
    if lost:
        _note(source, output, name)
    turned = attack.strength.checked(strength) if attack.strength else None
    request = {
        "src": str(source.path.absolute()),
        "name": name,
        "strength": turned,
        "seed": how.seed,
        "others": [str(p.absolute()) for p in how.others],
        "read": how.read,
    }
    seconds = about["duration"] * (1 + len(how.others))
    with workplace(output) as work:  # a child that is killed cannot take away what it began
        made = work.absolute() / output.name
        answer = run_guarded(
            "sorakit.robustness.task:attack_task",
            request | {"dst": str(made)},
            timeout=240 + settings.limits.transcode_factor * seconds,
            memory_bytes=_MODEL_MEMORY if attack.family == "model" else settings.limits.memory_bytes,
            on_progress=progress,
        )
        move(made, output, overwrite=how.overwrite)
    stripped = (about["manifest_id"] or "unreadable") if lost else None
    return Outcome(name, attack.family, turned, how.seed, str(output), stripped=stripped, **answer)


def attack_all(
    source: Path,
    folder: Path,
    how: How | None = None,
    *,
    names: Sequence[str] | None = None,
    settings: Settings | None = None,
    progress: Progress | None = None,
) -> Iterator[Outcome]:
    """Every attack in turn into `folder` (made if missing), each outcome as soon as it is there.

    An attack that needs more `others` than there are, or a missing model, gives an outcome with its `error`
    and the next one follows; what is wrong with the source itself is raised.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise OutputError(f"cannot make the folder {folder}: {e.strerror}; choose another --output") from e
    chosen = [a for a in listed() if names is None or a.name in names]
    seen, how = _Source(source, settings or Settings()), how or How()
    for index, attack in enumerate(chosen):
        if progress is not None:
            progress(attack.name, index / len(chosen))
        out = folder / f"{attack.name}.mp4"
        default = attack.strength.default if attack.strength else None
        try:
            yield _attack(seen, out, attack.name, how)
        except SorakitError as error:
            if index == 0:
                raise
            yield Outcome(attack.name, attack.family, default, how.seed, error=str(error))


class _Source:
    """A file to attack, looked at and hashed once however many attacks it goes through."""

    def __init__(self, path: Path, settings: Settings) -> None:
        self.path, self.settings = path, settings

    @cached_property
    def about(self) -> dict[str, Any]:
        """What a guarded child says of its credential and length."""
        return run_guarded(
            "sorakit.robustness.task:look_task",
            {"path": str(self.path.absolute())},
            timeout=self.settings.limits.check_seconds,
            memory_bytes=self.settings.limits.memory_bytes,
        )

    @cached_property
    def sha256(self) -> str:
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


def _check_output(output: Path, attack: Attack, how: How) -> None:
    if output.exists() and not how.overwrite:
        raise UsageError(f"{output} exists; choose another name, or use --force")
    if output.suffix.lower() not in (".mp4", ".gif" if attack.family == "palette" else ".mp4"):
        raise UsageError(f"the output must end in .mp4 (or .gif for GIF attacks), got {output.name!r}")
    if not output.absolute().parent.is_dir():
        raise OutputError(f"there is no folder {output.parent}; make it first")


def _note(source: _Source, output: Path, name: str) -> None:
    """Write into the audit log whose credential the result will lack."""
    about, digest = source.about, source.sha256
    with Registry(source.settings.database_url) as registry:
        registry.audit(
            "attack.credential_stripped",
            about["manifest_id"] or digest,
            attack=name,
            signer=about["signer"],
            source_sha256=digest,
            output=str(output.absolute()),
        )
