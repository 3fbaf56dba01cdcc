"""Display of a study while its runs are made: one live table on a terminal, plain lines elsewhere."""

import time
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

from bertram.cli import terminal
from bertram.experiments.events import Event

LINE_EVERY = 60.0  # seconds between two plain lines
ORDER = {"running": 0, "failed": 1, "elsewhere": 2, "waiting": 3, "finished": 4, "skipped": 5}
STYLES = {"running": "bold", "failed": "red", "finished": "green", "skipped": "dim", "waiting": "dim"}


class Board:
    """The state of all runs: one live table on a terminal, plain lines elsewhere.

    Args:
        console: console that shows the table; standard error by default.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or terminal.console(stderr=True)
        self.latest: dict[str, Event] = {}
        self._started: dict[str, float] = {}
        self._last_line: dict[str, float] = {}
        self._live: Live | None = None
        if self.console.is_terminal:
            self._live = Live(console=self.console, get_renderable=self.table, transient=True)

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
            self._started.setdefault(event.key, time.monotonic())
        if event.state == "said":
            self.console.print(f"{event.key}: {event.text}", highlight=False, markup=False)
            return
        before = self.latest.get(event.key)
        self.latest[event.key] = event
        if self._live is None and event.state != "waiting":
            self._line(event, changed=before is None or before.state != event.state)

    def table(self) -> Table:
        """All runs, those that are running first."""
        events = sorted(self.latest.values(), key=lambda event: ORDER[event.state])
        count = sum(event.state in ("finished", "skipped") for event in events)
        table = Table(title=f"{count} of {len(events)} runs finished", title_justify="left")
        for heading in ("run", "state", "minutes", "progress or scores"):
            table.add_column(heading, justify="right" if heading == "minutes" else "left")
        for event in events:
            style = STYLES.get(event.state)
            table.add_row(event.key, event.state, self._minutes(event), _summary(event), style=style)
        return table

    def _minutes(self, event: Event) -> str:
        if event.key not in self._started or event.state != "running":
            return ""
        return f"{(time.monotonic() - self._started[event.key]) / 60:.1f}"

    def _line(self, event: Event, *, changed: bool) -> None:
        now = time.monotonic()
        if changed or now - self._last_line.get(event.key, 0.0) >= LINE_EVERY:
            self._last_line[event.key] = now
            terminal.say(f"{event.key}: {event.state}  {_summary(event)}".rstrip())


def _summary(event: Event) -> str:
    scores = [f"{name} {'undefined' if value is None else f'{value:.3f}'}" for name, value in event.scores.items()]
    return "  ".join([*scores, event.text] if event.text else scores)
