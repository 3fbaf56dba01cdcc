"""What is shown while many runs are made: one live table on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

State = Literal["waiting", "skipped", "running", "finished", "failed", "elsewhere", "said"]
EVERY = 1.0  # seconds between two reports of a run
LINE_EVERY = 60.0  # seconds between two plain lines
SHOWN = {"running": 0, "failed": 1, "elsewhere": 2, "waiting": 3, "finished": 4, "skipped": 5}
STYLES = {"running": "bold", "failed": "red", "finished": "green", "skipped": "dim", "waiting": "dim"}


@dataclass(frozen=True)
class Event:
    """Something that happened to a run; plain values, so that it passes between processes.

    Attributes:
        key: which run.
        state: what it is now; `said` leaves it as it is.
        scores: main scores, of a finished run.
        text: what there is to say, such as where the training stands.
    """

    key: str
    state: State
    scores: Mapping[str, float | None] = field(default_factory=dict)
    text: str = ""


Tell = Callable[[Event], None]


class Reporter:
    """A training's display that tells a board where the training stands.

    Args:
        key: of the run.
        tell: of the board, or of a queue that leads to it.
    """

    def __init__(self, key: str, tell: Tell) -> None:
        self.key, self.tell = key, tell
        self.total, self.first, self.begun, self.last = 0, 0, 0.0, 0.0

    def begin(self, done: int, total: int) -> None:
        """Note the time."""
        self.total, self.first, self.begun = total, done, time.monotonic()

    def step(self, step: int, losses: Mapping[str, float], examples_per_second: float) -> None:
        """Tell, at most every second."""
        now = time.monotonic()
        if now - self.last >= EVERY:
            self.last = now
            left = (now - self.begun) / max(step - self.first, 1) * (self.total - step) / 60
            shown = " ".join(f"{task} {loss:.3f}" for task, loss in losses.items())
            self.say(f"{step}/{self.total}  {shown}  {examples_per_second:.0f}/s  {left:.0f} min left")

    def evaluating(self, tasks: Iterable[str]) -> Iterator[str]:
        """Nothing but the tasks."""
        yield from tasks

    def say(self, text: str) -> None:
        """Tell."""
        self.tell(Event(self.key, "running", text=text))

    def end(self) -> None:
        """Nothing."""


class Board:
    """The state of all runs.

    Args:
        console: where the table is shown; standard error by default.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True)
        self.latest: dict[str, Event] = {}
        self.failures: list[str] = []
        self._begun: dict[str, float] = {}
        self._last_line: dict[str, float] = {}
        terminal = self.console.is_terminal
        self._live = Live(console=self.console, get_renderable=self.table, transient=True) if terminal else None

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def tell(self, event: Event) -> None:
        """Take in what happened."""
        if event.state == "running":
            self._begun.setdefault(event.key, time.monotonic())
        if event.state == "failed":
            self.failures.append(f"{event.key}: {event.text}")
        if event.state == "said":
            self.console.print(f"{event.key}: {event.text}", highlight=False, markup=False)
            return
        before = self.latest.get(event.key)
        self.latest[event.key] = event
        if self._live is None and event.state != "waiting":
            self._line(event, changed=before is None or before.state != event.state)

    def table(self) -> Table:
        """All runs, those that are running first."""
        events = sorted(self.latest.values(), key=lambda one: SHOWN[one.state])
        count = sum(event.state in ("finished", "skipped") for event in events)
        table = Table(title=f"{count} of {len(events)} runs finished", title_justify="left")
        for heading in ("run", "state", "minutes", "progress or scores"):
            table.add_column(heading, justify="right" if heading == "minutes" else "left")
        for event in events:
            style = STYLES.get(event.state)
            table.add_row(event.key, event.state, self._minutes(event), _said(event), style=style)
        return table

    def _minutes(self, event: Event) -> str:
        if event.key not in self._begun or event.state != "running":
            return ""
        return f"{(time.monotonic() - self._begun[event.key]) / 60:.1f}"

    def _line(self, event: Event, *, changed: bool) -> None:
        now = time.monotonic()
        if changed or now - self._last_line.get(event.key, 0.0) >= LINE_EVERY:
            self._last_line[event.key] = now
            sys.stderr.write(f"{event.key}: {event.state}  {_said(event)}".rstrip() + "\n")
            sys.stderr.flush()


def _said(event: Event) -> str:
    scores = [f"{name} {'undefined' if value is None else f'{value:.3f}'}" for name, value in event.scores.items()]
    return "  ".join([*scores, event.text] if event.text else scores)
