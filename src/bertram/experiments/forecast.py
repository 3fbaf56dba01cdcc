"""What each effect's verdict would need, before a design is run: from earlier runs, or from a pilot."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import sqrt
from typing import Any, Self

from bertram.comparison.arms import by_configuration
from bertram.comparison.comparison import read_tasks
from bertram.comparison.contrast import by_seed, common_seeds, estimate
from bertram.comparison.evidence import FLOOR, Contrast, primary_outcome, scores_of
from bertram.comparison.outcomes import Outcome, outcomes
from bertram.comparison.power import seeds_for_equivalence, seeds_needed, upper_sd, visible_effect
from bertram.config import Config
from bertram.errors import DataError
from bertram.experiments.budget import held_files, held_files_of
from bertram.runs.directory import Run


@dataclass(frozen=True)
class Noise:
    """The noise of a contrast on one outcome.

    Attributes:
        sd: standard deviation over seeds, with `df` degrees of freedom.
        df: degrees of freedom.
        example_error: standard error over examples; None where it is not known.
        own: True if runs of the contrast itself tell the noise; False if differences of other configurations do.
    """

    sd: float
    df: int
    example_error: float | None
    own: bool


@dataclass(frozen=True)
class EffectForecast:
    """What the verdict on one effect would need, with 80 % power.

    Attributes:
        name: name of the effect.
        outcome: name of the outcome.
        noise: noise of the effect, as far as the runs tell.
        visible: smallest effect that the seeds asked for show, at the upper 80 % bound of the noise; None where there
            are too few of them for a verdict.
        needed: seeds that show the target, at the estimated noise and at its upper bound; None where none do.
        equivalence: seeds that show no effect to be smaller than the smallest one of interest, likewise.
        floor: effect that stays unseen on other examples however many seeds are run.
    """

    name: str
    outcome: str
    noise: Noise
    visible: float | None
    needed: tuple[int | None, int | None]
    equivalence: tuple[int | None, int | None]
    floor: float | None


@dataclass(frozen=True)
class Forecast:
    """What a study can see.

    Attributes:
        source: runs that tell the noise.
        seeds: seeds asked for.
        target: size of effect that one wants to see; also the smallest effect of interest.
        hours: hours of one seed of all configurations.
        effects: each main effect on each outcome.
    """

    source: str
    seeds: int
    target: float
    hours: float
    effects: tuple[EffectForecast, ...]

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The forecast of a table of results."""
        effects = tuple(
            EffectForecast(**{**effect, "noise": Noise(**effect["noise"]), "needed": tuple(effect["needed"]),
                              "equivalence": tuple(effect["equivalence"])})
            for effect in values["effects"]
        )  # fmt: skip
        return cls(**{**values, "effects": effects})


def forecast(
    contrasts: Sequence[Contrast],
    scored: Sequence[Outcome],
    arms: Mapping[str, Mapping[int, str]],
    all_arms: Mapping[str, Mapping[int, str]],
    *,
    source: str,
    seeds: int,
    target: float,
    hours: float,
    rows: int,
) -> Forecast | None:
    """What the verdict on each effect would need.

    Args:
        contrasts: the effects; only main ones are looked at.
        scored: outcomes of all runs at hand.
        arms: arm of the design -> seed -> run, as far as they are finished.
        all_arms: the configurations of all runs at hand, for effects whose own runs do not tell.
        source: runs at hand, in words.
        seeds: seeds asked for.
        target: effect that one wants to see.
        hours: hours of one seed of all configurations.
        rows: rows that the table will have, for the correction of the secondary outcomes.

    Returns:
        None where the runs at hand do not tell the noise of every effect on the primary outcome.
    """
    main = [contrast for contrast in contrasts if contrast.main]
    first = primary_outcome(scored)
    forecasts = []
    for outcome in [outcome for outcome in scored if outcome.sign > 0]:
        tests = len(main) if outcome.name == first else rows
        for contrast in main:
            noise = contrast_noise(contrast, outcome, arms) or borrowed_noise(contrast, outcome, all_arms)
            if noise is not None:
                forecasts.append(_effect(contrast.name, outcome.name, noise, tests=tests, seeds=seeds, target=target))
    has_primary = any(forecast.outcome == first for forecast in forecasts)
    return Forecast(source, seeds, target, hours, tuple(forecasts)) if has_primary else None


def _effect(name: str, outcome: str, noise: Noise, *, tests: int, seeds: int, target: float) -> EffectForecast:
    upper = upper_sd(noise.sd, noise.df)
    return EffectForecast(
        name=name,
        outcome=outcome,
        noise=noise,
        visible=visible_effect(upper, seeds, tests=tests),
        needed=(seeds_needed(noise.sd, target, tests=tests), seeds_needed(upper, target, tests=tests)),
        equivalence=(seeds_for_equivalence(noise.sd, target), seeds_for_equivalence(upper, target)),
        floor=None if noise.example_error is None else FLOOR * noise.example_error,
    )


def contrast_noise(contrast: Contrast, outcome: Outcome, arms: Mapping[str, Mapping[int, str]]) -> Noise | None:
    """The noise of a contrast from its own runs; None where these have fewer than two seeds in common."""
    differences = by_seed(scores_of(outcome, arms), contrast.weights)
    estimated = estimate(list(differences.values())) if len(differences) > 1 else None
    if estimated is None or not estimated.sd:
        return None
    sides = [{arms[arm][seed]: weight for arm, weight in contrast.weights.items() if weight} for seed in differences]
    return Noise(estimated.sd, estimated.df, outcome.shared_error(sides), own=True)


def borrowed_noise(contrast: Contrast, outcome: Outcome, all_arms: Mapping[str, Mapping[int, str]]) -> Noise | None:
    """The noise that a contrast would have if its differences were as noisy as those of other configurations."""
    pairs = [
        Contrast("", {a: 1.0, b: -1.0})
        for a, b in combinations(all_arms, 2)
        if len(common_seeds(scores_of(outcome, all_arms), {a: 1.0, b: -1.0})) > 1
    ]
    noises = [noise for pair in pairs if (noise := contrast_noise(pair, outcome, all_arms)) is not None]
    if not noises:
        return None
    share = sum(weight**2 for weight in contrast.weights.values()) / 2  # of the variance of a difference of two runs
    df = max(noise.df for noise in noises)  # pairs share arms and seeds, so they add little
    sd = sqrt(share * sum(noise.sd**2 for noise in noises) / len(noises))
    errors = [noise.example_error**2 for noise in noises if noise.example_error is not None]
    return Noise(sd, df, sqrt(share * sum(errors) / len(errors)), own=False)


def comparable(runs: Iterable[Run], like: Config) -> list[Run]:
    """Those that trained the same encoder on the same tasks and data."""
    files = held_files(like)
    return [
        run
        for run in runs
        if run.record.trained
        and run.config.encoder == like.encoder
        and run.config.tasks.keys() == like.tasks.keys()
        and not run.config.model.freeze_encoder
        and held_files_of(run.record) <= files
    ]


@dataclass(frozen=True)
class NoiseRuns:
    """Finished runs that tell the noise.

    Attributes:
        source: number and budget of the runs, in words.
        scored: outcomes of the runs.
        arms: configurations of the runs: number -> seed -> run.
    """

    source: str
    scored: list[Outcome]
    arms: dict[str, dict[int, str]]


def noise_runs(runs: Iterable[Run], like: Config) -> NoiseRuns | None:
    """Comparable runs with their outcomes: at the same budget if these have two seeds, else at other budgets.

    Args:
        runs: finished and comparable runs.
        like: a configuration of the study.
    """
    every = {str(run.path): run for run in runs}
    same_budget = {name: run for name, run in every.items() if _budget(run.config) == _budget(like)}
    for chosen, where in ((same_budget, "at this budget"), (every, "at other budgets")):
        groups = by_configuration(chosen)
        if sum(len(group) > 1 for group in groups) < 2 or not _same_dev(chosen.values()):
            continue
        try:
            scored = outcomes(read_tasks(chosen, like.data), losses=False)
        except DataError:
            continue  # not the same dev rows
        repeated = [group for group in groups if len(group) > 1]
        count = sum(map(len, repeated))
        arms = {str(number): group for number, group in enumerate(groups)}
        return NoiseRuns(f"{count} runs of {len(repeated)} configurations {where}", scored, arms)
    return None


def _same_dev(runs: Iterable[Run]) -> bool:
    return len({run.config.evaluation.max_eval_samples for run in runs}) == 1


def _budget(config: Config) -> tuple[object, ...]:
    return config.sampling.epochs, config.sampling.fraction, config.evaluation.max_eval_samples
