"""Studies that run seed after seed until they are decided, on the terminal: forecast, runs, looks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bertram.cli.board import Board
from bertram.cli.reproduce import plan
from bertram.cli.show_forecast import forecast_parts
from bertram.cli.terminal import console, say
from bertram.comparison.contrast import LEAST_SEEDS
from bertram.errors import RunError
from bertram.experiments.forecast import Forecast, study_forecast
from bertram.experiments.looks import Look, is_over, look_line, read_looks
from bertram.experiments.request import noted_forecast
from bertram.experiments.schedule import Job, failed_runs, run_jobs
from bertram.experiments.until_decided import PILOT_ARMS, SequentialStudy
from bertram.minbert.reproduce import expected_hours
from bertram.runs.directory import Run


@dataclass(frozen=True)
class Options:
    """Options of the runs: runs at a time, whether models are kept, and whether runs are only listed (dry run)."""

    at_once: int
    keep_models: bool
    dry_run: bool


def run_until_decided(
    study: SequentialStudy,
    finished: Callable[[], Mapping[str, Run]],
    options: Options,
    write: Callable[[list[Look], Forecast | None], None],
) -> None:
    """Say what the looks would do, then run and look until the study is over.

    Args:
        study: the study; it continues after the looks in its folder.
        finished: all finished runs at hand, by identity.
        options: settings of the runs.
        write: function that writes the request before the first run, with no looks, and the tables after each look.

    Raises:
        RunError: the folder holds looks of another study, or runs have failed.
    """

    def run(jobs: list[Job]) -> None:
        failures = run_jobs(jobs, Board(), at_once=options.at_once, keep_models=options.keep_models)
        elsewhere = [f"{job.key}: being run elsewhere" for job in jobs if not job.finished]
        if failures or elsewhere:
            raise RunError(failed_runs(failures or elsewhere, len(jobs)))

    looks = read_looks(study.out, study.plan)
    for look in looks:
        say(look_line(look, study.plan.max_seeds))
    forecast = noted_forecast(study.out) if looks else _forecast(study, finished, None if options.dry_run else run)
    if options.dry_run:
        if is_over(study.plan, looks):
            console().print("the study is over")
            return
        jobs = study.next_jobs(looks)
        console().print(plan(jobs, expected_hours(jobs, finished())))
        console().print(f"These are the runs of the next look. There are at most {study.plan.max_seeds} seeds.")
        return
    write(looks, forecast)
    while not is_over(study.plan, looks):
        run(study.next_jobs(looks))
        looks.append(study.next_look(looks))
        say(look_line(looks[-1], study.plan.max_seeds))
        write(looks, forecast)


def _forecast(
    study: SequentialStudy, finished: Callable[[], Mapping[str, Run]], run: Callable[[list[Job]], None] | None
) -> Forecast | None:
    """Show what the looks would do, by earlier runs or else by a pilot of the study's own runs."""

    def from_runs() -> Forecast | None:
        return study_forecast(
            study.contrasts,
            study.jobs(LEAST_SEEDS),
            finished().values(),
            seeds=study.plan.max_seeds,
            target=study.plan.smallest_effect,
            primary=study.plan.primary,
            looks=True,
        )

    forecast = from_runs()
    if forecast is None and run is not None:
        by_arm = sorted(study.jobs(LEAST_SEEDS).values(), key=lambda jobs: jobs[0].config.model.freeze_encoder)
        pilot = [job for jobs in zip(*by_arm[:PILOT_ARMS], strict=True) for job in jobs]
        console().print(f"no earlier runs show the noise between seeds; {len(pilot)} runs of the first look come first")
        run(pilot)
        forecast = from_runs()
    if forecast is None:
        console().print("power unknown: there are no earlier runs of two configurations with two seeds")
        return None
    for part in forecast_parts(forecast):
        console().print(part)
    return forecast
