"""The search for stronger models: train the arms of search.toml unattended, and keep what is worth committing.

    python -m tools.search                          the arms, and what is done of them
    python -m tools.search from-mpnets              all that this arm takes: teachers, files, three seeds, ensemble
    python -m tools.search best pairs --threads 1   several arms, one after the other
    python -m tools.search from-mpnets --dry-run    the commands alone
    python -m tools.search from-mpnets --trial      three steps of everything on the first rows of each file

A search that was killed goes on with the same command: what is finished stays, and a run continues from its checkpoint.
Runs are made below runs/search. Of a finished one, configuration, record, log and predictions for dev and for the
test-student files are copied to results/strong; its weights are removed unless it teaches another arm or is still to be
merged with other seeds.
"""

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tools import RESULTS

STUDY = Path(__file__).with_name("search.toml")
FILES, ENCODERS, ARMS = "files", "encoders", "arms"
KEPT = ("config.toml", "record.json", "metrics.jsonl", "predictions")
SUBMISSION = "submission"
SEEDS = (0, 1, 2)
TRIAL_ROWS = 60
TRIAL_TRAINING = ("--sampling.steps_per_epoch", "3", "--sampling.epochs", "1")
TRIAL_PRETRAINING = ("--max-steps", "3")


@dataclass(frozen=True)
class Arm:
    """A configuration that is trained with several seeds.

    Attributes:
        name: name of the arm; its runs are called NAME-seedN.
        about: what is tried.
        options: options of `bertram train` or `bertram distill`.
        teachers: names of the runs that teach it; none: it is trained without a teacher.
        needs: names of files and encoders that are made first.
        merge: what is made of its seeds, ``ensemble`` or ``soup``.
    """

    name: str
    about: str
    options: str
    teachers: Sequence[str] = ()
    needs: Sequence[str] = ()
    merge: Sequence[str] = ("ensemble",)


@dataclass(frozen=True)
class Study:
    """The arms and what is made for them once: name of a file or an encoder -> words of its command."""

    arms: Mapping[str, Arm]
    files: Mapping[str, str]
    encoders: Mapping[str, str]

    def teaching(self) -> set[str]:
        """Names of the runs that teach an arm."""
        return {teacher for arm in self.arms.values() for teacher in arm.teachers}


@dataclass(frozen=True)
class Places:
    """Where things are.

    Attributes:
        data: data directory.
        work: directory of the runs.
        results: directory of what is kept.
    """

    data: Path
    work: Path
    results: Path

    def words(self, text: str, **more: str) -> list[str]:
        """The words of a command with the places filled in."""
        work_from_data = os.path.relpath(self.work, self.data)
        here = os.path.relpath(STUDY.parent)
        return [
            word.format(data=self.data, work=self.work, work_from_data=work_from_data, here=here, **more)
            for word in shlex.split(text)
        ]


@dataclass(frozen=True)
class Job:
    """A command of the search.

    Attributes:
        name: name of what it makes.
        words: the command, without a word for continuing.
        out: what it makes.
        begun: file that says that it was begun and can be continued; None where it cannot.
        finished: file that says that it is finished.
        run: True for a run whose results are kept.
        weights_needed: True for a run whose weights are needed later: it teaches, or is merged with other seeds.
    """

    name: str
    words: Sequence[str]
    out: Path
    begun: Path | None
    finished: Path
    run: bool = True
    weights_needed: bool = False


@dataclass
class Search:
    """What is asked for.

    Attributes:
        study: arms to choose from.
        places: where things are.
        seeds: random seeds.
        threads: CPU threads of each command; None: its default.
        trial: a few steps of everything.
    """

    study: Study
    places: Places
    seeds: Sequence[int] = SEEDS
    threads: int | None = None
    trial: bool = False
    _planned: set[str] = field(default_factory=set)

    def jobs(self, names: Sequence[str]) -> Iterator[list[Job]]:
        """The jobs of some arms, and before each arm those that it needs; a list for each arm.

        The weights of the runs of a list are needed until its end.
        """
        for name in names:
            arm = self.study.arms[name]
            yield from self._teachers(arm)
            yield self._new([*self._needed(arm), *self._runs(arm, self.seeds), *self._merged(arm)])

    def _teachers(self, arm: Arm) -> Iterator[list[Job]]:
        for teacher in arm.teachers:
            name, _, seed = teacher.rpartition("-seed")
            teaching = self.study.arms[name]
            yield from self._teachers(teaching)
            yield self._new([*self._needed(teaching), *self._runs(teaching, [int(seed)])])

    def _new(self, jobs: Sequence[Job]) -> list[Job]:
        """The jobs that are not planned yet; they are from now on."""
        new = [job for job in jobs if job.name not in self._planned]
        self._planned.update(job.name for job in new)
        return new

    def _needed(self, arm: Arm) -> Iterator[Job]:
        for name in arm.needs:
            out = self.places.work / name
            if name in self.study.files:
                words = self.places.words(self.study.files[name], out=str(out))
                yield Job(name, words, out, None, out, run=False)
            else:
                words = [*self.places.words(self.study.encoders[name], out=str(out)), *self._threads()]
                words += TRIAL_PRETRAINING if self.trial else ()
                yield Job(name, words, out, out / "pretraining.json", out / "config.json", run=False)

    def _runs(self, arm: Arm, seeds: Sequence[int]) -> Iterator[Job]:
        options = [*self.places.words(arm.options), *self._threads(), *(TRIAL_TRAINING if self.trial else ())]
        command = ["train"]
        if arm.teachers:
            command = ["distill", *(str(self.places.work / teacher) for teacher in arm.teachers)]
            options += ["--distill.outputs", str(self.places.work / "outputs")]
        for seed in seeds:
            name = f"{arm.name}-seed{seed}"
            out = self.places.work / name
            words = [*command, *options, "--data", str(self.places.data), "--seed", str(seed), "--out", str(out)]
            needed = name in self.study.teaching() or (bool(arm.merge) and set(self.seeds) < set(SEEDS))
            yield Job(name, words, out, out / "config.toml", out / "record.json", weights_needed=needed)

    def _merged(self, arm: Arm) -> Iterator[Job]:
        members = [str(self.places.work / f"{arm.name}-seed{seed}") for seed in self.seeds]
        for how in arm.merge if len(members) > 1 else ():
            seeds = "" if tuple(self.seeds) == SEEDS else "-of-" + "-".join(map(str, self.seeds))
            name = f"{arm.name}-{how}{seeds}"
            out = self.places.work / name
            yield Job(name, [how, *members, "--out", str(out)], out, None, out / "record.json")

    def _threads(self) -> list[str]:
        return [] if self.threads is None else ["--threads", str(self.threads)]


def read_study(path: Path = STUDY) -> Study:
    """The arms of a study file.

    Raises:
        ValueError: an arm has a field that no arm has, or needs what is not there.
    """
    values: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    commands = {kind: {name: made["command"] for name, made in values[kind].items()} for kind in (FILES, ENCODERS)}
    try:
        arms = {name: Arm(name, **fields) for name, fields in values[ARMS].items()}
    except TypeError as error:
        raise ValueError(f"{path}: {error}") from None
    made = commands[FILES].keys() | commands[ENCODERS].keys()
    for arm in arms.values():
        missing = [name for name in arm.needs if name not in made]
        missing += [name for name in arm.teachers if name.rpartition("-seed")[0] not in arms]
        if missing:
            raise ValueError(f"{path}: arm {arm.name} needs {', '.join(missing)}, which nothing there makes")
    return Study(arms, commands[FILES], commands[ENCODERS])


def carry_out(jobs: Sequence[Job], places: Places) -> None:
    """Do what is left to do of the jobs of an arm, keep the results of its runs, and remove weights of no more use.

    Raises:
        SystemExit: a command failed.
    """
    left = not all(done(job, places) for job in jobs)
    for job in jobs:
        if not left or (job.finished.exists() and (not job.run or (job.out / "model").is_dir())):
            print(f"{job.name}: finished", flush=True)
        else:
            bertram(continued(job))
        if job.run:
            keep(job, places)
        elif job.begun is not None:
            target = places.results / job.name / job.begun.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(job.begun, target)
    for job in jobs:
        if job.run and not job.weights_needed:
            shutil.rmtree(job.out / "model", ignore_errors=True)


def done(job: Job, places: Places) -> bool:
    """Whether a job has nothing left to do: it is finished, its results are kept, and no weights are missing."""
    if not job.run:
        return job.finished.exists()
    kept = (places.results / job.name / SUBMISSION).is_dir()
    return kept and (not job.weights_needed or (job.out / "model").is_dir())


def continued(job: Job) -> list[str]:
    """The command of a job that may have been begun; what cannot be continued is removed.

    Nor can a finished run be continued: where it is wanted, its weights were removed.
    """
    if job.begun is None or (job.run and job.finished.exists()):
        if job.out.is_dir():
            shutil.rmtree(job.out)
        return list(job.words)
    return [*job.words, *(["--resume"] if job.begun.exists() else [])]


def bertram(words: Sequence[str]) -> None:
    """Run a command of BERTram.

    Raises:
        SystemExit: it failed; with its exit status.
    """
    print(f"$ {shlex.join(['bertram', *words])}", flush=True)
    status = subprocess.run([sys.executable, "-m", "bertram", *words], check=False).returncode
    if status:
        raise SystemExit(status)


def keep(job: Job, places: Places) -> None:
    """Copy what is kept of a finished run, its predictions for the test-student files last."""
    target = places.results / job.name
    if (target / SUBMISSION).is_dir():
        return
    for name in KEPT:
        source = job.out / name
        if source.is_dir():
            shutil.copytree(source, target / name, dirs_exist_ok=True)
        elif source.is_file():
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name)
    written = job.out / SUBMISSION
    bertram(["submission", str(job.out), "--data", str(places.data), "--split", "test", "--out", str(written)])
    made = target / f".{SUBMISSION}"
    shutil.rmtree(made, ignore_errors=True)
    shutil.copytree(written, made)
    made.rename(target / SUBMISSION)


def trial_data(data: Path, out: Path) -> None:
    """Copy the first rows of each file of the data directory."""
    for path in (*data.glob("*.csv"), *data.glob("extra/*.tsv")):
        target = out / path.relative_to(data)
        target.parent.mkdir(parents=True, exist_ok=True)
        with path.open(encoding="utf-8") as file:
            target.write_text("".join(line for _, line in zip(range(TRIAL_ROWS), file, strict=False)), encoding="utf-8")


def states(search: Search) -> Iterator[str]:
    """A line for each arm: what is done of it, and what is tried."""
    for arm in search.study.arms.values():
        names = [f"{arm.name}-seed{seed}" for seed in SEEDS] + [f"{arm.name}-{how}" for how in arm.merge]
        count = sum((search.places.results / name / SUBMISSION).is_dir() for name in names)
        yield f"{arm.name:24} {count} of {len(names)}  {arm.about}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Train arms, or show them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    study = read_study()
    parser.add_argument("arms", nargs="*", metavar="ARM", help=f"arms: {', '.join(study.arms)}")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="directory of the course's files")
    parser.add_argument("--work", type=Path, default=Path("runs/search"), help="directory of the runs")
    parser.add_argument("--results", type=Path, default=RESULTS / "strong", help="directory of what is kept")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS), help="random seeds")
    parser.add_argument("--threads", type=int, help="CPU threads of each training")
    parser.add_argument("--dry-run", action="store_true", help="print the commands that are left")
    parser.add_argument("--trial", action="store_true", help="three steps of everything, below runs/search-trial")
    chosen = parser.parse_args(arguments)
    unknown = [name for name in chosen.arms if name not in study.arms]
    if unknown:
        parser.error(f"no arm {', '.join(unknown)}; choose from {', '.join(study.arms)}")
    places = Places(chosen.data, chosen.work, chosen.results)
    if chosen.trial:
        work = chosen.work.with_name(f"{chosen.work.name}-trial")
        places = Places(work / "data", work, work / "results")
        if not chosen.dry_run:
            trial_data(chosen.data, places.data)
    search = Search(study, places, chosen.seeds, chosen.threads, chosen.trial)
    if not chosen.arms:
        print("\n".join(states(search)))
    for jobs in search.jobs(chosen.arms):
        if chosen.dry_run:
            for job in jobs:
                print("finished:" if done(job, places) else "$", shlex.join(["bertram", *job.words]))
        else:
            carry_out(jobs, places)


if __name__ == "__main__":
    main()
