"""Prediction of whole files, with a window of rows in memory at a time."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from bertram.data.examples import make_examples
from bertram.data.inputs import InputFormat, read_texts
from bertram.data.rows import Reject, target_columns
from bertram.errors import BertramError
from bertram.prediction import abstention
from bertram.prediction.model import Predictor, predictions
from bertram.prediction.resumable_output import Row
from bertram.runs.typed_json import JsonObject
from bertram.tasks import Quoting

WINDOW = 4096  # rows that are sorted by length and batched together
WINDOW_CHARACTERS = 1 << 22  # maximum characters of a window; bounds the memory if texts are long


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
    abstain_below: float | None = None,
    remaining: Callable[[Iterator[Row]], Iterator[Row]] = iter,
    complain: Callable[[str], None],
) -> Iterator[JsonObject]:
    """Predict the rows of a file in order, with a window of rows in memory at a time.

    Args:
        model: a model or an ensemble.
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
    )
    for window in _windows(remaining(_complaining(rows, rejects, complain))):
        ids, texts = zip(*window, strict=True)
        examples = make_examples(definition, ids, texts, model.tokenizer, model.max_tokens)
        window_predictions = predictions(definition, model.outputs(examples, batch_size))
        for row_id, fields in zip(ids, abstention.entries(definition, window_predictions, abstain_below), strict=True):
            yield {"id": row_id, **fields}


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
