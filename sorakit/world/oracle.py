"""Reads the facts of a scene back from pixels alone, so that obedience to a prompt is measured exactly.

Frames in, a `Reading` or the share of a scene's facts that the pixels satisfy out. No fact counts unless a
sprite's outline matches a template at IoU ≥ 0.6: without that gate noise scores by luck.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sorakit.errors import UsageError
from sorakit.types import Rgb
from sorakit.world.backdrop import Backdrop, read_backdrop, split_shots
from sorakit.world.render import GROW, coverage
from sorakit.world.scene import COLOURS, SHAPES, SIZES, Scene, Shot, Sprite

__all__ = ["FACTS", "GATE", "Reading", "ShotReading", "SpriteReading", "mean_scores", "read", "score"]

Floats = npt.NDArray[np.float32]

GATE = 0.6
"""Least mean IoU of a sprite with its template for any of its facts to count."""

FACTS = ("colour", "shape", "size", "motion", "count", "background", "texture", "camera", "cut")
"""What `score` measures; a prompt is obeyed when all hold."""

# area / radius², and how far the centroid lies below the centre, in radii
_AREA = {"circle": np.pi, "square": 3.0976, "triangle": 1.828, "cross": 2.2044}
_GROWS = 2.2
_SINK = {"circle": 0.0, "square": 0.0, "triangle": 0.2333, "cross": 0.0}


@dataclass(frozen=True, slots=True, eq=False)
class SpriteReading:
    """One sprite as the pixels show it; `centre` `(T, 2)` and `radius` in short sides."""

    colour: str
    shape: str
    size: str
    motion: str
    iou: float
    radius: float
    centre: Floats


@dataclass(frozen=True, slots=True, eq=False)
class ShotReading:
    """One shot as the pixels show it, sprites keyed by colour."""

    background: str
    texture: str
    camera: str
    sprites: dict[str, SpriteReading]


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """All shots of a clip."""

    shots: tuple[ShotReading, ...]


def read(frames: Rgb) -> Reading:
    """What `frames` `(T, H, W, 3)` show.

    >>> from sorakit.world import parse, render
    >>> clip = render(parse("a big red circle bounces on a navy background"), seed=1).frames
    >>> read(clip).shots[0].sprites["red"].motion
    'bounces'
    """
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3 or min(frames.shape[:3]) < 4:
        raise UsageError(f"`frames` must be uint8 (T ≥ 4, H, W, 3), got {frames.dtype} {frames.shape}")
    video = frames.astype(np.float32)
    video /= 255
    return Reading(tuple(_read_shot(part) for part in split_shots(video)))


def score(frames: Rgb, scene: Scene) -> dict[str, float]:
    """Share of each fact of `scene` that `frames` satisfy, with `coherent`, `iou` and `all_facts`.

    >>> from sorakit.world import parse, render
    >>> scene = parse("a big red circle bounces on a navy background")
    >>> score(render(scene, seed=1).frames, scene)["all_facts"]
    1.0
    """
    shots = read(frames).shots
    parts = [
        _score_shot(shots[i] if i < len(shots) else None, wanted) for i, wanted in enumerate(scene.shots)
    ]
    out = {k: float(np.mean([p[k] for p in parts])) for k in parts[0]}
    out["cut"] = float(len(shots) == len(scene.shots) and out["coherent"] > 0)
    out["all_facts"] = float(all(out[f] == 1.0 for f in FACTS))
    return out


def mean_scores(clips: Iterable[Rgb], scenes: Sequence[Scene]) -> dict[str, float]:
    """Means of `score` over pairs of a clip and the scene it should show."""
    rows = [score(c, s) for c, s in zip(clips, scenes, strict=True)]
    if not rows:
        raise UsageError("`mean_scores` needs at least one clip, got none")
    return {k: float(np.mean([r[k] for r in rows])) for k in rows[0]}


def _score_shot(got: ShotReading | None, wanted: Shot) -> dict[str, float]:
    sprites = {c: s for c, s in got.sprites.items() if s.iou >= GATE} if got else {}
    rows = [_score_sprite(sprites.get(s.colour), s) for s in wanted.sprites]
    out = {k: float(np.mean([r[k] for r in rows])) for k in rows[0]}
    solid = got if sprites else None
    out["coherent"] = float(np.mean([s.iou >= GATE for s in got.sprites.values()])) if solid and got else 0.0
    out["count"] = float(solid is not None and len(solid.sprites) == len(sprites) == len(wanted.sprites))
    out["texture"] = float(solid is not None and solid.texture == wanted.texture)
    out["background"] = float(solid is not None and solid.background == wanted.background)
    out["camera"] = float(solid is not None and solid.camera == wanted.camera)
    return out


def _score_sprite(got: SpriteReading | None, wanted: Sprite) -> dict[str, float]:
    if got is None:
        return dict.fromkeys(("colour", "shape", "size", "motion", "iou"), 0.0)
    same = {f: float(getattr(got, f) == getattr(wanted, f)) for f in ("shape", "size", "motion")}
    return {"colour": 1.0, **same, "iou": got.iou}


def _read_shot(video: Floats) -> ShotReading:
    backdrop = read_backdrop(video)
    cores = _cores(video, backdrop)
    sprites = {}
    for name, core in cores.items():
        others = [c for n, c in cores.items() if n != name]
        hidden = _dilate(np.any(others, axis=0)) if others else np.zeros(core.shape, bool)
        found = _read_sprite(name, _alpha(video, backdrop, name), hidden)
        if found is not None:
            sprites[name] = found
    return ShotReading(backdrop.background, backdrop.texture, backdrop.camera, sprites)


def _cores(video: Floats, backdrop: Backdrop) -> dict[str, npt.NDArray[np.bool_]]:
    """Pixels of each sprite colour, where enough stand together in most frames."""
    palette = np.asarray(list(COLOURS.values()), np.float32)
    distance = np.stack([((video - c) ** 2).sum(-1) for c in palette])  # (8, T, H, W)
    distance = np.concatenate([distance, ((video - backdrop.picture) ** 2).sum(-1)[None]])
    label = np.where(distance.min(0) < 0.08, distance.argmin(0), -1)
    area = video.shape[1] * video.shape[2]
    found = {}
    for i, name in enumerate(COLOURS):
        core = label == i
        inner = core.copy()  # an edge between two colours may look like a third, but only a pixel wide
        inner[:, 1:] &= core[:, :-1]
        inner[:, :-1] &= core[:, 1:]
        inner[:, :, 1:] &= core[:, :, :-1]
        inner[:, :, :-1] &= core[:, :, 1:]
        seen = inner.sum((1, 2)) >= max(1, 0.001 * area)
        if seen.mean() >= 0.4:
            found[name] = core
    return found


def _alpha(video: Floats, backdrop: Backdrop, colour: str) -> Floats:
    """How far each pixel lies on the way from the background to `colour`, 0 off that line; `(T, H, W)`."""
    way = np.asarray(COLOURS[colour], np.float32) - backdrop.picture
    rise = video - backdrop.picture
    share = (rise * way).sum(-1) / (way**2).sum(-1)
    off = np.sqrt(((rise - share[..., None] * way) ** 2).sum(-1))
    return np.where((off < 0.22) & (share > 0.1), np.clip(share, 0, 1), 0).astype(np.float32)


def _read_sprite(colour: str, alpha: Floats, hidden: npt.NDArray[np.bool_]) -> SpriteReading | None:
    T, H, W = alpha.shape
    unit = min(H, W)
    alpha = np.where(hidden, 0, alpha)
    area = alpha.sum((1, 2))
    touched = (_dilate(alpha > 0.3) & hidden).sum((1, 2)) > 0
    clear = ~touched & (area >= 4)
    if clear.sum() < max(3, T // 5):
        clear = area >= max(4.0, 0.6 * float(np.max(area)))
    if clear.sum() < 2:
        return None
    y, x = np.mgrid[0:H, 0:W] + 0.5
    mass = np.maximum(area, 1e-6)
    mid = np.stack([(alpha * g).sum((1, 2)) / mass for g in (x, y)], 1) / unit  # (T, 2)
    at = np.flatnonzero(clear)
    growth = _growth(area, at)
    late = at[at >= T // 2] if growth > _GROWS and (at >= T // 2).any() else at
    chosen = late[np.linspace(0, len(late) - 1, min(6, len(late))).astype(int)]
    shape, iou, radii = _fit(alpha[chosen], mid[chosen], hidden[chosen])
    mid[:, 1] -= _SINK[shape] * np.interp(np.arange(T), chosen, radii)
    if growth <= _GROWS:
        for t in np.flatnonzero(~clear & (area >= 0.2 * np.median(area[at]))):
            mid[t] = _locate(shape, float(np.median(radii)), alpha[t], hidden[t], mid[t])
        at = np.flatnonzero(clear | (area >= 0.2 * np.median(area[at])))
    centre = np.stack([np.interp(np.arange(T), at, mid[at, i]) for i in (0, 1)], 1).astype(np.float32)
    motion = _motion(centre, growth)
    if motion == "grows":
        radii = radii / (GROW[0] + (GROW[1] - GROW[0]) * chosen / (T - 1))
    radius = float(np.median(radii))
    size = min(SIZES, key=lambda s: abs(np.log(radius / SIZES[s])))
    return SpriteReading(colour, shape, size, motion, iou, radius, centre)


def _growth(area: Floats, at: npt.NDArray[np.intp]) -> float:
    """Area at the end over that at the start, from a straight line through the radii of the frames `at`."""
    slope, first = np.polyfit(at / (len(area) - 1), np.sqrt(area[at]), 1)
    return float(max(slope + first, 0.1) / max(first, 1.0)) ** 2


def _locate(
    shape: str, radius: float, alpha: Floats, hidden: npt.NDArray[np.bool_], start: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Centre of a partly covered sprite of known shape and radius: the best match of what is seen."""
    H, W = alpha.shape
    best = start
    for reach, count in ((radius, 9), (radius / 5, 5)):
        offset = np.linspace(-reach, reach, count)
        tries = (best + np.stack(np.meshgrid(offset, offset), -1).reshape(-1, 2)).astype(np.float32)
        masks = coverage(shape, tries, np.full(len(tries), radius, np.float32), H, W)
        miss = (np.abs(masks - alpha) * ~hidden).sum((1, 2))
        best = tries[int(np.argmin(miss))].astype(np.float64)
    return best


def _motion(centre: Floats, growth: float) -> str:
    dx, dy = (centre[-1] - centre[0]).tolist()
    ex, ey = np.ptp(centre, axis=0).tolist()
    up_and_down = float(np.abs(np.diff(centre[:, 1])).sum()) > 1.6 * ey
    if growth > _GROWS and max(ex, ey) < 0.2:
        return "grows"
    if min(ex, ey) > 0.25 and np.hypot(dx, dy) < 0.25:
        return "orbits"
    if ey > 0.22 and ex < 0.15 and up_and_down:
        return "bounces"
    if ex >= ey and ex > 0.22 and abs(dx) > 0.7 * ex:
        return "moves right" if dx > 0 else "moves left"
    if ey > 0.22 and abs(dy) > 0.7 * ey:
        return "moves down" if dy > 0 else "moves up"
    return "stays still" if max(ex, ey) < 0.14 else "unclear"


def _fit(
    alpha: Floats, centroid: Floats, hidden: npt.NDArray[np.bool_]
) -> tuple[str, float, npt.NDArray[np.float64]]:
    """Best shape over the frames `(K, H, W)`, its mean IoU, and its radius in each frame."""
    _, H, W = alpha.shape
    unit = min(H, W)
    area = alpha.sum((1, 2))
    best: tuple[str, float, npt.NDArray[np.float64]] = ("", -1.0, np.zeros(len(alpha)))
    for shape in SHAPES:
        radius = np.sqrt(area / _AREA[shape]) / unit
        tries = []
        for factor in (0.92, 1.0, 1.08):
            r = (radius * factor).astype(np.float32)
            centre = centroid.copy()
            centre[:, 1] -= _SINK[shape] * r
            mask = np.where(hidden, 0, coverage(shape, centre, r, H, W))
            tries.append(np.minimum(mask, alpha).sum((1, 2)) / np.maximum(mask, alpha).sum((1, 2)))
        iou = float(np.max(tries, axis=0).mean())
        if iou > best[1]:
            best = (shape, iou, radius.astype(np.float64))
    return best


def _dilate(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """`mask` `(T, H, W)` grown by one pixel in each frame."""
    out = mask.copy()
    out[:, 1:] |= mask[:, :-1]
    out[:, :-1] |= mask[:, 1:]
    wide = out.copy()
    wide[:, :, 1:] |= out[:, :, :-1]
    wide[:, :, :-1] |= out[:, :, 1:]
    return wide
