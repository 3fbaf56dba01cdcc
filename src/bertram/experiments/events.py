"""Events of a study: messages on the state of each run, for any display."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol, Self

State = Literal["waiting", "skipped", "running", "finished", "failed", "elsewhere", "said"]
EVERY = 1.0  # seconds between two reports of a run


@dataclass(frozen=True)
class Event:
    """Something that happened to a run; plain values, so that it passes between processes.

    Attributes:
        key: name of the run.
        state: state of the run; `said` leaves the state as it was.
        scores: main scores, of a finished run.
        text: message, such as the step that a training has reached.
    """

    key: str
    state: State
    scores: Mapping[str, float | None] = field(default_factory=dict)
    text: str = ""


Tell = Callable[[Event], None]


class Reporter:
    """A training's display that tells a board where the training stands.

    Args:
        key: name of the run.
        tell: function that takes events: the board's, or that of a queue that leads to the board.
    """

    def __init__(self, key: str, tell: Tell) -> None:
        self.key, self.tell = key, tell
        self.total, self.first, self.start_time, self.last = 0, 0, 0.0, 0.0

    def begin(self, done: int, total: int) -> None:
        """Note the time."""
        self.total, self.first, self.start_time = total, done, time.monotonic()

    def step(self, step: int, losses: Mapping[str, float], examples_per_second: float) -> None:
        """Tell, at most every second."""
        now = time.monotonic()
        if now - self.last >= EVERY:
            self.last = now
            left = (now - self.start_time) / max(step - self.first, 1) * (self.total - step) / 60
            loss_text = " ".join(f"{task} {loss:.3f}" for task, loss in losses.items())
            self.say(f"{step}/{self.total}  {loss_text}  {examples_per_second:.0f}/s  {left:.0f} min left")

    def evaluating(self, tasks: Iterable[str]) -> Iterator[str]:
        """Nothing but the tasks."""
        yield from tasks

    def say(self, text: str) -> None:
        """Tell."""
        self.tell(Event(self.key, "running", text=text))

    def end(self) -> None:
        """Nothing."""


class SilentStudy:
    """A display that shows nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing."""

    def tell(self, event: Event) -> None:
        """Nothing."""


class StudyDisplay(Protocol):
    """Display of a study while it runs; a context manager around the whole study."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def tell(self, event: Event) -> None:
        """Take in what happened."""
