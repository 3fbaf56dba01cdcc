"""What a design can see before it is run: from the noise of earlier runs, or of a pilot."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations

from bertram.comparison.arms import by_configuration
from bertram.config import Config
from bertram.evaluation.intervals import floor_of_examples, seeds_needed, smallest_visible_effect
from bertram.experiments.budget import held_files, held_files_of
from bertram.experiments.design import Design
from bertram.experiments.noise import OVERALL, example_draws, seed_noise
from bertram.experiments.schedule import main_scores
from bertram.runs.directory import Run


@dataclass(frozen=True)
class Noise:
    """How much the overall score of a run varies; see `Power` for the fields."""

    source: str
    seed_sd: float
    df: int
    example_error: float | None


@dataclass(frozen=True)
class Power:
    """What a design can see in the overall score, with 80 % power at the 5 % level.

    Attributes:
        source: where the noise is known from.
        seed_sd: standard deviation of one run over seeds, with `df` degrees of freedom.
        example_error: standard error, over examples, of the difference of two runs; None where it is not known.
        seeds: asked for, of each cell.
        visible: smallest effect that they show; None where there are too few of them for a verdict.
        target: the effect one wants to see.
        needed: seeds that show it; None where no number of them does.
        floor: effect that stays unseen on other examples however many seeds are run.
        hours: of one seed of all cells.
    """

    source: str
    seed_sd: float
    df: int
    example_error: float | None
    seeds: int
    visible: float | None
    target: float
    needed: int | None
    floor: float | None
    hours: float

    def in_words(self) -> list[str]:
        """For whoever decides whether to start."""
        seen = (
            f"with {self.seeds} seed{'s' * (self.seeds != 1)} no effect can be told from noise"
            if self.visible is None
            else f"with {self.seeds} seeds you can see {self.visible:.3f}"
        )
        wish = f"for {self.target:.3f} "
        wish += (
            "no number of seeds is enough"
            if self.needed is None
            else f"you need {self.needed} seeds, {self.needed * self.hours:.1f} hours here"
        )
        said = [
            f"{seen}; {wish} (overall, 80 % power; one run's sd over seeds is {self.seed_sd:.4f}, from {self.source}, "
            f"{self.df} degrees of freedom)"
        ]
        if self.floor is not None:
            said.append(
                f"on other examples, effects below about {self.floor:.3f} stay unseen however many seeds are run: more "
                "seeds do not reduce the noise of the examples"
            )
        return said


def estimate(design: Design, noise: Noise, *, seeds: int, target: float, hours: float) -> Power:
    """What a design can see.

    Args:
        design: to be run.
        noise: as it is known.
        seeds: of each cell.
        target: the effect one wants to see, in units of the overall score.
        hours: of one seed of all cells.
    """
    sizes = {"arms": len(design.cells), "arms_per_side": design.arms_per_side}
    visible = smallest_visible_effect(noise.seed_sd, seeds, **sizes) if seeds >= design.least_seeds else None
    needed = seeds_needed(target, noise.seed_sd, least=design.least_seeds, **sizes)
    floor = None if noise.example_error is None else floor_of_examples(noise.example_error)
    return Power(
        noise.source, noise.seed_sd, noise.df, noise.example_error, seeds, visible, target, needed, floor, hours
    )


def comparable(runs: Iterable[Run], like: Config) -> list[Run]:
    """Those that trained the same encoder on the same tasks and data."""
    held = held_files(like)
    return [
        run
        for run in runs
        if run.record.get("trained", True)
        and run.config.encoder == like.encoder
        and run.config.tasks.keys() == like.tasks.keys()
        and not run.config.model.freeze_encoder
        and held_files_of(run.record) <= held
    ]


def known_noise(runs: Iterable[Run], like: Config) -> Noise | None:
    """The noise of comparable runs: at the same budget if these tell it, else at other budgets.

    Args:
        runs: finished and comparable ones.
        like: a configuration of the design.
    """
    every = list(runs)
    same = [run for run in every if _budget(run.config) == _budget(like)]
    for chosen, where in ((same, "at this budget"), (every, "at other budgets")):
        arms = _arms(chosen)
        scores = {str(number): _overall(arm) for number, arm in enumerate(arms)}
        found = seed_noise(scores)
        if found is not None:
            several = [one for one in scores.values() if len(one) > 1]
            source = f"{sum(map(len, several))} runs of {len(several)} configuration{'s' * (len(several) != 1)} {where}"
            return Noise(source, *found, _example_error(sorted(arms, key=len, reverse=True), like.data))
    return None


def _arms(runs: Iterable[Run]) -> list[dict[int, Run]]:
    """Runs that differ by their seed alone, by seed."""
    named = {str(run.path): run for run in runs}
    return [{seed: named[name] for seed, name in group.items()} for group in by_configuration(named)]


def _overall(runs: Mapping[int, Run]) -> dict[int, float]:
    scores = {seed: main_scores(run)[OVERALL] for seed, run in runs.items()}
    return {seed: score for seed, score in scores.items() if score is not None}


def _budget(config: Config) -> tuple[object, ...]:
    return config.sampling.epochs, config.sampling.fraction, config.evaluation.max_eval_samples


def _example_error(arms: list[dict[int, Run]], data: str) -> float | None:
    """Of the difference of two configurations, if there are two with a seed in common: what their seeds share."""
    for one, other in combinations(arms, 2):
        common = sorted(one.keys() & other.keys())
        if common and len({run.config.evaluation.max_eval_samples for run in (one[common[0]], other[common[0]])}) == 1:
            names = {f"{arm} {seed}": runs[seed] for arm, runs in (("one", one), ("other", other)) for seed in common}
            differences = [{f"one {seed}": 1.0, f"other {seed}": -1.0} for seed in common]
            return example_draws(names, data).shared_error(OVERALL, differences)
    return None
