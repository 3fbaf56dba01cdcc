"""The price of int8: the scores of each task on dev beside those of fp32, on the same rows."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from bertram.comparison.equivalence import margin
from bertram.comparison.models import ModelDifference, compare_models
from bertram.comparison.outcomes import TaskPredictions
from bertram.comparison.sentences import model_sentence, signed
from bertram.comparison.verdict import Decision, verdict
from bertram.data.rows import read_rows
from bertram.data.splits import run_source
from bertram.errors import BertramError
from bertram.evaluation.groups import joint_groups
from bertram.evaluation.intervals import Interval
from bertram.evaluation.score_intervals import Z
from bertram.prediction.engines.making import FP32, Int8Choice, engine_of
from bertram.prediction.model import Model
from bertram.runs.directory import Run
from bertram.tasks import Task

PRICE = "int8.json"
SMALLEST = 0.003  # difference of a score below which int8 counts as equivalent to fp32
Z90 = 1.6449  # of a normal distribution's 90 %
NAMES = ("fp32", "int8")
NOTE = """\
Both were computed on the same dev rows, one row at a time. What is left in fp32 was chosen on training rows. Weights
have a scale for each output, activations one for each product, taken at run time. On x86 processors without VNNI,
products of 8 bits saturate; make the export on such a processor, and the weights have 7 bits.
"""


@dataclass(frozen=True)
class Int8Price:
    """Change of a model's dev scores by int8.

    Attributes:
        rows: a difference for each task, and overall.
        fp32: parts of the encoder that are left in fp32.
        gains: part -> change of the answers on training rows that is saved by leaving it in fp32.
        missing: reason why there are no differences; empty where there are.
    """

    rows: list[ModelDifference]
    fp32: tuple[str, ...]
    gains: dict[str, float]
    missing: str = ""

    def lines(self) -> list[str]:
        """The price in sentences."""
        left = f"int8: all parts of the encoder but {', '.join(self.fp32)}" if self.fp32 else "int8: the whole encoder"
        if self.missing:
            return [left, f"int8: not measured on dev: {self.missing}"]
        return [left, *(f"{row.task}: {sentence(row)}" for row in self.rows)]

    def section(self) -> str:
        """The price for a model card, in Markdown."""
        head = "\n## Price of int8\n\n"
        if self.missing:
            return f"{head}Not measured: {self.missing}\n"
        cells = [
            f"| {row.task} | {row.metric} | {row.n} | {_number(row.baseline_value)} | {_number(row.value)} | "
            f"{_signed(row.difference)} | {_interval(row.ci95)} | {sentence(row)} |"
            for row in self.rows
        ]
        table = "\n".join(
            ["| task | score | n | fp32 | int8 | difference | 95 % interval | verdict |", "| --- " * 8 + "|", *cells]
        )
        left = f"Left in fp32: {', '.join(self.fp32)}. " if self.fp32 else ""
        return f"{head}{table}\n\n{left}{NOTE}"

    def as_json(self) -> dict[str, Any]:
        """The price as JSON values."""
        return {
            "fp32_parts": list(self.fp32),
            "gains_on_train": self.gains,
            "smallest_effect": SMALLEST,
            "missing": self.missing or None,
            "differences": [asdict(row) for row in self.rows],
        }


def int8_price(
    run: Run, model: Model, tasks: Sequence[Task], choice: Int8Choice, notify: Callable[[str], None]
) -> Int8Price:
    """Measure what int8 costs each task on the dev rows of a run.

    Args:
        run: run of the model.
        model: model of the run.
        tasks: tasks whose answers are compared.
        choice: weights in int8.
        notify: called with a line about what takes time.
    """
    try:
        rows = {
            task.name: read_rows(task, run_source(run), "dev", allow_rejects=run.config.allow_rejects) for task in tasks
        }
    except BertramError as error:
        return Int8Price([], choice.fp32, dict(choice.gains), str(error))
    notify(f"measuring int8 on {sum(map(len, rows.values()))} dev rows")
    pieces = {name: model.tokenizer.encode_rows(part.texts) for name, part in rows.items()}
    answers = {}
    for engine, parts in zip(NAMES, (FP32, choice), strict=True):
        with tempfile.TemporaryDirectory() as directory:
            answers[engine] = engine_of(model, Path(directory), tasks, parts).answers(pieces)
    groups = joint_groups({name: part.texts for name, part in rows.items()})
    predictions = {}
    for task in tasks:
        part = rows[task.name]
        assert part.labels is not None
        values = {engine: by_task[task.name].values for engine, by_task in answers.items()}
        predictions[task.name] = TaskPredictions.from_rows(task, part.ids, part.labels, values, groups[task.name])
    return Int8Price([_judged(row) for row in compare_models(predictions)], choice.fp32, dict(choice.gains))


def _judged(row: ModelDifference) -> ModelDifference:
    """The row with a verdict that knows equivalence, by the 90 % interval of two one-sided tests."""
    if row.ci95 is None or row.difference is None or row.p_holm is None:
        return row
    smallest = margin(row.metric, SMALLEST)
    return replace(row, verdict=verdict(row.difference, row.ci95, p=row.p_holm, ci90=_ci90(row), smallest=smallest))


def _ci90(row: ModelDifference) -> Interval:
    """The 90 % interval, from the 95 % interval: each side is shorter by the ratio of the normal quantiles."""
    assert row.ci95 is not None
    assert row.difference is not None
    low, high = (row.difference + (bound - row.difference) * Z90 / Z for bound in row.ci95)
    return low, high


def sentence(row: ModelDifference) -> str:
    """The verdict in words."""
    if row.verdict.decision is Decision.EQUIVALENT:
        return f"int8 and fp32 differ by less than {SMALLEST:g}: {_signed(row.difference)} {_interval(row.ci95)}"
    negligible = f", less than {SMALLEST:g}" if row.verdict.negligible else ""
    return model_sentence(row) + negligible


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4f}"


def _signed(value: float | None) -> str:
    return "" if value is None else signed(value, 4)


def _interval(interval: Interval | None) -> str:
    return "" if interval is None else f"[{signed(interval[0], 4)}, {signed(interval[1], 4)}]"
