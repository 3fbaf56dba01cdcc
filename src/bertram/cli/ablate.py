"""``bertram ablate``."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter
from cyclopts.types import PositiveFloat, PositiveInt

from bertram.cli.arguments import (
    DataOrSample,
    EncoderOfRecipe,
    Fraction,
    Jobs,
    KeepModels,
    MaxEvalSamples,
    MaxSeeds,
)
from bertram.cli.failures import REPORT_PACKAGES
from bertram.cli.layout import Flag, Words, columns
from bertram.cli.reproduce import budget, largest_seeds, plan
from bertram.experiments.factors import FACTORS
from bertram.options.help import wrapped

if TYPE_CHECKING:
    from rich.console import Group

    from bertram.experiments.ablation import Ablation
    from bertram.experiments.ablation_table import AblationTable
    from bertram.experiments.forecast import Forecast
    from bertram.experiments.schedule import Job

EXAMPLES = """Examples:

  bertram ablate --data DIR --factors smart,pcgrad,mse,rotating --epochs 2
  bertram ablate --data DIR --factors smart,cross,model.head_dropout=0.1:0.3 \\
      --design leave-one-out --seeds 3 --dry-run

Factors:

"""
ANY_FIELD = ("FIELD=OFF:ON", "any field of the configuration by its dotted name; `bertram train --help` lists them")
JOINED = ("A+B", "several switches as one factor, such as smart-all+smart.weight=0:3")
app = App(
    name="ablate",
    help_epilogue=EXAMPLES
    + "\n".join(wrapped([*((factor.name, factor.text) for factor in FACTORS.values()), ANY_FIELD, JOINED], columns())),
    help_format="plaintext",
)


@app.default
def ablate(
    *words: Words,
    factors: str,
    design: Literal["full", "fractional", "leave-one-out", "one-at-a-time"] = "full",
    resolution: Literal[3, 4, 5] = 4,
    recipe: str = "e4",
    seeds: PositiveInt | None = None,
    smallest_effect: Annotated[PositiveFloat, Parameter(name=("--smallest-effect", "--effect"))] = 0.005,
    primary: str | None = None,
    until_decided: Flag = False,
    max_seeds: MaxSeeds = None,
    equal_time: Flag = False,
    epochs: int | None = None,
    fraction: Fraction = 1.0,
    max_eval_samples: MaxEvalSamples = None,
    jobs: Jobs = 1,
    data: DataOrSample = None,
    encoder: EncoderOfRecipe = None,
    out: Path = Path("runs/ablation"),
    records: Annotated[list[Path] | None, Parameter(negative="")] = None,
    keep_models: KeepModels = False,
    dry_run: Flag = False,
) -> None:
    """Estimate the effect of each technique with its interval, and before that, which effects the design can detect.

    Runs that are finished are skipped; interrupted runs continue.

    Parameters
    ----------
    factors
        Names of at least two factors, separated by commas; see below.
    design
        Combinations that are run: all (full), a fraction of them (fractional), all factors together and all but
        each one (leave-one-out), or none of them and each one alone (one-at-a-time).
    resolution
        Resolution of a fractional design; aliased effects are listed.
    recipe
        Recipe whose configuration the factors change.
    seeds
        Number of runs per combination, with the seeds 0, 1, 2, and so on. Default: 3.
    smallest_effect
        Smallest effect of interest on the overall score, an accuracy, F1 or a correlation.
    primary
        Primary outcome: a task, or overall (default). Its verdicts are corrected for the factors alone.
    until_decided
        Run seed after seed until every factor is decided or --max-seeds is reached, instead of --seeds.
    equal_time
        Give each combination as many steps as take the time of the plain one's. What a step costs is measured on this
        machine before the first run, which takes a minute or more, and kept in the results folder.
    epochs
        Epochs of a recipe that has 10; the others are scaled alike. Default: those of the recipe.
    out
        Results folder.
    records
        Further results folders, each after an option of its own, only read: finished runs are not repeated, and those
        at other budgets tell the noise for the forecast. Default: runs/reproduction.
    dry_run
        Print the design, its power and the estimated hours, without training.
    """
    from bertram.experiments import ablation as study  # noqa: PLC0415  (torch loads only now)
    from bertram.experiments.design import make_design  # noqa: PLC0415
    from bertram.experiments.factors import parse  # noqa: PLC0415
    from bertram.minbert import catalogue  # noqa: PLC0415

    selected = parse(factors, alone=design == "one-at-a-time")
    runs = make_design(design, [factor.name for factor in selected], resolution)
    limits = budget(words, epochs, fraction, max_eval_samples, data, encoder)
    base, folders = catalogue.recipe(recipe), records or [Path("runs/reproduction")]
    limit = largest_seeds(seeds, max_seeds, until_decided=until_decided)
    count = range(seeds or 3)
    request = study.Ablation(recipe, base, selected, runs, count, limits, out, folders, smallest_effect, primary)
    request = _with_step_costs(request, equal_time=equal_time, dry_run=dry_run)
    if limit is not None:
        _until_decided(request, limit, at_once=jobs, keep_models=keep_models, dry_run=dry_run)
        return
    _run(request, dry_run=dry_run, at_once=jobs, keep_models=keep_models)


def _with_step_costs(request: "Ablation", *, equal_time: bool, dry_run: bool) -> "Ablation":
    """The same at equal time, if that is asked for, with the costs in its results folder or else measured ones.

    Raises:
        ConfigError: the folder is that of a study at equal time, and this one is not.
    """
    from dataclasses import replace  # noqa: PLC0415

    from bertram.cli.terminal import console  # noqa: PLC0415
    from bertram.errors import ConfigError  # noqa: PLC0415
    from bertram.experiments import ablation as study  # noqa: PLC0415
    from bertram.experiments import equal_time as time  # noqa: PLC0415

    costs = time.read_step_costs(request.out)
    if not equal_time:
        if costs is not None:
            raise ConfigError([f"{request.out} has a study at equal time; add --equal-time, or use another --out"])
        return request
    if costs is None:
        configs = study.configurations(request, request.seeds[0])
        plain = configs[time.plain(request.design.cells)]
        ratios = {}
        for name, ratio in time.measured(configs, plain):
            console().print(f"a step of {name} takes {ratio:.2f} times that of {plain.recipe}")
            ratios[name] = ratio
        costs = time.StepCosts(plain.recipe, ratios, time.hashes(configs))
        if not dry_run:
            request.out.mkdir(parents=True, exist_ok=True)
            time.write_step_costs(request.out, costs)
    return replace(request, step_costs=costs)


def _run(request: "Ablation", *, dry_run: bool, at_once: int, keep_models: bool) -> None:
    """Show the power of the design, run it, and show the effects."""
    from bertram.cli.board import Board  # noqa: PLC0415
    from bertram.cli.terminal import console  # noqa: PLC0415
    from bertram.errors import RunError  # noqa: PLC0415
    from bertram.experiments import ablation as study  # noqa: PLC0415
    from bertram.experiments.looks import refuse_looks  # noqa: PLC0415
    from bertram.experiments.request import note_ablation  # noqa: PLC0415
    from bertram.experiments.schedule import failed_runs, run_jobs  # noqa: PLC0415

    jobs = study.jobs(request)
    refuse_looks(request.out)
    for line in request.design.in_words():
        console().print(line)
    power = _power(request, jobs, dry_run=dry_run, at_once=at_once, keep_models=keep_models)
    if dry_run:
        return
    power = note_ablation(request, power)
    failures = run_jobs(jobs, Board(), at_once=at_once, keep_models=keep_models)
    result = study.result(request, jobs, power)
    study.write(request.out, result)
    _show(request.out, result)
    if failures:
        raise RunError(failed_runs(failures, len(jobs)))


def _until_decided(request: "Ablation", max_seeds: int, *, at_once: int, keep_models: bool, dry_run: bool) -> None:
    """Look after 3, 4, … seeds; factors that are decided stop, and so do configurations that serve no open one."""
    from dataclasses import replace  # noqa: PLC0415

    from bertram.cli.terminal import console  # noqa: PLC0415
    from bertram.cli.until_decided import Options, run_until_decided  # noqa: PLC0415
    from bertram.experiments import ablation as study  # noqa: PLC0415
    from bertram.experiments.ablation_table import TABLE, read_ablation_table  # noqa: PLC0415
    from bertram.experiments.looks import Look, next_seeds  # noqa: PLC0415
    from bertram.experiments.request import note_ablation  # noqa: PLC0415

    def write(looks: list[Look], power: "Forecast | None") -> None:
        so_far = replace(request, seeds=range(looks[-1].seeds if looks else next_seeds(looks)))
        power = note_ablation(so_far, power)
        if looks:
            study.write(request.out, study.result(so_far, study.jobs(so_far), power))

    sequential = study.until_decided(request, max_seeds)
    for line in request.design.in_words():
        console().print(line)
    run_until_decided(sequential, request.finished, Options(at_once, keep_models, dry_run), write)
    if not dry_run:
        _show(request.out, read_ablation_table(request.out / TABLE))


def _show(out: Path, result: "AblationTable") -> None:
    """Print the effects, the looks and the noise of the primary outcome, and draw the forest plot."""
    from bertram.cli.terminal import console  # noqa: PLC0415
    from bertram.experiments.ablation_table import TABLE  # noqa: PLC0415
    from bertram.experiments.looks import look_lines  # noqa: PLC0415
    from bertram.experiments.render import noise_lines  # noqa: PLC0415

    console().print(effect_table(result))
    for line in [*look_lines(result.plan, result.looks), *noise_lines(result, result.primary)]:
        console().print(line)
    console().print(f"effects: {out / TABLE}{_forest_plot(out, result)}", soft_wrap=True)


def _forest_plot(out: Path, result: "AblationTable") -> str:
    """Path of the forest plot, or the command that installs what it needs."""
    try:
        from bertram.report.forest import write_forest  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if error.name not in REPORT_PACKAGES:
            raise
        return f" (a forest plot needs {error.name}: pip install 'bertram[report]')"
    picture = write_forest(out, result)
    return "" if picture is None else f", {picture}"


def _power(
    request: "Ablation",
    jobs: "Sequence[Job]",
    *,
    dry_run: bool,
    at_once: int,
    keep_models: bool,
) -> "Forecast | None":
    """Show what the verdict on each effect would need, by earlier records or else a pilot of the design's own runs."""
    from bertram.cli.board import Board  # noqa: PLC0415
    from bertram.cli.show_forecast import forecast_parts  # noqa: PLC0415
    from bertram.cli.terminal import console  # noqa: PLC0415
    from bertram.experiments import ablation as study  # noqa: PLC0415
    from bertram.experiments.schedule import run_jobs  # noqa: PLC0415
    from bertram.minbert.reproduce import expected_hours  # noqa: PLC0415

    power = study.known_forecast(request, jobs)
    pilot = study.pilot(request, jobs)
    if power is None and len(request.seeds) > 1 and not dry_run:
        console().print(f"no earlier runs show the noise between seeds; {len(pilot)} runs of the design come first")
        run_jobs(pilot, Board(), at_once=at_once, keep_models=keep_models)
        power = study.known_forecast(request, jobs)
    if power is not None:
        for part in forecast_parts(power):
            console().print(part)
    else:
        console().print(
            "power unknown: there are no earlier runs of two configurations with two seeds"
            + (
                f"; a pilot of {len(pilot)} runs would show it"
                if len(request.seeds) > 1
                else "; with --seeds 3 a pilot shows it"
            )
        )
    if dry_run:
        console().print(plan(list(jobs), expected_hours(jobs, request.finished())))
    return power


def effect_table(result: "AblationTable") -> "Group":
    """Effects with their intervals, and below the verdicts on the primary outcome."""
    from rich import box  # noqa: PLC0415
    from rich.console import Group  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    from bertram.experiments.render import HEADINGS, cells, effect_sentence, family_sentence  # noqa: PLC0415

    table = Table(title=result.title, title_justify="left", box=box.SIMPLE)
    for heading in HEADINGS:
        table.add_column(heading, overflow="fold")
    last = ""
    for row in result.effects:
        outcome, *values = cells(row)
        if last not in ("", outcome):
            table.add_section()
        table.add_row(outcome if outcome != last else "", *values)
        last = outcome
    sentences = [effect_sentence(row) for row in result.effects if row.outcome == result.primary]
    return Group(table, Text("\n".join([*sentences, family_sentence(result)])))
