"""Calibration error, and the temperature and thresholds under which a model's probabilities serve best.

Temperature scaling divides the logits by one number (Guo et al., 2017); it changes no order of the probabilities.
Thresholds are chosen for the main score of the task (Lipton et al., 2014): micro-F1 over all labels together, macro-F1
label by label; for subset accuracy, which no label can raise alone, the accuracy of each label stands in.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from bertram.evaluation.intervals import Floats
from bertram.evaluation.jackknife import jackknife_error
from bertram.evaluation.losses import losses_of
from bertram.evaluation.reliability_curve import bin_numbers
from bertram.evaluation.score_intervals import positive
from bertram.evaluation.scoring import score_task
from bertram.evaluation.set_metrics import digits
from bertram.model.outputs import output_of
from bertram.runs.decisions import BeforeAfter, TaskDecision
from bertram.runs.scores import Score
from bertram.tasks import Task

BINS = 10
COLDEST, HOTTEST = 0.05, 20.0  # temperatures that are searched
LEAST = 5e-7  # probability that a logit is made of at least


def calibration_error(
    confidence: Floats, correct: Floats, groups: NDArray[np.intp] | None = None, bins: int = BINS
) -> Score:
    """Expected calibration error with bins of equal width (Guo et al., 2017), and its interval over examples.

    With few examples in a bin it is too large on average: chance alone opens a gap.

    Args:
        confidence: probability of what was predicted, [m], in [0, 1].
        correct: 1 if it is right, else 0, [m].
        groups: number of the independent unit of each prediction, [m]; None: each is one.
        bins: number of bins.
    """
    if len(confidence) == 0:
        return Score(None, None, 0, "there are no examples")
    units = len(confidence) if groups is None else int(groups.max()) + 1

    def error(correct: Floats, confidence: Floats, weights: Floats) -> Floats:
        inside = bin_numbers(confidence, bins)[:, None] == np.arange(bins)
        gaps = (confidence - correct)[:, None] * inside
        total: Floats = np.abs(weights @ gaps).sum(1) / weights.sum(1)
        return total

    value = float(error(correct, confidence, np.ones((1, len(correct))))[0])
    low, high = positive(value, jackknife_error(error, correct, confidence, groups), units)
    return Score(value, (min(low, value), min(1.0, max(high, value))), units)


def confidences(task: Task, meaning: Floats, gold: Floats) -> tuple[Floats, Floats, NDArray[np.intp]]:
    """Confidence, whether it is right, and the row, of each prediction, [m].

    For classes and yes or no it is the probability of the likeliest answer; for several labels the probability of every
    label of every row, which is right if the label is present.
    """
    rows = np.arange(len(gold))
    if task.label_space.is_set:
        count = meaning.shape[1]
        return meaning.ravel(), digits(gold, count).ravel(), np.repeat(rows, count)
    likeliest = meaning.argmax(1)
    return meaning[rows, likeliest], (likeliest == gold).astype(np.float64), rows


@dataclass(frozen=True)
class Probabilities:
    """Probabilities of a task's labels beside the gold labels.

    Attributes:
        task: task, with the temperature that the probabilities were made with.
        gold: labels [n].
        meaning: probabilities [n, K].
        groups: number of each row's group of shared texts [n]; None: every row stands alone.
    """

    task: Task
    gold: Floats
    meaning: Floats
    groups: NDArray[np.intp] | None = None

    def at(self, rows: NDArray[np.intp]) -> "Probabilities":
        """Some of the rows."""
        groups = None if self.groups is None else np.unique(self.groups[rows], return_inverse=True)[1]
        return replace(self, gold=self.gold[rows], meaning=self.meaning[rows], groups=groups)

    def at_temperature(self, temperature: float) -> Floats:
        """The probabilities under another temperature, [n, K]."""
        output = output_of(self.task.model_copy(update={"temperature": temperature / self.task.temperature}))
        logits = output.logits(torch.from_numpy(np.clip(self.meaning, LEAST, 1 - LEAST)))
        return output.meaning(logits).double().numpy()

    def values(self, meaning: Floats, thresholds: tuple[float, ...]) -> Floats:
        """The predicted value of each row, [n]."""
        output = output_of(self.task.model_copy(update={"thresholds": thresholds}))
        return output.decide(torch.from_numpy(meaning)).double().numpy()


@dataclass(frozen=True)
class Fit:
    """Fitted settings.

    Attributes:
        temperature: divisor of the logits.
        thresholds: thresholds of the decision.
    """

    temperature: float
    thresholds: tuple[float, ...]


def fit(data: Probabilities, *, temperature: bool = True, thresholds: bool = True) -> Fit:
    """The temperature with the least negative log-likelihood, then the thresholds with the best main score.

    Args:
        data: probabilities and labels to fit on.
        temperature: fit the temperature; otherwise it stays.
        thresholds: fit the thresholds, where the task has any; otherwise they stay.
    """
    chosen = _temperature(data) if temperature else data.task.temperature
    space = data.task.label_space
    if not thresholds or not space.threshold_count:
        return Fit(chosen, data.task.thresholds)
    meaning = data.at_temperature(chosen) if temperature else data.meaning
    if space.is_set:
        return Fit(chosen, _set_thresholds(data.task.scored_by, meaning, digits(data.gold, meaning.shape[1])))
    gain = accuracy_gain if space.metrics[data.task.scored_by] == "accuracy" else f1_gain
    return Fit(chosen, (best_threshold(meaning[:, 1], data.gold, gain),))


def _set_thresholds(metric: str, meaning: Floats, present: Floats) -> tuple[float, ...]:
    """The thresholds of all labels with the best main score, [K], from [n, K] and [n, K]."""
    columns = list(zip(meaning.T, present.T, strict=True))
    if metric != "micro_f1":
        gain = accuracy_gain if metric == "subset_accuracy" else f1_gain
        return tuple(best_threshold(*column, gain) for column in columns)
    best, thresholds = -1.0, tuple(0.5 for _ in columns)
    while True:  # Dinkelbach (1967): a ratio of sums is largest where the sum of differences is zero
        predicted = meaning > np.array(thresholds)
        micro_f1 = 2 * float((predicted * present).sum()) / max(float(predicted.sum() + present.sum()), 1.0)
        if micro_f1 <= best + 1e-12:
            return thresholds
        best = micro_f1
        thresholds = tuple(best_threshold(*column, partial(micro_f1_gain, micro_f1=best)) for column in columns)


def _temperature(data: Probabilities) -> float:
    nll = losses_of(data.task.label_space)["nll"]

    def loss(log_temperature: float) -> float:
        return float(nll(data.gold, data.at_temperature(float(np.exp(log_temperature)))).mean())

    limits = np.log(COLDEST), np.log(HOTTEST)
    minimum = minimize_scalar(loss, bounds=limits, method="bounded", options={"xatol": 1e-4})
    return float(np.exp(minimum.x))


Gain = Callable[[Floats, Floats, float], Floats]  # of hits, predicted rows and rows with the label


def f1_gain(hits: Floats, count: Floats, present: float) -> Floats:
    """The F1 of a label."""
    return 2 * hits / np.maximum(count + present, 1)


def accuracy_gain(hits: Floats, count: Floats, present: float) -> Floats:  # noqa: ARG001 - a constant
    """The accuracy of a label, up to a constant and a factor."""
    return 2 * hits - count


def micro_f1_gain(hits: Floats, count: Floats, present: float, micro_f1: float) -> Floats:  # noqa: ARG001 - a constant
    """A label's part in how far the micro-F1 of all labels exceeds a value, up to a constant."""
    return 2 * hits - micro_f1 * count


def best_threshold(probabilities: Floats, present: Floats, gain: Gain) -> float:
    """The threshold with the largest gain, of equal ones the nearest to 1/2; 1/2 if no label is present.

    Args:
        probabilities: probability of the label [n].
        present: 1 where it is present, else 0, [n].
        gain: score of a threshold.
    """
    if not present.any():
        return 0.5
    order = np.argsort(-probabilities, kind="stable")
    falling, hits = probabilities[order], np.concatenate([[0.0], np.cumsum(present[order])])
    count = np.arange(len(falling) + 1, dtype=np.float64)  # number of rows for which it is predicted
    scores = gain(hits, count, float(present.sum()))
    above, below = np.concatenate([[1.0], falling]), np.concatenate([falling, [0.0]])
    possible = above > below  # a threshold cannot part equal probabilities
    middles = np.clip((above + below) / 2, 1e-6, 1 - 1e-6)
    best = np.flatnonzero(possible & (scores >= scores[possible].max() - 1e-12))
    inside = best[(below[best] <= 0.5) & (above[best] > 0.5)]
    if len(inside):
        return 0.5
    return float(middles[best[np.argmin(np.abs(middles[best] - 0.5))]])


def calibrate(data: Probabilities, folds: int, *, temperature: bool = True, thresholds: bool = True) -> TaskDecision:
    """Settings fitted on all rows, with scores of each fold under settings that were fitted on the other folds.

    Args:
        data: probabilities and labels.
        folds: number of folds; rows that share a text are in one fold.
        temperature: fit the temperature.
        thresholds: fit the thresholds.
    """
    units = np.arange(len(data.gold)) if data.groups is None else data.groups
    folds = min(folds, int(units.max()) + 1)
    fold_of = np.random.default_rng(0).permutation(int(units.max()) + 1)[units] % folds
    meaning = np.empty_like(data.meaning, dtype=np.float64)
    values = np.empty(len(data.gold))
    for fold in range(folds):
        inside, outside = np.flatnonzero(fold_of == fold), np.flatnonzero(fold_of != fold)
        fitted = fit(data.at(outside), temperature=temperature, thresholds=thresholds)
        part = data.at(inside)
        meaning[inside] = part.at_temperature(fitted.temperature) if temperature else part.meaning
        values[inside] = part.values(meaning[inside], fitted.thresholds)
    final = fit(data, temperature=temperature, thresholds=thresholds)
    before = _scores(data, data.meaning, data.values(data.meaning, data.task.thresholds))
    after = _scores(data, meaning, values)
    scores = {name: BeforeAfter(score, after[name]) for name, score in before.items()}
    return TaskDecision(final.temperature, len(data.gold), list(final.thresholds), scores)


def _scores(data: Probabilities, meaning: Floats, values: Floats) -> Mapping[str, Score]:
    confidence, correct, rows = confidences(data.task, meaning, data.gold)
    groups = rows if data.groups is None else data.groups[rows]
    scores = score_task(data.task.label_space, data.gold, values, meaning, data.groups)
    return {"calibration_error": calibration_error(confidence, correct, groups), **scores}
