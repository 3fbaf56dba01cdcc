"""Seeds until decided: the looks keep false verdicts below 5 % of the studies, and save seeds."""

from math import sqrt

import numpy as np
import pytest
from scipy import stats
from tests.comparison.sequential_studies import STUDIES, Study, simulate

from bertram.comparison.sequential import LEVEL, look, nominal_levels, spent


@pytest.mark.slow
def test_the_levels_of_the_looks_spend_the_whole_level() -> None:
    """By simulation of the Brownian motion; with one look the level is the whole."""
    assert list(nominal_levels(3, 0.025)) == pytest.approx([0.025], rel=0.01)
    levels = nominal_levels(8, 0.025)
    assert list(levels) == sorted(levels)
    steps = np.random.default_rng(0).normal(size=(200_000, 8)).cumsum(axis=1)[:, 2:]
    z = steps / np.sqrt(np.arange(3, 9))
    crossed = z > stats.norm.isf(np.array(levels))
    assert crossed.any(axis=1).mean() == pytest.approx(0.025, abs=0.001)
    assert crossed[:, 0].mean() == pytest.approx(spent(3 / 8, 0.025), abs=2e-4)


@pytest.mark.slow
@pytest.mark.parametrize("study", STUDIES, ids=lambda study: study.name)
def test_a_study_rarely_holds_a_false_verdict(study: Study) -> None:
    found = simulate(study, 12, 10_000, np.random.default_rng(1))
    assert found.false <= 0.055


@pytest.mark.slow
def test_clear_effects_are_decided_early() -> None:
    found = simulate(STUDIES[-1], 20, 4000, np.random.default_rng(2))
    assert found.seeds <= 0.6 * 20  # 40 % of the seeds are saved
    assert found.decided >= 0.99


@pytest.mark.slow
def test_a_look_is_two_sided_for_a_difference_and_one_sided_twice_for_none() -> None:
    means, errors = np.array([0.02, 0.0, 0.004]), np.array([0.001, 0.0002, 0.004])
    significant, inside = look(means, errors, 8, max_seeds=8, tests=3, smallest=0.005)
    assert significant.tolist() == [True, False, False]
    assert inside.tolist() == [False, True, False]
    alone = look(np.array([0.01]), np.array([0.01 / 2.5 * sqrt(1)]), 8, max_seeds=8, tests=1, smallest=0.005)
    assert alone[0].tolist() == [stats.t.sf(2.5, 7) < nominal_levels(8, LEVEL / 2)[-1]]
