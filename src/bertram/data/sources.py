"""Sources of a task's rows: a directory, the Hugging Face Hub, the embedded sample, or memory."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from bertram.data.memory import MEMORY, MemoryTable, Tables, tables_of
from bertram.data.tables import refuse_url
from bertram.errors import DataError
from bertram.standard_streams import is_dash
from bertram.task_files import Files
from bertram.tasks import Task

Split = Literal["train", "dev", "test"]
SECONDS_TO_ANSWER = 10.0


@dataclass(frozen=True)
class HeldOut:
    """Rows of a training file that are the dev rows of a task; equal if they are the same rows, however chosen.

    Attributes:
        file: training file, as the configuration names it.
        sha256: SHA-256 of that file.
        lines: physical line in which each dev row begins, or number of the row.
        how: sentence on the choice of the rows, for the reader of scores.
    """

    file: str
    sha256: str
    lines: Sequence[int]
    how: str = field(compare=False)


@dataclass(frozen=True)
class DataSource:
    """Source of a run's rows.

    Attributes:
        place: a directory, ``hub``, ``sample`` or ``memory``.
        tables: tables in memory; None for files.
        held_out: task -> dev rows that are held out of its training file.
    """

    place: str
    tables: Tables | None = None
    held_out: Mapping[str, HeldOut] = field(default_factory=dict)


def as_source(data: str | DataSource) -> DataSource:
    """A data source, for one that may be only its place."""
    return data if isinstance(data, DataSource) else DataSource(data)


def source_of(data: object, tasks: Iterable[str]) -> DataSource:
    """The data source that an argument `data` means: its place, or tables in memory.

    Args:
        data: a directory, ``hub``, ``sample``, a data source, or tables as `bertram.data.memory.tables_of` takes them.
        tasks: names of the tasks.

    Raises:
        DataError: it is none of these.
    """
    if isinstance(data, DataSource):
        return data
    return DataSource(str(data)) if isinstance(data, str | Path) else DataSource(MEMORY, tables_of(data, tasks))


def table_of(task: Task, source: DataSource, split: Split) -> tuple[Path | MemoryTable, str] | None:
    """The file or table of one split, and its name in records; None if there is none.

    Raises:
        DataError: the directory or the file is missing, or the Hub does not give it.
    """
    if source.tables is not None:
        table = source.tables.of(task.name, split)
        return None if table is None else (table, table.name)
    if source.place == MEMORY:
        raise DataError("the data of this run were tables in memory; give them again, or name a directory by --data")
    path = locate(task, source.place, split)
    if path is None:
        return None
    files = files_of(task, source.place)
    name = str(getattr(files, split))
    return path, f"{files.repo}/{name}" if source.place == "hub" else name


def has_split(task: Task, source: DataSource, split: Split) -> bool:
    """Whether a task names a file, or has a table, for a split."""
    if source.tables is not None:
        return source.tables.of(task.name, split) is not None
    files = task.hub if source.place == "hub" else task.files
    return files is None or getattr(files, split) is not None


class HubUnreachableError(DataError):
    """The Hub does not answer, so that asking it for the next file is of no use."""


def files_of(task: Task, data: str) -> Files:
    """The file names and columns that hold for a task in `data`: a directory, ``hub`` or ``sample``.

    Raises:
        DataError: the Hub is asked for a task that names no data set there.
    """
    if data != "hub":
        return task.files
    if task.hub is None or task.hub.repo is None:
        raise DataError(f"tasks.{task.name}.hub.repo: names no Hub data set; name one, or use --data DIR")
    return task.hub


def locate(task: Task, data: str, split: Split) -> Path | None:
    """The file of one split, downloaded when it comes from the Hub; None when the task names no such file.

    Raises:
        DataError: the directory or the file is missing, or the Hub does not give it.
    """
    files = files_of(task, data)
    name = getattr(files, split)
    if name is None:
        return None
    if data == "hub":
        return from_hub(str(files.repo), name)
    return _in_directory(data, name)


def locate_further(task: Task, place: str, data: str) -> Path:
    """The file of a task's further training rows, which is below the data directory.

    Args:
        task: definition of the task.
        place: place of the file in `Task.further`.
        data: a directory, ``hub`` or ``sample``.

    Raises:
        DataError: the file is missing, or the data are the Hub's.
    """
    file = task.further[place].file
    table = place.partition("[")[0]
    field, without = f"tasks.{task.name}.{place}.file", f"leave it out with --tasks.{task.name}.{table} none"
    if data == "hub" and not Path(file).is_absolute():
        raise DataError(
            f"{field}: {file} is looked for below the data directory, and the Hub has none; give its "
            f"absolute path, use --data DIR, or {without}"
        )
    try:
        return _in_directory(data, file)
    except DataError as error:
        if data != "sample" and not Path(data).expanduser().is_dir():
            raise  # as for every other file
        raise DataError(f"{error}; {field} names further training rows: {without}") from None


def _in_directory(data: str, name: str) -> Path:
    if is_dash(name):  # the gold file of `score`; a configuration cannot name it
        return Path(name)
    refuse_url(name)
    refuse_url(data)
    if data == "sample":
        from bertram import sample  # noqa: PLC0415 - the sample is read only when it is asked for

        directory = sample.directory()
    else:
        directory = Path(data).expanduser()
    path = directory / name
    if path.is_file():
        return path
    if not Path(name).is_absolute() and not directory.is_dir():
        raise DataError(f"{directory}: there is no such directory; --data takes a directory, hub or sample")
    near = path.parent
    present = sorted(entry.name for entry in near.iterdir()) if near.is_dir() else []
    close = difflib.get_close_matches(path.name, present, 1, 0.8)
    remedy = f"did you mean {close[0]}?" if close else f"{near} holds {_listing(present)}"
    raise DataError(f"{path}: there is no such file; {remedy}")


def _listing(names: list[str]) -> str:
    listed = ", ".join(names[:8]) or "nothing"
    return f"{listed} and {len(names) - 8} more" if len(names) > 8 else listed


def from_hub(repo: str, name: str, repo_type: Literal["dataset", "model"] = "dataset") -> Path:
    """A file of a Hub repository, from the local cache or else downloaded into it.

    What is in the cache is used as it is, so that a later run reads the same file and needs no network.
    ``HF_HUB_OFFLINE``, ``HF_ENDPOINT`` and ``HF_HOME`` count as the Hub's own library documents them.

    Raises:
        HubUnreachableError: the file is not in the cache and the Hub does not answer.
        DataError: the Hub has no such repository or file.
    """
    import huggingface_hub as hub  # noqa: PLC0415 - slow to import, and rarely needed
    from huggingface_hub.errors import EntryNotFoundError, HFValidationError, RepositoryNotFoundError  # noqa: PLC0415
    from huggingface_hub.errors import LocalEntryNotFoundError as NotCachedError  # noqa: PLC0415

    try:
        return Path(hub.hf_hub_download(repo, name, repo_type=repo_type, local_files_only=True))
    except NotCachedError:
        pass
    except HFValidationError:
        raise DataError(f"{repo!r} is not the id of a Hub {repo_type}; it looks like owner/name") from None
    try:
        # Asked first because it gives up at once, where the download would try again for half a minute.
        hub.get_hf_file_metadata(hub.hf_hub_url(repo, name, repo_type=repo_type), timeout=SECONDS_TO_ANSWER)
        return Path(hub.hf_hub_download(repo, name, repo_type=repo_type))
    except RepositoryNotFoundError:
        raise DataError(f"{repo}: the Hub has no public {repo_type} of this name; check the name, or log in") from None
    except Exception as error:  # the network libraries below have error classes of their own
        if isinstance(error, EntryNotFoundError) and not isinstance(error, NotCachedError):
            raise DataError(f"{repo}: the Hub has no file {name} there; check the name") from None
        raise HubUnreachableError(
            f"{repo}: cannot be downloaded from {hub.constants.ENDPOINT}: {_first_line(error)}\n"
            "Check the network (and that HF_HUB_OFFLINE is not set), or use files on this machine instead."
        ) from None


def _first_line(error: Exception) -> str:
    text = str(error.__cause__ or error).strip() or type(error).__name__
    return text.splitlines()[0]
