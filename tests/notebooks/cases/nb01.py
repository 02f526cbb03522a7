"""Answers to notebook 01."""

import torch


def _each(clean, sigma):
    return sigma.reshape(-1, *[1] * (clean.ndim - 1))


def _mix(clean, noise, sigma):
    s = _each(clean, sigma)
    return (1 - s) * clean + s * noise


def _swapped(clean, noise, sigma):
    return _mix(noise, clean, sigma)


def _added(clean, noise, sigma):
    return clean + _each(clean, sigma) * noise


def _keeps_variance(clean, noise, sigma):
    s = _each(clean, sigma)
    return (1 - s**2).sqrt() * clean + s * noise


def _one_level(clean, noise, sigma):
    return (1 - sigma[0]) * clean + sigma[0] * noise


def _last_axis(clean, noise, sigma):
    return (1 - sigma) * clean + sigma * noise


def _velocity(kind, output, noisy, sigma):
    if kind == "v":
        return output
    return (noisy - output) / sigma if kind == "x" else (output - noisy) / (1 - sigma)


def _backwards(kind, output, noisy, sigma):
    return -_velocity(kind, output, noisy, sigma)


def _not_divided(kind, output, noisy, sigma):
    return {"v": output, "x": noisy - output, "eps": output - noisy}[kind]


def _same_divisor(kind, output, noisy, sigma):
    return {"v": output, "x": (noisy - output) / sigma, "eps": (output - noisy) / sigma}[kind]


def _clean_instead(kind, output, noisy, sigma):
    return output


def _values(patches):
    return torch.linalg.eigvalsh(torch.cov(patches.T))


def _lost(patches, width):
    values = _values(patches)
    return values[:-width].sum() / values.sum()


def _kept(patches, width):
    return 1 - _lost(patches, width)


def _wrong_end(patches, width):
    values = _values(patches)
    return values[width:].sum() / values.sum()


def _not_centred(patches, width):
    values = torch.linalg.eigvalsh(patches.T @ patches)
    return values[:-width].sum() / values.sum()


def _spreads(patches, width):
    values = _values(patches).sqrt()
    return values[:-width].sum() / values.sum()


def _no_share(patches, width):
    return _values(patches)[:-width].sum()


RIGHT = {"01.1": (_mix,), "01.2": (_velocity,), "01.3": (_lost,)}

WRONG = {
    "01.1": [(_swapped,), (_added,), (_keeps_variance,), (_one_level,), (_last_axis,), (0.5,)],
    "01.2": [(_backwards,), (_not_divided,), (_same_divisor,), (_clean_instead,)],
    "01.3": [(_kept,), (_wrong_end,), (_not_centred,), (_spreads,), (_no_share,), (lambda p, w: 0.5,)],
}
