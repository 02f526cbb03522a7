"""Reads a shot's background colour, texture and camera move, and finds the cut between two shots.

The texture is fitted to the background's pixels of each frame by least squares over the few waves that the
world draws; the camera move is the phase that those waves gather over the shot.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sorakit.world.render import PERIOD
from sorakit.world.scene import BACKGROUNDS, CAMERAS

__all__ = ["Backdrop", "read_backdrop", "split_shots"]

Floats = npt.NDArray[np.float32]

# amplitudes of the waves along x, along y, and of the two diagonals together
_TEXTURES = {
    "plain": (0.0, 0.0, 0.0),
    "striped": (0.06, 0.0, 0.0),
    "checked": (0.0, 0.0, 0.06),
    "dotted": (0.03, 0.03, 0.0),
}


@dataclass(frozen=True, slots=True, eq=False)
class Backdrop:
    """What lies behind the sprites; `picture` `(T, H, W, 3)` is it, fitted, without them."""

    background: str
    texture: str
    camera: str
    picture: Floats


def split_shots(video: Floats) -> list[Floats]:
    """`video` `(T, H, W, 3)` in [0, 1], split where the background's colour changes for good."""
    label = np.array([_nearest(frame[None])[0] for frame in video])
    changes = np.flatnonzero(label[1:] != label[:-1]) + 1
    if len(changes) == 1 and 4 <= changes[0] <= len(video) - 4:
        return [video[: changes[0]], video[changes[0] :]]
    return [video]


def read_backdrop(video: Floats) -> Backdrop:
    """The backdrop of one shot `(T, H, W, 3)`."""
    index, near = _nearest(video)
    name = list(BACKGROUNDS)[index]
    base = np.asarray(BACKGROUNDS[name], np.float32)
    T, H, W, _ = video.shape
    basis = _waves(H, W)  # (H·W, 9)
    weight = near.reshape(T, -1).astype(np.float32)  # (T, H·W)
    light = (video - base).mean(-1).reshape(T, -1)  # (T, H·W)
    normal = np.einsum("np,tn,nq->tpq", basis, weight, basis, optimize=True) + 1e-2 * np.eye(9)
    right = (weight * light) @ basis  # (T, 9)
    fit = np.linalg.solve(normal, right[..., None])[..., 0]  # (T, 9)
    wave = fit[:, 1::2] + 1j * fit[:, 2::2]  # (T, 4): x, y, x + y, x - y
    size = np.abs(wave).mean(0)
    seen = np.array([size[0], size[1], size[2] + size[3]])
    texture = min(_TEXTURES, key=lambda t: float(((seen - np.array(_TEXTURES[t])) ** 2).sum()))
    shade = (fit @ basis.T).reshape(T, H, W, 1).astype(np.float32)
    return Backdrop(name, texture, _camera(wave, texture), base + np.clip(shade, -0.15, 0.15))


def _nearest(video: Floats) -> tuple[int, npt.NDArray[np.bool_]]:
    """Index of the background colour that most pixels lie near, and which do; any luminance offset ≤ .08."""
    base = np.asarray(list(BACKGROUNDS.values()), np.float32)
    hits = []
    for b in base:
        rise = video - b
        light = rise.mean(-1, keepdims=True)
        hits.append((np.abs(light[..., 0]) < 0.1) & (((rise - light) ** 2).sum(-1) < 0.01))
    counts = [int(h.sum()) for h in hits]
    best = int(np.argmax(counts))
    return best, hits[best]


def _waves(H: int, W: int) -> Floats:
    unit = min(H, W)
    x = 2 * np.pi * (np.arange(W) + 0.5) / unit / PERIOD
    y = 2 * np.pi * (np.arange(H) + 0.5) / unit / PERIOD
    gx, gy = np.broadcast_to(x[None], (H, W)), np.broadcast_to(y[:, None], (H, W))
    columns = [np.ones((H, W))]
    for phase in (gx, gy, gx + gy, gx - gy):
        columns += [np.cos(phase), np.sin(phase)]
    return np.stack(columns, -1).reshape(H * W, 9).astype(np.float32)


def _camera(wave: npt.NDArray[np.complex128], texture: str) -> str:
    """The move whose texture travel, half a short side, is nearest to the one gathered in `wave`'s phase."""
    step = np.angle(wave[1:] * wave[:-1].conj()).sum(0) / (2 * np.pi) * PERIOD
    if texture == "checked":
        moved = np.array([step[2] + step[3], step[2] - step[3]]) / 2
    elif texture == "plain":
        return ""
    else:
        moved = step[:2] * (1.0, float(texture == "dotted"))
    return min(CAMERAS, key=lambda c: float(((moved - 0.5 * np.asarray(CAMERAS[c])) ** 2).sum()))
