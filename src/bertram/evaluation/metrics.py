"""Scores of predictions against gold labels, each with its number of examples and an interval.

A metric is written once, for weighted examples: it takes gold and predicted [m] and weights [b, m], how much
each example counts, and returns [b], nan where it is undefined. nan never leaves this
room: an undefined score is None, with a reason.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bertram.evaluation import set_metrics
from bertram.evaluation.intervals import Floats, Interval
from bertram.evaluation.jackknife import jackknife_error
from bertram.evaluation.losses import LOSSES, losses_of
from bertram.evaluation.mean_interval import mean_interval
from bertram.evaluation.score_intervals import correlation, positive, proportion
from bertram.label_spaces import LabelSpace
from bertram.runs.scores import Score, SplitScores

Scale = TypeVar("Scale", float, Floats)


def accuracy(gold: Floats, predicted: Floats, weights: Floats) -> Floats:
    """Share of examples whose label is predicted."""
    return _ratio(weights @ (gold == predicted), weights.sum(1))


def f1(gold: Floats, predicted: Floats, weights: Floats) -> Floats:
    """F1 of label 1; undefined where nothing is positive, neither in gold nor in the predictions."""
    return _ratio(2 * (weights @ (gold * predicted)), weights @ (gold + predicted))


def macro_f1(gold: Floats, predicted: Floats, weights: Floats) -> Floats:
    """Mean of the F1 of each class that occurs in gold or in the predictions."""
    classes = np.union1d(gold, predicted)
    is_gold, is_predicted = (column[:, None] == classes for column in (gold, predicted))  # [m, classes]
    per_class = _ratio(2.0 * (weights @ (is_gold & is_predicted)), weights @ (1.0 * is_gold + is_predicted))
    return _ratio(np.nansum(per_class, axis=1), np.sum(~np.isnan(per_class), axis=1))


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
    return _ratio(weights @ (gold - predicted) ** 2, weights.sum(1))


def mae(gold: Floats, predicted: Floats, weights: Floats) -> Floats:
    """Mean absolute error, in label units."""
    return _ratio(weights @ np.abs(gold - predicted), weights.sum(1))


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    undefined: Floats = np.full(denominator.shape, np.nan)
    return np.divide(numerator, denominator, out=undefined, where=denominator > 0)


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
    """

    compute: Callable[[Floats, Floats, Floats], Floats]
    reason: Callable[[Floats, Floats], str | None] = _always_defined
    correlation: bool = False
    error: bool = False
    interval: Callable[[float, float, int], Interval] = proportion

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
    "f1": Metric(f1, _nothing_positive),
    "macro_f1": Metric(macro_f1),
    "micro_f1": Metric(set_metrics.micro_f1, _nothing_positive),
    "label_macro_f1": Metric(set_metrics.macro_f1, _nothing_positive),
    "subset_accuracy": Metric(set_metrics.subset_accuracy),
    "pearson": Metric(pearson, _no_correlation, correlation=True, interval=correlation),
    "spearman": Metric(spearman, _no_correlation, correlation=True, interval=correlation),
    "mse": Metric(mse, error=True, interval=positive),
    "mae": Metric(mae, error=True, interval=positive),
}


MEAN_LOSS = Metric(lambda _, losses, weights: _ratio(weights @ losses, weights.sum(1)), error=True, interval=positive)


def metrics_of(space: LabelSpace) -> dict[str, Metric]:
    """The metrics of a label space by their names in a record."""
    return {name: METRICS[metric] for name, metric in space.metrics.items()}


def is_error(name: str) -> bool:
    """True if a lower score of this name is better."""
    return name in LOSSES or (name in METRICS and METRICS[name].error)


def score_task(
    space: LabelSpace,
    gold: ArrayLike,
    predicted: ArrayLike,
    probabilities: ArrayLike | None = None,
    groups: NDArray[np.intp] | None = None,
) -> dict[str, Score]:
    """Score one task with every metric of its label space; for classes, `f1` is the macro-F1.

    Args:
        space: label space of the task.
        gold: labels [n]: class indices, 0 or 1, or scores.
        predicted: predictions [n], in the same form.
        probabilities: probability of each class [n, classes], for the proper scores `nll` and `brier`.
        groups: number of each example's group of shared texts [n]; None: every example stands alone.

    Returns:
        Metric -> score.
    """
    y, z = np.asarray(gold, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    assert y.shape == z.shape == (y.size,), f"{y.shape} gold labels, {z.shape} predictions"
    scores = {name: _score(metric, y, z, groups) for name, metric in metrics_of(space).items()}
    if probabilities is None or len(y) == 0:
        return scores
    p = np.asarray(probabilities, dtype=np.float64)
    losses_by_name = {name: loss(y, p) for name, loss in losses_of(space).items()}
    return scores | {name: _score(MEAN_LOSS, y, losses, groups) for name, losses in losses_by_name.items()}


def _score(metric: Metric, gold: Floats, predicted: Floats, groups: NDArray[np.intp] | None) -> Score:
    reason = metric.why_undefined(gold, predicted)
    if reason is not None:
        return Score(None, None, len(gold), reason)
    value = metric.value(gold, predicted)
    error = jackknife_error(metric.compute, gold, predicted, groups)
    low, high = metric.interval(value, error, len(gold))
    return Score(value, (min(low, value), max(high, value)), len(gold))


@dataclass(frozen=True)
class TaskOutputs:
    """What a model predicts for one task.

    Attributes:
        space: label space of the task.
        gold: labels [n].
        predicted: predictions [n].
        metric: main score, if it is not the usual one of the label space.
        probabilities: probability of each class [n, classes]; None where there are none.
        groups: number of each example's group of shared texts [n]; None: every example stands alone.
    """

    space: LabelSpace
    gold: ArrayLike
    predicted: ArrayLike
    metric: str | None = None
    probabilities: ArrayLike | None = None
    groups: NDArray[np.intp] | None = None

    @property
    def main_metric(self) -> str:
        """Name of the task's main score."""
        return self.metric or self.space.main_metrics[0]


def score_run(tasks: Mapping[str, TaskOutputs]) -> SplitScores:
    """Score every task of a run and the overall.

    Args:
        tasks: task -> predictions.
    """
    scores = {
        name: score_task(task.space, task.gold, task.predicted, task.probabilities, task.groups)
        for name, task in tasks.items()
    }
    main = {name: (task.main_metric, scores[name][task.main_metric]) for name, task in tasks.items()}
    values = {name: (metric, score.value) for name, (metric, score) in main.items()}
    undefined = ", ".join(f"{name} has no {metric}" for name, (metric, value) in values.items() if value is None)
    reason = undefined or "there are no tasks"
    plain = [(score.value, score.ci95) for _, score in main.values()]
    on_unit = [
        (
            None if value is None else on_unit_scale(metric, value),
            None if ci95 is None else (on_unit_scale(metric, ci95[0]), on_unit_scale(metric, ci95[1])),
        )
        for (metric, _), (value, ci95) in zip(main.values(), plain, strict=True)
    ]
    return SplitScores.of(scores, _mean_score(on_unit, reason), _mean_score(plain, reason))


def _mean_score(scores: Sequence[tuple[float | None, Interval | None]], reason: str) -> Score:
    """The score of all tasks together, with the interval of the mean."""
    values = [value for value, _ in scores if value is not None]
    intervals = [interval for _, interval in scores if interval is not None]
    if not scores or len(values) < len(scores):
        return Score(None, None, undefined=reason)
    return Score(sum(values) / len(values), mean_interval(values, intervals))


def on_unit_scale(metric: str, value: Scale) -> Scale:
    """Bring a main score to [0, 1]: a correlation r becomes (r + 1) / 2, others stay as they are."""
    return (value + 1) / 2 if METRICS[metric].correlation else value


def overall(main_scores: Mapping[str, tuple[str, float | None]]) -> float | None:
    """Mean over tasks of the main score on [0, 1], the study's leaderboard formula; None if one is undefined.

    Args:
        main_scores: task -> name and value of its main score.
    """
    return _mean([value if value is None else on_unit_scale(metric, value) for metric, value in main_scores.values()])


def overall_plain(main_scores: Mapping[str, tuple[str, float | None]]) -> float | None:
    """Mean over tasks of the main score as it is; None if one is undefined."""
    return _mean([value for _, value in main_scores.values()])


def selection_score(main_scores: Mapping[str, tuple[str, float | None]]) -> float:
    """The overall score by which checkpoints are chosen: an undefined score counts as 0 on [0, 1]."""
    on_unit = [0.0 if value is None else on_unit_scale(metric, value) for metric, value in main_scores.values()]
    return sum(on_unit) / len(on_unit)


def _mean(values: Sequence[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return sum(defined) / len(defined) if defined and len(defined) == len(values) else None


def confusion_matrix(gold: ArrayLike, predicted: ArrayLike, classes: int) -> NDArray[np.int64]:
    """Count examples by gold class (row) and predicted class (column), [classes, classes]."""
    y, z = np.asarray(gold, dtype=np.int64), np.asarray(predicted, dtype=np.int64)
    return np.bincount(y * classes + z, minlength=classes**2).reshape(classes, classes).astype(np.int64)


@dataclass(frozen=True)
class ReliabilityBin:
    """The predictions whose confidence lies in (low, high]: how sure they were on average, how often right."""

    low: float
    high: float
    n: int
    confidence: float | None
    accuracy: float | None


def reliability(confidence: ArrayLike, correct: ArrayLike, bins: int = 10) -> list[ReliabilityBin]:
    """Sort predictions into bins of equal width by confidence (Guo et al. 2017, section 2).

    Args:
        confidence: probability given to the predicted label, [n], in [0, 1].
        correct: 1 if the predicted label is right, else 0, [n].
        bins: number of bins.
    """
    sure, right = np.asarray(confidence, dtype=np.float64), np.asarray(correct, dtype=np.float64)
    bin_numbers = np.clip(np.ceil(sure * bins) - 1, 0, bins - 1)
    curve = []
    for k in range(bins):
        inside = bin_numbers == k
        n = int(inside.sum())
        means = (float(sure[inside].mean()), float(right[inside].mean())) if n else (None, None)
        curve.append(ReliabilityBin(k / bins, (k + 1) / bins, n, *means))
    return curve


def expected_calibration_error(bins: Sequence[ReliabilityBin]) -> float | None:
    """Mean gap between confidence and accuracy, weighted by bin (Guo et al. 2017, equation 3); None if empty."""
    n = sum(bin_.n for bin_ in bins)
    gaps = (bin_.n * abs((bin_.confidence or 0.0) - (bin_.accuracy or 0.0)) for bin_ in bins)
    return sum(gaps) / n if n else None


def trivial_baselines(
    space: LabelSpace, train_labels: ArrayLike | None, dev_labels: ArrayLike, *, seed: int = 0
) -> dict[str, dict[str, Score]]:
    """Score answers that do not depend on the texts, on the dev labels.

    Args:
        space: label space of the task.
        train_labels: labels [train rows]; the majority class and the mean score are theirs. None if they are not known:
            then they come from the dev labels, and the names of these baselines say so.
        dev_labels: labels [n].
        seed: random seed of the random scores.

    Returns:
        Baseline -> metric -> score: `majority`, for yes or no also `always_no` and `always_yes`; for scores
        `mean` (of train: a constant, which has no correlation) and `random` (drawn from the train labels).
    """
    dev = np.asarray(dev_labels, dtype=np.float64)
    train = dev if train_labels is None else np.asarray(train_labels, dtype=np.float64)
    generator = np.random.default_rng(seed)
    guesses = {name: BASELINES[name](train, len(dev), generator) for name in space.baselines}
    scores = {name: score_task(space, dev, guess) for name, guess in guesses.items()}
    if train_labels is not None:
        return scores
    return {f"{name}_of_scored_rows" if name in FITTED_BASELINES else name: score for name, score in scores.items()}


def _majority(train: Floats, count: int, _: np.random.Generator) -> Floats:
    values, counts = np.unique(train, return_counts=True)
    return np.full(count, values[counts.argmax()])


FITTED_BASELINES = (
    "majority",
    "mean",
    "random",
    "frequent_labels",
    "every_label",
)  # whose answers depend on the training labels
BASELINES: dict[str, Callable[[Floats, int, np.random.Generator], Floats]] = {
    "majority": _majority,
    "always_no": lambda _, count, __: np.full(count, 0.0),
    "always_yes": lambda _, count, __: np.full(count, 1.0),
    "frequent_labels": lambda train, count, _: np.full(count, set_metrics.frequent_labels(train)),
    "every_label": lambda train, count, _: np.full(count, set_metrics.every_label(train)),
    "mean": lambda train, count, _: np.full(count, train.mean()),
    "random": lambda train, count, generator: generator.choice(train, count),
}
