"""Studies of four factors that run seeds until they are decided, with a known truth.

`python -m tests.comparison.sequential_studies` prints the table of docs/statistics.md.
"""

import sys
from dataclasses import dataclass
from math import sqrt

import numpy as np

from bertram.comparison.sequential import look


@dataclass(frozen=True)
class Study:
    """True effects and standard deviations over seeds, in units of the smallest effect of interest."""

    name: str
    effects: tuple[float, ...]
    sds: tuple[float, ...]


STUDIES = [
    Study("no effect", (0, 0, 0, 0), (1, 1, 1, 1)),
    Study("no effect, noise .25 to 2", (0, 0, 0, 0), (0.25, 0.5, 1, 2)),
    Study("effects of ±δ", (1, 1, -1, -1), (1, 1, 1, 1)),
    Study("two of 0, two of δ", (0, 0, 1, 1), (1, 1, 1, 1)),
    Study("two of 0, two of ±3 δ", (0, 0, 3, -3), (1, 1, 1, 1)),
    Study("0, δ, 2 δ, 4 δ, little noise", (0, 1, 2, 4), (0.5, 0.5, 0.5, 0.5)),
]


@dataclass(frozen=True)
class Found:
    """Share of studies with a false verdict, mean number of seeds of a factor, share of factors that are decided."""

    false: float
    seeds: float
    decided: float


def simulate(study: Study, most: int, studies: int, generator: np.random.Generator) -> Found:
    """Run many studies with looks after 3, 4, … seeds."""
    effects, sds = np.array(study.effects, dtype=float), np.array(study.sds, dtype=float)
    each = effects[:, None] + sds[:, None] * generator.normal(size=(studies, len(effects), most))
    waiting, false = np.ones(each.shape[:2], dtype=bool), np.zeros(each.shape[:2], dtype=bool)
    seeds = np.full(each.shape[:2], most)
    for count in range(3, most + 1):
        means, errors = each[..., :count].mean(-1), each[..., :count].std(-1, ddof=1) / sqrt(count)
        significant, inside = look(means, errors, count, max_seeds=most, tests=len(effects), smallest=1.0)
        wrong = np.where(significant, means * effects <= 0, inside & (np.abs(effects) >= 1))
        now = waiting & (significant | inside)
        false |= now & wrong
        seeds[now] = count
        waiting &= ~now
    return Found(float(false.any(1).mean()), float(seeds.mean()), float(1 - waiting.mean()))


def main() -> None:
    """Print the table."""
    lines = ["| study | at most | false verdict in | seeds of a factor, mean | saved | decided |"]
    lines.append("|---|---:|---:|---:|---:|---:|")
    for study in STUDIES:
        for most in (8, 12, 20):
            found = simulate(study, most, 20_000, np.random.default_rng(most))
            saved = 1 - found.seeds / most
            lines.append(
                f"| {study.name} | {most} | {found.false:.1%} | {found.seeds:.1f} | {saved:.0%} | {found.decided:.0%} |"
            )
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
