"""``bertram reproduce``."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cyclopts import App
from cyclopts.types import PositiveInt

from bertram import options
from bertram.cli.layout import Flag, Words, filled
from bertram.options.command_line import pairs

if TYPE_CHECKING:
    from rich.table import Table

    from bertram.experiments.schedule import Job

EXAMPLES = """Examples:

  bertram reproduce --data DIR --experiments 4,6,11,12 --seeds 3 --epochs 2
  bertram reproduce --data DIR --experiments 1-14,extra --dry-run

Experiments: 1 to 14; extra (SMART with the study's constants, and as the package smart-pytorch computes it);
sentiment (sentiment alone); sweeps; wishes (future work of the study); all; or names of recipes. `bertram recipes`
describes them. Every field of the configuration is an option by its dotted name; `bertram train --help` lists them.
"""

app = App(name="reproduce", help_epilogue=filled(EXAMPLES), help_format="plaintext")


@app.default
def reproduce(
    *words: Words,
    experiments: str = "1-14",
    seeds: PositiveInt = 1,
    epochs: int | None = None,
    fraction: float = 1.0,
    max_eval_samples: int | None = None,
    jobs: PositiveInt = 1,
    data: str | None = None,
    encoder: str | None = None,
    out: Path = Path("runs/reproduction"),
    as_published: Flag = False,
    keep_models: Flag = False,
    dry_run: Flag = False,
) -> None:
    """Run the study's experiments and compare their scores with the published ones.

    Runs that are finished are skipped; interrupted runs continue.

    Parameters
    ----------
    experiments
        Numbers, ranges, groups and names of experiments, separated by commas.
    seeds
        Number of runs per experiment, with the seeds 0, 1, 2, and so on.
    epochs
        Epochs of an experiment that has 10 in the study; the others are scaled alike. Default: as in the study.
    fraction
        Share of each task's training rows that is used.
    max_eval_samples
        Dev rows of each task in evaluations. Default: all rows.
    jobs
        Runs at a time; they share the cores.
    data
        Directory with the data files; or hub (Hugging Face Hub), or sample (embedded). Default: sample.
    encoder
        minilm, mpnet, a directory in the Hugging Face layout, or a Hub id. Default: minilm.
    out
        Results folder.
    as_published
        Use the cosine itself as the paraphrase logit, as in the published code.
    keep_models
        Keep the trained models. Without it only records and predictions are kept.
    dry_run
        Print the runs and the estimated hours, without training.
    """
    from bertram.cli.board import Board  # noqa: PLC0415  (torch loads only now)
    from bertram.cli.show_table_1 import table_1  # noqa: PLC0415
    from bertram.cli.terminal import console  # noqa: PLC0415
    from bertram.errors import RunError  # noqa: PLC0415
    from bertram.experiments.schedule import run_jobs  # noqa: PLC0415
    from bertram.minbert import published  # noqa: PLC0415
    from bertram.minbert import reproduce as study  # noqa: PLC0415
    from bertram.minbert.remake import note_study  # noqa: PLC0415

    selected = published.select(experiments, published_logit=as_published)
    limits = budget(words, epochs, fraction, max_eval_samples, data, encoder)
    request = study.Study(selected, range(seeds), limits, out)
    all_jobs = study.jobs(request)
    if dry_run:
        console().print(plan(all_jobs, study.expected_hours(all_jobs, request.finished())))
        return
    note_study(request)
    failures = run_jobs(all_jobs, Board(), at_once=jobs, keep_models=keep_models)
    table = study.table(request)
    study.write_table(out, table)
    console().print(table_1(table))
    console().print(f"table: {out / study.TABLE}")
    if failures:
        raise RunError(failed_runs(failures, len(all_jobs)))


def failed_runs(failures: Sequence[str], total: int) -> str:
    """Error message about runs of a study that failed."""
    lines = [f"{len(failures)} of {total} runs failed; repeat the command to continue them:", *failures]
    return "\n  - ".join(lines)


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
