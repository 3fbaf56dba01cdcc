"""Prediction of whole files, with a window of rows in memory at a time."""

import itertools
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from bertram.data.inputs import InputFormat, read_texts
from bertram.data.rows import Reject
from bertram.data.texts import target_columns
from bertram.errors import BertramError
from bertram.prediction import abstention
from bertram.prediction.answers import Pieces, Prediction
from bertram.prediction.resumable_output import Row
from bertram.runs.typed_json import JsonObject
from bertram.task_files import Quoting

if TYPE_CHECKING:
    from concurrent.futures import Future

    from bertram.prediction.model import Predictor

Ids = tuple[str, ...]
WINDOW = 4096  # rows that are sorted by length and batched together
WINDOW_CHARACTERS = 1 << 22  # maximum characters of a window; bounds the memory if texts are long


def predict_file(
    model: "Predictor",
    task: str,
    source: Path | Iterable[bytes],
    *,
    columns: Sequence[str] = (),
    form: InputFormat | None = None,
    encoding: str | None = None,
    quoting: Quoting = "auto",
    batch_size: int = 64,
    abstain_below: float | None = None,
    remaining: Callable[[Iterator[Row]], Iterator[Row]] = iter,
    complain: Callable[[str], None],
    carried: deque[Mapping[str, object]] | None = None,
) -> Generator[JsonObject, None, None]:
    """Predict the rows of a file in order, with a window of rows in memory at a time.

    Args:
        model: a model on any engine, or an ensemble.
        task: name of the task to predict.
        source: path of a file, or the lines of standard input.
        columns: names of the text columns.
        form: format of the source, if its name has no known extension.
        encoding: text encoding; default: UTF-8, or that of the byte order mark.
        quoting: meaning of quotes in a table; default: standard, unless that would swallow rows.
        batch_size: examples per batch.
        abstain_below: confidence below which a prediction is withheld; None: none is.
        remaining: skips the rows that are predicted already; see `Output.remaining`.
        complain: called with a message for each rejected row.
        carried: a queue that gets all columns of each row, in the order of the predictions.

    Raises:
        BertramError: unknown task, an unreadable file, or existing predictions that belong to another input.
    """
    if task not in model.tasks:
        raise BertramError(f"unknown task {task!r}; choose one of {', '.join(model.tasks)}")
    definition = model.tasks[task]
    abstention.check([definition], abstain_below)
    rejects: list[Reject] = []
    rows = read_texts(
        source,
        definition.pair,
        columns=columns,
        likely_columns=definition.files.texts,
        targets=target_columns(definition, definition.files.targets),
        id_columns=tuple(name for name in (definition.files.id, "id") if name),
        style=definition.text_normalization,
        form=form,
        encoding=encoding,
        quoting=quoting,
        rejects=rejects,
        carried=carried,
    )
    windows = _windows(remaining(_complaining(rows, rejects, complain)))
    for ids, predictions in _predicted(model, task, windows, batch_size):
        for row_id, fields in zip(ids, abstention.entries(definition, predictions, abstain_below), strict=True):
            yield {"id": row_id, **fields}


@runtime_checkable
class BackgroundPredictor(Protocol):
    """A model that predicts in other threads, while the next rows are read and tokenized."""

    def start_predicting(
        self, task: str, pieces: Sequence[Pieces], stop: threading.Event
    ) -> "Future[list[Prediction]]":
        """Begin to predict tokenized inputs of a task; given up once `stop` is set."""
        ...


def _predicted(
    model: "Predictor", task: str, windows: Iterator[list[Row]], batch_size: int
) -> Iterator[tuple[Ids, list[Prediction]]]:
    """The ids and predictions of each window."""
    if isinstance(model, BackgroundPredictor):
        tokenized = ((ids, model.tokenizer.encode_rows(texts)) for ids, texts in _columns(windows))
        yield from _in_background(model, task, tokenized)
        return
    from bertram.prediction.model import predict_rows  # noqa: PLC0415 - PyTorch

    for ids, texts in _columns(windows):
        yield ids, predict_rows(model, task, texts, batch_size)


def _columns(windows: Iterator[list[Row]]) -> Iterator[tuple[Ids, tuple[tuple[str, ...], ...]]]:
    for window in windows:
        ids, texts = zip(*window, strict=True)
        yield ids, texts


def _in_background(
    model: BackgroundPredictor, task: str, windows: Iterator[tuple[Ids, list[Pieces]]]
) -> Iterator[tuple[Ids, list[Prediction]]]:
    """The ids and predictions of each window, of which one is computed while the next one is read.

    What is being computed when the caller stops, by a fault, an interruption or `close`, is given up.
    """
    waiting: tuple[Ids, Future[list[Prediction]]] | None = None
    fault: Exception | None = None
    stop = threading.Event()
    try:
        while fault is None:
            before, waiting = waiting, None
            try:
                ids, pieces = next(windows)
                waiting = ids, model.start_predicting(task, pieces, stop)
            except Exception as error:  # a fault of a row, or the end: what is before it has its predictions
                fault = error
            if before is not None:
                yield before[0], before[1].result()
    finally:
        stop.set()
    if not isinstance(fault, StopIteration):
        raise fault


def _complaining(rows: Iterator[Row], rejects: list[Reject], complain: Callable[[str], None]) -> Iterator[Row]:
    """The rows; each rejected row on the way is reported."""
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
