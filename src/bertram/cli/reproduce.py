"""``bertram reproduce``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter
from cyclopts.types import PositiveInt

from bertram import options
from bertram.cli.settings import pairs

if TYPE_CHECKING:
    from rich.table import Table

    from bertram.experiments.schedule import Job

EXAMPLES = """Examples:

  bertram reproduce --data DIR --experiments 4,6,11,12 --seeds 3 --epochs 2 --fraction 0.5
  bertram reproduce --data DIR --experiments 1-14,extra --dry-run

Experiments: 1 to 14, extra (SMART by the study's letter, and as smart-pytorch does it), sentiment (alone), sweeps,
wishes, all, or names of recipes. Any field of the configuration is an option by its dotted name, see bertram train.
"""

app = App(name="reproduce", help_epilogue=EXAMPLES, help_format="plaintext")


@app.default
def reproduce(
    *given: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
    experiments: str = "1-14",
    seeds: PositiveInt = 1,
    epochs: int | None = None,
    fraction: float = 1.0,
    max_eval_samples: int | None = None,
    jobs: PositiveInt = 1,
    data: str | None = None,
    encoder: str | None = None,
    out: Path = Path("results/reproduction"),
    as_published: Annotated[bool, Parameter(negative="")] = False,
    keep_models: Annotated[bool, Parameter(negative="")] = False,
    dry_run: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Run the study's experiments again, and put their scores beside the published ones.

    Finished runs in the results folder are skipped, broken ones go on.

    Parameters
    ----------
    experiments
        Numbers, ranges, groups and names, by commas.
    seeds
        Runs of each experiment, with the seeds 0, 1, …
    epochs
        Of a row that has 10 in the study; rows with more have more in proportion.
    fraction
        Share of the training rows of each task.
    max_eval_samples
        Dev rows of each task that are used; default: all.
    jobs
        Runs at once; they share the cores.
    data
        A directory with the files, hub, or sample.
    encoder
        minilm, a directory in the Hugging Face layout, or a Hub id.
    out
        The results folder.
    as_published
        Use the cosine itself as the paraphrase logit.
    keep_models
        Keep the trained models; records and predictions are kept anyway.
    dry_run
        Show which runs there would be and how many hours they take, and stop.
    """
    from bertram.cli.board import Board  # noqa: PLC0415  (torch loads only now)
    from bertram.cli.show import console  # noqa: PLC0415
    from bertram.cli.show_table_1 import table_1  # noqa: PLC0415
    from bertram.errors import RunError  # noqa: PLC0415
    from bertram.experiments.schedule import run_jobs  # noqa: PLC0415
    from bertram.minbert import published  # noqa: PLC0415
    from bertram.minbert import reproduce as study  # noqa: PLC0415
    from bertram.minbert.remake import note_study  # noqa: PLC0415

    chosen = published.select(experiments, published_logit=as_published)
    asked = study.Study(chosen, range(seeds), budget(given, epochs, fraction, max_eval_samples, data, encoder), out)
    wanted = study.jobs(asked)
    if dry_run:
        console().print(plan(wanted, study.expected_hours(wanted, asked.finished())))
        return
    note_study(asked)
    failures = run_jobs(wanted, Board(), at_once=jobs, keep_models=keep_models)
    found = study.table(asked)
    study.write_table(out, found)
    console().print(table_1(found))
    console().print(f"table: {out / study.TABLE}")
    if failures:
        listed = "\n  - ".join(failures)
        raise RunError(f"{len(failures)} of {len(wanted)} runs failed; start again to go on with them:\n  - {listed}")


def budget(
    given: tuple[str, ...],
    epochs: int | None,
    fraction: float,
    max_eval_samples: int | None,
    data: str | None,
    encoder: str | None,
) -> Any:
    """The budget that a command line asks for."""
    from bertram.errors import ConfigError  # noqa: PLC0415
    from bertram.experiments.budget import Budget  # noqa: PLC0415

    faults = [] if epochs is None or epochs > 0 else ["--epochs: at least 1"]
    faults += [] if 0 < fraction <= 1 else ["--fraction: above 0, and at most 1"]
    faults += [] if max_eval_samples is None or max_eval_samples > 1 else ["--max-eval-samples: at least 2"]
    if faults:
        raise ConfigError(faults)
    top = {name: value for name, value in (("data", data), ("encoder", encoder)) if value is not None}
    return Budget(epochs, fraction, max_eval_samples, options.merge(options.nest(pairs(given)), top))


def plan(wanted: "list[Job]", hours: dict[str, float]) -> "Table":
    """The runs and the hours they take one after the other."""
    from rich.table import Table  # noqa: PLC0415

    table = Table(title="Runs", title_justify="left", caption=f"about {sum(hours.values()):.1f} hours, one by one")
    for heading in ("run", "state", "hours"):
        table.add_column(heading, justify="right" if heading == "hours" else "left")
    for job in wanted:
        table.add_row(
            job.key, "finished" if job.finished else "to do", f"{hours[job.key]:.2f}" if job.key in hours else ""
        )
    return table
