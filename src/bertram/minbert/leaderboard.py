"""The course leaderboard's six files, exactly in its form."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from bertram.comparison.prediction_files import counted, listed
from bertram.data.checks import left_out
from bertram.data.examples import tokenized
from bertram.data.rows import Rows, read_rows
from bertram.data.sources import HubUnreachableError, Split
from bertram.errors import BertramError, DataError
from bertram.label_spaces import LabelSpace
from bertram.minbert import label_probabilities
from bertram.model.outputs import output_of
from bertram.prediction.load import load
from bertram.prediction.model import Predictor
from bertram.runs.directory import Run
from bertram.runs.files import write_json
from bertram.runs.hashes import hashes_below, sha256_of
from bertram.runs.typed_json import read_object
from bertram.tasks import QUORA, SST, STS, Task

SPLITS: tuple[Split, ...] = ("dev", "test")


class LeaderboardFile(NamedTuple):
    """A task's file: the stem of its name, its header, and the label space of its values."""

    stem: str
    header: str
    space: LabelSpace


SUBMISSION = "submission"  # folder of a run directory
# The header's misspelling is the leaderboard's own.
LEADERBOARD = {
    "sst": LeaderboardFile("sst", "Predicted_Sentiment", SST.label_space),
    "quora": LeaderboardFile("para", "Predicted_Is_Paraphrase", QUORA.label_space),
    "sts": LeaderboardFile("sts", "Predicted_Similiary", STS.label_space),
}


def write_submission(
    directory: Path, outputs: Mapping[str, Mapping[str, Mapping[str, float]]], splits: Sequence[Split] = SPLITS
) -> list[Path]:
    """Write the course leaderboard's six files, exactly in its form.

    A class and a yes or no are written as an integer, a similarity with the digits that give back the same
    number when read.

    Args:
        directory: directory to write to; created if it is missing.
        outputs: task (sst, quora, sts) -> split (dev, test) -> id -> predicted value, in the order to write.
        splits: splits whose files are written.

    Returns:
        The paths written.

    Raises:
        BertramError: predictions are missing or are no values of their task; then nothing is written.
    """
    contents, problems = {}, []
    for task, file in LEADERBOARD.items():
        for split in splits:
            values = outputs.get(task, {}).get(split)
            if not values:
                problems.append(f"no predictions for {task} {split}")
                continue
            wrong = [f"{id_!r} is {value}" for id_, value in values.items() if file.space.fault(value)]
            if wrong:
                problems.append(f"{task} {split}: values that the task does not have: {counted(wrong)}")
            contents[f"{file.stem}-{split}-output.csv"] = _leaderboard_text(file, values)
    if problems:
        raise BertramError(listed("the leaderboard's six files cannot be written", problems))
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in contents.items():
        (directory / name).write_bytes(text.encode())
    return [directory / name for name in contents]


def _leaderboard_text(file: LeaderboardFile, values: Mapping[str, float]) -> str:
    written = ((id_, file.space.written(value)) for id_, value in values.items())
    return f"id \t {file.header} \n" + "".join(f"{id_} , {value} \n" for id_, value in written)


def submit(
    run: Run,
    data: str,
    out: Path,
    *,
    splits: Sequence[Split] = SPLITS,
    batch_size: int = 64,
    allow_rejects: bool = False,
    complain: Callable[[str], None],
    track: Callable[[Iterable[str]], Iterable[str]] = iter,
) -> list[Path]:
    """Predict the dev and test-student files of the three tasks and write the leaderboard's six files.

    Multi-label tasks of the run add a table of probabilities for each of their dev and test files; a run that has none
    of the three tasks gives these alone. Dev rows without a label do not count there, as they do not count in training.

    Args:
        run: run with the three tasks, or with multi-label tasks.
        data: directory with the course's files; or hub, or sample.
        out: directory to write to.
        splits: splits that are predicted.
        batch_size: examples per batch.
        allow_rejects: accept files with more than 1 % of rejected rows.
        complain: called with a message for each row that is not predicted.
        track: wraps the iteration over tasks and splits, to show progress.

    Beside the directory, `OUT.source` holds the SHA-256 of the files of the model and the data, and of those written:
    they identify a submission by its content.

    Returns:
        The paths written.

    Raises:
        BertramError: the run has not the three tasks, or files cannot be read or written.
    """
    labelled = [name for name, task in run.config.tasks.items() if task.label_space.is_set]
    with_leaderboard = not labelled or not LEADERBOARD.keys().isdisjoint(run.config.tasks)
    if with_leaderboard:
        _require_tasks(run)
    model = load(run)
    leaderboard_splits = splits if with_leaderboard else ()
    rows, label_rows = _read(model, data, labelled, allow_rejects, splits, leaderboard_splits)
    for (name, _), file_rows in label_rows.items():
        for line in left_out(name, file_rows):
            complain(line)
    tables = {
        label_probabilities.file_name(*file): label_probabilities.probability_table(
            model, model.tasks[file[0]], file_rows, batch_size
        )
        for file, file_rows in label_rows.items()
    }
    for file, file_rows in rows.items():
        for line in left_out(file.split()[0], file_rows):
            complain(line)
    outputs: dict[str, dict[str, dict[str, float]]] = {name: {} for name in LEADERBOARD if with_leaderboard}
    for file in track(list(rows)):
        name, split = file.split()
        outputs[name][split] = _predicted(model, model.tasks[name], rows[file], batch_size)
    try:
        written = write_submission(out, outputs, splits) if outputs else []
        written += [label_probabilities.write_table(out / name, table) for name, table in tables.items()]
        data_files = {part.name: part.sha256 for part in (*rows.values(), *label_rows.values())}
        source = {"model": hashes_below(run.model), "data": data_files}
        write_json(_source_path(out), {**source, "files": {path.name: sha256_of(path) for path in written}})
        return written
    except OSError as error:
        raise BertramError(f"{out}: cannot be written: {error.strerror}; choose another --out") from None


def has_submission(run: Run) -> bool:
    """Whether a run's submission is there, was made of the run's model, and is what was written; by content."""
    out = run.path / SUBMISSION
    try:
        source = read_object(_source_path(out))
        now = {"model": hashes_below(run.model), "files": {path.name: sha256_of(path) for path in out.iterdir()}}
        return all(source[part] == hashes for part, hashes in now.items())
    except (OSError, ValueError, KeyError, BertramError):
        return False


def _source_path(out: Path) -> Path:
    return out.with_name(f"{out.name}.source")


def submit_run(run: Run) -> None:
    """Write the submission of a run of a study into its own directory, from the data that it was trained on."""
    config = run.config
    submit(run, config.data, run.path / SUBMISSION, allow_rejects=config.allow_rejects, complain=lambda _: None)


def _require_tasks(run: Run) -> None:
    """Refuse a run whose tasks, their labels or their range are not the leaderboard's."""
    missing = [name for name in LEADERBOARD if name not in run.config.tasks]
    if missing:
        names = ", ".join(run.config.tasks)
        raise BertramError(
            f"{run.path}: has no task {' and no task '.join(missing)} (its tasks: {names}); the leaderboard wants "
            f"{', '.join(LEADERBOARD)}"
        )
    for standard in (SST, QUORA, STS):
        task = run.config.tasks[standard.name]
        if (task.kind, task.labels, task.range) != (standard.kind, standard.labels, standard.range):
            values = (
                f"the labels {', '.join(standard.labels)}" if standard.labels else f"the range {list(standard.range)}"
            )
            kind = f"of kind {standard.kind} with {values}"
            raise BertramError(f"{run.path}: its task {task.name} is not the leaderboard's, which is {kind}")


def _read(
    model: Predictor,
    data: str,
    labelled: Sequence[str],
    allow_rejects: bool,
    splits: Sequence[Split],
    leaderboard_splits: Sequence[Split],
) -> tuple[dict[str, Rows], dict[tuple[str, Split], Rows]]:
    """The rows of the leaderboard's and of multi-label tasks by split, or all reasons why there are none."""
    rows: dict[str, Rows] = {}
    label_rows: dict[tuple[str, Split], Rows] = {}
    problems = []
    for name in labelled:
        for split in label_probabilities.splits_with_files(model.tasks[name], data):
            if split not in splits:
                continue
            try:
                label_rows[name, split] = read_rows(
                    model.tasks[name], data, split, labelled=split == "dev", allow_rejects=allow_rejects
                )
            except HubUnreachableError:
                raise
            except DataError as error:
                problems.append(str(error))
    for name in LEADERBOARD:
        for split in leaderboard_splits:
            try:
                task = model.tasks[name]
                part = read_rows(task, data, split, labelled=split == "dev", allow_rejects=allow_rejects)
                rows[f"{name} {split}"] = part
            except HubUnreachableError:
                raise
            except DataError as error:
                problems.append(str(error))
    if problems:
        raise DataError("\n".join(dict.fromkeys(problems)))
    return rows, label_rows


def _predicted(model: Predictor, task: Task, rows: Rows, batch_size: int) -> dict[str, float]:
    examples = tokenized(task, rows, model.tokenizer, model.max_tokens)
    values = output_of(task).decide(model.outputs(examples, batch_size))
    return dict(zip(rows.ids, values.tolist(), strict=True))
