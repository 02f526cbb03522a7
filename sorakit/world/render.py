"""Draws scenes: a `Scene` and a seed in, frames with exact ground truth out.

Soft masks from signed distances give anti-aliased edges at any size. Lengths are shares of the frame's
short side, so a clip of any shape shows the same sprites. Motions span the shot, whatever its length.
A scene drawn twice from one seed with only colours, shapes or textures changed keeps its tracks.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sorakit.errors import LimitError, UsageError
from sorakit.types import Rgb
from sorakit.world.scene import BACKGROUNDS, CAMERAS, COLOURS, SIZES, Scene, Shot, Sprite

__all__ = ["GROW", "PERIOD", "Rendered", "Track", "coverage", "render"]

Floats = npt.NDArray[np.float32]
Times = npt.NDArray[np.float64]

PERIOD = 0.25
"""Texture period, in short sides."""

GROW = (0.5, 1.1)
"""First and last radius of a sprite that grows, as factors of its size."""

_AMPLITUDE = 0.06
_CAMERA_TRAVEL = 0.5
_MAX_VALUES = 1 << 28


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """One sprite's ground truth over its shot.

    `centre`: `(T, 2)`, x and y in short sides. `radius`: `(T,)`, in short sides. `mask`: `(T, H, W)` in
    [0, 1], the whole sprite. `depth`: 0 is farthest; `first`: the shot's first frame in the clip.
    """

    sprite: Sprite
    centre: Floats
    radius: Floats
    mask: Floats
    depth: int
    first: int


@dataclass(frozen=True, slots=True, eq=False)
class Rendered:
    """Frames `uint8 (T, H, W, 3)`, one track a sprite, and the first frame of each shot."""

    frames: Rgb
    tracks: tuple[Track, ...]
    cuts: tuple[int, ...]


def render(
    scene: Scene,
    seed: int,
    frames: int = 16,
    height: int = 32,
    width: int = 32,
    *,
    start: int = 0,
    span: int | None = None,
) -> Rendered:
    """Draw `scene`; equal arguments give equal bytes.

    `span`: frames in which a motion is done once, the clip's length when not given; `start`: the clip's first
    frame on that time line, negative for what came before. Outside the span sprites that orbit or bounce and
    the camera go on, those that travel or grow stay where they were at its end.
    Raises `UsageError` under 4 frames a shot or 16 px, or for part of a clip with a cut; `LimitError` over
    2^28 values.

    >>> from sorakit.world.caption import parse
    >>> scene = parse("a small red circle bounces on a navy background")
    >>> render(scene, seed=1).frames.shape
    (16, 32, 32, 3)
    """
    shots = len(scene.shots)
    if frames < 4 * shots or min(height, width) < 16:
        raise UsageError(f"need ≥ {4 * shots} frames and ≥ 16 px, got {frames} frames of {width}×{height}")
    if shots > 1 and (start != 0 or span is not None):
        raise UsageError("a part of a longer clip has one shot, got a cut; draw each shot by itself")
    if span is not None and span < 2:
        raise UsageError(f"`span` must be at least 2 frames, got {span}")
    if frames * height * width * 3 > _MAX_VALUES:
        raise LimitError(
            f"{frames}×{height}×{width} is over {_MAX_VALUES} values; draw fewer or smaller frames"
        )
    rng = np.random.default_rng(seed)
    starts = [i * frames // shots for i in range(shots)]
    ends = [*starts[1:], frames]
    out = np.empty((frames, height, width, 3), np.uint8)
    tracks: list[Track] = []
    for shot, a, b in zip(scene.shots, starts, ends, strict=True):
        time = ((start + np.arange(b - a)) / ((span or b - a) - 1)).astype(np.float64)  # (T,)
        drawn, found = _render_shot(shot, rng, time, (height, width), a)
        out[a:b] = drawn
        tracks += found
    return Rendered(out, tuple(tracks), tuple(starts))


def coverage(shape: str, centre: Floats, radius: Floats, height: int, width: int) -> Floats:
    """Soft masks `(T, H, W)` of one shape at `centre (T, 2)`, `radius (T,)`, both in short sides."""
    unit = min(height, width)
    y = ((np.arange(height, dtype=np.float32) + 0.5) / unit)[None, :, None]
    x = ((np.arange(width, dtype=np.float32) + 0.5) / unit)[None, None, :]
    dx = np.abs(x - centre[:, 0, None, None].astype(np.float32))  # (T, 1, W)
    dy = y - centre[:, 1, None, None].astype(np.float32)  # (T, H, 1)
    r = radius[:, None, None].astype(np.float32)
    ay = np.abs(dy)
    if shape == "circle":
        distance = np.sqrt(dx * dx + dy * dy) - r
    elif shape == "square":
        distance = np.maximum(dx, ay) - 0.88 * r
    elif shape == "triangle":  # apex up; the sides' slope makes it nearly equilateral
        distance = np.maximum(0.88 * dx - 0.47 * (dy + r), dy - 0.85 * r)
    else:
        arm = 0.33 * r
        distance = np.minimum(np.maximum(dx - r, ay - arm), np.maximum(dx - arm, ay - r))
    mask: Floats = np.clip(0.5 - distance * unit, 0, 1).astype(np.float32)
    return mask


def _render_shot(
    shot: Shot, rng: np.random.Generator, time: Times, size: tuple[int, int], first: int
) -> tuple[Rgb, list[Track]]:
    H, W = size
    extent = (W / min(H, W), H / min(H, W))
    picture = _background(shot, rng, time, size)
    tracks = []
    for depth, (centre, radius) in enumerate(_place(shot, rng, time, extent)):
        sprite = shot.sprites[depth]
        mask = coverage(sprite.shape, centre, radius, H, W)
        colour = np.asarray(COLOURS[sprite.colour], np.float32)
        picture += mask[..., None] * (colour - picture)
        tracks.append(Track(sprite, centre, radius, mask, depth, first))
    return np.clip(picture * 255 + 0.5, 0, 255).astype(np.uint8), tracks


def _background(shot: Shot, rng: np.random.Generator, time: Times, size: tuple[int, int]) -> Floats:
    T, (H, W) = len(time), size
    phase = rng.random(2)  # drawn for every texture, so that a change of texture changes nothing else
    out = np.empty((T, H, W, 3), np.float32)
    out[:] = np.asarray(BACKGROUNDS[shot.background], np.float32)
    if shot.texture == "plain":
        return out
    way = np.asarray(CAMERAS[shot.camera])
    t = time[:, None] * _CAMERA_TRAVEL
    unit = min(H, W)
    ax = 2 * np.pi * (((np.arange(W) + 0.5) / unit - way[0] * t) / PERIOD + phase[0])  # (T, W)
    ay = 2 * np.pi * (((np.arange(H) + 0.5) / unit - way[1] * t) / PERIOD + phase[1])  # (T, H)
    sx, sy = np.sin(ax)[:, None, :], np.sin(ay)[:, :, None]
    pattern = {"striped": sx + 0 * sy, "checked": sx * sy, "dotted": (sx + sy) / 2}[shot.texture]
    out += _AMPLITUDE * pattern[..., None]
    return out


def _place(
    shot: Shot, rng: np.random.Generator, time: Times, extent: tuple[float, float]
) -> list[tuple[Floats, Floats]]:
    """Tracks of all sprites; two may cross, but each must be seen clear of the other often enough."""
    best: list[tuple[Floats, Floats]] = []
    best_clear = -1.0
    for _ in range(150):
        tracks = [_track(s, rng, time, extent) for s in shot.sprites]
        if len(tracks) == 1:
            return tracks
        (c0, r0), (c1, r1) = tracks
        apart = np.linalg.norm(c0 - c1, axis=1) >= 1.05 * (r0 + r1)
        parts = np.array_split(apart, 4)
        clear = float(apart.mean()) * min(1.0, 0.4 + parts[0].any() + parts[-1].any())
        if clear > best_clear:
            best, best_clear = tracks, clear
        if apart.mean() >= 0.4 and parts[0].any() and parts[-1].any():
            break
    return best


def _track(
    sprite: Sprite, rng: np.random.Generator, time: Times, extent: tuple[float, float]
) -> tuple[Floats, Floats]:
    R = SIZES[sprite.size] * (1 + 0.06 * (2 * rng.random() - 1))
    t = time.clip(0, 1)
    radius = np.full(len(t), R)
    if sprite.motion == "grows":
        radius = R * (GROW[0] + (GROW[1] - GROW[0]) * t)
    edge = R * (GROW[1] if sprite.motion == "grows" else 1) + 0.015
    room = np.asarray(extent) - 2 * edge
    start = edge + rng.random(2) * room
    centre = np.repeat(start[None], len(t), 0)
    direction = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
    word = sprite.motion.split()[-1]
    if word in direction:
        way = np.asarray(direction[word])
        axis = int(np.flatnonzero(way)[0])
        travel = rng.uniform(0.34, max(0.35, min(0.58, room[axis]))) * extent[axis]
        travel = min(travel, room[axis])
        origin = edge + rng.random() * (room[axis] - travel) + (travel if way[axis] < 0 else 0)
        centre[:, axis] = origin + way[axis] * travel * t
    elif word == "orbits":
        q = min(rng.uniform(0.2, 0.26), 0.5 * min(extent) - edge)
        middle = edge + q + rng.random(2) * (room - 2 * q)
        angle = 2 * np.pi * (rng.random() + time)
        centre = middle + q * np.stack([np.cos(angle), np.sin(angle)], 1)
    elif word == "bounces":  # exact parabolas, restitution 1, two periods a shot
        drop = min(rng.uniform(0.36, 0.55) * extent[1], room[1])
        phase = (2 * time + rng.random()) % 1
        centre[:, 1] = extent[1] - edge - drop * 4 * phase * (1 - phase)
    return centre.astype(np.float32), radius.astype(np.float32)
