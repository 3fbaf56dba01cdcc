"""Scores of runs whose truth is known: designs, arms and kinds of noise, many studies at once.

`python -m tests.comparison.simulations` prints the tables of docs/statistics.md.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from math import inf, sqrt

import numpy as np
from scipy import stats

from bertram.comparison.contrast import estimate, p_with_examples
from bertram.comparison.families import corrected
from bertram.comparison.power import decisions
from bertram.comparison.verdict import verdict
from bertram.experiments.design import Design, fractional, full, leave_one_out

LOUD = (0.25, 0.5, 1.0, 5.0)  # standard deviations of seed × factor, as different as those of the committed ablation
Noise = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]


def normal(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return generator.normal(size=shape)


def heavy(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Student's t with 3 degrees of freedom, scaled to variance 1."""
    return np.asarray(generator.standard_t(3, size=shape) / sqrt(3))


def against_first(arms: int) -> np.ndarray:
    """Contrasts of all arms with the first, [contrasts, arms]."""
    return np.concatenate([-np.ones((arms - 1, 1)), np.eye(arms - 1)], axis=1)


def main_effects(design: Design) -> np.ndarray:
    """The main effects of a design, [contrasts, cells]."""
    return np.array([effect.weights for effect in design.effects() if effect.order == 1])


@dataclass(frozen=True)
class Setting:
    """A study that is simulated.

    Attributes:
        name: as it is shown.
        weights: the contrasts that are tested, [contrasts, arms].
        mixing: what independent noises make of an arm, [arms, noises].
        noise: distribution of these noises.
    """

    name: str
    weights: np.ndarray
    mixing: np.ndarray
    noise: Noise = normal


def settings() -> list[Setting]:
    """The settings of the proof."""
    found = [
        Setting("2 arms, iid", against_first(2), np.eye(2)),
        Setting("2 arms, heavy tails", against_first(2), np.eye(2), heavy),
        Setting("2 arms, unequal variances", against_first(2), np.diag([1.0, 5.0])),
        Setting("8 arms, iid", against_first(8), np.eye(8)),
        Setting("8 arms, 6 near-copies", against_first(8), near_copies(8)),
    ]
    for design in (full("abcd"), fractional("abcd", 4), leave_one_out("abcd")):
        weights = main_effects(design)
        levels = np.array([[1.0 if on else -1.0 for on in cell] for cell in design.cells])
        by_factor = np.concatenate([0.2 * np.eye(len(levels)), levels * np.array(LOUD) / 2], axis=1)
        found.append(Setting(f"{design.kind}, iid", weights, np.eye(len(levels))))
        found.append(Setting(f"{design.kind}, seed × factor", weights, by_factor))
        found.append(Setting(f"{design.kind}, seed × factor, heavy tails", weights, by_factor, heavy))
    return found


def near_copies(arms: int) -> np.ndarray:
    """All arms but the second are nearly the first one."""
    mixing = 0.05 * np.eye(arms)
    mixing[:, 0] += 1.0
    mixing[1] = np.eye(arms)[1]
    return mixing


@dataclass(frozen=True)
class Rates:
    """What came of many studies.

    Attributes:
        least: coverage of the contrast that is covered least.
        most: coverage of the one that is covered most.
        level: share of the studies with a false verdict in the family.
    """

    least: float
    most: float
    level: float


def simulate(setting: Setting, seeds: int, studies: int, generator: np.random.Generator) -> Rates:
    """Coverage of the 95 % intervals, and how often Holm's family holds a false verdict where nothing has an effect."""
    noises = setting.noise(generator, (studies, setting.mixing.shape[1], seeds))
    each = (setting.weights @ setting.mixing) @ noises  # [studies, contrasts, seeds]; what a seed does to all cancels
    means, errors = each.mean(-1), each.std(-1, ddof=1) / sqrt(seeds)
    covered = (np.abs(means) <= stats.t.ppf(0.975, seeds - 1) * errors).mean(0)
    significant, _ = decisions(means, errors, seeds, None)
    return Rates(float(covered.min()), float(covered.max()), float(significant.any(1).mean()))


def equivalence(seeds: int, sd: float, studies: int, generator: np.random.Generator) -> float:
    """How often an effect of exactly the smallest size of interest is called equivalent; sizes in units of it."""
    each = 1.0 + sd * generator.normal(size=(studies, 1, seeds))
    means, errors = each.mean(-1), each.std(-1, ddof=1) / sqrt(seeds)
    return float(decisions(means, errors, seeds, 1.0)[1].mean())


def for_other_examples(seeds: int, sd: float, studies: int, generator: np.random.Generator) -> tuple[float, float]:
    """Five effects without a truth, on examples that all seeds share.

    Args:
        seeds: number of seeds.
        sd: standard deviation of the effects over seeds, in standard errors over examples.
        studies: number of studies.
        generator: source of the noise.

    Returns:
        Shares of the studies that hold a false difference, and one that is not marked "on these examples only".
    """
    marked = np.zeros((studies, 2), dtype=bool)
    for study in range(studies):
        shared, each = generator.normal(size=(5, 1)), sd * generator.normal(size=(5, seeds))
        estimates = [estimate(values) for values in shared + each]
        p = corrected([one.p() for one in estimates], [True] * 5)
        p_new = corrected([p_with_examples(one, 1.0) for one in estimates], [True] * 5)
        decided = [
            verdict(one.value, one.interval() or (-inf, inf), p=p_seeds or 1.0, p_new=p_both)
            for one, p_seeds, p_both in zip(estimates, p, p_new, strict=True)
        ]
        found = [one for one in decided if one.significant]
        marked[study] = bool(found), any(not one.these_examples_only for one in found)
    return float(marked[:, 0].mean()), float(marked[:, 1].mean())


def main() -> None:
    """Print the tables."""
    lines = ["| setting | seeds | coverage of the contrasts | studies with a false verdict |", "|---|---:|---|---:|"]
    for setting in settings():
        for seeds in (3, 5, 8):
            rates = simulate(setting, seeds, 40_000, np.random.default_rng(seeds))
            lines.append(f"| {setting.name} | {seeds} | {rates.least:.1%} to {rates.most:.1%} | {rates.level:.1%} |")
    lines += ["", "| seeds | sd of the contrast / δ | called equivalent at δ |", "|---:|---:|---:|"]
    for seeds in (3, 5, 8, 20):
        for sd in (0.2, 0.5, 1.0, 2.0):
            lines.append(f"| {seeds} | {sd} | {equivalence(seeds, sd, 40_000, np.random.default_rng(0)):.1%} |")
    lines += ["", "| seeds | sd / error | a false difference | not marked |", "|---:|---:|---:|---:|"]
    for seeds in (3, 5):
        for sd in (0.1, 0.5, 2.0):
            found, unmarked = for_other_examples(seeds, sd, 10_000, np.random.default_rng(0))
            lines.append(f"| {seeds} | {sd} | {found:.1%} | {unmarked:.1%} |")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
