"""Temperature and thresholds that were fitted after a training, in a file of its run directory."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path

from bertram.errors import RunError
from bertram.runs.files import write_json
from bertram.runs.scores import Score
from bertram.runs.typed_json import plain, read_object, typed

DECISIONS = "decisions.json"
FORMAT = 1


@dataclass(frozen=True)
class BeforeAfter:
    """A score before and after fitting.

    Attributes:
        before: score with the settings of the training.
        after: score on rows that the fit did not see: each fold by a fit on the others.
    """

    before: Score
    after: Score


@dataclass(frozen=True)
class TaskDecision:
    """The fitted settings of one task.

    Attributes:
        temperature: divisor of the logits.
        thresholds: probability above which yes, or each label, is predicted; empty: as trained.
        rows: number of rows that it was fitted on.
        scores: name of a score -> the score before and after.
    """

    temperature: float
    rows: int
    thresholds: Sequence[float] = ()
    scores: Mapping[str, BeforeAfter] = field(default_factory=dict)


@dataclass(frozen=True)
class Decisions:
    """The fitted settings of a run.

    Attributes:
        format: version of the file's form.
        fitted_on: name of the rows: ``dev``, or a file of predictions.
        folds: number of folds of the scores after fitting.
        tasks: task -> its settings.
    """

    format: int
    fitted_on: str
    folds: int
    tasks: Mapping[str, TaskDecision]

    def notes(self) -> Iterator[str]:
        """Caveats about scores with these settings, a sentence each."""
        names = self._names()
        if self.fitted_on == "dev":
            yield (
                f"Temperature and thresholds of {names} were fitted on dev, so dev scores with them are optimistic; "
                f"those that bertram calibrate shows are of rows that the fit did not see ({self.folds} folds)."
            )
        else:
            yield f"Temperature and thresholds of {names} were fitted on {self.fitted_on}."

    def later_notes(self, split: str) -> Iterator[str]:
        """Caveats about recorded scores and kept predictions of a split, a sentence each."""
        fitted = f"Temperature and thresholds of {self._names()} were fitted on {self.fitted_on}"
        if split == "dev":  # what the training has written
            yield f"{fitted} later: these scores are without them; bertram evaluate shows those with them."
        else:
            yield f"{fitted}; scores of predictions from before are without them."

    def _names(self) -> str:
        return ", ".join(self.tasks)


def read_decisions(directory: Path) -> Decisions | None:
    """The fitted settings of a run directory; None if nothing was fitted.

    Raises:
        RunError: the file is damaged or has an unknown format version.
    """
    path = directory / DECISIONS
    try:
        values = read_object(path)
    except FileNotFoundError:
        return None
    decisions = typed(values, Decisions, path)
    if decisions.format != FORMAT:
        raise RunError(f"{path}: format version {decisions.format!r} is unknown; this BERTram reads {FORMAT}")
    for name, task in decisions.tasks.items():
        if not (task.temperature > 0 and isfinite(task.temperature)):
            raise RunError(f"{path}: damaged: tasks.{name}.temperature is {task.temperature}")
        if not all(0 < threshold < 1 for threshold in task.thresholds):
            raise RunError(f"{path}: damaged: tasks.{name}.thresholds are not between 0 and 1")
    return decisions


def write_decisions(directory: Path, decisions: Decisions) -> None:
    """Write the fitted settings of a run directory.

    Raises:
        RunError: the disk is full or cannot be written.
    """
    write_json(directory / DECISIONS, {"format": FORMAT, **plain(decisions, Decisions)})
