"""What happens to videos between maker and viewer, repeatable: file in, file out.

For measuring how robust a mark is, in tests, demos and benchmarks; not a tool to strip another's credentials.
Every attack but `untouched` and `flip_byte` loses the source's container metadata and credentials, as
platforms do, and says so: the result's comment tag names the attack. Sound is dropped by all attacks that
re-encode. One family a file; `strength` and `seed` fix the result to the pixel on one version of the encoder.
"""

from collections.abc import Sequence
from pathlib import Path

from sorakit.errors import UsageError
from sorakit.types import Progress
from sorakit.video._encode import new_file
from sorakit.watermark.attacks import (
    chains,
    codecs,
    colour,
    crop,
    files,
    filters,
    forgery,
    geometry,
    noise,
    overlay,
    palette,
    reframe,
    scale,
    timing,
)  # fmt: skip
from sorakit.watermark.attacks.base import FAMILIES, Attack, Job, Strength
from sorakit.watermark.attacks.files import flip_byte

__all__ = [
    "ATTACKS", "FAMILIES", "Attack", "Job", "Strength", "apply", "flip_byte", "register", "require",
    "spare",
]  # fmt: skip

_MODULES = (
    files, codecs, scale, crop, reframe, geometry, colour, filters, noise, overlay, timing, palette, chains,
    forgery,
)  # fmt: skip

ATTACKS: dict[str, Attack] = {attack.name: attack for module in _MODULES for attack in module.ATTACKS}
"""All attacks by name; `register` adds to them."""

MAX_SEED = 1 << 53


def register(attack: Attack) -> None:
    """Add an attack from elsewhere, such as those that need a model; the same name again replaces it.

    >>> register(ATTACKS["mirror"])
    """
    ATTACKS[attack.name] = attack


def require(name: str, strength: float | None, seed: int, others: Sequence[Path]) -> Attack:
    """The attack of that name, if it can be asked for this way; else `UsageError`.

    >>> require("mirror", None, 0, ()).family
    'geometry'
    """
    if name not in ATTACKS:
        raise UsageError(f"`name` must be one of {', '.join(ATTACKS)}, got {name!r}")
    attack = ATTACKS[name]
    if not 0 <= seed < MAX_SEED:
        raise UsageError(f"`seed` must be 0 to 2^53 - 1, got {seed}")
    if len(others) < attack.needs_others:
        raise UsageError(
            f"{name} needs {attack.needs_others} more video(s), got {len(others)}: {attack.others}"
        )
    if strength is not None and attack.strength is None:
        raise UsageError(f"{name} has no strength to turn, got {strength:g}; leave it out")
    if attack.strength is not None:
        attack.strength.checked(strength)
    return attack


def spare(dst: Path, inputs: Sequence[Path]) -> None:
    """Raise `UsageError` where `dst` is one of the `inputs`.

    >>> spare(Path("out.mp4"), [Path("marked.mp4")])
    """
    if any(dst.exists() and path.exists() and path.samefile(dst) for path in inputs):
        raise UsageError(f"the output must differ from all inputs, got {dst}; attacks never overwrite them")


def apply(
    name: str,
    src: Path,
    dst: Path,
    strength: float | None = None,
    seed: int = 0,
    *,
    others: Sequence[Path] = (),
    progress: Progress | None = None,
) -> None:
    """Attack file `src`, writing `dst` (an .mp4; `gif` also writes .gif), whole or not at all.

    `strength`: within the attack's range, its default if None. `others`: further videos for attacks that
    take them. Equal arguments give equal pictures. Raises `UsageError` for an unknown name, a strength out of
    range, missing `others` or `dst` being an input; `InputError` for what cannot be read.

    >>> apply("h264_crf28", Path("marked.mp4"), Path("attacked.mp4"), strength=30)  # doctest: +SKIP
    """
    attack = require(name, strength, seed, others)
    spare(dst, (src, *others))
    turned = 0.0 if attack.strength is None else attack.strength.checked(strength)
    with new_file(dst) as part:
        job = Job(name, src, part, turned, seed, tuple(others), progress)
        attack.run(job)
