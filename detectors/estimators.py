"""The classifier: linear models over blocks of features, averaged; and its calibrator.

In: `X` `(n, d)`, labels, weights. Out: scikit-learn estimators without logic in their constructors. Averages
of simple models over different features hold on unseen generators where one strong model does not.
"""

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.linear_model import LogisticRegression
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

__all__ = ["BlockFusion", "ClippedScaler", "Platt"]

Floats = npt.NDArray[np.float64]


def _two(classes: Any) -> None:
    """Refuse anything but two classes, in the words that scikit-learn's checks ask for."""
    if len(classes) != 2:
        raise ValueError(f"Only binary classification is supported: `y` has {len(classes)} class(es), not 2")


class ClippedScaler(TransformerMixin, BaseEstimator):
    """Weighted standardisation, clipped at `clip` deviations: no single number may outvote the rest."""

    def __init__(self, clip: float = 6.0) -> None:
        self.clip = clip

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Learn `mean_` and `scale_` `(d,)`."""
        X = validate_data(self, X, dtype=np.float64)
        w = _check_sample_weight(sample_weight, X)
        self.mean_ = np.average(X, axis=0, weights=w)
        self.scale_ = np.sqrt(np.average(np.square(X - self.mean_), axis=0, weights=w)) + 1e-6
        return self

    def transform(self, X: Any) -> Floats:
        """Deviations from the mean `(n, d)`, in [-clip, clip]."""
        check_is_fitted(self)
        return self.scaled(validate_data(self, X, dtype=np.float64, reset=False))

    def scaled(self, x: Floats) -> Floats:
        """As `transform`, of rows or of one row `(d,)`, without scikit-learn's checks."""
        scaled: Floats = np.clip((x - self.mean_) / self.scale_, -self.clip, self.clip)
        return scaled


class BlockFusion(ClassifierMixin, BaseEstimator):
    """The mean of standardised logits of one logistic regression a block of columns.

    `blocks`: ends of the blocks, None for one; `strengths`: inverse penalty of each block, or one for all;
    `shares`: weight of each block in the mean.
    """

    def __init__(
        self,
        blocks: tuple[int, ...] | None = None,
        strengths: float | tuple[float, ...] = 0.01,
        shares: tuple[float, ...] | None = None,
        clip: float = 6.0,
        max_iter: int = 500,
    ) -> None:
        self.blocks = blocks
        self.strengths = strengths
        self.shares = shares
        self.clip = clip
        self.max_iter = max_iter

    def fit(self, X: Any, y: Any, sample_weight: Any = None, scaler: ClippedScaler | None = None) -> Self:
        """Learn a scaler and a regression a block; `coef_` `(d,)` and `intercept_` are of the fused logit.

        `scaler`: another model's in place of an own one, which lets the two be blended.
        """
        X, y = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(y)
        w = _check_sample_weight(sample_weight, X)
        self.classes_, target = np.unique(y, return_inverse=True)
        _two(self.classes_)
        self.scaler_ = scaler or ClippedScaler(self.clip).fit(X, sample_weight=w)
        Z = self.scaler_.transform(X)
        ends = self.blocks or (X.shape[1],)
        self.starts_ = np.array((0, *ends[:-1]), np.int64)
        self.coef_ = np.zeros(X.shape[1])
        self.intercept_, self.n_iter_ = 0.0, 0
        shares = np.array(self.shares or (1.0,) * len(ends))
        strengths = self.strengths if isinstance(self.strengths, tuple) else (self.strengths,) * len(ends)
        for start, end, share, strength in zip(
            self.starts_, ends, shares / shares.sum(), strengths, strict=True
        ):
            part = LogisticRegression(C=strength, max_iter=self.max_iter)
            part.fit(Z[:, start:end], target, sample_weight=w)
            self.n_iter_ = max(self.n_iter_, int(part.n_iter_[0]))
            logit = part.decision_function(Z[:, start:end])
            spread = (
                float(np.sqrt(np.average(np.square(logit - np.average(logit, weights=w)), weights=w))) + 1e-9
            )
            self.coef_[start:end] = part.coef_[0] * share / spread
            self.intercept_ += float(part.intercept_[0]) * share / spread
        return self

    def blend(self, other: "BlockFusion", share: float) -> Self:
        """Give `share` of the say to another model with the same scaler: still one linear model."""
        check_is_fitted(self)
        if other.scaler_ is not self.scaler_:
            raise ValueError("`other` must have been fitted with this model's `scaler_`")
        self.coef_ = (1 - share) * self.coef_ + share * other.coef_
        self.intercept_ = (1 - share) * self.intercept_ + share * other.intercept_
        return self

    def decision_function(self, X: Any) -> Floats:
        """The fused logit `(n,)`."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        fused: Floats = self.scaler_.transform(X) @ self.coef_ + self.intercept_
        return fused

    def contributions(self, X: Any) -> Floats:
        """What each column adds to the logit `(n, d)`; rows sum to the logit less the intercept."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        parts: Floats = self.scaler_.transform(X) * self.coef_
        return parts

    def predict_proba(self, X: Any) -> Floats:
        """Chances `(n, 2)`, uncalibrated."""
        p = expit(self.decision_function(X))
        return np.stack([1 - p, p], 1)

    def predict(self, X: Any) -> Any:
        """The likelier class of each row."""
        check_is_fitted(self)
        return self.classes_[(self.decision_function(X) > 0).astype(int)]

    def __sklearn_tags__(self) -> Any:
        """Two classes only."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags


class Platt(ClassifierMixin, BaseEstimator):
    """Platt's sigmoid (1999) on one column of scores, fitted at equal classes, read at any prior.

    `slope_` and `offset_`: of the log-odds at a prior of one half.
    """

    def __init__(self, strength: float = 10.0) -> None:
        self.strength = strength

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Learn the sigmoid from held-out scores `(n, 1)`."""
        X, y = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(y)
        w = _check_sample_weight(sample_weight, X)
        self.classes_, target = np.unique(y, return_inverse=True)
        _two(self.classes_)
        weight = w.copy()
        for k in (0, 1):
            weight[target == k] /= max(weight[target == k].sum(), 1e-12)
        part = LogisticRegression(C=self.strength, max_iter=1000)
        part.fit(X, target, sample_weight=weight * w.sum() / 2)
        self.slope_ = part.coef_[0].copy()
        self.offset_ = float(part.intercept_[0])
        return self

    def decision_function(self, X: Any) -> Floats:
        """Log-odds `(n,)` at a prior of one half."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        odds: Floats = X @ self.slope_ + self.offset_
        return odds

    def log_odds(self, scores: Floats) -> Floats:
        """As `decision_function` of one column, for scores of any shape, without scikit-learn's checks."""
        odds: Floats = scores * self.slope_[0] + self.offset_
        return odds

    def predict_proba(self, X: Any) -> Floats:
        """Chances `(n, 2)` at a prior of one half."""
        p = expit(self.decision_function(X))
        return np.stack([1 - p, p], 1)

    def predict(self, X: Any) -> Any:
        """The likelier class of each row."""
        check_is_fitted(self)
        return self.classes_[(self.decision_function(X) > 0).astype(int)]

    def __sklearn_tags__(self) -> Any:
        """Two classes only."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags
