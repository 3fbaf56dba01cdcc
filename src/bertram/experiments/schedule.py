"""Many runs in one results folder: finished runs are skipped, interrupted ones continue, several run at a time.

<folder>/<name>-<identity>/      a run directory, without model/ unless models are kept

Runs are identified by `budget.identity`, so a record in the folder counts for every study that needs the same run. A
lock, which ends with its process, keeps two schedules from taking the same run, also on several machines that share the
folder.
"""

import os
import shutil
import signal
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing import get_context, parent_process
from multiprocessing.queues import Queue
from pathlib import Path
from queue import Empty
from threading import Thread

import torch

from bertram.config import Config
from bertram.data.sources import DataSource
from bertram.errors import BertramError, RunError
from bertram.experiments.budget import identity, identity_of
from bertram.experiments.events import Event, Reporter, StudyDisplay, Tell
from bertram.experiments.study_precision import settle_precision
from bertram.runs.directory import Run
from bertram.runs.lock import claimed
from bertram.training.display import Display
from bertram.training.precision import kept_precision
from bertram.training.train import train

ERROR = "error.txt"


def train_run(config: Config, path: Path, display: Display) -> Run:
    """Train a run of a study, or continue it."""
    return train(config, path, resume=True, display=display, measured=kept_precision(path.parent))


@dataclass(frozen=True)
class Artifact:
    """A folder that is made of a finished run while its model is there.

    Attributes:
        name: name of the folder in the run directory.
        make: function that makes the folder; a BertramError is reported, and does not fail the run.
        is_current: function that tells whether the folder is there and was made of the run's model, by content.
    """

    name: str
    make: Callable[[Run], object]
    is_current: Callable[[Run], bool]


@dataclass(frozen=True)
class Job:
    """A run that is wanted.

    Attributes:
        name: name of the experiment or cell.
        config: configuration of the run.
        path: run directory.
        identity: hash of configuration and data, which tells runs apart.
        constant: True for constant answers, where nothing is trained.
        produce: function of a module that makes the run; other processes can import it.
        artifact: folder that is made of the finished run; None for none.
    """

    name: str
    config: Config
    path: Path
    identity: str
    constant: bool = False
    produce: Callable[[Config, Path, Display], Run] = train_run
    artifact: Artifact | None = None

    @property
    def key(self) -> str:
        """Name of the run in messages and in the progress display."""
        return f"{self.name} seed {self.config.seed}"

    @property
    def finished(self) -> bool:
        """Whether the run has a record."""
        return Run(self.path).finished


def finished_runs(folders: Iterable[Path]) -> dict[str, Run]:
    """The finished trainings of some results folders, by identity; of two with one identity the first counts."""
    runs: dict[str, Run] = {}
    for folder in folders:
        for path in sorted(folder.glob("*/record.json")):
            run = Run(path.parent)
            try:
                run_identity = None if run.record.merged is not None else identity_of(run.record)
            except RunError:
                continue
            if run_identity is not None:
                runs.setdefault(run_identity, run)
    return runs


def make_job(
    name: str,
    config: Config,
    out: Path,
    finished: Mapping[str, Run],
    *,
    constant: bool = False,
    produce: Callable[[Config, Path, Display], Run] = train_run,
    artifact: Artifact | None = None,
    source: DataSource | None = None,
) -> Job:
    """The job for a configuration: the run directory that has it already, or a new one in `out`.

    Args:
        name: name of the experiment or cell.
        config: configuration of the run.
        out: folder of new runs.
        finished: runs by identity.
        constant: True for constant answers, where nothing is trained.
        produce: function that makes the run.
        artifact: folder that is made of the finished run; None for none.
        source: tables in memory; default: the data of the configuration.

    Raises:
        RunError: the directory of the run holds the record of another one, or a damaged one.
    """
    key = identity(config, constant=constant, source=source)
    if key in finished:
        return Job(name, config, finished[key].path, key, constant, produce, artifact)
    unfinished = [path for path in sorted(out.glob(f"*-{key}")) if (path / "config.toml").is_file()]
    path = (*unfinished, out / f"{name}-{key}")[0]
    if Run(path).finished and identity_of(Run(path).record) != key:
        raise RunError(f"{path}: its record is of another configuration or other data; move it away to run it again")
    return Job(name, config, path, key, constant, produce, artifact)


def failed_runs(failures: Sequence[str], total: int) -> str:
    """Error message about runs of a study that failed."""
    lines = [f"{len(failures)} of {total} runs failed; repeat the command to continue them:", *failures]
    return "\n  - ".join(lines)


def distinct(jobs: Sequence[Job]) -> list[Job]:
    """The jobs without duplicates: two experiments can be the same run, which has the name of the first."""
    by_identity: dict[str, Job] = {}
    for job in jobs:
        first = by_identity.setdefault(job.identity, job)
        if first.artifact is None:
            by_identity[job.identity] = replace(first, artifact=job.artifact)
    return list(by_identity.values())


def run_jobs(jobs: Sequence[Job], display: StudyDisplay, *, at_once: int = 1, keep_models: bool = False) -> list[str]:
    """Run the jobs that are not finished.

    Args:
        jobs: runs in the order to start them.
        display: display of the progress.
        at_once: number of processes; they share the threads that PyTorch has here.
        keep_models: True leaves model/ in the run directories.

    Returns:
        A line for each run that failed; the others are finished, or run in another process.
    """
    jobs = distinct(jobs)
    waiting = [job for job in jobs if not job.finished]
    failures: list[str] = []

    def tell(event: Event) -> None:
        if event.state == "failed":
            failures.append(f"{event.key}: {event.text}")
        display.tell(event)

    with display:
        for job in jobs:
            tell(Event(job.key, "waiting" if job in waiting else "skipped"))
            if job not in waiting:
                _mend(job, tell)
        if waiting:
            finished = [Run(job.path) for job in jobs if job not in waiting]
            settle_precision(waiting[0].path.parent, [job.config for job in waiting], finished)
        if at_once == 1 or len(waiting) < 2:
            for job in waiting:
                work(job, tell, keep_models=keep_models)
        else:
            _in_processes(waiting, tell, min(at_once, len(waiting)), keep_models=keep_models)
    return failures


def work(job: Job, tell: Tell, *, keep_models: bool) -> None:
    """Run or continue one job; a failure is reported and does not end the study."""
    try:
        with claimed(job.path) as is_claimed:
            if not is_claimed:
                tell(Event(job.key, "elsewhere"))
                return
            _run(job, tell, keep_models=keep_models)
        tell(Event(job.key, "finished", main_scores(Run(job.path))))
    except BertramError as error:
        tell(Event(job.key, "failed", text=str(error)))
    except Exception as error:  # a fault of the program in one run must not cost the others
        with suppress(OSError):
            job.path.mkdir(parents=True, exist_ok=True)
            (job.path / ERROR).write_text(traceback.format_exc(), encoding="utf-8")
        tell(Event(job.key, "failed", text=f"{type(error).__name__}: {error}; see {job.path / ERROR}"))


def _run(job: Job, tell: Tell, *, keep_models: bool) -> None:
    if job.finished:  # another process has finished it meanwhile
        return
    tell(Event(job.key, "running"))
    if job.path.is_dir():
        (job.path / ERROR).unlink(missing_ok=True)  # left by an earlier attempt
    run = job.produce(job.config, job.path, Reporter(job.key, tell))
    _make_artifact(job, run, tell)
    if not keep_models:
        shutil.rmtree(run.path / "model", ignore_errors=True)


def _make_artifact(job: Job, run: Run, tell: Tell) -> None:
    if job.artifact is None:
        return
    try:
        job.artifact.make(run)
    except BertramError as error:
        tell(Event(job.key, "said", text=f"no {job.artifact.name}: {error}"))


def _mend(job: Job, tell: Tell) -> None:
    """Finish what a kill after the record was written has left undone."""
    run = Run(job.path)
    lacking = job.artifact is not None and run.model.is_dir() and not job.artifact.is_current(run)
    if not lacking and not run.checkpoints.is_dir():
        return
    with claimed(job.path) as is_claimed:
        if is_claimed:
            shutil.rmtree(run.checkpoints, ignore_errors=True)
            if lacking:
                _make_artifact(job, run, tell)


def main_scores(run: Run) -> dict[str, float | None]:
    """The main dev score of each task of a finished run, and `overall`; None where it is undefined."""
    scores = run.record.scores.dev
    main = {name: scores.score(name, task.scored_by) for name, task in run.config.tasks.items()}
    values = {name: None if score is None else score.value for name, score in main.items()}
    return {**values, "overall": scores.overall.value}


def _in_processes(jobs: Sequence[Job], tell: Tell, at_once: int, *, keep_models: bool) -> None:
    context = get_context("spawn")  # a fork would copy PyTorch's threads in an undefined state
    events: Queue[Event] = context.Queue()
    threads = max(1, torch.get_num_threads() // at_once)
    with ProcessPoolExecutor(at_once, context, initializer=_begin_worker, initargs=(events, threads)) as pool:
        try:
            futures = {pool.submit(_work_in_process, job, keep_models=keep_models): job for job in jobs}
            while not all(future.done() for future in futures):
                _pass_on(events, tell, seconds=0.2)
        except KeyboardInterrupt:
            for worker in list(pool._processes.values()):
                worker.terminate()
            raise
        while _pass_on(events, tell, seconds=0.2):
            pass
    for future, job in futures.items():
        _tell_of_death(future, job, tell)


def _tell_of_death(future: Future[None], job: Job, tell: Tell) -> None:
    if isinstance(future.exception(), BrokenProcessPool):
        why = "a process was killed, perhaps for lack of memory; repeat the command with fewer --jobs to continue it"
        tell(Event(job.key, "failed", text=why))
    elif (error := future.exception()) is not None:
        raise error


def _pass_on(events: "Queue[Event]", tell: Tell, seconds: float) -> bool:
    try:
        tell(events.get(timeout=seconds))
    except Empty:
        return False
    return True


_events: "Queue[Event] | None" = None  # of a worker process


def _begin_worker(events: "Queue[Event]", threads: int) -> None:
    global _events  # noqa: PLW0603 - a pool hands its queue to its processes in no other way
    _events = events
    torch.set_num_threads(threads)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the study's process ends its workers
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this worker with the study's process; otherwise it would train runs that a restarted study continues."""
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _work_in_process(job: Job, *, keep_models: bool) -> None:
    assert _events is not None
    work(job, _events.put, keep_models=keep_models)
