"""Predicting whole files, a window of rows in memory at a time; what only scores need is not loaded."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from bertram.data.examples import Examples, tokenize
from bertram.data.inputs import InputFormat, read_texts
from bertram.data.rows import Reject
from bertram.errors import BertramError
from bertram.prediction.model import Predictor, entry, predictions
from bertram.prediction.resumable_output import Row, remaining
from bertram.tasks import Quoting

WINDOW = 4096  # rows that are sorted by length together
WINDOW_CHARACTERS = 1 << 22  # most of them, where texts are long: bounds the memory


def predict_file(
    model: Predictor,
    task: str,
    source: Path | Iterable[bytes],
    *,
    columns: Sequence[str] = (),
    form: InputFormat | None = None,
    encoding: str | None = None,
    quoting: Quoting = "auto",
    batch_size: int = 64,
    done: Iterable[str] = (),
    complain: Callable[[str], None],
) -> Iterator[dict[str, Any]]:
    """Predict a file row by row, in its order, a window of rows in memory at a time.

    Args:
        model: a model or an ensemble.
        task: which of its tasks.
        source: a file, or the lines of standard input.
        columns: names of the text columns.
        form: format of a source whose name does not tell it.
        encoding: text encoding; default: UTF-8, or what a byte order mark says.
        quoting: meaning of quotes in a table; default: standard, except where they would swallow rows.
        batch_size: examples computed together.
        done: ids of the rows that are predicted already; these are left out.
        complain: told of each row that cannot be predicted.

    Raises:
        BertramError: no such task, a fault of the file, or `done` are not the ids of its first rows.
    """
    if task not in model.tasks:
        raise BertramError(f"there is no task {task!r}; this model has {', '.join(model.tasks)}")
    known = model.tasks[task]
    rejects: list[Reject] = []
    rows = read_texts(
        source,
        known.pair,
        columns=columns or known.files.texts,
        id_columns=tuple(name for name in (known.files.id, "id") if name),
        style=known.text_normalization,
        form=form,
        encoding=encoding,
        quoting=quoting,
        rejects=rejects,
    )
    for window in _windows(remaining(_complaining(rows, rejects, complain), done)):
        ids, texts = zip(*window, strict=True)
        pieces = tokenize(texts, model.tokenizer)
        examples = Examples(known, ids, pieces, None, model.tokenizer, model.max_tokens)
        for one, prediction in zip(ids, predictions(known, model.outputs(examples, batch_size)), strict=True):
            yield {"id": one, **entry(known, prediction)}


def _complaining(rows: Iterator[Row], rejects: list[Reject], complain: Callable[[str], None]) -> Iterator[Row]:
    """The rows, with a complaint of each that was rejected on the way."""
    for row in itertools.chain(rows, [None]):
        for reject in rejects:
            complain(f"rejected: {reject}")
        rejects.clear()
        if row is not None:
            yield row


def _windows(rows: Iterator[Row]) -> Iterator[list[Row]]:
    window: list[Row] = []
    characters = 0
    for row in rows:
        window.append(row)
        characters += sum(map(len, row[1]))
        if len(window) == WINDOW or characters >= WINDOW_CHARACTERS:
            yield window
            window, characters = [], 0
    if window:
        yield window
