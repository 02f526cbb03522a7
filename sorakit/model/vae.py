"""The video autoencoder: 4 frames of 8 × 8 pixels in, one latent vector out, and back.

Groups of 4 frames are folded into channels, so every convolution is a fast 2-D one over (B·T/4) pictures and
no group sees another: a clip may be encoded and decoded in pieces of any length, exactly. Deterministic, with
noise on the latents in training where latent diffusion (Rombach et al. 2022, arXiv:2112.10752) has a KL term.
A linear path beside the convolutions holds a PCA (Pearson 1901), so training starts from the best linear
code. Latents have mean 0 and deviation 1 in every channel.
"""

from collections.abc import Iterator
from itertools import pairwise

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

from sorakit.errors import UsageError
from sorakit.model.conv import ResBlock, RunningNorm, fold, unfold
from sorakit.model.tiles import Tiling, ramp
from sorakit.model.whole import WholeMixin

__all__ = ["SPATIAL", "TEMPORAL", "VideoVAE", "fold_frames", "fold_patches", "unfold_frames"]

TEMPORAL, SPATIAL = 4, 8
_VALUES = 3 * TEMPORAL * SPATIAL**2


class Encoder(nn.Module):
    """Pictures `(N, H, W, 12)` → codes `(N, H/8, W/8, C)`, not yet normalised."""

    def __init__(self, channels: int, widths: tuple[int, int]) -> None:
        super().__init__()
        fine, coarse = widths
        self.skip = nn.Linear(_VALUES, channels)
        self.enter = nn.Linear(_VALUES // 4, fine)
        self.fine = ResBlock(fine)
        self.down = nn.Linear(4 * fine, coarse)
        self.coarse = nn.Sequential(ResBlock(coarse), ResBlock(coarse))
        self.leave = _zero(nn.Linear(coarse, channels))

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        patches = fold(x, 4)  # (N, H/4, W/4, 192)
        y = self.fine(self.enter(patches))  # (N, H/4, W/4, fine)
        y = self.coarse(self.down(fold(y, 2)))  # (N, H/8, W/8, coarse)
        out: Tensor = self.skip(fold(patches, 2)) + self.leave(F.silu(y))  # (N, H/8, W/8, C)
        return out

    def flops(self, cells: int) -> int:
        """Operations for `cells` latent cells."""
        fine, coarse = (self.enter, self.fine), (self.skip, self.down, self.coarse, self.leave)
        return 2 * cells * (4 * _weights(*fine) + _weights(*coarse))


class Decoder(nn.Module):
    """Normalised codes `(N, h, w, C)` → pictures `(N, 8h, 8w, 12)`."""

    def __init__(self, channels: int, widths: tuple[int, ...], depth: int) -> None:
        super().__init__()
        self.skip = nn.Linear(channels, _VALUES)
        self.enter = nn.Linear(channels, widths[0])
        self.stages = nn.ModuleList([nn.Sequential(*[ResBlock(w) for _ in range(depth)]) for w in widths])
        self.ups = nn.ModuleList([nn.Linear(a, 4 * b) for a, b in pairwise(widths)])
        self.leave = _zero(nn.Linear(widths[-1], 4 * 3 * TEMPORAL))

    def forward(self, z: Tensor) -> Tensor:
        """See the class."""
        y = self.stages[0](self.enter(z))  # (N, h, w, 128)
        for up, stage in zip(self.ups, self.stages[1:], strict=True):
            y = stage(unfold(up(F.silu(y)), 2))  # (N, 2h, 2w, 96), then (N, 4h, 4w, 64)
        linear = unfold(unfold(self.skip(z), 2), 4)  # (N, 8h, 8w, 12)
        out: Tensor = linear + unfold(self.leave(F.silu(y)), 2)  # (N, 8h, 8w, 12)
        return out

    def flops(self, cells: int) -> int:
        """Operations for `cells` latent cells."""
        total: int = _weights(self.skip, self.enter) + 16 * _weights(self.leave)
        total += sum(4**i * _weights(stage) for i, stage in enumerate(self.stages))
        total += sum(4**i * _weights(up) for i, up in enumerate(self.ups))
        return 2 * cells * total


class VideoVAE(WholeMixin, ModelMixin, ConfigMixin):  # type: ignore[misc]  # diffusers' own mixins disagree
    """Autoencoder of clips in [-1, 1]: 4 × 8 × 8 pixels to `channels` numbers (768 to 48 by default).

    >>> vae = VideoVAE(channels=8, encoder_widths=(8, 8), decoder_widths=(8, 8, 8))
    >>> latents = vae.encode(torch.zeros(1, 3, 5, 16, 24))
    >>> latents.shape, vae.decode(latents, frames=5).shape
    (torch.Size([1, 8, 2, 2, 3]), torch.Size([1, 3, 5, 16, 24]))
    """

    temporal, spatial = TEMPORAL, SPATIAL

    @register_to_config
    def __init__(
        self,
        *,
        channels: int = 48,
        encoder_widths: tuple[int, int] = (64, 112),
        decoder_widths: tuple[int, int, int] = (128, 96, 64),
        depth: int = 2,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.channels = channels
        self.encoder = Encoder(channels, (encoder_widths[0], encoder_widths[1]))
        self.norm = RunningNorm(channels)
        self.decoder = Decoder(channels, tuple(decoder_widths), depth)

    def encode(self, clip: Tensor) -> Tensor:
        """`clip` `(B, 3, T, H, W)` in [-1, 1] → latents `(B, C, ceil(T / 4), H/8, W/8)`.

        A length that is no multiple of 4 is filled with the last frame, so an image is a video of one frame.
        Raises `UsageError` when height or width is no multiple of 8.
        """
        _check_clip(clip)
        B, t = len(clip), -(-clip.shape[2] // TEMPORAL)
        codes: Tensor = self.norm(self.encoder(fold_frames(clip.to(self.dtype))))  # (B·t, h, w, C)
        codes = codes.reshape(B, t, *codes.shape[1:])  # (B, t, h, w, C)
        return codes.permute(0, 4, 1, 2, 3).contiguous()  # (B, C, t, h, w)

    def decode(self, latents: Tensor, frames: int | None = None) -> Tensor:
        """`latents` `(B, C, t, h, w)` → clip `(B, 3, T, 8h, 8w)` in [-1, 1], T = `frames` or 4·t.

        Raises `UsageError` when the latents have another shape, or `frames` does not fit them.
        """
        length = self._check_latents(latents, frames)
        return unfold_frames(self._pictures(latents), len(latents)).clamp(-1, 1)[:, :, :length]

    def decode_tiled(
        self, latents: Tensor, frames: int | None = None, *, tile: int = 32, overlap: int = 4, groups: int = 4
    ) -> Tensor:
        """As `decode`, at most `groups` groups of a `tile` × `tile` window at a time (all in latent cells).

        In time it is exact; windows see `overlap` shared cells, of which the middle half is cross-faded.
        """
        chunks = self.decode_chunks(latents, frames, tile=tile, overlap=overlap, groups=groups)
        return torch.cat(list(chunks), 2)  # (B, 3, T, H, W)

    def decode_chunks(
        self, latents: Tensor, frames: int | None = None, *, tile: int = 32, overlap: int = 4, groups: int = 4
    ) -> Iterator[Tensor]:
        """The clip in pieces of at most 4·`groups` frames, `(B, 3, ≤ 4·groups, H, W)` each.

        >>> vae = VideoVAE(channels=8, encoder_widths=(8, 8), decoder_widths=(8, 8, 8))
        >>> [p.shape[2] for p in vae.decode_chunks(torch.zeros(1, 8, 3, 2, 2), 10, groups=2)]
        [8, 2]
        """
        length, tiling = self._check_latents(latents, frames), Tiling(tile, overlap)
        if groups < 1:
            raise UsageError(f"`groups` must be at least 1, got {groups}")
        for first in range(0, -(-length // TEMPORAL), groups):
            piece = self._decode_windows(latents[:, :, first : first + groups], tiling)
            yield piece[:, :, : length - first * TEMPORAL]

    def _decode_windows(self, latents: Tensor, tiling: Tiling) -> Tensor:
        """`(B, C, t, h, w)` → `(B, 3, 4t, 8h, 8w)`, one window at a time."""
        B, _, t, h, w = latents.shape
        out = latents.new_zeros(B, 3, TEMPORAL * t, SPATIAL * h, SPATIAL * w)
        for rows in tiling.cuts(h):
            for columns in tiling.cuts(w):
                part = self.decode(latents[..., rows, columns])  # (B, 3, 4t, ≤ 8·tile, ≤ 8·tile)
                down = ramp(rows, h, tiling.overlap, SPATIAL)  # (rows,)
                across = ramp(columns, w, tiling.overlap, SPATIAL)  # (columns,)
                weight = (down[:, None] * across).to(part)  # (rows, columns)
                out[..., _pixels(rows), _pixels(columns)] += part * weight
        return out

    def _pictures(self, latents: Tensor) -> Tensor:
        """`(B, C, t, h, w)` → decoded pictures `(B·t, H, W, 12)`, not clamped."""
        codes = latents.to(self.dtype).permute(0, 2, 3, 4, 1).flatten(0, 1)  # (B·t, h, w, C)
        out: Tensor = self.decoder(codes)
        return out

    def _check_latents(self, latents: Tensor, frames: int | None) -> int:
        """The number of frames to decode."""
        if latents.ndim != 5 or latents.shape[1] != self.channels:
            raise UsageError(f"latents must be (B, {self.channels}, t, h, w), got {tuple(latents.shape)}")
        most = TEMPORAL * latents.shape[2]
        if frames is not None and not most - TEMPORAL < frames <= most:
            raise UsageError(
                f"`frames` must be {most - TEMPORAL + 1} to {most} for these latents, got {frames}"
            )
        return frames or most

    def encoder_flops(self, frames: int, height: int, width: int) -> int:
        """Operations (2 a multiply-add) of encoding one clip."""
        return self.encoder.flops(_cells(frames, height, width))

    def decoder_flops(self, frames: int, height: int, width: int) -> int:
        """Operations (2 a multiply-add) of decoding one clip of that size."""
        return self.decoder.flops(_cells(frames, height, width))


def fold_patches(pictures: Tensor) -> Tensor:
    """`(N, H, W, 12)` → what the linear paths see, `(N, H/8, W/8, 768)`."""
    return fold(fold(pictures, 4), 2)


def fold_frames(clip: Tensor) -> Tensor:
    """`(B, 3, T, H, W)` → pictures `(B·ceil(T / 4), H, W, 12)`; the last frame fills the last group."""
    missing = -clip.shape[2] % TEMPORAL
    if missing:
        clip = torch.cat([clip, clip[:, :, -1:].expand(-1, -1, missing, -1, -1)], 2)
    B, C, T, H, W = clip.shape
    x = clip.reshape(B, C, T // TEMPORAL, TEMPORAL, H, W).permute(0, 2, 4, 5, 3, 1)  # (B, t, H, W, 4, 3)
    return x.reshape(-1, H, W, TEMPORAL * C)  # (B·t, H, W, 12)


def unfold_frames(pictures: Tensor, clips: int) -> Tensor:
    """The inverse of `fold_frames`, without the padding: `(B·t, H, W, 12)` → `(B, 3, 4t, H, W)`."""
    _, H, W, _ = pictures.shape
    x = pictures.reshape(clips, -1, H, W, TEMPORAL, 3).permute(0, 5, 1, 4, 2, 3)  # (B, 3, t, 4, H, W)
    return x.flatten(2, 3)  # (B, 3, 4t, H, W)


def _zero(layer: nn.Linear) -> nn.Linear:
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def _weights(*modules: nn.Module) -> int:
    """Multiply-adds a position of pictures that run through `modules`."""
    return sum(p.numel() for m in modules for p in m.parameters() if p.ndim > 1)


def _cells(frames: int, height: int, width: int) -> int:
    return -(-frames // TEMPORAL) * (height // SPATIAL) * (width // SPATIAL)


def _pixels(cells: slice) -> slice:
    return slice(cells.start * SPATIAL, cells.stop * SPATIAL)


def _check_clip(clip: Tensor) -> None:
    if clip.ndim != 5 or clip.shape[1] != 3 or clip.shape[2] < 1:
        raise UsageError(f"a clip must be (B, 3, T ≥ 1, H, W), got {tuple(clip.shape)}")
    H, W = clip.shape[3:]
    if H % SPATIAL or W % SPATIAL or not H or not W:
        near = [max(SPATIAL, round(side / SPATIAL) * SPATIAL) for side in (H, W)]
        raise UsageError(
            f"height and width must be multiples of {SPATIAL}, got {H} × {W}; nearest: {near[0]} × {near[1]}"
        )
