"""Proper scores of class probabilities: what accuracy cannot see (Gneiting & Raftery, 2007). Lower is better."""

from collections.abc import Callable

import numpy as np

from bertram.evaluation import set_metrics
from bertram.evaluation.intervals import Floats
from bertram.label_spaces import LabelSpace

Loss = Callable[[Floats, Floats], Floats]
LEAST = 5e-5  # half of the last digit that prediction files keep; 0 would make the loss of one example infinite


def nll(gold: Floats, probabilities: Floats) -> Floats:
    """Negative log-likelihood of each example, natural logarithm, [n]."""
    chosen = np.take_along_axis(probabilities, gold.astype(int)[:, None], axis=1)[:, 0]
    losses: Floats = -np.log(np.maximum(chosen, LEAST))
    return losses


def brier(gold: Floats, probabilities: Floats) -> Floats:
    """Brier score of each example: squared distance from the one-hot label, summed over classes, [n], in [0, 2]."""
    onehot = np.arange(probabilities.shape[1]) == gold.astype(int)[:, None]
    losses: Floats = ((probabilities - onehot) ** 2).sum(axis=1)
    return losses


LOSSES: dict[str, Loss] = {"nll": nll, "brier": brier}
SET_LOSSES: dict[str, Loss] = {"nll": set_metrics.nll, "brier": set_metrics.brier}


def losses_of(space: LabelSpace) -> dict[str, Loss]:
    """The losses of a label space by name: functions of labels [n] and probabilities [n, K] to losses [n]."""
    return SET_LOSSES if space.is_set else LOSSES
