"""One look for all charts of the course: quiet axes and colours that colour-blind readers tell apart.

The colours are Okabe and Ito's (2008), "Color Universal Design".
"""

from typing import Final

__all__ = ["AI", "COLOURS", "GOOD", "MARK", "REAL", "style"]

COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
REAL: Final = COLOURS[0]
"""What cameras took, and what is trusted."""
AI: Final = COLOURS[1]
"""What was generated, and what is not trusted."""
GOOD: Final = COLOURS[2]
MARK: Final = COLOURS[3]


def style() -> None:
    """Give matplotlib the course's look for this kernel."""
    import matplotlib as mpl  # noqa: PLC0415 - an extra
    from cycler import cycler  # noqa: PLC0415

    mpl.rcParams.update(
        {
            "figure.figsize": (6.4, 3.2),
            "figure.dpi": 110,
            "figure.constrained_layout.use": True,
            "font.size": 10,
            "axes.prop_cycle": cycler(color=COLOURS),
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "grid.alpha": 0.25,
            "axes.titlesize": 10,
            "axes.titlelocation": "left",
            "legend.frameon": False,
            "image.cmap": "magma",
        }
    )
