"""Where to put a threshold: what it costs for a thousand uploads, over every threshold that scores allow.

In: scores of clips with known answers, and what a missed clip and a false alarm cost. Out: a `ThresholdCost`,
which a notebook shows as sliders over a curve with its 95 % band (bootstrap of the clips of each class). Per
upload the expected cost is base · (1 − TPR) · miss + (1 − base) · FPR · alarm.
"""

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from markupsafe import escape

from sorakit.errors import SorakitError, UsageError
from sorakit.nb.plot import AI, COLOURS, GOOD, REAL
from sorakit.nb.shown import Shown

__all__ = ["Outlook", "ThresholdCost"]

Floats = npt.NDArray[np.float64]

_ROUNDS = 300
_PER = 1000


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a threshold leads to for 1,000 uploads; a clip is flagged where its score is at least `threshold`.

    `caught`, `missed`: generated clips; `alarms`: real clips flagged. `low`, `high`: the 95 % interval of
    `cost` from the sample of clips.
    """

    threshold: float
    cost: float
    low: float
    high: float
    caught: float
    missed: float
    alarms: float

    @property
    def right(self) -> float:
        """The share of flags that are right; NaN where nothing is flagged."""
        flags = self.caught + self.alarms
        return self.caught / flags if flags > 0 else float("nan")

    def __str__(self) -> str:
        head = f"costs {self.cost:.0f} (95 %: {self.low:.0f} to {self.high:.0f}) for 1,000 uploads: "
        if self.threshold == np.inf:
            return f"flag nothing {head}{self.missed:.1f} generated clips missed"
        return (
            f"threshold {self.threshold:.3f} {head}{self.caught:.1f} generated clips caught, "
            f"{self.missed:.1f} missed, {self.alarms:.1f} false alarms; {self.right:.0%} of flags are right"
        )


class ThresholdCost(Shown):
    """Sliders over the expected cost; the same without them: `at(…)`, `best(…)`, `figure(…)`.

    `scores` `(n,)`: higher means more likely generated; `labels` `(n,)`: 1 for generated, 0 for real.

    >>> tc = ThresholdCost([0.1, 0.4, 0.6, 0.9], [0, 0, 1, 1])
    >>> tc.best(base=0.1, miss=10, alarm=1).threshold
    0.6
    """

    def __init__(self, scores: npt.ArrayLike, labels: npt.ArrayLike, *, seed: int = 0) -> None:
        """Raises `UsageError` unless both classes are there. `seed`: of the bootstrap."""
        s, y = np.asarray(scores, np.float64), np.asarray(labels)
        if s.ndim != 1 or s.shape != y.shape or not np.isfinite(s).all():
            raise UsageError(
                f"`scores` and `labels` must be finite and of one length, got {s.shape}, {y.shape}"
            )
        if set(np.unique(y)) != {0, 1}:
            raise UsageError(f"`labels` must hold 0 (real) and 1 (generated), got {np.unique(y)[:5]}")
        self.thresholds: Floats = np.append(np.unique(s), np.inf)
        bins = np.searchsorted(self.thresholds, s, side="right") - 1
        rng = np.random.default_rng(seed)
        self.tpr, self._tprs = _rates(bins[y == 1], len(self.thresholds), rng)
        self.fpr, self._fprs = _rates(bins[y == 0], len(self.thresholds), rng)
        self.counts = int((y == 1).sum()), int((y == 0).sum())

    def curve(self, base: float, miss: float, alarm: float) -> Floats:
        """Cost for 1,000 uploads at each of `thresholds`, `(K,)`; the last flags nothing."""
        _check(base, miss, alarm)
        return _cost(self.tpr, self.fpr, base, miss, alarm)

    def at(self, threshold: float, *, base: float, miss: float, alarm: float) -> Outlook:
        """What `threshold` leads to. `base`: the share of uploads that are generated, 0 to 1."""
        _check(base, miss, alarm)
        k = min(int(np.searchsorted(self.thresholds, threshold, side="left")), len(self.thresholds) - 1)
        many = _cost(self._tprs[:, k], self._fprs[:, k], base, miss, alarm)
        low, high = np.quantile(many, [0.025, 0.975])
        tpr, fpr = float(self.tpr[k]), float(self.fpr[k])
        cost = float(_cost(self.tpr[k], self.fpr[k], base, miss, alarm))
        generated, real = _PER * base, _PER * (1 - base)
        return Outlook(
            float(threshold),
            cost,
            float(low),
            float(high),
            generated * tpr,
            generated * (1 - tpr),
            real * fpr,
        )

    def best(self, *, base: float, miss: float, alarm: float) -> Outlook:
        """The threshold with the lowest expected cost on these clips; the highest of equals."""
        curve = self.curve(base, miss, alarm)
        k = len(curve) - 1 - int(np.argmin(curve[::-1]))
        return self.at(float(self.thresholds[k]), base=base, miss=miss, alarm=alarm)

    def figure(self, *, base: float, miss: float, alarm: float, threshold: float | None = None) -> Any:
        """The curve as a matplotlib figure, with the best threshold and, if given, yours."""
        from matplotlib.figure import Figure  # noqa: PLC0415 - an extra

        best = self.best(base=base, miss=miss, alarm=alarm)
        x, curve = self.thresholds[:-1], self.curve(base, miss, alarm)
        many = _cost(self._tprs, self._fprs, base, miss, alarm)[:, :-1]
        low, high = np.quantile(many, [0.025, 0.975], axis=0)
        made = Figure(figsize=(6.8, 3.2), dpi=110, layout="constrained")
        axes = made.subplots()
        axes.fill_between(
            x, low, high, step="pre", color=REAL, alpha=0.18, lw=0, label="95 %, from the sample"
        )
        axes.step(x, curve[:-1], where="pre", color=REAL, label="this detector")
        axes.axhline(curve[-1], color=COLOURS[6], ls=":", label="flag nothing")
        if np.isfinite(best.threshold):
            axes.plot(best.threshold, best.cost, "o", color=GOOD, ms=8, label="lowest cost")
        if threshold is not None:
            axes.axvline(threshold, color=AI, label="your threshold")
        top = 1.6 * max(float(curve[-1]), best.cost, 1e-9)
        axes.set(xlabel="threshold on the score", ylabel="expected cost for\n1,000 uploads", ylim=(0, top))
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=8, loc="upper right", ncols=2)
        return made

    def __repr__(self) -> str:
        return (
            f"ThresholdCost over {self.counts[0]} generated and {self.counts[1]} real clips: "
            "tc.best(base=0.01, miss=20, alarm=1), tc.at(THRESHOLD, base=…, miss=…, alarm=…)"
        )

    def widget(self) -> Any:
        """Sliders for the base rate, both costs and a threshold of your own; the curve and words below."""
        import ipywidgets  # noqa: PLC0415 - an extra; the calls work without it

        wide = ipywidgets.Layout(width="min(100%, 34rem)")
        style = {"description_width": "11rem"}
        told = {"layout": wide, "style": style, "continuous_update": False}
        base = ipywidgets.FloatLogSlider(
            0.01, min=-3, max=-0.31, step=0.05, readout_format=".3f", description="Generated, share", **told
        )
        miss = ipywidgets.FloatLogSlider(
            20, min=-1, max=3, step=0.05, readout_format=".3g", description="A missed clip costs", **told
        )
        alarm = ipywidgets.FloatLogSlider(
            1, min=-1, max=3, step=0.05, readout_format=".3g", description="A false alarm costs", **told
        )
        low, high = float(self.thresholds[0]), float(self.thresholds[-2])
        own = ipywidgets.FloatSlider(
            (low + high) / 2, min=low, max=high, step=(high - low) / 200 or 1.0, description="Your threshold",
            readout_format=".3f", **told,
        )  # fmt: skip
        picture, words = ipywidgets.Image(format="png"), ipywidgets.HTML()
        picture.layout.width = "min(100%, 46rem)"

        def draw(_change: Any = None) -> None:
            asked = {"base": base.value, "miss": miss.value, "alarm": alarm.value}
            try:
                picture.value = _png(self.figure(**asked, threshold=own.value))
                lines = [f"Lowest: {self.best(**asked)}.", f"Yours: {self.at(own.value, **asked)}."]
                words.value = "".join(f'<p role="status">{escape(x)}</p>' for x in lines)
            except SorakitError as e:  # shown where the reader looks; a traceback would go to the log
                words.value = f'<p role="alert">{escape(str(e))}</p>'

        for slider in (base, miss, alarm, own):
            slider.observe(draw, "value")
        draw()
        return ipywidgets.VBox([base, miss, alarm, own, picture, words])


def _rates(bins: npt.NDArray[np.int64], k: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Shares of one class at or above each threshold, `(K,)`, and of `_ROUNDS` samples drawn from it."""
    counts = np.bincount(bins, minlength=k)
    many = rng.multinomial(len(bins), counts / len(bins), size=_ROUNDS)
    return _above(counts), _above(many)


def _above(counts: npt.NDArray[np.int64]) -> Floats:
    total: Floats = counts[..., ::-1].cumsum(-1)[..., ::-1] / counts.sum(-1, keepdims=True)
    return total


def _cost(tpr: Floats, fpr: Floats, base: float, miss: float, alarm: float) -> Floats:
    cost: Floats = _PER * (base * (1 - tpr) * miss + (1 - base) * fpr * alarm)
    return cost


def _check(base: float, miss: float, alarm: float) -> None:
    if not 0 < base < 1:
        raise UsageError(f"`base` must lie between 0 and 1, got {base}; 0.01 means one upload in a hundred")
    if not (miss >= 0 and alarm >= 0):
        raise UsageError(f"`miss` and `alarm` must be 0 or more, got {miss} and {alarm}")


def _png(figure: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
