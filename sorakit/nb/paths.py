"""The way of single pixels from noise to clip as a small SVG: a straight line each, and where the model aims.

In: clip, noise and the model's guess in the model's scale, and the noise level. Out: SVG text that follows
the page's text colour.
"""

from typing import TYPE_CHECKING, Final

from sorakit.nb.plot import COLOURS

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["paths"]

_W, _H, _LEFT, _TOP, _FOOT = 330, 250, 42, 26, 44
_LIMIT: Final = 3.0


def paths(clean: "Tensor", noise: "Tensor", guess: "Tensor", sigma: float) -> str:
    """Three pixels of the red channel `(1, C, T, H, W)` on their way; an arrow leads to the guess."""
    lines = []
    for colour, place in zip(COLOURS, _picked(clean), strict=False):
        x, e, g = (float(t.flatten()[place]) for t in (clean, noise, guess))
        z = (1 - sigma) * x + sigma * e
        lines.append(
            f'<path d="M{_x(1)} {_y(e)}L{_x(0)} {_y(x)}" stroke="{colour}" stroke-width="1.5" fill="none"/>'
            f'<path d="M{_x(sigma)} {_y(z)}L{_x(0)} {_y(g)}" stroke="{colour}" stroke-width="1.5" '
            f'stroke-dasharray="4 3" fill="none"/>'
            f'<circle cx="{_x(sigma)}" cy="{_y(z)}" r="4.5" fill="{colour}"/>'
            f'<circle cx="{_x(0)}" cy="{_y(g)}" r="4" fill="none" stroke="{colour}" stroke-width="1.5"/>'
        )
    ticks: list[tuple[float, float, str, float]] = [(_LEFT - 6, _y(v) + 4, "end", v) for v in (-3, 0, 3)]
    ticks += [(_x(s), _TOP + _H + 16, "middle", s) for s in (1, 0.5, 0)]
    numbers = "".join(f'<text x="{x}" y="{y}" text-anchor="{end}">{n:g}</text>' for x, y, end, n in ticks)
    label = "Three pixels go from noise to clip on straight lines; dashed lines lead to the model's guess"
    return (
        f'<svg role="img" aria-label="{label}" width="{_LEFT + _W + 12}" height="{_TOP + _H + _FOOT}" '
        'style="max-width:100%;font:12px sans-serif;color:var(--jp-ui-font-color1,inherit)" '
        f'viewBox="0 0 {_LEFT + _W + 12} {_TOP + _H + _FOOT}"><g fill="currentColor">'
        f'<text x="0" y="13">red of two bright pixels and a dark one; dashed: to the guess</text>{numbers}'
        f'<text x="{_LEFT + _W / 2}" y="{_TOP + _H + 36}" text-anchor="middle">'
        "noise level σ: noise on the left, the clip on the right</text></g>"
        f'<rect x="{_LEFT}" y="{_TOP}" width="{_W}" height="{_H}" fill="none" stroke="currentColor" '
        f'opacity=".35"/>'
        f'<path d="M{_x(sigma)} {_TOP}v{_H}" stroke="currentColor" opacity=".35"/>{"".join(lines)}</svg>'
    )


def _picked(clean: "Tensor") -> list[int]:
    """Places of a bright and a dark red value in the first frame, and of a bright one in the last."""
    first, last = clean[0, 0, 0].flatten(), clean[0, 0, -1].flatten()
    offset = (clean.shape[2] - 1) * first.numel()
    return [_amid(first == first.max()), _amid(first == first.min()), offset + _amid(last == last.max())]


def _amid(wanted: "Tensor") -> int:
    """The middle one of the places that are true, so that it lies inside of what it shows."""
    places = wanted.nonzero().flatten()
    return int(places[len(places) // 2])


def _x(sigma: float) -> float:
    return round(_LEFT + _W * (1 - sigma), 1)


def _y(value: float) -> float:
    bounded = min(max(value, -_LIMIT), _LIMIT)
    return round(_TOP + _H * (0.5 - bounded / (2 * _LIMIT)), 1)
