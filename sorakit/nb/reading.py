"""What the oracle reads, drawn on the frames: a box around each sprite, its way, and the facts as a sentence.

In: clips of the sprite world, drawn or generated, and the prompts that they should show. Out: a `View`, a
row of stills a clip.
"""

from collections.abc import Sequence

import numpy as np
from markupsafe import escape

from sorakit.errors import UsageError
from sorakit.nb.pictures import filmstrip
from sorakit.nb.pixels import evenly, pixels
from sorakit.nb.view import View
from sorakit.types import Rgb
from sorakit.world import FACTS, parse, read, score
from sorakit.world.backdrop import split_shots
from sorakit.world.oracle import GATE, Reading, ShotReading, SpriteReading
from sorakit.world.render import GROW

__all__ = ["readings", "sentence"]

_GAP = 1
_INK = 'fill="none" stroke="{}" stroke-width="{}" vector-effect="non-scaling-stroke"'


def readings(
    clips: Sequence[Rgb], prompts: Sequence[str] | None = None, *, n: int = 6, height: int = 80
) -> View:
    """`n` stills of each of `clips` `(T, H, W, 3)` with the oracle's reading; with `prompts`, what it lacks.

    A box is drawn where a sprite was read, dashed where its outline fits no shape and nothing of it counts;
    the last still of a shot also shows its whole way. Raises `UsageError` for a prompt outside the grammar.

    >>> from sorakit.world import EXAMPLE, render
    >>> readings([render(parse(EXAMPLE), seed=1).frames], [EXAMPLE])
    read: a big red circle bounces on a navy background; all facts hold
    """
    if prompts is not None and len(prompts) != len(clips):
        raise UsageError(f"`prompts` must name each of the {len(clips)} clips, got {len(prompts)}")
    rows, texts = [], []
    for i, clip in enumerate(clips):
        prompt = None if prompts is None else prompts[i]
        found = read(clip)
        said = sentence(found)
        verdict = "" if prompt is None else _verdict(clip, prompt)
        texts.append(f"read: {said}" + (f"; {verdict}" if verdict else ""))
        asked = f"<div>asked: {escape(prompt)}</div>" if prompt is not None else ""
        mark = ("✓ " if verdict == "all facts hold" else "✗ ") if verdict else ""
        rows.append(
            f'<div style="margin:0 0 .9rem">{asked}{_film(clip, found, said, n, height)}'
            f"<div>read: {escape(said)}</div>"
            + (f"<div><strong>{mark}{escape(verdict)}</strong></div>" if verdict else "")
            + "</div>"
        )
    return View(f'<div style="font-size:.9em;line-height:1.5">{"".join(rows)}</div>', "\n".join(texts))


def sentence(reading: Reading) -> str:
    """A reading in the words of the captions; “(?)” follows a sprite whose outline fits no shape.

    >>> from sorakit.world import EXAMPLE, render
    >>> sentence(read(render(parse(EXAMPLE), seed=1).frames))
    'a big red circle bounces on a navy background'
    """
    return ", cut to ".join(_shot_words(s) for s in reading.shots)


def _shot_words(shot: ShotReading) -> str:
    sprites = " and ".join(_sprite_words(s) for s in shot.sprites.values()) or "nothing"
    texture = "" if shot.texture == "plain" else shot.texture + " "
    camera = f", {shot.camera}" if shot.camera else ""
    return f"{sprites} on a {texture}{shot.background} background{camera}"


def _sprite_words(s: SpriteReading) -> str:
    motion = "moves unclearly" if s.motion == "unclear" else s.motion
    return f"a {s.size} {s.colour} {s.shape} {motion}" + ("" if s.iou >= GATE else " (?)")


def _verdict(clip: Rgb, prompt: str) -> str:
    scores = score(clip, parse(prompt))
    lacking = [fact for fact in FACTS if scores[fact] < 1]
    return "not as asked: " + ", ".join(lacking) if lacking else "all facts hold"


def _film(clip: Rgb, found: Reading, said: str, n: int, height: int) -> str:
    T, H, W, _ = clip.shape
    shown = evenly(T, n)
    over, first = "", 0
    for shot, part in zip(found.shots, split_shots(clip.astype(np.float32) / np.float32(255)), strict=True):
        inside = [t for t in shown if first <= t < first + len(part)]
        for s in shot.sprites.values():
            for t in inside:
                over += _box(s, t - first, shown.index(t) * (W + _GAP), min(H, W))
            over += _way(s, shown.index(inside[-1]) * (W + _GAP), min(H, W)) if inside else ""
        first += len(part)
    picture = filmstrip([clip[t] for t in shown], gap=_GAP)
    return pixels(picture, height, f"{len(shown)} stills; the oracle reads {said}", over)


def _box(s: SpriteReading, t: int, left: int, unit: int) -> str:
    """A box around the sprite in its frame `t`, white over black so that it shows on any colour."""
    radius = s.radius * unit
    if s.motion == "grows":
        radius *= GROW[0] + (GROW[1] - GROW[0]) * t / (len(s.centre) - 1)
    x, y = left + s.centre[t, 0] * unit - radius, s.centre[t, 1] * unit - radius
    place = f'x="{x:.2f}" y="{y:.2f}" width="{2 * radius:.2f}" height="{2 * radius:.2f}"'
    dash = "" if s.iou >= GATE else ' stroke-dasharray="3 3"'
    return "".join(f"<rect {place} {_INK.format(c, w)}{dash}/>" for c, w in (("#000", 3), ("#fff", 1.2)))


def _way(s: SpriteReading, left: int, unit: int) -> str:
    """The sprite's way over its shot, with an arrow head at the end."""
    points = s.centre * unit + (left, 0.0)
    if float(np.ptp(points, axis=0).max()) < 2:
        return ""
    line = " ".join(f"{x:.2f},{y:.2f}" for x, y in points)
    step = points[-1] - points[-2]
    ahead = step / max(float(np.linalg.norm(step)), 1e-6)
    side = np.array([-ahead[1], ahead[0]])
    tips = [
        points[-1] + 1.6 * ahead,
        points[-1] - 1.6 * ahead + 1.8 * side,
        points[-1] - 1.6 * ahead - 1.8 * side,
    ]
    head = " ".join(f"{x:.2f},{y:.2f}" for x, y in tips)
    return (
        "".join(f'<polyline points="{line}" {_INK.format(c, w)}/>' for c, w in (("#000", 3), ("#fff", 1.2)))
        + f'<polygon points="{head}" fill="#fff" stroke="#000" stroke-width=".4"/>'
    )
