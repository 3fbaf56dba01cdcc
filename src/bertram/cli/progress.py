"""The progress of a training: a live bar on a terminal, plain lines elsewhere."""

import time
from collections.abc import Iterable, Iterator, Mapping

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from bertram.cli.terminal import console, say
from bertram.training.display import Display

LINE_SECONDS = 30.0  # between two plain lines


class Lines:
    """A plain line now and then, for logs and pipes."""

    def __init__(self) -> None:
        self.total, self.first, self.started, self.last = 0, 0, 0.0, 0.0

    def begin(self, done: int, total: int) -> None:
        """Note the time."""
        self.total, self.first, self.started = total, done, time.monotonic()
        self.last = self.started

    def step(self, step: int, losses: Mapping[str, float], examples_per_second: float) -> None:
        """A line, at most every half minute."""
        now = time.monotonic()
        if now - self.last >= LINE_SECONDS:
            self.last = now
            left = (now - self.started) / max(step - self.first, 1) * (self.total - step)
            self.say(
                f"step {step}/{self.total}  {_losses(losses)}  {examples_per_second:.0f} examples/s  {_time(left)} left"
            )

    def evaluating(self, tasks: Iterable[str]) -> Iterator[str]:
        """Pass the tasks through."""
        yield from tasks

    def say(self, text: str) -> None:
        """A line."""
        say(text)

    def end(self) -> None:
        """Nothing."""


class Bar:
    """A live progress bar with task losses, examples per second and time left."""

    def __init__(self, console: Console) -> None:
        self.bar = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self.steps = self.bar.add_task("training", total=None, note="")

    def begin(self, done: int, total: int) -> None:
        """Show the bar."""
        self.bar.update(self.steps, total=total, completed=done)
        self.bar.start()

    def step(self, step: int, losses: Mapping[str, float], examples_per_second: float) -> None:
        """Move the bar."""
        self.bar.update(self.steps, completed=step, note=f"{_losses(losses)}  {examples_per_second:.0f}/s")

    def evaluating(self, tasks: Iterable[str]) -> Iterator[str]:
        """A bar of its own below, a unit a task."""
        names = list(tasks)
        row = self.bar.add_task("evaluating", total=len(names), note="")
        for name in names:
            self.bar.update(row, note=name)
            yield name
            self.bar.advance(row)
        self.bar.remove_task(row)

    def say(self, text: str) -> None:
        """A line above the bar."""
        self.bar.console.print(text, highlight=False)

    def end(self) -> None:
        """Take the bar away."""
        self.bar.stop()


def training_display() -> Display:
    """A bar on a terminal, plain lines elsewhere."""
    terminal = console(stderr=True)
    return Bar(terminal) if terminal.is_terminal else Lines()


def _losses(losses: Mapping[str, float]) -> str:
    return " ".join(f"{task} {loss:.3f}" for task, loss in losses.items())


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
