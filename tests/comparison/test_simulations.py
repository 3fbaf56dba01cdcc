"""By simulation: intervals cover the truth, families hold their level, equivalence is not claimed where it is not."""

import numpy as np
import pytest
from tests.comparison.simulations import Setting, equivalence, for_other_examples, settings, simulate

from bertram.comparison.power import decisions, rates, seeds_for_equivalence, seeds_needed, upper_sd, visible_effect


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [3, 5, 8])
@pytest.mark.parametrize("setting", settings(), ids=lambda setting: setting.name)
def test_contrasts_cover_and_families_hold_their_level(setting: Setting, seeds: int) -> None:
    found = simulate(setting, seeds, 20_000, np.random.default_rng(seeds))
    assert found.least >= 0.93
    assert found.most <= 0.97
    assert found.level <= 0.055


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [3, 5, 20])
@pytest.mark.parametrize("sd", [0.2, 1.0])
def test_an_effect_of_the_smallest_size_of_interest_is_rarely_called_equivalent(seeds: int, sd: float) -> None:
    assert equivalence(seeds, sd, 20_000, np.random.default_rng(1)) <= 0.053


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("sd", [0.1, 0.5, 2.0])
def test_a_difference_that_other_examples_would_not_show_is_marked(seeds: int, sd: float) -> None:
    found, unmarked = for_other_examples(seeds, sd, 2_000, np.random.default_rng(4))
    assert unmarked <= 0.065  # 0.05 but for the noise of 2,000 studies
    assert found > 0.9 or sd > 0.1


@pytest.mark.slow
@pytest.mark.parametrize(("effect", "seeds", "tests"), [(1.5, 5, 1), (1.5, 5, 4), (0.8, 12, 8)])
def test_the_forecast_is_the_rate_of_verdicts(effect: float, seeds: int, tests: int) -> None:
    """Other factors have other noise and effects of their own, which the forecast does not know."""
    generator = np.random.default_rng(2)
    sds = np.linspace(0.2, 3.0, tests)
    each = sds[:, None] * generator.normal(size=(20_000, tests, seeds))
    each[:, 0] += effect * sds[0]
    means, errors = each.mean(-1), each.std(-1, ddof=1) / np.sqrt(seeds)
    significant, _ = decisions(means, errors, seeds, None)
    assert rates(effect, seeds, tests)[0] == pytest.approx(significant[:, 0].mean(), abs=0.05)


@pytest.mark.slow
def test_seeds_that_a_pilot_says_are_enough_are_enough() -> None:
    """Pilots of 3 seeds, whose standard deviation is uncertain: 80 % are promised; by the estimate 51 to 59 % came."""
    generator = np.random.default_rng(3)
    kept, plain = [], []
    for sd in np.sqrt(generator.chisquare(2, size=200) / 2).tolist():
        sure, guess = seeds_needed(upper_sd(sd, 2), 1.0), seeds_needed(sd, 1.0)
        kept.append(1.0 if sure is None else rates(1.0, sure)[0])
        plain.append(1.0 if guess is None else rates(1.0, guess)[0])
    assert np.mean(kept) >= 0.8
    assert np.mean(np.array(kept) >= 0.78) >= 0.75  # the bound holds in 80 % of the pilots
    assert np.mean(plain) < 0.75


def test_seeds_and_effects_are_two_sides_of_one_rule() -> None:
    seeds = seeds_needed(0.004, 0.005, tests=4)
    assert seeds is not None
    assert rates(round(0.005 / 0.004, 4), seeds, 4)[0] >= 0.8 > rates(round(0.005 / 0.004, 4), seeds - 1, 4)[0]
    assert (visible_effect(0.004, seeds, tests=4) or 1) <= 0.005 * 1.01
    assert visible_effect(0.004, 2) is None
    assert seeds_needed(1.0, 0.001) is None
    between = seeds_needed(1.0, 0.135)  # more than 384, the last doubling below 512
    assert between is not None
    assert 384 < between <= 512
    equal = seeds_for_equivalence(0.004, 0.005)
    assert equal is not None
    assert rates(0.0, equal, 1, 1.25)[1] >= 0.8 > rates(0.0, equal - 1, 1, 1.25)[1]
    assert upper_sd(1.0, 2) == pytest.approx(2.117, abs=0.001)
