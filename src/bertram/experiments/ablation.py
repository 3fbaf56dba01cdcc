"""Ablation: a design of factors, its runs, and the effect of each technique with intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from bertram import options
from bertram.comparison.comparable import precision_notes, score_notes
from bertram.comparison.comparison import named_runs, read_tasks
from bertram.comparison.components import components
from bertram.comparison.equivalence import SMALLEST_EFFECT
from bertram.comparison.evidence import primary_outcome, scores_of
from bertram.comparison.outcomes import OVERALL, outcome_names, outcomes
from bertram.config import Config
from bertram.errors import ConfigError
from bertram.experiments import forecast
from bertram.experiments.ablation_table import TABLE, AblationTable, Cell, DesignTable, FactorText
from bertram.experiments.budget import Budget, check_data
from bertram.experiments.design import Design, named_levels
from bertram.experiments.effects import contrasts, effects
from bertram.experiments.equal_time import StepCosts, in_words, plain, shortened
from bertram.experiments.factors import Factor, configuration, label
from bertram.experiments.looks import Plan, recorded_looks, verdict_of, with_verdict
from bertram.experiments.render import markdown
from bertram.experiments.schedule import Job, finished_runs, make_job
from bertram.experiments.until_decided import PILOT_ARMS, JobsByArm, SequentialStudy, identities
from bertram.runs.directory import Run
from bertram.runs.files import write_json, write_text


@dataclass(frozen=True)
class Ablation:
    """A design at a budget, in a results folder.

    Attributes:
        recipe: name of the recipe that the factors change.
        base: configuration of that recipe.
        factors: factors in the order of the design.
        design: combinations of levels that are run.
        seeds: random seeds of each combination.
        budget: epochs and share of the data that each run uses.
        out: the results folder; records of it count.
        folders: further results folders, whose finished runs count.
        smallest_effect: smallest effect of interest, of overall, an accuracy, F1 or a correlation.
        primary: primary outcome; None for overall, or the only task.
        step_costs: cost of a step of each configuration, for a study at equal time; None for one at equal steps.
    """

    recipe: str
    base: Config
    factors: Sequence[Factor]
    design: Design
    seeds: Sequence[int]
    budget: Budget
    out: Path
    folders: Sequence[Path] = field(default_factory=tuple)
    smallest_effect: float = SMALLEST_EFFECT
    primary: str | None = None
    step_costs: StepCosts | None = None

    def finished(self) -> dict[str, Run]:
        """All finished runs at hand, by identity."""
        return finished_runs((self.out, *self.folders))


def configurations(ablation: Ablation, seed: int) -> list[Config]:
    """One for each cell.

    Raises:
        ConfigError: all combinations that cannot work, or that are no combinations of their own, together.
    """
    base = ablation.budget.applied(ablation.base, seed)
    configs: list[Config] = []
    faults: dict[str, list[str]] = {}
    cells = ablation.design.cells
    for levels in cells:
        try:
            config = configuration(base, ablation.factors, levels)
            if ablation.step_costs is not None:
                fewest = configuration(base, ablation.factors, cells[plain(cells)])
                config = shortened(config, ablation.step_costs, fewest)
            configs.append(config)
        except ConfigError as error:
            for problem in error.problems:
                faults.setdefault(problem, []).append(label(ablation.factors, levels))
    listed = [
        f"{problem} ({len(labels)} of {len(cells)} configurations, such as {labels[0]})"
        + _remedy(problem, ablation.factors)
        for problem, labels in faults.items()
    ]
    listed += _doubles(configs)
    if listed:
        raise ConfigError(listed)
    return configs


def _remedy(problem: str, factors: Sequence[Factor]) -> str:
    if problem.startswith("surgery.frequency") and any(factor.name == "pcgrad-step" for factor in factors):
        return (
            "; in a design: the factor pcgrad, or a recipe with joint steps (--recipe e9) and no factor for the order"
        )
    return "; in a design: leave out one of the factors, or choose another --recipe or --design"


def _doubles(configs: Sequence[Config]) -> list[str]:
    """Combinations that are one and the same run, because a factor does nothing there."""
    first: dict[str, str] = {}
    faults = []
    for config in configs:
        name = first.setdefault(options.digest(config), config.recipe)
        if name != config.recipe:
            faults.append(f"{name} and {config.recipe} are one run: a factor does nothing there; leave it out")
    return faults


def jobs(ablation: Ablation) -> list[Job]:
    """The runs of a design, seed by seed; those of the pilot are the first.

    Raises:
        ConfigError: what cannot work, all of it together, before anything is trained.
    """
    names = outcome_names(ablation.base.tasks)
    if ablation.primary is not None and ablation.primary not in names:
        raise ConfigError([f"--primary: there is no outcome {ablation.primary!r}; choose one of {', '.join(names)}"])
    every = {seed: configurations(ablation, seed) for seed in ablation.seeds}
    check_data(every[ablation.seeds[0]][0])
    finished = ablation.finished()
    return [make_job(config.recipe, config, ablation.out, finished) for configs in every.values() for config in configs]


def pilot(ablation: Ablation, jobs: Sequence[Job]) -> list[Job]:
    """Runs of the design that show the noise between seeds: two cells with all seeds."""
    count = len(ablation.design.cells)
    return [job for number, job in enumerate(jobs) if number % count < PILOT_ARMS]


def known_forecast(ablation: Ablation, jobs: Sequence[Job]) -> forecast.Forecast | None:
    """Forecast of each effect's verdict from finished runs; None if they do not show the noise."""
    return forecast.study_forecast(
        contrasts(ablation.design),
        by_cell(ablation, jobs),
        ablation.finished().values(),
        seeds=len(ablation.seeds),
        target=ablation.smallest_effect,
        primary=ablation.primary,
    )


def _runs(ablation: Ablation, jobs: Sequence[Job]) -> dict[str, dict[int, Run]]:
    """Cell (its number as text) -> seed -> finished run."""
    return {
        cell: {job.config.seed: Run(job.path) for job in cell_jobs if job.finished}
        for cell, cell_jobs in by_cell(ablation, jobs).items()
    }


def result(ablation: Ablation, jobs: Sequence[Job], expected: forecast.Forecast | None) -> AblationTable:
    """The effects with intervals and verdicts, as in ablation.json; verdicts are those of the looks if there are any.

    Args:
        ablation: the design.
        jobs: its runs, seed by seed.
        expected: forecast from before the start.
    """
    design = ablation.design
    runs = _runs(ablation, jobs)
    every = named_runs(run for by_seed in runs.values() for run in by_seed.values())
    names = {run.path: name for name, run in every.items()}
    arms = {cell: {seed: names[run.path] for seed, run in by_seed.items()} for cell, by_seed in runs.items()}
    tasks = read_tasks(every, jobs[0].config.data) if every else {}
    scored = outcomes(tasks) if every else []
    scores = {outcome.name: scores_of(outcome, arms) for outcome in scored}
    weights = {contrast.name: contrast.weights for contrast in contrasts(design) if contrast.main}
    noise = {name: components(cells, weights) for name, cells in scores.items()}
    rows = effects(design, scored, arms, primary=ablation.primary, smallest=ablation.smallest_effect) if scored else []
    count = len(ablation.seeds)
    table = AblationTable(
        title=f"What each factor is worth: {ablation.recipe}, {design.kind} design, {count} "
        f"seed{'s' * (count != 1)} ({_budget_in_words(ablation, jobs[0].config)})",
        recipe=ablation.recipe,
        seeds=list(ablation.seeds),
        primary=primary_outcome(scored, ablation.primary) if scored else ablation.primary,
        smallest_effect=ablation.smallest_effect,
        design=DesignTable(
            kind=design.kind,
            resolution=design.resolution,
            generators=design.generators,
            notes=[*design.in_words(), *score_notes(every, tasks, "dev"), *precision_notes(every)],
            factors=[FactorText(factor.name, factor.text) for factor in ablation.factors],
            cells=[
                Cell(levels, _names(runs[cell]), {outcome: cells[cell] for outcome, cells in scores.items()})
                for cell, levels in zip(runs, named_levels(design), strict=True)
            ],
        ),
        power=expected,
        noise=noise,
        effects=rows,
    )
    return with_looks(table, ablation.out)


def _names(by_seed: Mapping[int, Run]) -> dict[int, str]:
    """Seed -> name of the run directory."""
    return {seed: run.path.name for seed, run in by_seed.items()}


def _budget_in_words(ablation: Ablation, applied: Config) -> str:
    text = ablation.budget.in_words(applied, "the recipe's epochs")
    return text if ablation.step_costs is None else f"{text}, {in_words(ablation.step_costs)}"


def by_cell(ablation: Ablation, jobs: Sequence[Job]) -> JobsByArm:
    """Cell (its number as text) -> its jobs, seed by seed."""
    count = len(ablation.design.cells)
    return {str(number): jobs[number::count] for number in range(count)}


def until_decided(ablation: Ablation, max_seeds: int) -> SequentialStudy:
    """The ablation as a study that runs seed after seed.

    Args:
        ablation: ablation whose seeds do not matter.
        max_seeds: largest number of seeds.

    Raises:
        ConfigError: what cannot work, all of it together.
    """

    def seeds(count: int) -> JobsByArm:
        repeated = replace(ablation, seeds=range(count))
        return by_cell(repeated, jobs(repeated))

    effects = contrasts(ablation.design)
    has_overall = len(ablation.base.tasks) > 1
    primary = ablation.primary or (OVERALL if has_overall else next(iter(ablation.base.tasks)))
    if primary not in (*ablation.base.tasks, OVERALL):
        raise ConfigError([f"--primary: looks decide on a task or overall, not on {primary}"])
    names = tuple(contrast.name for contrast in effects if contrast.main)
    plan = Plan(names, primary, ablation.smallest_effect, max_seeds, identities(seeds(1)))
    return SequentialStudy(ablation.out, plan, effects, seeds)


def with_looks(table: AblationTable, folder: Path) -> AblationTable:
    """The table of an ablation, with the verdicts of the looks in its folder on the primary outcome."""
    recorded = recorded_looks(folder)
    if recorded is None:
        return table
    plan, looks = recorded
    effects = [
        with_verdict(row, verdict_of(row.name, looks)) if row.primary and row.effect is not None else row
        for row in table.effects
    ]
    return replace(table, effects=effects, plan=plan, looks=looks)


def write(out: Path, table: AblationTable) -> None:
    """Write ablation.json and ablation.md."""
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / TABLE, table.json_values)
    write_text(out / "ablation.md", markdown(table))
