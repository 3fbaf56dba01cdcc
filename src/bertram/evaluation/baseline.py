"""The best answer that needs no model, beside which a score is read."""

from dataclasses import dataclass

from bertram.evaluation.metrics import is_error
from bertram.runs.scores import Baselines


@dataclass(frozen=True)
class Baseline:
    """A trivial answer and its score in one metric.

    Attributes:
        name: name of the answer, such as ``always_no``.
        metric: name of the metric.
        value: score of the answer.
    """

    name: str
    metric: str
    value: float

    @property
    def words(self) -> str:
        """The name as it is shown."""
        return self.name.replace("_", " ")

    def beats(self, value: float) -> bool:
        """Whether a score is worse than this one."""
        return value > self.value if is_error(self.metric) else value < self.value


def best_baseline(baselines: Baselines, metric: str) -> Baseline | None:
    """The trivial answer with the best score in a metric; None if none has a score."""
    scores = {name: answer[metric].value for name, answer in baselines.items() if metric in answer}
    defined = {name: value for name, value in scores.items() if value is not None}
    if not defined:
        return None
    name = (min if is_error(metric) else max)(defined, key=defined.__getitem__)
    return Baseline(name, metric, defined[name])
