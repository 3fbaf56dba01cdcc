"""How sure a number is: bootstrap, tests for paired results, effects over seeds, and their power.

Two kinds of noise are kept apart everywhere. *Examples*: another development set would give another score.
*Seeds*: another run of the same config would give another model. More seeds do not reduce the first kind.
"""

import bisect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, nctdtrinc, ndtri, stdtr, stdtrit

from bertram.errors import BertramError

Floats = NDArray[np.float64]
Interval = tuple[float, float]

LEAST_SEEDS = 3  # fewer compare two models, not two techniques
LEAST_DF = 2  # of the variance over seeds, for an interval that holds for other seeds and other examples
_FEW_CELLS = 64  # up to here a multinomial draw is cheaper than drawing every example
_CHUNK = 1 << 17  # examples drawn at a time: 1 MiB of float64, which stays in the processor's cache


def bootstrap(
    statistic: Callable[..., Floats], columns: Sequence[Floats], generator: np.random.Generator, resamples: int
) -> Floats:
    """Draw the bootstrap distribution of a statistic of n examples (Efron 1979).

    Examples that are alike in every column are drawn together, as one multinomial draw over the distinct
    ones: the same distribution, and 20,000 yes/no answers cost no more than their four combinations.

    Args:
        statistic: called with weights [b, m], how often each of the m distinct examples was drawn, and with
            the columns [m]; returns [..., b].
        columns: what the statistic needs to know of each example, [n] each, finite.
        generator: source of the draws.
        resamples: how many values to draw.

    Returns:
        The values, [..., resamples].
    """
    examples, counts = np.unique(np.stack(columns, axis=1), axis=0, return_counts=True)
    values = [statistic(weights, *examples.T) for weights in _drawn_counts(counts, generator, resamples)]
    return np.concatenate(values, axis=-1)


def _drawn_counts(counts: NDArray[np.intp], generator: np.random.Generator, resamples: int) -> Iterator[Floats]:
    n, distinct = int(counts.sum()), len(counts)
    if distinct <= _FEW_CELLS:
        yield generator.multinomial(n, counts / n, size=resamples).astype(np.float64)
        return
    distinct_of_example = np.repeat(np.arange(distinct), counts)
    at_once = max(1, _CHUNK // n)
    for start in range(0, resamples, at_once):
        b = min(at_once, resamples - start)
        drawn = distinct_of_example[generator.integers(0, n, size=(b, n))]
        drawn += distinct * np.arange(b)[:, None]
        yield np.bincount(drawn.ravel(), minlength=b * distinct).reshape(b, distinct).astype(np.float64)


def percentile_interval(draws: Floats, level: float = 0.95) -> Interval | None:
    """Read the central interval from bootstrap draws [resamples]; None if over 5 % of them are undefined (nan)."""
    defined = draws[~np.isnan(draws)]
    if defined.size < 0.95 * draws.size or defined.size == 0:
        return None
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def bootstrap_p(draws: Floats) -> float:
    """Two-sided p-value of "no difference": the level at which the percentile interval just touches zero.

    Args:
        draws: bootstrapped differences [resamples]. The smallest value returned is 2 / (resamples + 1).
    """
    defined = draws[~np.isnan(draws)]
    tail = min(np.count_nonzero(defined <= 0), np.count_nonzero(defined >= 0))
    return min(1.0, 2 * (1 + int(tail)) / (1 + defined.size))


def mcnemar(only_first: int, only_second: int) -> float:
    """Two-sided mid-p value of McNemar's exact test that two classifiers are right equally often.

    The mid-p form keeps its level and is less timid than the exact one (Fagerland, Lydersen & Laake 2013).

    Args:
        only_first: examples that only the first classifier got right.
        only_second: examples that only the second classifier got right.
    """
    disagreements, fewer = only_first + only_second, min(only_first, only_second)
    if disagreements == 0:
        return 1.0
    below = bdtr(fewer - 1, disagreements, 0.5) if fewer else 0.0
    return float(below + bdtr(fewer, disagreements, 0.5))  # 2 (P[X < k] + P[X = k] / 2)


def dependent_correlations(gold: Floats, a: Floats, b: Floats) -> float | None:
    """Two-sided p-value that two predictions correlate equally well (Pearson) with the same gold scores.

    The distribution-free covariance of two correlations (Steiger & Hakstian 1982), written as the variance of
    their influence functions. Williams's better known t-test assumes normal data: with rare large errors, which
    models do make, it found a difference in a third of the cases where there was none.

    Args:
        gold: gold scores [n].
        a: predictions [n].
        b: other predictions of the same examples [n].

    Returns:
        The p-value; None for fewer than 4 examples. All three must vary.
    """
    n = len(gold)
    if n < 4:
        return None
    g, x, y = ((column - column.mean()) / column.std() for column in (gold, a, b))
    r_x, r_y = float((g * x).mean()), float((g * y).mean())
    influence = g * (y - x) - (r_y * (g**2 + y**2) - r_x * (g**2 + x**2)) / 2
    error = float(influence.std()) / sqrt(n - 3)
    if error < 1e-12:  # one is a linear function of the other
        return 1.0
    return float(2 * stdtr(n - 3, -abs(r_y - r_x) / error))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for the number of comparisons (Holm 1979), in the order given."""
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(np.argsort(p_values, kind="stable")):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = largest
    return adjusted


@dataclass(frozen=True)
class Effect:
    """What a technique changes, estimated from runs with several seeds.

    `value` in units of the score; `seeds` that every compared arm has; `seed_sd`, the standard deviation of one
    run's score over seeds, pooled over all runs at hand with `df` degrees of freedom; `standard_error`, `ci95`
    and `p` of the value for these very examples, None where there are too few seeds.
    """

    value: float
    seeds: int
    seed_sd: float | None
    df: int
    standard_error: float | None
    ci95: Interval | None
    p: float | None


def technique_effect(scores: Mapping[str, Mapping[int, float]], technique: str, baseline: str) -> Effect:
    """Estimate `technique` minus `baseline`, paired by seed; the other arms help to estimate the seed noise.

    Args:
        scores: arm -> seed -> score, of every run at hand.
        technique: the arm with the technique.
        baseline: the arm without it.

    Raises:
        BertramError: the two arms have no seed in common.
    """
    return contrast(scores, {technique: 1.0, baseline: -1.0})


def contrast(
    scores: Mapping[str, Mapping[int, float]], weights: Mapping[str, float], least_seeds: int = LEAST_SEEDS
) -> Effect:
    """Estimate a weighted sum of arms, with a t-interval whose seed variance is pooled over all runs.

    Least squares on score = arm + seed + noise, the noise of one size everywhere. With two arms that have the
    same seeds this is the paired t-test; with A arms and S seeds it has (A - 1)(S - 1) degrees of freedom.

    Args:
        scores: arm -> seed -> score, of every run at hand.
        weights: arm -> weight, summing to 0: {a: 1, b: -1} for a technique, +-2/A for a factor of a design.
        least_seeds: with fewer seeds common to the weighted arms there is no interval and no test.

    Raises:
        BertramError: the runs do not allow this sum to be estimated.
    """
    arms, seeds = list(scores), sorted({seed for runs in scores.values() for seed in runs})
    y = np.array([score for runs in scores.values() for score in runs.values()])
    X = np.zeros((len(y), len(arms) + len(seeds)))  # noqa: N806 - the design matrix
    for row, (arm, seed) in enumerate((arm, seed) for arm, runs in scores.items() for seed in runs):
        X[row, arms.index(arm)] = X[row, len(arms) + seeds.index(seed)] = 1
    c = np.array([weights.get(arm, 0.0) for arm in arms] + [0.0] * len(seeds))
    inverse = np.linalg.pinv(X.T @ X, hermitian=True)
    if not np.allclose(c @ inverse @ X.T @ X, c, atol=1e-8):
        raise BertramError(f"the runs of {', '.join(weights)} have no seed in common: run them with the same seeds")
    fit = inverse @ X.T @ y
    value, df = float(c @ fit), len(y) - int(np.linalg.matrix_rank(X))
    seed_sd = float(np.linalg.norm(y - X @ fit)) / sqrt(df) if df else None
    common = set.intersection(*(set(scores[arm]) for arm, weight in weights.items() if weight))
    if seed_sd is None or len(common) < least_seeds:
        return Effect(value, len(common), seed_sd, df, None, None, None)
    error = seed_sd * sqrt(c @ inverse @ c)
    half = error * float(stdtrit(df, 0.975))
    p = float(2 * stdtr(df, -abs(value) / error)) if error > 1e-12 else float(abs(value) < 1e-12)
    return Effect(value, len(common), seed_sd, df, error, (value - half, value + half), p)


def shared_example_error(draws: Floats) -> float:
    """Standard error, over examples, of what all seeds have in common.

    Examples on which the seeds disagree make the seeds' scores vary too, so the variance over seeds has their noise
    already; counted twice it would make intervals too wide. What is left is the covariance of two seeds' scores.

    Args:
        draws: bootstrapped scores or differences of each seed on the same resamples, [seeds, resamples].

    Returns:
        The root of the mean covariance of two seeds, 0 where that is negative; of one seed its whole error.
    """
    defined = draws[:, ~np.isnan(draws).any(axis=0)]
    if len(draws) == 1:
        return float(defined.std())
    covariance = np.cov(defined)
    pairs = len(draws) * (len(draws) - 1)
    return sqrt(max(0.0, float(covariance.sum() - np.trace(covariance)) / pairs))


def interval_for_new_examples(effect: Effect, example_error: float) -> Interval | None:
    """Widen the interval of an effect by the noise of the examples, so that it holds beyond these examples.

    The variance over seeds is estimated, with few degrees of freedom, that of the examples is as good as known:
    Satterthwaite (1946), Biometrics Bulletin 2, 110. Alone it covers only 92 % with 2 degrees of freedom, since a
    variance that came out small also seems surer than it is; so the bounds never lie within those for these examples.
    Together they cover 94.3 to 95.5 % whatever the two variances are. One degree of freedom is not enough: what holds
    the seeds' own interval, 12.7 standard errors to each side, then covers up to 98 %.

    Args:
        effect: the effect over seeds.
        example_error: standard error over examples of what the seeds share, from `shared_example_error`.

    Returns:
        The 95 % interval; None where the effect has no standard error, or one from a single degree of freedom.
    """
    if effect.standard_error is None or effect.df < LEAST_DF:
        return None
    seed_part, total = effect.standard_error**2, effect.standard_error**2 + example_error**2
    df = min(1e9, effect.df * (total / seed_part) ** 2) if seed_part > 0 else 1e9
    half = max(sqrt(total) * float(stdtrit(df, 0.975)), effect.standard_error * float(stdtrit(effect.df, 0.975)))
    return effect.value - half, effect.value + half


def smallest_visible_effect(
    seed_sd: float, seeds: int, *, arms: int = 2, arms_per_side: int = 1, power: float = 0.8, level: float = 0.05
) -> float:
    """Say how large an effect must be for `contrast` to find it with the given power, from the noncentral t.

    Args:
        seed_sd: standard deviation of one run's score over seeds, as in `Effect.seed_sd`.
        seeds: runs of each arm, at least 2.
        arms: all arms whose runs are pooled: 2 for one technique, 2**k in a full design of k factors.
        arms_per_side: arms averaged on each side of the effect: 1 for one technique, arms / 2 in a design.
        power: chance to find it.
        level: of the two-sided test.

    Returns:
        The effect in units of the score, on the examples at hand; `floor_of_examples` is the other part.
    """
    df = (arms - 1) * (seeds - 1)
    if df < 1:
        raise BertramError("seed noise cannot be estimated from one seed or one arm: take at least 2 of each")
    noncentrality = float(nctdtrinc(df, 1 - power, stdtrit(df, 1 - level / 2)))
    return noncentrality * seed_sd * sqrt(2 / (arms_per_side * seeds))


def seeds_needed(
    effect: float, seed_sd: float, *, least: int = LEAST_SEEDS, most: int = 10_000, **design: Any
) -> int | None:
    """Count the seeds that make an effect visible; None if `most` are not enough.

    Args:
        effect: size of the effect in units of the score, above 0.
        seed_sd: standard deviation of one run's score over seeds.
        least: seeds without which there is no verdict.
        most: where to stop.
        **design: `arms`, `arms_per_side`, `power` and `level` of `smallest_visible_effect`.
    """
    candidates = range(least, most + 1)
    found = bisect.bisect_left(candidates, -effect, key=lambda n: -smallest_visible_effect(seed_sd, n, **design))
    return candidates[found] if found < len(candidates) else None


def floor_of_examples(example_error: float, power: float = 0.8, level: float = 0.05) -> float:
    """Say which effect stays unseen on new examples however many seeds are run.

    Args:
        example_error: standard error of the difference from a bootstrap of the examples.
        power: chance to find the effect.
        level: of the two-sided test.
    """
    return float(ndtri(1 - level / 2) + ndtri(power)) * example_error
