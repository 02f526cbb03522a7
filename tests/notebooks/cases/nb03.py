"""Answers to notebook 03."""

import math

import torch


def _join(tokens, grid, patch):
    x = tokens.reshape(len(tokens), *grid, -1, *patch).permute(0, 4, 1, 5, 2, 6, 3, 7)
    return x.flatten(6, 7).flatten(4, 5).flatten(2, 3)


def _sides(grid, patch):
    return [g * p for g, p in zip(grid, patch, strict=True)]


def _no_permute(tokens, grid, patch):
    return tokens.reshape(len(tokens), -1, *_sides(grid, patch))


def _patch_inside_out(tokens, grid, patch):
    x = tokens.reshape(len(tokens), *grid, -1, *patch).permute(0, 4, 5, 1, 6, 2, 7, 3)
    return x.reshape(len(tokens), -1, *_sides(grid, patch))


def _channels_last(tokens, grid, patch):
    x = tokens.reshape(len(tokens), *grid, *patch, -1).permute(0, 7, 1, 4, 2, 5, 3, 6)
    return x.reshape(len(tokens), -1, *_sides(grid, patch))


def _always_rgb(tokens, grid, patch):
    return _join(tokens[..., : 3 * math.prod(patch)], grid, patch)


def _cost(size, shrink, patch, d):
    n = math.prod(-(-s // k) // p for s, k, p in zip(size, shrink, patch, strict=True))
    return n, 4 * n * n * d


def _drops_frames(size, shrink, patch, d):
    return _cost((size[0] // shrink[0] * shrink[0], *size[1:]), shrink, patch, d)


def _without_shrink(size, shrink, patch, d):
    return _cost(size, (1, 1, 1), patch, d)


def _no_additions(size, shrink, patch, d):
    n, operations = _cost(size, shrink, patch, d)
    return n, operations // 2


def _linear(size, shrink, patch, d):
    n, _ = _cost(size, shrink, patch, d)
    return n, 4 * n * d


def _tokens_only(size, shrink, patch, d):
    return _cost(size, shrink, patch, d)[0]


def _psnr(a, b, peak=2):
    return float(10 * torch.log10(peak**2 / ((a - b) ** 2).mean()))


def _rows(original, codes):
    pixels = original[:, 0].numel()
    return [(n * bits / pixels, _psnr(original, c), i) for i, (c, n, bits) in enumerate(codes)]


def _cheapest(original, codes, least):
    rate, db, i = min(row for row in _rows(original, codes) if row[1] >= least)
    return i, db, rate


def _the_best(original, codes, least):
    rate, db, i = max(_rows(original, codes), key=lambda row: row[1])
    return i, db, rate


def _the_cheapest_of_all(original, codes, least):
    rate, db, i = min(_rows(original, codes))
    return i, db, rate


def _range_of_one(original, codes, least):
    i, _, rate = _cheapest(original, codes, least)
    return i, _psnr(original, codes[i][0], peak=1), rate


def _per_value(original, codes, least):
    i, db, rate = _cheapest(original, codes, least)
    return i, db, rate / 3


def _no_bits(original, codes, least):
    i, db, rate = _cheapest(original, codes, least)
    return i, db, rate / codes[i][2]


def _one_frame(original, codes, least):
    i, db, rate = _cheapest(original, codes, least)
    return i, db, rate * original.shape[2]


RIGHT = {"03.1": (_join,), "03.2": (_cost,), "03.3": (_cheapest,)}

WRONG = {
    "03.1": [(_no_permute,), (_patch_inside_out,), (_channels_last,), (_always_rgb,)],
    "03.2": [(_drops_frames,), (_without_shrink,), (_no_additions,), (_linear,), (_tokens_only,)],
    "03.3": [
        (_the_best,),
        (_the_cheapest_of_all,),
        (_range_of_one,),
        (_per_value,),
        (_no_bits,),
        (_one_frame,),
    ],
}
