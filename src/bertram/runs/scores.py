"""Scores, in the form of record.json."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, model_serializer

from bertram.runs.typed_json import JsonObject


@dataclass(frozen=True)
class Score:
    """One score.

    Attributes:
        value: the score; None where it is undefined.
        ci95: 95 % interval over examples; None where there is none.
        n: number of examples; None for a mean over tasks.
        undefined: reason why the score is undefined.
    """

    value: float | None
    ci95: tuple[float, float] | None
    n: int | None = None
    undefined: str | None = None


TaskScores = Mapping[str, Score]  # by metric
Baselines = Mapping[str, TaskScores]  # by trivial answer


class SplitScores(BaseModel):
    """Scores on one split: of each task by metric, and over all tasks.

    Attributes:
        overall: mean of the main scores on [0, 1].
        overall_plain: mean of the main scores, correlations as they are.
    """

    model_config = ConfigDict(frozen=True, extra="allow")
    __pydantic_extra__: dict[str, dict[str, Score]]
    overall: Score
    overall_plain: Score

    @classmethod
    def of(cls, tasks: Mapping[str, TaskScores], overall: Score, overall_plain: Score) -> "SplitScores":
        """The scores of tasks, and the two over all of them."""
        return cls.model_validate({**tasks, "overall": overall, "overall_plain": overall_plain})

    @property
    def tasks(self) -> dict[str, dict[str, Score]]:
        """Task -> metric -> score."""
        return self.__pydantic_extra__

    def mean(self, name: str) -> Score:
        """The score over all tasks by its name, ``overall`` or ``overall_plain``."""
        return {"overall": self.overall, "overall_plain": self.overall_plain}[name]

    def score(self, task: str, metric: str) -> Score | None:
        """The score of a task; None where it is not recorded."""
        return self.tasks.get(task, {}).get(metric)

    @model_serializer(mode="wrap")
    def _tasks_first(self, handler: Callable[["SplitScores"], JsonObject]) -> JsonObject:
        values = handler(self)
        return {task: values[task] for task in self.tasks} | values


@dataclass(frozen=True)
class RunScores:
    """Scores on dev and, for a training, on a sample of the training rows."""

    dev: SplitScores
    train: SplitScores | None = None
