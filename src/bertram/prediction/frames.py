"""Predictions for tables in memory, and DataFrames with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from bertram.data.memory import is_table, memory_table
from bertram.data.texts import target_columns, with_target
from bertram.errors import BertramError, Fault
from bertram.tasks import Task

if TYPE_CHECKING:
    from bertram.prediction.answers import Prediction, Text

PREDICTION = "prediction"
PROBABILITY = "probability of {}"


class PredictsTexts(Protocol):
    """The part of a model that predicts texts."""

    tasks: dict[str, Task]

    def predict(self, task: str, texts: Any, batch_size: int = 64) -> list[Prediction]:
        """Predict texts, or pairs of texts."""
        ...


def texts_in(tasks: Mapping[str, Task], task: str, inputs: Any) -> Sequence[Text]:
    """The texts of a table, in the task's text columns, targets marked; anything else as it is.

    Args:
        tasks: tasks of the model.
        task: name of the task.
        inputs: texts, pairs of texts, or a table.

    Raises:
        BertramError: the table has no such columns, or a span is outside its text.
    """
    if task not in tasks or not is_table(inputs):
        texts: Sequence[Text] = inputs
        return texts
    table = memory_table(inputs, "the table")
    definition = tasks[task]
    columns, spans = definition.files.texts, target_columns(definition, definition.files.targets)
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise BertramError(
            f"the table has no column {', '.join(map(repr, missing))} (its columns are: {', '.join(table.columns)})"
        )
    if not spans or not set(spans) <= set(table.columns):
        spans = ()
    rows = [_texts(number, row, columns, spans) for number, row in enumerate(table.rows)]
    return [row if len(row) == 2 else row[0] for row in rows]


def _texts(number: int, row: Mapping[str, object], columns: Sequence[str], spans: Sequence[str]) -> tuple[str, ...]:
    """The text or texts of a row, with their targets marked where the row has spans."""
    texts = [row.get(name) for name in columns]
    try:
        if spans:
            texts = [with_target(text, row.get(span)) for text, span in zip(texts, spans, strict=True)]
    except Fault as fault:
        raise BertramError(f"input {number}: {fault}") from None
    return tuple("" if text is None else str(text) for text in texts)


def predict_frame(model: PredictsTexts, task: str, table: Any, batch_size: int = 64) -> Any:
    """A table with a column of predictions, and for classes one for each probability.

    Args:
        model: a model or an ensemble.
        task: name of one of its tasks.
        table: a list of dictionaries, a dictionary of columns, a DataFrame, an Arrow table or a Hugging Face data set.
        batch_size: examples per batch.

    Returns:
        A DataFrame of pandas for one of pandas, otherwise a DataFrame of polars.

    Raises:
        BertramError: unknown task, a text that is empty, or a table without the task's text columns.
    """
    import polars  # noqa: PLC0415 - slow to import, and rarely needed

    predictions = model.predict(task, table, batch_size)
    columns = _columns(model.tasks[task], predictions)
    own = memory_table(table, "the table")
    double = [name for name in columns if name in own.columns]
    if double:
        raise BertramError(f"the table has a column {double[0]!r} already; rename it")
    if hasattr(table, "assign"):  # pandas
        return table.assign(**columns)
    frame = table if isinstance(table, polars.DataFrame) else polars.DataFrame(list(own.rows), infer_schema_length=None)
    return frame.with_columns(polars.Series(name, values) for name, values in columns.items())


def _columns(task: Task, predictions: Sequence[Prediction]) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {
        PREDICTION: [answer.value if answer.label is None else answer.label for answer in predictions]
    }
    for place, name in enumerate(task.class_names):
        shares = [answer.probabilities[place] for answer in predictions if answer.probabilities is not None]
        columns[PROBABILITY.format(name)] = shares
    return columns
