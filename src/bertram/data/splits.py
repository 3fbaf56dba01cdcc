"""Dev rows that are held out of training files: stratified, seeded, and without leaks.

All tasks are split together. Rows that share a text, a value of the task's group column, or the row of one table are
one unit, whatever their tasks, and a unit is on one side. Units are placed by iterative stratification (Sechidis et
al., 2011, On the stratification of multi-label data), so that each side has its share of every label of every task;
scores count as five labels, by their quintiles. Units of several rows go only where there is room for their rows.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bertram.config import Config, SplitConfig
from bertram.data.describe import words_of
from bertram.data.rows import Rows, read_rows
from bertram.data.sources import DataSource, HeldOut, as_source, has_split
from bertram.data.targets import CLOSE, OPEN
from bertram.data.texts import unmarked
from bertram.errors import DataError
from bertram.runs.directory import Run
from bertram.runs.files import write_json
from bertram.runs.typed_json import plain, read_object, typed
from bertram.tasks import Task

SPLITS = "splits.json"
QUINTILES = (0.2, 0.4, 0.6, 0.8)
LEAST = 2  # rows of a task on each side
Key = tuple[object, ...]
RowsByTask = Mapping[str, Rows]


@dataclass(frozen=True)
class WrittenSplits:
    """The dev rows that are held out in a run, as its directory has them.

    Attributes:
        tasks: task -> dev rows.
    """

    tasks: Mapping[str, HeldOut]


def tasks_to_split(tasks: Mapping[str, Task], source: DataSource, split: SplitConfig) -> list[str]:
    """Names of the trained tasks whose dev rows are held out of their training files."""
    return [
        name
        for name, task in tasks.items()
        if task.trained
        and has_split(task, source, "train")
        and (split.fold is not None or not has_split(task, source, "dev"))
    ]


def hold_out(rows: RowsByTask, split: SplitConfig) -> dict[str, HeldOut]:
    """The dev rows of each task, or of one fold.

    Args:
        rows: task -> all usable rows of its training file.
        split: share that is held out, and rule for rows that stay together.

    Raises:
        DataError: fewer than two rows of a task would be on one side; all tasks together.
    """
    if not rows:
        return {}
    shares = [1 - split.dev_share, split.dev_share] if split.folds is None else [1 / split.folds] * split.folds
    earlier = {} if split.same_as is None else _earlier(rows, Path(split.same_as))
    fixed = {name: np.isin(rows[name].lines, np.array(dev_rows.lines)) for name, dev_rows in earlier.items()}
    sides = assign(rows, shares, split.seed, keep_together=split.keep_together, fixed=fixed)
    chosen = len(shares) - 1 if split.fold is None else split.fold
    held_out, problems = {}, []
    for name, task_rows in rows.items():
        lines = task_rows.lines[sides[name] == chosen].tolist()
        if min(len(lines), len(task_rows) - len(lines)) < LEAST:
            problems.append(_too_few(name, task_rows, len(lines), split))
        how = _in_words(len(lines), task_rows, split, earlier=name in earlier)
        held_out[name] = HeldOut(task_rows.name, task_rows.sha256, lines, how)
    if problems:
        raise DataError("\n".join(problems))
    return held_out


def _earlier(rows: RowsByTask, directory: Path) -> dict[str, HeldOut]:
    """The dev rows that a run has held out of the same files.

    Raises:
        DataError: the run has held out none, or of other files.
    """
    path = directory / SPLITS
    try:
        tasks = typed(read_object(path), WrittenSplits, path).tasks
    except FileNotFoundError:
        raise DataError(f"split.same_as: {directory} has held out no rows (it has no {SPLITS})") from None
    changed = [name for name in rows if name in tasks and tasks[name].sha256 != rows[name].sha256]
    if changed:
        raise DataError(f"split.same_as: {directory} held out rows of other files of {', '.join(changed)}")
    return {name: tasks[name] for name in rows if name in tasks}


def _too_few(name: str, rows: Rows, count: int, split: SplitConfig) -> str:
    remedy = "name a dev file (files.dev), or give more rows"
    if split.keep_together == "texts":
        remedy += "; --split.keep_together examples separates rows that share only one text"
    return (
        f"{rows.file}: {count} of the {len(rows)} rows of {name} would be dev rows, and each side needs {LEAST}: rows "
        f"that belong together are not separated; {remedy}"
    )


def _in_words(count: int, rows: Rows, split: SplitConfig, *, earlier: bool) -> str:
    together = "share a text" if split.keep_together == "texts" else "have the same texts"
    together += "" if rows.groups is None else " or a group"
    fold = "" if split.fold is None else f" as fold {split.fold} of {split.folds}"
    choice = f"the rows that {split.same_as} held out" if earlier else f"held out{fold} by seed {split.seed}"
    return f"dev is {count:,} of the {len(rows):,} rows of {rows.name}, {choice}; rows that {together} are on one side"


def assign(
    rows: RowsByTask,
    shares: Sequence[float],
    seed: int,
    *,
    keep_together: str = "texts",
    fixed: Mapping[str, NDArray[np.bool_]] | None = None,
) -> dict[str, NDArray[np.int64]]:
    """The side of each row, [rows], by task.

    Args:
        rows: task -> rows with labels.
        shares: share of the rows on each side; they sum to 1.
        seed: random seed.
        keep_together: ``texts`` for rows that share a text, ``examples`` for rows with equal texts only.
        fixed: [rows] True for dev rows, False for training rows, by task; tasks that are missing are free.

    Raises:
        DataError: rows of free tasks join fixed rows of both sides.
    """
    units = _units([_keys(task_rows, keep_together) for task_rows in rows.values()])
    strata = [_strata(task_rows) for task_rows in rows.values()]
    chosen: dict[int, int] = {}
    for name, task_units in zip(rows, units, strict=True):
        for unit, is_dev in zip(task_units.tolist(), (fixed or {}).get(name, np.array([])).tolist(), strict=False):
            if chosen.setdefault(unit, int(is_dev)) != int(is_dev):
                raise DataError(
                    f"{rows[name].file}: rows of {name} that are on both sides of the earlier split belong together "
                    "here, by a text or a group of another task; split anew"
                )
    side_of = _stratified(units, strata, shares, seed, chosen)
    return {name: side_of[unit] for name, unit in zip(rows, units, strict=True)}


def _keys(rows: Rows, keep_together: str) -> Iterator[list[Key]]:
    """Keys of each row; rows with a common key stay on one side."""
    for place, texts in enumerate(rows.texts):
        words = words_of(tuple(text.replace(OPEN, "").replace(CLOSE, "") for text in texts))
        keys: list[Key] = [("texts", *words)] if keep_together == "examples" else [("text", text) for text in words]
        keys.append(("row", rows.sha256, int(rows.lines[place])))
        if rows.groups is not None and rows.groups[place]:
            keys.append(("group", rows.groups[place]))
        yield keys


def _units(keys_by_task: Iterable[Iterable[list[Key]]]) -> list[NDArray[np.int64]]:
    """The unit of each row, by task; units are numbered in the order of their first rows."""
    parents: list[int] = []
    number: dict[Key, int] = {}
    firsts: list[list[int]] = []
    for task_keys in keys_by_task:
        firsts.append([])
        for keys in task_keys:
            for key in keys:
                if key not in number:
                    number[key] = len(parents)
                    parents.append(len(parents))
            for key in keys[1:]:
                a, b = _root(parents, number[keys[0]]), _root(parents, number[key])
                parents[max(a, b)] = min(a, b)
            firsts[-1].append(number[keys[0]])
    roots = [[_root(parents, first) for first in task] for task in firsts]
    unit = {root: place for place, root in enumerate(dict.fromkeys(root for task in roots for root in task))}
    return [np.array([unit[root] for root in task], dtype=np.int64) for task in roots]


def _root(parents: list[int], node: int) -> int:
    while parents[node] != node:
        parents[node] = parents[parents[node]]
        node = parents[node]
    return node


def _strata(rows: Rows) -> NDArray[np.int64]:
    """A number for the label of each row, [rows]; scores are cut at their quintiles."""
    assert rows.labels is not None
    labels = rows.labels
    if labels.dtype == np.float64:
        labels = np.searchsorted(np.unique(np.quantile(labels, QUINTILES)), labels, side="right")
    _, strata = np.unique(labels, return_inverse=True)
    return strata.astype(np.int64)


def _stratified(
    units: Sequence[NDArray[np.int64]],
    strata: Sequence[NDArray[np.int64]],
    shares: Sequence[float],
    seed: int,
    chosen: Mapping[int, int],
) -> NDArray[np.int64]:
    """The side of each unit, [units]; units whose side is chosen come first, then the rarest stratum."""
    contents = _contents(units, strata)
    rows_of: Counter[int] = Counter()
    for content in contents.values():
        rows_of.update(content)
    sizes = np.array([rows_of[stratum] for stratum in range(max(rows_of, default=-1) + 1)], dtype=np.float64)
    members: list[list[int]] = [[] for _ in sizes]
    order = np.random.default_rng(seed).permutation(len(contents)).tolist()
    for unit in sorted(order, key=lambda unit: -contents[unit].total()):  # stable: units of one size stay shuffled
        for stratum in contents[unit]:
            members[stratum].append(unit)
    missing = np.outer(shares, sizes)  # [sides, strata] rows that a side still lacks
    missing_rows = missing.sum(axis=1)
    side_of = np.full(len(contents), -1, dtype=np.int64)
    for unit, side in chosen.items():
        side_of[unit] = side
        for stratum, count in contents[unit].items():
            missing[side, stratum] -= count
        missing_rows[side] -= contents[unit].total()
    for stratum in np.argsort(sizes, kind="stable").tolist():
        for unit in members[stratum]:
            if side_of[unit] >= 0:
                continue
            content = contents[unit]
            goal = np.array(shares) * sizes[stratum]
            side = _side(missing[:, stratum], goal, missing_rows, content[stratum], content.total())
            side_of[unit] = side
            for member, count in content.items():
                missing[side, member] -= count
            missing_rows[side] -= content.total()
    if len(shares) == 2:
        free = [unit for unit in order if side_of[unit] == 0 and unit not in chosen]
        _fill_dev(free, contents, sizes, missing, side_of)
    return side_of


def _contents(units: Sequence[NDArray[np.int64]], strata: Sequence[NDArray[np.int64]]) -> dict[int, Counter[int]]:
    """Unit -> stratum -> rows; the strata of all tasks are numbered one after the other."""
    contents: dict[int, Counter[int]] = {}
    offset = 0
    for task_units, task_strata in zip(units, strata, strict=True):
        for unit, stratum in zip(task_units.tolist(), (task_strata + offset).tolist(), strict=True):
            contents.setdefault(unit, Counter())[stratum] += 1
        offset += int(task_strata.max()) + 1
    return contents


def _fill_dev(
    units: Sequence[int],
    contents: Mapping[int, Counter[int]],
    sizes: NDArray[np.float64],
    missing: NDArray[np.float64],
    side_of: NDArray[np.int64],
) -> None:
    """Move units to dev while it lacks rows, which it does where strata are too small to have a whole row there.

    Args:
        units: units of the training side, in the order in which they are moved.
        contents: unit -> stratum -> rows.
        sizes: [strata] rows.
        missing: [sides, strata] rows that a side still lacks; changed.
        side_of: [units] side of each unit; changed.
    """
    left = sizes.copy()
    for unit, content in contents.items():
        for stratum, count in content.items():
            left[stratum] -= count if side_of[unit] == 1 else 0
    for unit in units:
        content = contents[unit]
        if missing[1].sum() < content.total() / 2:
            continue
        if all(missing[1, stratum] > 0 and left[stratum] > count for stratum, count in content.items()):
            side_of[unit] = 1
            for stratum, count in content.items():
                missing[1, stratum] -= count
                left[stratum] -= count


def _side(
    missing: NDArray[np.float64], goal: NDArray[np.float64], missing_rows: NDArray[np.float64], count: int, total: int
) -> int:
    """The side that lacks the largest part of its goal, among those that lack at least half of the rows to be placed.

    A side must lack them of the stratum. Several rows that belong together need as much room among all strata as well;
    where no side has it, they go to the one that lacks most rows.

    Args:
        missing: [sides] rows of a stratum that a side still lacks.
        goal: [sides] rows of the stratum that a side lacked at first.
        missing_rows: [sides] rows of all strata that a side still lacks.
        count: rows of the stratum that are placed.
        total: rows of all strata that are placed.
    """
    sides = np.arange(len(missing))
    if total > 1:
        sides = np.flatnonzero(missing_rows >= total / 2)
    if len(sides) == 0:
        return int(np.argmax(missing_rows.round(9)))
    room = sides[missing[sides] >= count / 2]
    if len(room) == 0:
        return int(max(sides, key=lambda side: (round(float(missing[side]), 9), missing_rows[side])))
    return int(max(room, key=lambda side: (round(float(missing[side] / goal[side]), 9), missing_rows[side])))


def write_held_out(run: Run, held_out: Mapping[str, HeldOut]) -> None:
    """Write the dev rows that are held out into a run directory, unless there are none or the file exists."""
    path = run.path / SPLITS
    if held_out and not path.is_file():
        write_json(path, plain(WrittenSplits(held_out), WrittenSplits))


def run_source(run: Run, data: str | DataSource | None = None) -> DataSource:
    """The data of a run, with the dev rows that its training held out.

    Args:
        run: a run.
        data: other data, whose dev tables replace rows that are held out; default: those of the run.

    Raises:
        RunError: its file of held-out rows is damaged.
    """
    source = as_source(run.config.data if data is None else data)
    path = run.path / SPLITS
    try:
        values = read_object(path)
    except FileNotFoundError:
        return source
    held_out = typed(values, WrittenSplits, path).tasks
    tables = source.tables
    used = {name: rows for name, rows in held_out.items() if tables is None or tables.of(name, "dev") is None}
    return DataSource(source.place, tables, used)


def training_side(task: Task, source: DataSource, *, allow_rejects: bool = False) -> Rows:
    """The training rows of a task, with or without labels, except those with the texts of a held-out dev row.

    A row that lacks this task's label may be a dev row of another task of the same file.

    Args:
        task: task whose training file is read.
        source: data, with the dev rows that are held out for all tasks.
        allow_rejects: accept a file of which more than 1 % of the rows cannot be used.

    Raises:
        DataError: as of `read_rows`.
    """
    rows = read_rows(task, replace(source, held_out={}), "train", labelled=False, allow_rejects=allow_rejects)
    dev_lines = [
        line for dev_rows in source.held_out.values() if dev_rows.sha256 == rows.sha256 for line in dev_rows.lines
    ]
    words = [words_of(unmarked(task, texts)) for texts in rows.texts]
    dev_words = {words[place] for place in np.flatnonzero(np.isin(rows.lines, dev_lines))}
    return rows.take(np.flatnonzero([row not in dev_words for row in words]))


def config_source(config: Config, data: str | DataSource | None = None) -> DataSource:
    """The data of a configuration, with the dev rows that its training would hold out.

    Raises:
        DataError: the training files of tasks without dev files cannot be used.
    """
    source = as_source(config.data if data is None else data)
    names = tasks_to_split(config.tasks, source, config.split)
    if not names or source.held_out:
        return source
    tasks = config.tasks
    rows = {name: read_rows(tasks[name], source, "train", allow_rejects=config.allow_rejects) for name in names}
    return DataSource(source.place, source.tables, hold_out(rows, config.split))
