"""Exercises of notebook 03: put tokens together, what a size costs, the cheapest code that will do."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sorakit.model.patch import patchify
from sorakit.nb.exercise import Exercise, call, near

__all__ = ["EXERCISES"]

_Size = tuple[int, int, int]
_Code = tuple[Tensor, int, int]
"""(decoded, numbers, bits)."""


def _join(answer: Any) -> str | None:
    for channels, grid, patch in (
        (3, (4, 4, 4), (4, 8, 8)),
        (5, (2, 3, 4), (2, 4, 6)),
        (48, (3, 2, 1), (1, 2, 3)),
    ):
        clip = torch.randn(2, channels, *(g * p for g, p in zip(grid, patch, strict=True)))
        tokens = patchify(clip, patch)
        got = call(answer, tokens, grid, patch)
        if wrong := near(got, clip, _why_join(got, tokens, grid, patch)):
            return wrong
    return None


def _why_join(got: Any, tokens: Tensor, grid: _Size, patch: _Size) -> str:
    B = len(tokens)
    sides = [g * p for g, p in zip(grid, patch, strict=True)]
    if near(got, tokens.reshape(B, -1, *sides), "") is None:
        return "a reshape alone keeps the order in memory; the axes must change places, as in `cut`"
    split = tokens.reshape(B, *grid, -1, *patch)
    if near(got, split.permute(0, 4, 5, 1, 6, 2, 7, 3).reshape(B, -1, *sides), "") is None:
        return "within each axis the patch comes first and the place in it second; you have them swapped"
    last = tokens.reshape(B, *grid, *patch, -1).permute(0, 7, 1, 4, 2, 5, 3, 6).reshape(B, -1, *sides)
    if near(got, last, "") is None:
        return "in a token the channels come first, before frames, rows and columns: see the permute of `cut`"
    return (
        "the shape is right, the numbers are not in their places; write down what each of the eight axes is"
    )


def _cost(answer: Any) -> str | None:
    rng = np.random.default_rng()
    for i in range(30):
        latent = i >= 5
        side, cut = int(2 ** rng.integers(0, 4)), int(rng.integers(1, 4))
        shrink = (int(rng.integers(1, 6)), side, side) if latent else (1, 1, 1)
        patch = (1, cut, cut) if latent else (int(rng.integers(1, 5)), int(rng.integers(1, 5)), cut)
        T, H, W = (int(rng.integers(1, 7)) * s * p for s, p in zip(shrink, patch, strict=True))
        if i > 15:
            T -= int(rng.integers(0, shrink[0]))  # the last group of frames is not full
        d = int(rng.integers(1, 400))
        got = call(answer, (T, H, W), shrink, patch, d)
        if hint := next(_cost_faults(got, (T, H, W), shrink, patch, d), None):
            return f"for {(T, H, W)} with shrink {shrink}, patch {patch} and d {d}: {hint}"
    return None


def _cost_faults(got: Any, size: _Size, shrink: _Size, patch: _Size, d: int) -> Iterator[str]:
    try:
        tokens, operations = (float(n) for n in got)
    except (TypeError, ValueError):
        yield f"two numbers were expected, (tokens, operations), got {got!r}"
        return
    n = math.prod(-(-s // k) // p for s, k, p in zip(size, shrink, patch, strict=True))
    if tokens != n:
        if tokens == math.prod(s // k // p for s, k, p in zip(size, shrink, patch, strict=True)):
            yield "a last group of frames that is not full counts as a whole one"
        if tokens == math.prod(s // p for s, p in zip(size, patch, strict=True)):
            yield "the autoencoder shrinks the sides before they are cut"
        yield f"there are {n} tokens, not {tokens:g}; how many patches lie along each side?"
    ratio = operations / (4 * n * n * d)
    if ratio in (0.5, 0.25):
        yield "there are two products, and each multiplication comes with an addition"
    if operations == 4 * n * d != 4 * n * n * d:
        yield "that grows with N; but each of N tokens looks at each of N"
    if ratio != 1:
        yield f"the tokens are right, the operations are {ratio:.3g} times what they should be"


def _cheapest(answer: Any) -> str | None:
    rng = np.random.default_rng()
    for shape in ((2, 3, 4, 8, 8), (1, 3, 5, 6, 10), (3, 3, 2, 4, 4)):
        original = torch.rand(shape) * 2 - 1
        codes = []
        for db, (numbers, bits) in zip((18, 24, 29, 33, 38, 44), _rates(rng), strict=True):
            error = torch.randn(shape)
            error *= 2 * 10 ** (-db / 20) / error.square().mean().sqrt()
            codes.append((original + error, numbers, bits))
        codes = [codes[i] for i in rng.permutation(len(codes))]
        least = float(rng.uniform(25, 36))
        got = call(answer, original, codes, least)
        if hint := next(_choice_faults(got, original, codes, least), None):
            return hint
    return None


def _rates(rng: np.random.Generator) -> list[tuple[int, int]]:
    """Six pairs (numbers, bits): the first takes the fewest bits in all, the last the most."""
    pairs = [(97 + 7 * int(i), 4 + int(rng.integers(6))) for i in rng.permutation(60)[:6]]
    pairs.sort(key=lambda pair: pair[0] * pair[1])
    return [pairs[0], *(pairs[1 + int(i)] for i in rng.permutation(4)), pairs[5]]


def _choice_faults(got: Any, original: Tensor, codes: list[_Code], least: float) -> Iterator[str]:
    try:
        index, db, rate = got
        index = int(index)
    except (TypeError, ValueError):
        yield f"three things were expected, (index, dB, bits per pixel), got {got!r}"
        return
    if not 0 <= index < len(codes):
        yield f"the index must be 0 to {len(codes) - 1}, got {index}"
        return
    true_db = [float(10 * torch.log10(4 / (original - c).square().mean())) for c, _, _ in codes]
    bits = [n * b for _, n, b in codes]
    if true_db[index] < least:
        yield f"the code you chose has {true_db[index]:.1f} dB, and {least:.1f} were asked for"
    fewest = min(b for b, x in zip(bits, true_db, strict=True) if x >= least)
    if bits[index] != fewest:
        yield f"the code you chose takes {bits[index]} bits in all; one of {fewest} would do as well"
    if near(db, true_db[index] - 20 * math.log10(2), "", 1e-3) is None:
        yield "your PSNR takes 1 for the range; the clips go from −1 to 1"
    if hint := near(db, true_db[index], f"of that code the PSNR is {true_db[index]:.2f} dB", 1e-3):
        yield hint
    if near(rate, fewest / original.numel(), "") is None:
        yield "that is bits for each number of the clip; a pixel has three of them"
    pixels = original[:, 0].numel()
    if near(rate, codes[index][1] / pixels, "") is None:
        yield "that is numbers for each pixel; each of them takes some bits"
    if hint := near(rate, fewest / pixels, "bits per pixel are all bits over all pixels of all frames"):
        yield hint


EXERCISES = (
    Exercise("03.1", "Put tokens together to a clip", _join),
    Exercise("03.2", "Tokens of any size, and what attention over them costs", _cost),
    Exercise("03.3", "The code with the fewest bits per pixel that is good enough", _cheapest),
)
