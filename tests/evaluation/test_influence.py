"""Influence values give the standard errors that a bootstrap of the examples gives, also where examples are grouped."""

from collections.abc import Callable
from math import sqrt

import numpy as np
import pytest

from bertram.evaluation.influence import by_group, influence, standard_error
from bertram.evaluation.metrics import accuracy, f1, macro_f1, mae, mse, pearson, spearman

GENERATOR = np.random.default_rng


def examples(metric: Callable[..., np.ndarray], generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    if metric in (pearson, spearman, mse, mae):
        gold = generator.integers(0, 26, 300) / 5
        return gold, gold + generator.normal(size=300)
    gold = generator.integers(0, 2 if metric is f1 else 5, 300).astype(float)
    return gold, np.where(generator.random(300) < 0.6, gold, (gold + 1) % (2 if metric is f1 else 5))


@pytest.mark.parametrize("metric", [accuracy, f1, macro_f1, pearson, spearman, mse, mae])
def test_standard_errors_are_those_of_the_bootstrap(metric: Callable[..., np.ndarray]) -> None:
    generator = GENERATOR(0)
    gold, predicted = examples(metric, generator)
    values = influence(metric, gold, predicted)
    assert values.sum() == pytest.approx(0, abs=1e-6)
    draws = metric(gold, predicted, generator.multinomial(300, np.full(300, 1 / 300), size=4000).astype(float))
    assert standard_error(by_group(values, None)) == pytest.approx(float(np.std(draws)), rel=0.05)


def test_examples_that_share_a_text_count_as_one_unit() -> None:
    generator, groups = GENERATOR(1), np.repeat(np.arange(400), 3)
    values = np.repeat(generator.normal(size=400), 3)
    assert standard_error(by_group(values, groups)) == pytest.approx(values.std() / sqrt(400), rel=0.02)
    assert standard_error(by_group(values, None)) == pytest.approx(values.std() / sqrt(1200), rel=0.02)
    several = by_group(np.stack([values, 2 * values]), groups)
    assert several.shape == (2, 400)
