"""A rich console that shows the control characters of texts instead of sending them to the terminal."""

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from bertram.cli.terminal import printable


class SafeConsole(Console):
    """A console whose own control sequences (colour, cursor) work, while those of texts are shown."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The segments of an object, with printable texts."""
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else printable(text), style, control)
