"""The interface by which a training shows its progress."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol


class Display(Protocol):
    """Shows the progress of a training."""

    def begin(self, done: int, total: int) -> None:
        """Training starts at step `done` of `total`; a resumed run has steps behind it."""

    def step(self, step: int, losses: Mapping[str, float], examples_per_second: float) -> None:
        """A step is done; `losses` are smoothed, by task."""

    def evaluating(self, tasks: Iterable[str]) -> Iterator[str]:
        """Pass the tasks through, each while it is evaluated."""
        ...

    def say(self, text: str) -> None:
        """Show a message."""

    def end(self) -> None:
        """Training is over."""


class Silent:
    """Shows nothing."""

    def begin(self, done: int, total: int) -> None:
        """Nothing."""

    def step(self, step: int, losses: Mapping[str, float], examples_per_second: float) -> None:
        """Nothing."""

    def evaluating(self, tasks: Iterable[str]) -> Iterator[str]:
        """Pass the tasks through."""
        yield from tasks

    def say(self, text: str) -> None:
        """Nothing."""

    def end(self) -> None:
        """Nothing."""
