"""Answers to the exercises of notebook 06: right ones, and typical mistakes."""

from itertools import pairwise


def heun(velocity, z, levels, *, last=True, share=0.5, moved=True, later=True):
    for a, b in pairwise(levels):
        v = velocity(z, a)
        if b > 0 or not last:
            trial = z + (b - a) * v if moved else z
            v = share * (v + velocity(trial, b if later else a))
        z = z + (b - a) * v
    return z


def euler_at_last(velocity, z, levels):
    z = heun(velocity, z, levels[:-1])
    return euler(velocity, z, levels[-2:])


def euler(velocity, z, levels):
    for a, b in pairwise(levels):
        z = z + (b - a) * velocity(z, a)
    return z


def guide(told, empty, scale, low, high, *, formula=None, always=False, inside=True):
    formula = formula or (lambda v, w: w + scale * (v - w))

    def velocity(z, sigma):
        v = told(z, sigma)
        w = empty(z, sigma) if always else None
        if scale == 1 or (low <= sigma <= high) is not inside:
            return v
        return formula(v, empty(z, sigma) if w is None else w)

    return velocity


def interval(flags, z=1.96):
    n, p = len(flags), sum(flags) / len(flags)
    middle, half = p + z**2 / (2 * n), z * (p * (1 - p) / n + z**2 / (4 * n**2)) ** 0.5
    return p, (middle - half) / (1 + z**2 / n), (middle + half) / (1 + z**2 / n)


def normal(flags):
    n, p = len(flags), sum(flags) / len(flags)
    half = 1.96 * (p * (1 - p) / n) ** 0.5
    return p, p - half, p + half


RIGHT = {"06.1": (heun,), "06.2": (guide,), "06.3": (interval,)}
WRONG = {
    "06.1": [
        (euler,),
        (euler_at_last,),
        (lambda v, z, levels: heun(v, z, levels, share=1.0),),
        (lambda v, z, levels: heun(v, z, levels, moved=False),),
        (lambda v, z, levels: heun(v, z, levels, later=False),),
        (lambda v, z, levels: heun(v, z, levels, last=False),),
        (lambda v, z, levels: heun(v, z, levels)[:1],),
    ],
    "06.2": [
        (lambda t, e, s, low, high: guide(t, e, s, low, high, formula=lambda v, w: v + s * (w - v)),),
        (lambda t, e, s, low, high: guide(t, e, s, low, high, formula=lambda v, w: v + s * (v - w)),),
        (lambda t, e, s, low, high: guide(t, e, s, low, high, inside=False),),
        (lambda t, e, s, _low, _high: guide(t, e, s, 0, 1),),
        (lambda t, e, s, low, high: guide(t, e, s, low, high, always=True),),
    ],
    "06.3": [
        (normal,),
        (lambda flags: interval(flags)[1:],),
        (lambda flags: (interval(flags)[0], *interval(flags)[:0:-1]),),
        (lambda flags: (sum(flags), 0.0, 1.0),),
        (lambda flags: interval(flags, z=1.0),),
    ],
}
