"""``bertram ablate``."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter
from cyclopts.types import PositiveFloat, PositiveInt

from bertram.cli.reproduce import budget, plan
from bertram.experiments.factors import FACTORS

if TYPE_CHECKING:
    from rich.console import Group

    from bertram.experiments.ablation import Ablation
    from bertram.experiments.forecast import Power
    from bertram.experiments.schedule import Job

EXAMPLES = """Examples:

  bertram ablate --data DIR --factors smart,pcgrad,mse,rotating --seeds 2 --epochs 2 --fraction 0.5
  bertram ablate --data DIR --factors smart,cross,model.head_dropout=0.1:0.3 --design leave-one-out --seeds 3 --dry-run

Factors:

"""
app = App(
    name="ablate",
    help_epilogue=EXAMPLES
    + "\n".join(f"  {factor.name}\n      {factor.text}" for factor in FACTORS.values())
    + "\n  FIELD=OFF:ON\n      any field of the configuration by its dotted name, see bertram train\n",
    help_format="plaintext",
)


@app.default
def ablate(
    *given: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
    factors: str,
    design: Literal["full", "fractional", "leave-one-out"] = "full",
    resolution: Literal[3, 4, 5] = 4,
    recipe: str = "e4",
    seeds: PositiveInt = 2,
    effect: PositiveFloat = 0.005,
    epochs: int | None = None,
    fraction: float = 1.0,
    max_eval_samples: int | None = None,
    jobs: PositiveInt = 1,
    data: str | None = None,
    encoder: str | None = None,
    out: Path = Path("results/ablation"),
    records: Path = Path("results/reproduction"),
    keep_models: Annotated[bool, Parameter(negative="")] = False,
    dry_run: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Measure what each technique is worth, with intervals, and say beforehand what can be seen.

    Finished runs are skipped, broken ones go on.

    Parameters
    ----------
    factors
        Switches of the configuration, by commas.
    design
        All combinations, a fraction of them, or all factors and all but each.
    resolution
        Of a fraction: 3, 4 or 5; what it cannot tell apart is said.
    recipe
        What the factors change.
    seeds
        Runs of each combination, with the seeds 0, 1, …
    effect
        The size of effect you want to see in the overall score.
    epochs
        Of a recipe that has 10; others have more or fewer in proportion.
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
    records
        A further results folder whose finished runs count.
    keep_models
        Keep the trained models; records and predictions are kept anyway.
    dry_run
        Show design, power and hours, and stop.
    """
    from bertram.experiments import ablation as study  # noqa: PLC0415  (torch loads only now)
    from bertram.experiments.design import made  # noqa: PLC0415
    from bertram.experiments.factors import parse  # noqa: PLC0415
    from bertram.minbert import catalogue  # noqa: PLC0415

    chosen = parse(factors)
    designed = made(design, [factor.name for factor in chosen], resolution)
    limits = budget(given, epochs, fraction, max_eval_samples, data, encoder)
    asked = study.Ablation(recipe, catalogue.recipe(recipe), chosen, designed, range(seeds), limits, out, (records,))
    _run(asked, effect, dry_run=dry_run, at_once=jobs, keep_models=keep_models)


def _run(asked: "Ablation", target: float, *, dry_run: bool, at_once: int, keep_models: bool) -> None:
    """Say what can be seen, run what is wanted, and show what came out."""
    from bertram.cli.board import Board  # noqa: PLC0415
    from bertram.cli.show import console  # noqa: PLC0415
    from bertram.errors import RunError  # noqa: PLC0415
    from bertram.experiments import ablation as study  # noqa: PLC0415
    from bertram.experiments.request import note_ablation  # noqa: PLC0415
    from bertram.experiments.schedule import run_jobs  # noqa: PLC0415

    wanted = study.jobs(asked)
    for line in asked.design.in_words():
        console().print(line)
    expected = _power(asked, wanted, target, dry_run=dry_run, at_once=at_once, keep_models=keep_models)
    if dry_run:
        return
    note_ablation(asked, expected)
    failures = run_jobs(wanted, Board(), at_once=at_once, keep_models=keep_models)
    found = study.result(asked, wanted, expected)
    study.write(asked.out, found)
    console().print(effect_table(found["title"], found["effects"]))
    console().print(f"effects: {asked.out / study.TABLE}{_drawn(asked.out, found)}", soft_wrap=True)
    if failures:
        listed = "\n  - ".join(failures)
        raise RunError(f"{len(failures)} of {len(wanted)} runs failed; start again to go on with them:\n  - {listed}")


def _drawn(out: Path, found: "Mapping[str, Any]") -> str:
    """Where the forest plot is, or what it needs."""
    try:
        from bertram.report.forest import write_forest  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if error.name not in ("matplotlib", "jinja2", "markupsafe"):
            raise
        return f" (a forest plot needs {error.name}: pip install 'bertram[report]')"
    picture = write_forest(out, found)
    return "" if picture is None else f", {picture}"


def _power(
    asked: "Ablation",
    wanted: "Sequence[Job]",
    target: float,
    *,
    dry_run: bool,
    at_once: int,
    keep_models: bool,
) -> "Power | None":
    """Say what can be seen; without earlier records that tell, after a pilot of the design's own runs."""
    from bertram.cli.board import Board  # noqa: PLC0415
    from bertram.cli.show import console  # noqa: PLC0415
    from bertram.experiments import ablation as study  # noqa: PLC0415
    from bertram.experiments.schedule import run_jobs  # noqa: PLC0415
    from bertram.minbert.reproduce import expected_hours  # noqa: PLC0415

    expected = study.known_power(asked, wanted, target)
    first = study.pilot(asked, wanted)
    if expected is None and len(asked.seeds) > 1 and not dry_run:
        console().print(f"no earlier runs tell the noise of the seeds: {len(first)} runs of the design go first")
        run_jobs(first, Board(), at_once=at_once, keep_models=keep_models)
        expected = study.known_power(asked, wanted, target)
    for line in [] if expected is None else expected.in_words():
        console().print(line)
    if expected is None:
        console().print(
            "what can be seen is not known: there are no earlier runs with two seeds"
            + (f", and a pilot of {len(first)} runs would tell" if len(asked.seeds) > 1 else "; use --seeds 2")
        )
    if dry_run:
        console().print(plan(list(wanted), expected_hours(wanted, asked.finished())))
    return expected


def effect_table(title: str, effects: "Sequence[Mapping[str, Any]]") -> "Group":
    """Effects with their intervals, and below what those on the overall score mean."""
    from rich import box  # noqa: PLC0415
    from rich.console import Group  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    from bertram.experiments.effects import Measured  # noqa: PLC0415
    from bertram.experiments.render import cells, effect_sentence  # noqa: PLC0415

    table = Table(title=title, title_justify="left", box=box.SIMPLE)
    for heading in ("outcome", "factor", "effect", "95 %, other seeds", "and examples", "p (Holm)"):
        table.add_column(heading)
    last = ""
    rows = [Measured.from_json(effect) for effect in effects]
    for row in rows:
        outcome, *others = cells(row)
        if last not in ("", outcome):
            table.add_section()
        table.add_row(outcome if outcome != last else "", *others)
        last = outcome
    return Group(table, Text("\n".join(effect_sentence(row) for row in rows if row.outcome == last)))
