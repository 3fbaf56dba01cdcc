"""Judged pairs of usages as the files of a task: word in context, with whole words held out in folds."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np

from bertram.data.tables import Record, open_table
from bertram.data.targets import marked
from bertram.errors import DataError, Fault
from bertram.label_spaces import read_number
from bertram.runs.files import write_text
from bertram.semantic_change.usages import Usage, by_word, read_usages

JUDGMENT_COLUMNS = ("identifier1", "identifier2", "judgment")
LOWEST, HIGHEST = 1.0, 4.0  # DURel's scale: unrelated, distantly related, closely related, identical
TASK = """\
# Word in context: how near are the meanings of the marked word in two texts?
# bertram train --config {config} --data {first} --out RUN

[tasks.wic]
kind = "score"
range = [1.0, 4.0]
pooling = "target"
encoding = "bi"
head = "cosine"

[tasks.wic.files]
train = "train.tsv"
dev = "dev.tsv"
id = "id"
texts = ["text1", "text2"]
label = "judgment"
"""


@dataclass(frozen=True)
class JudgedPair:
    """Two usages of a word with the median judgment of its annotators.

    Attributes:
        word: target word.
        id: ids of the two usages.
        texts: both texts, targets marked.
        judgment: median of the judgments, 1 to 4.
    """

    word: str
    id: str
    texts: tuple[str, str]
    judgment: float


@dataclass(frozen=True)
class JudgedPairs:
    """Pairs that were read.

    Attributes:
        pairs: pairs in the order of the files.
        undecided: number of pairs without a judgment other than "cannot decide" (0).
        rejected: one line for each row that cannot be used, with place and reason.
    """

    pairs: list[JudgedPair]
    undecided: int
    rejected: list[str]


def read_judged_pairs(directory: Path) -> JudgedPairs:
    """The judged pairs of a DWUG directory, ``data/WORD/uses.csv`` and ``data/WORD/judgments.csv``.

    Raises:
        DataError: no such files, a missing column, or no pair that can be used.
    """
    if not directory.is_dir():
        raise DataError(f"{directory}: not a directory; name a DWUG directory, with data/WORD/judgments.csv")
    usages = read_usages(directory)
    rejected, pairs, undecided = list(usages.rejected), [], 0
    for word, word_usages in by_word(usages.rows):
        path = directory / "data" / word / "judgments.csv"
        if not path.is_file():
            raise DataError(f"{path}: missing; pairs of usages need their judgments")
        texts = _marked_texts(word_usages, rejected)
        for ids, judgments in _judgments(path, texts, rejected).items():
            if judgments:
                pairs.append(JudgedPair(word, "+".join(ids), (texts[ids[0]], texts[ids[1]]), median(judgments)))
            else:
                undecided += 1
    if not pairs:
        raise DataError(f"{directory}: no judged pair of usages; {len(rejected)} rows cannot be used")
    return JudgedPairs(pairs, undecided, rejected)


def _marked_texts(usages: Sequence[Usage], rejected: list[str]) -> dict[str, str]:
    """Id of each usage -> its text with the target marked."""
    texts = {}
    for usage in usages:
        try:
            texts[usage.id] = marked(" ".join(usage.text.split("\n")), usage.start, usage.end)
        except Fault as fault:
            rejected.append(f"{usage.place}: {fault}")
    return texts


def _judgments(path: Path, texts: Mapping[str, str], rejected: list[str]) -> dict[tuple[str, str], list[float]]:
    """The judgments of each pair; 0, "cannot decide", is none."""
    judgments_of: dict[tuple[str, str], list[float]] = {}
    with open_table(path, quoting="none") as table:
        table.require(JUDGMENT_COLUMNS)
        for record in table.read(list(JUDGMENT_COLUMNS)):
            try:
                ids, judgment = _judgment(record, texts)
            except Fault as fault:
                rejected.append(f"{path}:{record.line}: {fault}")
                continue
            judgments = judgments_of.setdefault(ids, [])
            if judgment:
                judgments.append(judgment)
    return judgments_of


def _judgment(record: Record, texts: Mapping[str, str]) -> tuple[tuple[str, str], float]:
    if record.fault:
        raise Fault(record.fault)
    first, second, judgment = (str(record.values.get(name)).strip() for name in JUDGMENT_COLUMNS)
    unknown = [usage for usage in (first, second) if usage not in texts]
    if unknown:
        raise Fault(f"no usage has the id {unknown[0]!r}")
    try:
        value = read_number(judgment)
    except ValueError:
        value = -1.0
    if value and not LOWEST <= value <= HIGHEST:
        raise Fault(f"the judgment {judgment!r} is not 0 (cannot decide) or 1 to 4")
    return (min(first, second), max(first, second)), value


def folds_of(words: Sequence[str], folds: int, seed: int) -> dict[str, int]:
    """A fold from 1 on for each word, drawn by the seed; folds differ by at most one word.

    Raises:
        DataError: fewer than two folds, or more folds than words.
    """
    if not 2 <= folds <= len(words):
        raise DataError(f"{folds} folds of {len(words)} words: choose 2 to {len(words)}")
    shuffled = np.random.default_rng(seed).permutation(sorted(words))
    return {str(word): 1 + place % folds for place, word in enumerate(shuffled)}


def write_folds(pairs: Sequence[JudgedPair], fold_of: Mapping[str, int], out: Path) -> None:
    """Write ``wic.toml``, ``words.csv``, and ``fold-N/train.tsv`` and ``fold-N/dev.tsv`` for each fold.

    Args:
        pairs: judged pairs.
        fold_of: word -> the fold in which its pairs are dev rows; in all others they are training rows.
        out: directory to write to.
    """
    for fold in sorted(set(fold_of.values())):
        for name, held_out in (("train", False), ("dev", True)):
            rows = ([pair.id, pair.word, *pair.texts, f"{pair.judgment:g}"]
                    for pair in pairs if (fold_of[pair.word] == fold) == held_out)  # fmt: skip
            header = ["id", "word", "text1", "text2", "judgment"]
            write_text(out / f"fold-{fold}" / f"{name}.tsv", _table(header, rows, "\t"))
    write_text(out / "words.csv", _table(["word", "fold"], sorted((word, str(n)) for word, n in fold_of.items()), ","))
    write_text(out / "wic.toml", TASK.format(config=out / "wic.toml", first=out / "fold-1"))


def _table(header: Sequence[str], rows: Iterator[Sequence[str]] | Sequence[Sequence[str]], delimiter: str) -> str:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator="\n").writerows([header, *rows])
    return text.getvalue()
