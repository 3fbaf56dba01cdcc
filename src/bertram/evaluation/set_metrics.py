"""Scores of sets of labels, which stand as numbers whose binary digits are the labels (`bertram.label_sets`)."""

import numpy as np
from numpy.typing import NDArray

from bertram.evaluation.intervals import Floats

LEAST = 5e-5  # half of the last digit that prediction files keep


def digits(values: Floats, count: int | None = None) -> Floats:
    """1 for the labels that each value has, else 0, [n, labels].

    Args:
        values: sets of labels [n].
        count: number of labels; None: up to the last that occurs.
    """
    whole = values.astype(np.int64)
    if count is None:
        count = max(1, int(whole.max(initial=0)).bit_length())
    spread: Floats = ((whole[:, None] >> np.arange(count)) & 1).astype(np.float64)
    return spread


def micro_f1(gold: Floats, predicted: Floats, weights: Floats) -> Floats:
    """F1 over all pairs of an example and a label; undefined where no label is present or predicted."""
    is_gold, is_predicted = both(gold, predicted)
    return ratio(2 * (weights @ (is_gold * is_predicted).sum(1)), weights @ (is_gold + is_predicted).sum(1))


def macro_f1(gold: Floats, predicted: Floats, weights: Floats) -> Floats:
    """Mean of the F1 of each label that is present or predicted somewhere."""
    is_gold, is_predicted = both(gold, predicted)
    per_label = ratio(2 * (weights @ (is_gold * is_predicted)), weights @ (is_gold + is_predicted))
    return ratio(np.nansum(per_label, axis=1), np.sum(~np.isnan(per_label), axis=1))


def nll(gold: Floats, probabilities: Floats) -> Floats:
    """Mean over the labels of the negative log-likelihood of each example, [n]."""
    present = digits(gold, probabilities.shape[1])
    chosen = np.where(present == 1, probabilities, 1 - probabilities)
    losses: Floats = -np.log(np.maximum(chosen, LEAST)).mean(axis=1)
    return losses


def brier(gold: Floats, probabilities: Floats) -> Floats:
    """Mean over the labels of the Brier score of each example, with both outcomes, [n], in [0, 2]."""
    losses: Floats = 2 * ((probabilities - digits(gold, probabilities.shape[1])) ** 2).mean(axis=1)
    return losses


def frequent_labels(train: Floats) -> float:
    """The set of the labels that more than half of the examples have."""
    return float((1 << np.flatnonzero(digits(train).mean(axis=0) > 0.5).astype(np.int64)).sum())


def every_label(train: Floats) -> float:
    """The set of all labels that occur."""
    return float(np.bitwise_or.reduce(train.astype(np.int64)))


def both(gold: Floats, predicted: Floats) -> tuple[Floats, Floats]:
    """`digits` of gold and of predictions, with as many labels as occur in either."""
    count = max(1, int(max(gold.max(initial=0), predicted.max(initial=0))).bit_length())
    return digits(gold, count), digits(predicted, count)


def ratio(numerator: Floats, denominator: NDArray[np.generic]) -> Floats:
    """The quotients; nan where the denominator is 0."""
    undefined: Floats = np.full(denominator.shape, np.nan)
    result: Floats = np.divide(numerator, denominator, out=undefined, where=np.asarray(denominator) > 0)
    return result
