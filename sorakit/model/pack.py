"""Clips of any duration and aspect in one sequence, without padding.

NaViT (Dehghani et al. 2023, arXiv:2307.06304). Clips in, their predictions out: the tokens of all stand one
after another in a single row, linear layers run over all of them at once, and attention stays within each
clip (block-diagonal). Every clip keeps its own noise level, prompt, place codes and given frames, so the
result is that of running it alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby

import torch
import torch.nn.functional as F
from torch import Tensor

from sorakit.errors import UsageError
from sorakit.model.block import Attend, attend, modulate
from sorakit.model.dit import VideoDiT, waves
from sorakit.model.keep import KeepGate
from sorakit.model.patch import patchify, unpatchify
from sorakit.model.rope import fractional, rotary, turns

__all__ = ["Packed", "apart", "fill", "pack", "run_packed", "unpack"]

Size = tuple[int, int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Packed:
    """`patches` `(N, C·pt·ph·pw)` of all clips in a row; `grids`: each clip's tokens along (T, H, W)."""

    patches: Tensor
    grids: tuple[Size, ...]

    @property
    def lengths(self) -> list[int]:
        """Tokens of each clip; their sum is N."""
        return [t * h * w for t, h, w in self.grids]


def pack(clips: Sequence[Tensor], patch: Size) -> Packed:
    """Cut `clips`, each `(C, T, H, W)` of its own size, into one row of tokens.

    Raises `UsageError` when there is none, or a side is no multiple of its patch.

    >>> pack([torch.zeros(3, 4, 8, 8), torch.zeros(3, 8, 16, 24)], (4, 8, 8)).grids
    ((1, 1, 1), (2, 2, 3))
    """
    if not clips or any(clip.ndim != 4 for clip in clips):
        raise UsageError(
            f"`clips` must be one or more (C, T, H, W), got shapes {[tuple(c.shape) for c in clips]}"
        )
    rows = [patchify(clip[None], patch)[0] for clip in clips]  # K of (n, size)
    pt, ph, pw = patch
    grids = tuple((c.shape[1] // pt, c.shape[2] // ph, c.shape[3] // pw) for c in clips)
    return Packed(torch.cat(rows), grids)


def unpack(packed: Packed, patch: Size) -> list[Tensor]:
    """The inverse of `pack`: K clips `(C, T, H, W)`."""
    rows = torch.split(packed.patches, packed.lengths)  # K of (n, size)
    return [unpatchify(row[None], grid, patch)[0] for row, grid in zip(rows, packed.grids, strict=True)]


def apart(lengths: Sequence[int], device: torch.device, *, masked: bool | None = None) -> Attend:
    """Attention of a row of `sum(lengths)` tokens in which each stretch sees itself alone.

    `masked` computes all pairs and masks those between clips, by default on a GPU, where one fused kernel
    beats many launches. Otherwise stretches run one by one, neighbours of equal length as one batch, and no
    other pair is computed. On a CPU (width 128, about 70 tokens a clip) the mask made a training step of 8
    clips 1.2 (bfloat16) to 1.6 times as long and one of 24 clips 2.2 to 4.2 times: `benchmarks/attention.py`.
    """
    if device.type != "cpu" if masked is None else masked:
        owner = _owner(lengths, device)  # (N,)
        return partial(_masked, same=owner[:, None] == owner)
    runs = [(length, len(list(group))) for length, group in groupby(lengths)]
    return partial(_one_by_one, runs=runs)


def run_packed(
    model: VideoDiT,
    clips: Sequence[Tensor],
    timesteps: Tensor,
    tokens: Sequence[Tensor] | Tensor,
    pooled: Tensor,
    *,
    given: Sequence[Tensor] | None = None,
    masked: bool | None = None,
) -> list[Tensor]:
    """What `model` says of each of K clips, in one pass: as `model(...)` of each alone.

    `clips`: `(C, T, H, W)` each; `timesteps` 1000 σ `(K,)`; `tokens`: text vectors `(L, D)` of each, which
    may differ in number; `pooled` `(K, D)`; `given`: `(T,)` of each, 1 where it holds a given frame;
    `masked`: see `apart`. Raises `UsageError` when these do not agree.

    >>> model = VideoDiT(width=32, depth=1, heads=2, text_width=8)
    >>> clips = [torch.zeros(3, 4, 8, 8), torch.zeros(3, 8, 16, 24)]
    >>> out = run_packed(model, clips, torch.tensor([900.0, 50.0]), torch.zeros(2, 5, 8), torch.zeros(2, 8))
    >>> [tuple(clip.shape) for clip in out]
    [(3, 4, 8, 8), (3, 8, 16, 24)]
    """
    counts = [len(x) for x in (clips, timesteps, tokens, pooled, clips if given is None else given)]
    if len(set(counts)) != 1:
        raise UsageError(f"need as many clips, timesteps, tokens, pooled and given, got {counts}")
    packed = pack(clips, model.patch)
    x = _embed(model, packed, given)  # (N, D)
    c = model.time(waves(timesteps).to(x.dtype)) + model.text(pooled)  # (K, D)
    angles = torch.cat([rotary(grid, model.head_dim, x.device) for grid in packed.grids])  # (N, hd / 2)
    parts = [packed.lengths]
    if model.text_tokens is not None:
        words = [model.text_tokens(t).to(x.dtype) for t in tokens]  # K of (L, D)
        parts = [[len(w) for w in words], packed.lengths]
        x = _interleave(torch.cat(words), x, *parts)  # (M, D), M = N + all words
        still = angles.new_zeros(sum(parts[0]), angles.shape[1])  # (all words, hd / 2)
        angles = _interleave(still, angles, *parts)  # (M, hd / 2)
    lengths = [sum(both) for both in zip(*parts, strict=True)]
    owner, apart_ = _owner(lengths, x.device), apart(lengths, x.device, masked=masked)
    x, turned = x[None], turns(angles, x.dtype)  # (1, M, D), (M, 2 hd)
    for block in model.blocks:
        x = block(x, c, turned, attend=apart_, owner=owner)  # (1, M, D)
    rows = zip(torch.split(x[0], lengths), packed.lengths, strict=True)
    y = torch.cat([row[len(row) - length :] for row, length in rows])  # (N, D), without words
    ends = model.modulation(F.silu(c)).index_select(0, _owner(packed.lengths, y.device))  # (N, 2 D)
    y = modulate(y, *ends.chunk(2, -1))  # (N, D)
    drawn = model.head(y)  # (N, size)
    if model.keep is not None and given is not None:
        drawn = _kept(model.keep, y, drawn, clips, given)  # (N, size)
    return unpack(Packed(drawn, packed.grids), model.patch)  # K of (C, T, H, W)


def fill(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Share clips of `lengths` tokens out among rows of at most `budget`: indices of each row's clips.

    First fit, longest first: at most 11/9 of the fewest rows possible, plus one (Johnson 1973; Dósa 2007).
    Raises `UsageError` when one clip alone is too long.

    >>> fill([64, 96, 32, 64], 128)
    [[1, 2], [0, 3]]
    """
    if any(not 0 < length <= budget for length in lengths):
        raise UsageError(f"each clip must have 1 to {budget} tokens (`budget`), got {list(lengths)}")
    rows: list[list[int]] = []
    room: list[int] = []
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        row = next((r for r, left in enumerate(room) if left >= lengths[i]), None)
        if row is None:
            row = len(rows)
            rows.append([])
            room.append(budget)
        rows[row].append(i)
        room[row] -= lengths[i]
    return rows


def _embed(model: VideoDiT, packed: Packed, given: Sequence[Tensor] | None) -> Tensor:
    """The row before the first block, `(N, D)`."""
    x: Tensor = model.embed(packed.patches)  # (N, D)
    places = torch.cat([fractional(grid, x.device) for grid in packed.grids])  # (N, 24)
    x = x + model.place(places.to(x.dtype))  # (N, D)
    if given is None:
        return x
    if model.given is None:
        raise UsageError("this model was not trained to be given frames; use one with `given_frames`")
    frames = torch.cat([g.to(x).reshape(grid[0], -1) for g, grid in zip(given, packed.grids, strict=True)])
    repeats = torch.tensor([h * w for t, h, w in packed.grids for _ in range(t)], device=x.device)
    told: Tensor = model.given(frames).repeat_interleave(repeats, 0)  # (all t, D) → (N, D)
    return x + told  # (N, D)


def _kept(
    keep: KeepGate, y: Tensor, drawn: Tensor, clips: Sequence[Tensor], given: Sequence[Tensor]
) -> Tensor:
    """`drawn` `(N, size)` with what each clip keeps of its given frames."""
    each = [keep.patches(clip[None], g[None]) for clip, g in zip(clips, given, strict=True)]
    kept = torch.cat([patches[0] for patches, _ in each])  # (N, size)
    some = torch.cat([some[0].expand(patches.shape[1], 1) for patches, some in each])  # (N, 1)
    out: Tensor = keep(y[None], drawn[None], kept[None], some[None])[0]
    return out


def _interleave(first: Tensor, second: Tensor, firsts: list[int], seconds: list[int]) -> Tensor:
    """Two rows cut into `firsts` and `seconds` stretches, put together in turns."""
    pairs = zip(torch.split(first, firsts), torch.split(second, seconds), strict=True)
    return torch.cat([stretch for pair in pairs for stretch in pair])


def _owner(lengths: Sequence[int], device: torch.device) -> Tensor:
    """Which clip each token belongs to, `(N,)`."""
    counts = torch.tensor(list(lengths), device=device)
    return torch.arange(len(lengths), device=device).repeat_interleave(counts, output_size=sum(lengths))


def _masked(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, *, same: Tensor) -> Tensor:
    """All pairs, those where `same` `(N, N)` is false at no weight; a row has no `bias` of its own."""
    wall = torch.zeros_like(same, dtype=q.dtype).masked_fill_(~same, float("-inf"))  # (N, N)
    return attend(q, k, v, wall if bias is None else wall + bias)  # (1, heads, N, hd)


def _one_by_one(
    q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, *, runs: list[tuple[int, int]]
) -> Tensor:
    """Only the pairs within clips; `runs`: a length, and how many neighbouring clips have it."""
    if bias is not None:
        raise UsageError("a packed row takes no attention bias; mask it instead (`masked=True`)")
    sizes = [length * count for length, count in runs]
    parts = []
    for (length, count), *qkv in zip(runs, *(torch.split(x, sizes, 2) for x in (q, k, v)), strict=True):
        each = [x.unflatten(2, (count, length)) for x in qkv]  # three of (1, heads, count, n, hd)
        parts.append(attend(*each).flatten(2, 3))  # (1, heads, count · n, hd)
    return torch.cat(parts, 2)  # (1, heads, N, hd)
