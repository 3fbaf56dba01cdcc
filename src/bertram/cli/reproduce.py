"""``bertram reproduce``."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from cyclopts import App
from cyclopts.types import PositiveFloat, PositiveInt

from bertram import options
from bertram.cli.arguments import (
    DataOrSample,
    Fraction,
    Jobs,
    KeepModels,
    MaxEvalSamples,
    MaxSeeds,
)
from bertram.cli.layout import Flag, Words, filled
from bertram.options.command_line import pairs

if TYPE_CHECKING:
    from rich.table import Table

    from bertram.experiments.schedule import Job
    from bertram.minbert.reproduce import Study
    from bertram.minbert.table_1_values import Table1

EXAMPLES = """Examples:

  bertram reproduce --data DIR --experiments 4,6,11,12 --seeds 3 --epochs 2
  bertram reproduce --data DIR --experiments 1-14,extra --dry-run
  bertram reproduce --data DIR --experiments 6,11,12 --epochs 2 --until-decided

Experiments: 1 to 14; extra (SMART with the study's constants, and as the package smart-pytorch computes it; the
encoder before any training);
sentiment (sentiment alone); sweeps; wishes (future work of the study); all; or names of recipes. `bertram recipes`
describes them. Every field of the configuration is an option by its dotted name; `bertram train --help` lists them.
"""

app = App(name="reproduce", help_epilogue=filled(EXAMPLES), help_format="plaintext")


@app.default
def reproduce(
    *words: Words,
    experiments: str = "1-14",
    seeds: PositiveInt | None = None,
    until_decided: Flag = False,
    max_seeds: MaxSeeds = None,
    smallest_effect: PositiveFloat = 0.005,
    epochs: int | None = None,
    fraction: Fraction = 1.0,
    max_eval_samples: MaxEvalSamples = None,
    jobs: Jobs = 1,
    data: DataOrSample = None,
    encoder: str | None = None,
    out: Path = Path("runs/reproduction"),
    as_published: Flag = False,
    keep_models: KeepModels = False,
    dry_run: Flag = False,
) -> None:
    """Run the study's experiments and compare their scores with the published ones.

    Runs that are finished are skipped; interrupted runs continue.

    Parameters
    ----------
    experiments
        Numbers, ranges, groups and names of experiments, separated by commas.
    seeds
        Number of runs per experiment, with the seeds 0, 1, 2, and so on. Default: 1.
    until_decided
        Run seed after seed until every row is decided against row 4 or --max-seeds is reached, instead of --seeds.
    smallest_effect
        Smallest effect of interest on the overall score, an accuracy or a correlation.
    epochs
        Epochs of an experiment that has 10 in the study; the others are scaled alike. Default: as in the study.
    encoder
        minilm, mpnet, a directory in the Hugging Face layout, or a Hub id. Default: minilm.
    out
        Results folder.
    as_published
        Use the cosine itself as the paraphrase logit, as in the published code.
    dry_run
        Print the runs and the estimated hours, without training.
    """
    from bertram.minbert import published  # noqa: PLC0415  (torch loads only now)
    from bertram.minbert import reproduce as study  # noqa: PLC0415

    selected = published.select(experiments, published_logit=as_published)
    limits = budget(words, epochs, fraction, max_eval_samples, data, encoder)
    limit = largest_seeds(seeds, max_seeds, until_decided=until_decided)
    request = study.Study(selected, range(seeds or 1), limits, out, smallest_effect=smallest_effect)
    if limit is not None:
        _until_decided(request, limit, at_once=jobs, keep_models=keep_models, dry_run=dry_run)
        return
    _run(request, at_once=jobs, keep_models=keep_models, dry_run=dry_run)


def _run(request: "Study", *, at_once: int, keep_models: bool, dry_run: bool) -> None:
    """Run every experiment with every seed, and show Table 1."""
    from bertram.cli.board import Board  # noqa: PLC0415
    from bertram.cli.terminal import console  # noqa: PLC0415
    from bertram.errors import RunError  # noqa: PLC0415
    from bertram.experiments.looks import refuse_looks  # noqa: PLC0415
    from bertram.experiments.schedule import failed_runs, run_jobs  # noqa: PLC0415
    from bertram.minbert import reproduce as study  # noqa: PLC0415
    from bertram.minbert.remake import note_study  # noqa: PLC0415

    all_jobs = study.jobs(request)
    refuse_looks(request.out)
    if dry_run:
        console().print(plan(all_jobs, study.expected_hours(all_jobs, request.finished())))
        return
    note_study(request)
    failures = run_jobs(all_jobs, Board(), at_once=at_once, keep_models=keep_models)
    table = study.table(request)
    study.write_table(request.out, table)
    _show(request.out, table)
    if failures:
        raise RunError(failed_runs(failures, len(all_jobs)))


def _until_decided(request: "Study", max_seeds: int, *, at_once: int, keep_models: bool, dry_run: bool) -> None:
    """Look after 3, 4, … seeds; rows that are decided stop."""
    from bertram.cli.terminal import console  # noqa: PLC0415
    from bertram.cli.until_decided import Options, run_until_decided  # noqa: PLC0415
    from bertram.experiments.forecast import Forecast  # noqa: PLC0415
    from bertram.experiments.looks import Look  # noqa: PLC0415
    from bertram.minbert import reproduce as study  # noqa: PLC0415
    from bertram.minbert.remake import note_study  # noqa: PLC0415
    from bertram.minbert.table_1_values import TABLE, read_table_1  # noqa: PLC0415

    def write(looks: list[Look], power: Forecast | None) -> None:
        note_study(request, power)
        if looks:
            study.write_table(request.out, study.table(request))

    sequential = study.until_decided(request, max_seeds)
    left_out = [experiment.name for experiment in request.experiments if not study.decidable(experiment)]
    if left_out:
        console().print(f"left out, since they train nothing or have not all tasks: {', '.join(left_out)}")
    run_until_decided(sequential, request.finished, Options(at_once, keep_models, dry_run), write)
    if not dry_run:
        _show(request.out, read_table_1(request.out / TABLE))


def _show(out: Path, table: "Table1") -> None:
    """Print Table 1 and where it is."""
    from bertram.cli.show_table_1 import table_1  # noqa: PLC0415
    from bertram.cli.terminal import console  # noqa: PLC0415
    from bertram.minbert.table_1_values import TABLE  # noqa: PLC0415

    console().print(table_1(table))
    console().print(f"table: {out / TABLE}")


def largest_seeds(seeds: int | None, max_seeds: int | None, *, until_decided: bool) -> int | None:
    """The largest number of seeds of a study that runs until it is decided; None where it does not.

    Raises:
        UsageError: options that do not go together.
    """
    from bertram.cli.failures import UsageError  # noqa: PLC0415

    if until_decided and seeds is not None:
        raise UsageError("--seeds and --until-decided exclude each other; --max-seeds limits the seeds")
    if max_seeds is not None and not until_decided:
        raise UsageError("--max-seeds needs --until-decided")
    if max_seeds is not None and max_seeds < 3:
        raise UsageError("--max-seeds must be at least 3")
    return (max_seeds or 12) if until_decided else None


def budget(
    words: tuple[str, ...],
    epochs: int | None,
    fraction: float,
    max_eval_samples: int | None,
    data: str | None,
    encoder: str | None,
) -> Any:
    """The budget that a command line asks for.

    Raises:
        ConfigError: all faults, one line each.
    """
    from bertram.errors import ConfigError  # noqa: PLC0415
    from bertram.experiments.budget import Budget  # noqa: PLC0415

    faults = [] if epochs is None or epochs > 0 else ["--epochs must be at least 1"]
    faults += [] if 0 < fraction <= 1 else ["--fraction must be above 0 and at most 1"]
    faults += [] if max_eval_samples is None or max_eval_samples > 1 else ["--max-eval-samples must be at least 2"]
    if faults:
        raise ConfigError(faults)
    top = {name: value for name, value in (("data", data), ("encoder", encoder)) if value is not None}
    return Budget(epochs, fraction, max_eval_samples, options.merge(options.nest(pairs(words)), top))


def plan(jobs: "list[Job]", hours: dict[str, float]) -> "Table":
    """Table of all runs with their estimated hours."""
    from rich.table import Table  # noqa: PLC0415

    total = f"about {sum(hours.values()):.1f} hours if run one at a time"
    table = Table(title="Runs", title_justify="left", caption=total)
    for heading in ("run", "state", "hours"):
        table.add_column(heading, justify="right" if heading == "hours" else "left")
    for job in jobs:
        table.add_row(
            job.key, "finished" if job.finished else "to do", f"{hours[job.key]:.2f}" if job.key in hours else ""
        )
    return table
