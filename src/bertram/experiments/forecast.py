"""Forecast of the seeds that each effect's verdict would need, before a design is run: from earlier runs or a pilot."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from math import sqrt

from bertram.comparison.arms import by_configuration
from bertram.comparison.comparison import read_tasks
from bertram.comparison.contrast import by_seed, estimate
from bertram.comparison.equivalence import margin
from bertram.comparison.evidence import FLOOR, Contrast, primary_outcome, scores_of
from bertram.comparison.outcomes import OVERALL, Outcome, outcome_names, outcomes
from bertram.comparison.power import seeds_for_equivalence, seeds_needed, sequential_rates, upper_sd, visible_effect
from bertram.config import Config
from bertram.errors import DataError
from bertram.experiments import cost
from bertram.experiments.budget import held_files, held_files_of
from bertram.experiments.schedule import Job
from bertram.runs.directory import Run


@dataclass(frozen=True)
class Noise:
    """The noise of a contrast on one outcome.

    Attributes:
        sd: standard deviation over seeds, with `df` degrees of freedom.
        df: degrees of freedom.
        example_error: standard error over examples; None where it is not known.
        own: True if runs of the contrast itself tell the noise; False if differences of other configurations do.
        pair_sd: standard deviation of the other differences; that of the contrast is smaller if more configurations
            average the noise out, and as large if another seed changes the effect itself. None for own noise.
    """

    sd: float
    df: int
    example_error: float | None
    own: bool
    pair_sd: float | None = None

    @property
    def upper(self) -> float:
        """The upper 80 % bound of the standard deviation."""
        return upper_sd(self.sd if self.pair_sd is None else max(self.sd, self.pair_sd), self.df)


@dataclass(frozen=True)
class LookForecast:
    """Forecast of the looks of a study that runs until it is decided, at the estimated noise and at its upper bound.

    Attributes:
        effect: true effect that is supposed.
        decided: share of the studies that decide within the largest number of seeds.
        seeds: mean number of seeds.
    """

    effect: float
    decided: tuple[float, float]
    seeds: tuple[float, float]


Seeds = tuple[int | None, int | None]


@dataclass(frozen=True)
class EffectForecast:
    """Seeds that the verdict on one effect would need, with 80 % power.

    Attributes:
        name: name of the effect.
        outcome: name of the outcome.
        noise: noise of the effect, as far as the runs tell.
        visible: smallest effect that the seeds asked for show, at the upper 80 % bound of the noise; None where there
            are too few of them for a verdict.
        needed: seeds that show the target, at the estimated noise and at its upper bound; None where none do. Of a
            loss None, since the target is in the unit of scores.
        equivalence: seeds that show no effect to be smaller than the smallest one of interest, likewise.
        floor: effect that stays unseen on other examples however many seeds are run.
        looks: forecast of the looks; empty for a study with a fixed number of seeds.
    """

    name: str
    outcome: str
    noise: Noise
    visible: float | None
    needed: Seeds | None
    equivalence: Seeds | None
    floor: float | None
    looks: tuple[LookForecast, ...] = ()


@dataclass(frozen=True)
class Forecast:
    """Forecast of a study: what it would take to decide each effect.

    Attributes:
        source: runs that tell the noise.
        seeds: seeds asked for.
        target: size of effect that one wants to see; also the smallest effect of interest.
        hours: hours of one seed of all configurations.
        effects: each main effect on each outcome.
        primary: primary outcome.
    """

    source: str
    seeds: int
    target: float
    hours: float
    effects: tuple[EffectForecast, ...]
    primary: str = OVERALL


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
    primary: str | None = None,
    looks: bool = False,
) -> Forecast | None:
    """Forecast of the verdict on each effect.

    Args:
        contrasts: the effects; only main ones are looked at.
        scored: outcomes of all runs at hand.
        arms: arm of the design -> seed -> run, as far as they are finished.
        all_arms: the configurations of all runs at hand, for effects whose own runs do not tell.
        source: runs at hand, in words.
        seeds: seeds asked for; with looks the largest number.
        target: effect that one wants to see.
        hours: hours of one seed of all configurations.
        rows: rows that the table will have, for the correction of the secondary outcomes.
        primary: primary outcome; default: overall, or the only task.
        looks: True for a study that runs until it is decided.

    Returns:
        None where the runs at hand do not tell the noise of every effect on the primary outcome.
    """
    main = [contrast for contrast in contrasts if contrast.main]
    first = primary_outcome(scored, primary)
    forecasts = []
    for outcome in scored:
        is_first = outcome.name == first
        size = margin(outcome.metric, target)
        prior_noises = pair_noises(outcome, all_arms)
        for contrast in main:
            noise = contrast_noise(contrast, outcome, arms) or borrowed_noise(contrast, prior_noises)
            if noise is None:
                continue
            tests = len(main) if is_first else rows
            effect = _effect(contrast.name, outcome.name, noise, tests=tests, seeds=seeds, target=size)
            if looks and is_first and size is not None:
                effect = replace(effect, looks=_looks(noise, size, seeds, len(main)))
            forecasts.append(effect)
    if all(effect.outcome != first for effect in forecasts):
        return None
    return Forecast(source, seeds, target, hours, tuple(forecasts), first)


def study_forecast(
    contrasts: Sequence[Contrast],
    jobs: Mapping[str, Sequence[Job]],
    finished: Iterable[Run],
    *,
    seeds: int,
    target: float,
    primary: str | None = None,
    looks: bool = False,
) -> Forecast | None:
    """Forecast of the verdict on each effect of a study, from finished runs.

    Args:
        contrasts: the effects, by the names of arms.
        jobs: arm -> its jobs.
        finished: all finished runs at hand.
        seeds: seeds asked for; with looks the largest number.
        target: effect that one wants to see.
        primary: primary outcome; default: overall, or the only task.
        looks: True for a study that runs until it is decided.

    Returns:
        None where the runs at hand do not tell.
    """
    cells = [arm_jobs[0].config for arm_jobs in jobs.values()]
    alike = comparable(finished, cells[0])
    per_work = cost.seconds_per_work(alike, cells[0].data)
    runs = {arm: {job.config.seed: Run(job.path) for job in arm_jobs if job.finished} for arm, arm_jobs in jobs.items()}
    prior = noise_runs([*alike, *(run for arm_runs in runs.values() for run in arm_runs.values())], cells)
    if prior is None or per_work is None:
        return None
    return forecast(
        contrasts,
        prior.scored,
        {arm: {seed: str(run.path) for seed, run in arm_runs.items()} for arm, arm_runs in runs.items()},
        prior.arms,
        source=prior.source,
        seeds=seeds,
        target=target,
        hours=sum(map(cost.work, cells)) * per_work / 3600,
        rows=len(contrasts) * len(outcome_names(cells[0].tasks)),
        primary=primary,
        looks=looks,
    )


def _effect(name: str, outcome: str, noise: Noise, *, tests: int, seeds: int, target: float | None) -> EffectForecast:
    upper = noise.upper
    needed = equivalence = None
    if target is not None:
        needed = seeds_needed(noise.sd, target, tests=tests), seeds_needed(upper, target, tests=tests)
        equivalence = seeds_for_equivalence(noise.sd, target), seeds_for_equivalence(upper, target)
    return EffectForecast(
        name=name,
        outcome=outcome,
        noise=noise,
        visible=visible_effect(upper, seeds, tests=tests),
        needed=needed,
        equivalence=equivalence,
        floor=None if noise.example_error is None else FLOOR * noise.example_error,
    )


def _looks(noise: Noise, target: float, max_seeds: int, tests: int) -> tuple[LookForecast, ...]:
    """Forecast of the looks for an effect of the smallest size of interest, and for no effect."""
    forecasts = []
    for effect in (target, 0.0):
        (decided, seeds), (decided_upper, seeds_upper) = (
            sequential_rates(round(effect / sd, 4), round(target / sd, 4), max_seeds, tests)
            for sd in (noise.sd, noise.upper)
        )
        forecasts.append(LookForecast(effect, (decided, decided_upper), (seeds, seeds_upper)))
    return tuple(forecasts)


def contrast_noise(contrast: Contrast, outcome: Outcome, arms: Mapping[str, Mapping[int, str]]) -> Noise | None:
    """The noise of a contrast from its own runs; None where these have fewer than two seeds in common."""
    differences = by_seed(scores_of(outcome, arms), contrast.weights)
    estimated = estimate(list(differences.values())) if len(differences) > 1 else None
    if estimated is None or not estimated.sd:
        return None
    sides = [{arms[arm][seed]: weight for arm, weight in contrast.weights.items() if weight} for seed in differences]
    return Noise(estimated.sd, estimated.df, outcome.shared_error(sides), own=True)


def pair_noises(outcome: Outcome, arms: Mapping[str, Mapping[int, str]]) -> list[Noise]:
    """The noise of each difference of two configurations that have two seeds in common."""
    pairs = (Contrast("", {a: 1.0, b: -1.0}) for a, b in combinations(arms, 2))
    return [noise for pair in pairs if (noise := contrast_noise(pair, outcome, arms)) is not None]


def borrowed_noise(contrast: Contrast, noises: Sequence[Noise]) -> Noise | None:
    """The noise that a contrast would have if its differences were as noisy as those of other configurations.

    More runs average out the noise between seeds, but not that of the examples, which all runs share.
    """
    if not noises:
        return None
    share = sum(weight**2 for weight in contrast.weights.values()) / 2  # of the variance of a difference of two runs
    df = max(noise.df for noise in noises)  # pairs share arms and seeds, so they add little
    pair_sd = sqrt(sum(noise.sd**2 for noise in noises) / len(noises))
    errors = [noise.example_error**2 for noise in noises if noise.example_error is not None]
    example_error = sqrt(sum(errors) / len(errors)) if errors else None
    return Noise(sqrt(share) * pair_sd, df, example_error, own=False, pair_sd=pair_sd)


def comparable(runs: Iterable[Run], like: Config) -> list[Run]:
    """Runs that trained the same encoder on the same tasks and data."""
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
        source: number and budget of the runs, and of those that were left out, in words.
        scored: outcomes of the runs.
        arms: configurations of the runs: number -> seed -> run.
    """

    source: str
    scored: list[Outcome]
    arms: dict[str, dict[int, str]]


def noise_runs(runs: Iterable[Run], study: Sequence[Config]) -> NoiseRuns | None:
    """Comparable runs with their outcomes: at the same budget if these have two seeds, else at other budgets.

    Args:
        runs: finished and comparable runs.
        study: the configurations of the study.
    """
    budgets = [_budget(config) for config in study]
    at_hand = {str(run.path): run for run in runs}
    every = {name: run for name, run in at_hand.items() if _has_predictions(run)}
    absent = len(at_hand) - len(every)
    without = f"; {absent} without predictions left out" if absent else ""
    same_budget = {name: run for name, run in every.items() if _budget(run.config) in budgets}
    other_budgets = [(runs, "at other budgets") for runs in _by_dev_limit(every)]
    for chosen, where in ((same_budget, "at this budget"), *other_budgets):
        groups = by_configuration(chosen)
        if sum(len(group) > 1 for group in groups) < 2:
            continue
        try:
            scored = outcomes(read_tasks(chosen, study[0].data))
        except DataError:
            continue  # not the same dev rows
        repeated = [group for group in groups if len(group) > 1]
        count = sum(map(len, repeated))
        arms = {str(number): group for number, group in enumerate(groups)}
        return NoiseRuns(f"{count} runs of {len(repeated)} configurations {where}{without}", scored, arms)
    return None


def _has_predictions(run: Run) -> bool:
    return all(run.predictions(task).is_file() for task in run.config.tasks)


def _by_dev_limit(runs: Mapping[str, Run]) -> list[dict[str, Run]]:
    """The runs that score the same number of dev rows, the most runs first: others cannot be compared."""
    groups: dict[int | None, dict[str, Run]] = {}
    for name, run in runs.items():
        groups.setdefault(run.config.evaluation.max_eval_samples, {})[name] = run
    return sorted(groups.values(), key=len, reverse=True)


def _budget(config: Config) -> tuple[object, ...]:
    of_steps = config.sampling
    limit = config.evaluation.max_eval_samples
    return of_steps.epochs, of_steps.epoch_of, of_steps.steps_per_epoch, of_steps.fraction, limit
