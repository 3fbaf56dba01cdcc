"""Reproduction of the study: its runs, their estimated hours, and Table 1 from their records."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from bertram.comparison.contrast import LEAST_SEEDS
from bertram.comparison.equivalence import SMALLEST_EFFECT
from bertram.comparison.evidence import Contrast
from bertram.comparison.outcomes import OVERALL
from bertram.config import Config
from bertram.errors import ConfigError
from bertram.experiments import cost
from bertram.experiments.budget import Budget, check_data, identity, train_rows
from bertram.experiments.forecast import comparable
from bertram.experiments.looks import Look, Plan, look_lines, recorded_looks, verdict_of, with_verdict
from bertram.experiments.render import LOOKS, PEEKING
from bertram.experiments.schedule import Artifact, Job, distinct, finished_runs, make_job, train_run
from bertram.experiments.until_decided import JobsByArm, SequentialStudy, identities
from bertram.minbert import constant_baseline, render, untrained
from bertram.minbert.leaderboard import SUBMISSION as SUBMISSION_FOLDER
from bertram.minbert.leaderboard import has_submission, submit_run
from bertram.minbert.published import EXPERIMENTS, REFERENCE, Experiment, variants
from bertram.minbert.table_1 import TASKS, Row, table_1
from bertram.minbert.table_1_values import TABLE, Table1, TableRow
from bertram.runs.directory import Run
from bertram.runs.files import write_json, write_text

SUBMISSION = Artifact(SUBMISSION_FOLDER, submit_run, has_submission)
UNTRAINED = {
    "e1": constant_baseline.always_no,
    "e1-yes": constant_baseline.always_yes,
    "untouched": untrained.untouched,
    "untouched-mean": untrained.untouched,
}


@dataclass(frozen=True)
class Study:
    """A request for experiments, with a budget and a results folder.

    Attributes:
        experiments: requested experiments.
        seeds: random seeds of each experiment.
        budget: share of the study that is run.
        out: results folder.
        folders: further results folders, only read; their finished runs count.
        smallest_effect: smallest effect of interest, of overall, an accuracy or a correlation.
    """

    experiments: Sequence[Experiment]
    seeds: Sequence[int]
    budget: Budget
    out: Path
    folders: Sequence[Path] = field(default_factory=tuple)
    smallest_effect: float = SMALLEST_EFFECT

    def finished(self) -> dict[str, Run]:
        """All finished runs in the folders, by identity."""
        return finished_runs((self.out, *self.folders))


def jobs(study: Study) -> list[Job]:
    """The runs of the study, seed by seed, so that an interrupted study has complete rows.

    Raises:
        ConfigError: all faults, before anything is trained.
    """
    check_data(study.budget.applied(EXPERIMENTS[REFERENCE].config(), seed=0))
    finished = study.finished()
    return distinct(
        [
            make_job(
                experiment.name,
                study.budget.applied(experiment.config(), seed),
                study.out,
                finished,
                constant=experiment.constant,
                produce=UNTRAINED.get(experiment.name, train_run),
                artifact=SUBMISSION if experiment.submission and seed == study.seeds[0] else None,
            )
            for seed in study.seeds
            for experiment in study.experiments
        ]
    )


def expected_hours(jobs: Sequence[Job], finished: Mapping[str, Run]) -> dict[str, float]:
    """Estimated hours of each unfinished run, from comparable records or from a few measured steps."""
    todo = [job for job in jobs if not job.finished]
    trained = [job for job in todo if not job.constant]
    if not trained:
        return cost.hours(jobs, 0.0)
    first = next((job.config for job in trained if not job.config.model.freeze_encoder), trained[0].config)
    per_work = cost.seconds_per_work(comparable(finished.values(), first), first.data)
    return cost.hours(jobs, per_work or cost.measured_seconds_per_work(first))


def until_decided(study: Study, max_seeds: int) -> SequentialStudy:
    """The rows against the reference as a study that runs seed after seed.

    Rows that are another row's run, that train nothing, or that lack a task have no effect of their own.

    Args:
        study: study whose seeds do not matter.
        max_seeds: largest number of seeds.

    Raises:
        ConfigError: no row to decide on, or what cannot work.
    """
    reference = EXPERIMENTS[REFERENCE]
    compared = [
        experiment for experiment in study.experiments if experiment.name != REFERENCE and decidable(experiment)
    ]

    def seeds(count: int) -> JobsByArm:
        by_arm: dict[str, list[Job]] = {}
        for job in jobs(replace(study, experiments=(reference, *compared), seeds=range(count))):
            by_arm.setdefault(job.name, []).append(job)
        return by_arm

    if not compared:
        raise ConfigError([f"--until-decided: name rows besides {REFERENCE} that train and score all three tasks"])
    first = seeds(1)
    contrasts = [Contrast(name, {name: 1.0, REFERENCE: -1.0}) for name in first if name != REFERENCE]
    plan = Plan(
        tuple(contrast.name for contrast in contrasts), OVERALL, study.smallest_effect, max_seeds, identities(first)
    )
    return SequentialStudy(study.out, plan, contrasts, seeds)


def decidable(experiment: Experiment) -> bool:
    """Whether looks can decide on an experiment: it trains, and scores all tasks."""
    return not experiment.constant and set(TASKS) <= experiment.config().tasks.keys()


def table(study: Study) -> Table1:
    """Table 1 from all finished runs with the budget of the study, with the verdicts of the looks in its folder."""
    finished = study.finished()
    seeds = sorted({run.config.seed for run in finished.values()} | set(study.seeds))
    reference = study.budget.applied(EXPERIMENTS[REFERENCE].config(), seed=0)
    rows = [_row(experiment, study.budget, seeds, finished) for experiment in variants()]
    values = table_1(
        rows,
        reference.data,
        title(reference, study.budget),
        notes(reference, rows),
        smallest_effect=study.smallest_effect,
    )
    recorded = recorded_looks(study.out)
    if recorded is None:
        has_seeds = any(len(row.runs) >= LEAST_SEEDS and row.experiment.name != REFERENCE for row in rows)
        return replace(values, notes=[*values.notes, PEEKING]) if has_seeds else values
    by_experiment = {row.experiment.name: _identity(row.experiment, study.budget, 0) for row in rows}
    return _with_looks(values, *recorded, by_experiment)


def _with_looks(table: Table1, plan: Plan, looks: Sequence[Look], by_experiment: Mapping[str, str]) -> Table1:
    """Table 1 with the verdicts of looks on the overall score.

    Args:
        table: the table.
        plan: plan of the looks.
        looks: the looks.
        by_experiment: experiment -> identity of its run with seed 0, since several experiments may be one run.
    """
    effects = {identity: name for name, identity in plan.configurations.items() if name in plan.effects}
    rows: list[TableRow] = []
    for row in table.rows:
        effect, overall = effects.get(by_experiment[row.experiment]), row.differences[OVERALL]
        if effect is not None and overall is not None:
            decision = with_verdict(overall, verdict_of(effect, looks))
            rows.append(replace(row, differences={**row.differences, OVERALL: decision}))
        else:
            rows.append(row)
    lines = [f"{line[0].upper()}{line[1:]}." for line in look_lines(plan, looks)]
    return replace(
        table, rows=rows, plan=plan, looks=looks, notes=[*table.notes, *lines, LOOKS.format(primary=OVERALL)]
    )


def write_table(out: Path, table: Table1) -> None:
    """Write table.json and table.md."""
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / TABLE, table.json_values)
    write_text(out / "table.md", render.markdown(table))


def title(reference: Config, budget: Budget) -> str:
    """Title of the table: encoder, budget, and a caveat if the encoder was pretrained on the data."""
    caveat = ", which has seen Quora pairs: the study's question asked of that encoder" if _knows(reference) else ""
    return f"Table 1 again, on {reference.encoder}{caveat} ({budget.in_words(reference)})"


def notes(reference: Config, rows: Sequence[Row]) -> list[str]:
    """Notes below the table."""
    present = {row.experiment.name for row in rows if row.runs}
    lines = [
        "The study's encoder was BERT-base, its seeds one each. All of ours are dev scores.",
        "Intervals of the difference hold for other seeds and other examples where there are 3 seeds, and for other "
        "examples and these very models where there are fewer.",
        "Intervals in the verdicts are for other seeds on these examples.",
    ]
    if "e1" in present:
        lines.append("Row 1: the study's paraphrase score of .375 is that of always yes, not of always no.")
    if present & {"e13", "e14"}:
        lines.append("Rows 13 and 14: the study's figures are test scores, and not comparable with dev.")
    if "untouched" in present:
        lines.append(
            "Untouched: the similarity that the encoder has before any training, by the cosine that rows 2 and 3 use "
            "and by that of its mean vectors."
        )
    if "e14" in present:
        pairs = train_rows(reference.tasks["quora"], reference)
        lines.append(f"Row 14: the Quora training file here has {pairs:,} pairs, the course's about 280,000.")
    if _knows(reference):
        lines.append(
            f"{reference.encoder} was pretrained on Quora pairs, among others, and is good at similarity before any "
            "tuning."
        )
    if reference.data == "sample":
        lines.append("The sample is a toy of the project's own sentences: its scores say nothing about methods.")
    return lines


def _knows(config: Config) -> bool:
    return config.encoder in ("minilm", "mpnet")


def _row(experiment: Experiment, budget: Budget, seeds: Sequence[int], finished: Mapping[str, Run]) -> Row:
    config = experiment.config()
    keys = {seed: identity(budget.applied(config, seed), constant=experiment.constant) for seed in seeds}
    return Row(experiment, {seed: finished[key] for seed, key in keys.items() if key in finished})


def _identity(experiment: Experiment, budget: Budget, seed: int) -> str:
    return identity(budget.applied(experiment.config(), seed), constant=experiment.constant)
