"""Metrics of predictions against gold labels.

A metric is written once, for weighted examples: it takes gold and predicted [m] and weights [b, m], how much
each example counts, and returns [b], nan where it is undefined.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from bertram.evaluation import set_metrics
from bertram.evaluation.intervals import Floats, Interval
from bertram.evaluation.jackknife import jackknife_error
from bertram.evaluation.losses import LOSSES
from bertram.evaluation.score_intervals import correlation, positive, proportion
from bertram.evaluation.set_metrics import ratio
from bertram.label_spaces import LabelSpace

Scale = TypeVar("Scale", float, Floats)


def accuracy(gold: Floats, predicted: Floats, weights: Floats) -> Floats:
    """Share of examples whose label is predicted."""
    return ratio(weights @ (gold == predicted), weights.sum(1))


def f1(gold: Floats, predicted: Floats, weights: Floats) -> Floats:
    """F1 of label 1; undefined where nothing is positive, neither in gold nor in the predictions."""
    return ratio(2 * (weights @ (gold * predicted)), weights @ (gold + predicted))


def macro_f1(gold: Floats, predicted: Floats, weights: Floats) -> Floats:
    """Mean of the F1 of each class that occurs in gold or in the predictions."""
    classes = np.union1d(gold, predicted)
    is_gold, is_predicted = (column[:, None] == classes for column in (gold, predicted))  # [m, classes]
    per_class = ratio(2.0 * (weights @ (is_gold & is_predicted)), weights @ (1.0 * is_gold + is_predicted))
    return ratio(np.nansum(per_class, axis=1), np.sum(~np.isnan(per_class), axis=1))


def pearson(gold: Floats, predicted: Floats, weights: Floats) -> Floats:
    """Pearson's correlation; undefined where either side is constant."""
    x, y = _standardized(gold), _standardized(predicted)
    n = weights.sum(1)
    mean_x, mean_y, xx, yy, xy = (weights @ np.stack([x, y, x * x, y * y, x * y], axis=1)).T / n
    return _correlation(xy - mean_x * mean_y, xx - mean_x**2, yy - mean_y**2)


def spearman(gold: Floats, predicted: Floats, weights: Floats) -> Floats:
    """Spearman's rank correlation, ties sharing their mean rank within each resample."""
    n = weights.sum(1)
    x, y = (_ranks(column, weights) / n[:, None] for column in (gold, predicted))  # [b, m], weighted mean 0
    xy, xx, yy = (np.einsum("bm,bm,bm->b", weights, p, q) / n for p, q in ((x, y), (x, x), (y, y)))
    return _correlation(xy, xx, yy)


def mse(gold: Floats, predicted: Floats, weights: Floats) -> Floats:
    """Mean squared error, in squared label units."""
    return ratio(weights @ (gold - predicted) ** 2, weights.sum(1))


def mae(gold: Floats, predicted: Floats, weights: Floats) -> Floats:
    """Mean absolute error, in label units."""
    return ratio(weights @ np.abs(gold - predicted), weights.sum(1))


def _standardized(x: Floats) -> Floats:
    """Shift and scale into [-1, 1], so that sums of squares lose no digits; a constant becomes exactly 0."""
    centred = x - x.mean()
    spread = np.abs(centred).max()
    return np.zeros_like(x) if _constant(x) else centred / spread


def _constant(x: Floats) -> bool:
    return bool(np.ptp(x) <= 1e-12 * np.abs(x).max())


def _correlation(covariance: Floats, variance_x: Floats, variance_y: Floats) -> Floats:
    defined = np.minimum(variance_x, variance_y) > 1e-12
    scale = np.sqrt(np.where(defined, variance_x * variance_y, 1.0))
    return np.where(defined, np.clip(covariance / scale, -1.0, 1.0), np.nan)


def _ranks(x: Floats, weights: Floats) -> Floats:
    """Ranks of each example in each resample, [b, m], less the mean rank."""
    _, value_of_example = np.unique(x, return_inverse=True)
    order = np.argsort(value_of_example, kind="stable")
    last_of_value = np.flatnonzero(np.diff(value_of_example[order], append=-1))
    upto: Floats = weights[:, order].cumsum(1)[:, last_of_value]  # [b, distinct values]
    before = np.pad(upto[:, :-1], ((0, 0), (1, 0)))
    centred: Floats = (before + upto - upto[:, -1:]) / 2  # mean rank (before + upto + 1) / 2, less (n + 1) / 2
    return centred[:, value_of_example]


def _nothing_positive(gold: Floats, predicted: Floats) -> str | None:
    return None if gold.any() or predicted.any() else "no label and no prediction is positive"


def _positive(gold: Floats, predicted: Floats) -> NDArray[np.bool_]:
    """Examples that are positive in gold or in the predictions, [n, 1]; F1 does not count the others."""
    return ((gold > 0) | (predicted > 0))[:, None]


def _of_classes(gold: Floats, predicted: Floats) -> NDArray[np.bool_]:
    """Examples of each class, in gold or in the predictions, [n, classes]."""
    classes = np.union1d(gold, predicted)
    return np.asarray((gold[:, None] == classes) | (predicted[:, None] == classes))


def _of_labels(gold: Floats, predicted: Floats) -> NDArray[np.bool_]:
    """Examples that have each label, in gold or in the predictions, [n, labels]."""
    return np.maximum(*set_metrics.both(gold, predicted)) > 0


def _no_correlation(gold: Floats, predicted: Floats) -> str | None:
    if len(gold) < 2:
        return "a correlation needs at least two examples"
    sides = [("predictions", predicted), ("gold labels", gold)]
    constant = [name for name, column in sides if _constant(column)]
    return f"the {' and the '.join(constant)} are constant" if constant else None


def _always_defined(_: Floats, __: Floats) -> str | None:
    return None


@dataclass(frozen=True)
class Metric:
    """A score of predictions against gold labels.

    Attributes:
        compute: function of gold and predicted [m] and weights [b, m] to values [b].
        reason: function of gold and predicted [n] to the reason why there is no value, or None.
        correlation: True if it lies on [-1, 1] instead of [0, 1].
        error: True if a lower value is better.
        interval: function of value, standard error over examples and number of examples to the 95 % interval.
        counted: function of gold and predicted [n] to the examples that the score counts, [n, parts], where the part
            with the fewest tells how sure it is; None: all of them.
    """

    compute: Callable[[Floats, Floats, Floats], Floats]
    reason: Callable[[Floats, Floats], str | None] = _always_defined
    correlation: bool = False
    error: bool = False
    interval: Callable[[float, float, int], Interval] = proportion
    counted: Callable[[Floats, Floats], NDArray[np.bool_]] | None = None

    def ci95(
        self, value: float, gold: Floats, predicted: Floats, groups: NDArray[np.intp] | None = None
    ) -> tuple[float, float]:
        """The 95 % interval of a value over examples, of which those that share a text are one."""
        error = jackknife_error(self.compute, gold, predicted, groups)
        units = np.arange(len(gold)) if groups is None else groups
        parts = [np.ones(len(gold), bool)] if self.counted is None else self.counted(gold, predicted).T
        counts = [len(np.unique(units[part])) for part in parts if part.any()]
        low, high = self.interval(value, error, min(counts, default=0))
        return min(low, value), max(high, value)

    def value(self, gold: Floats, predicted: Floats) -> float:
        """The value for examples that count once each; nan where it is undefined."""
        return float(self.compute(gold, predicted, np.ones((1, len(gold))))[0])

    def why_undefined(self, gold: Floats, predicted: Floats) -> str | None:
        """The reason why the metric has no value for gold and predicted [n]; None if it has one."""
        if len(gold) == 0:
            return "there are no examples"
        infinite = np.count_nonzero(~np.isfinite(predicted))
        if infinite:
            return f"{infinite} of {len(predicted)} predictions are not finite"
        return self.reason(gold, predicted)


METRICS: dict[str, Metric] = {
    "accuracy": Metric(accuracy),
    "f1": Metric(f1, _nothing_positive, counted=_positive),
    "macro_f1": Metric(macro_f1, counted=_of_classes),
    "micro_f1": Metric(set_metrics.micro_f1, _nothing_positive, counted=_positive),
    "label_macro_f1": Metric(set_metrics.macro_f1, _nothing_positive, counted=_of_labels),
    "subset_accuracy": Metric(accuracy),
    "pearson": Metric(pearson, _no_correlation, correlation=True, interval=correlation),
    "spearman": Metric(spearman, _no_correlation, correlation=True, interval=correlation),
    "mse": Metric(mse, error=True, interval=positive),
    "mae": Metric(mae, error=True, interval=positive),
}
MEAN_LOSS = Metric(lambda _, losses, weights: ratio(weights @ losses, weights.sum(1)), error=True, interval=positive)


def metrics_of(space: LabelSpace) -> dict[str, Metric]:
    """The metrics of a label space by their names in a record."""
    return {name: METRICS[metric] for name, metric in space.metrics.items()}


def is_error(name: str) -> bool:
    """True if a lower score of this name is better."""
    return name in LOSSES or (name in METRICS and METRICS[name].error)


def on_unit_scale(metric: str, value: Scale) -> Scale:
    """Bring a main score to [0, 1]: a correlation r becomes (r + 1) / 2, others stay as they are."""
    return (value + 1) / 2 if METRICS[metric].correlation else value
