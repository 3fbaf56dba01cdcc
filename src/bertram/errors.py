"""Errors that a user can act on.

The command line prints their text without a traceback and exits 1; everything else is a bug.
"""

from collections.abc import Iterable


class BertramError(ValueError):
    """Something the user can put right: the message says what is wrong, where, and what to do."""


class ConfigError(BertramError):
    """One or more faults of a configuration, all reported at once.

    Args:
        problems: one line per fault, each naming the field and the remedy.
    """

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = list(problems)
        if len(self.problems) == 1:
            super().__init__(self.problems[0])
        else:
            listed = "\n".join(f"  - {problem}" for problem in self.problems)
            super().__init__(f"{len(self.problems)} problems:\n{listed}")


class DataError(BertramError):
    """A fault of a data file or of its rows."""


class WeightsError(BertramError):
    """Pretrained or trained weights that cannot be used: missing, damaged, or of another shape."""


class RunError(BertramError):
    """A run directory that is missing, exists already, is damaged, or has another format version."""


class TrainingError(BertramError):
    """Training cannot continue: a loss or gradient is not finite."""


class Fault(ValueError):  # noqa: N818 - not an error of the program: the row becomes a reject
    """The reason why a row is rejected."""


class NoLabel(Fault):
    """A row without a label, which is no row of the task and no reject."""
