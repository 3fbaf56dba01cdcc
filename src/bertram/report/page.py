"""The structure of a report, and its HTML."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources

from jinja2 import Environment
from markupsafe import Markup

from bertram.report.sanity_checks import Finding

Cell = str | Markup


@dataclass(frozen=True)
class Column:
    """A heading; numbers are aligned to the right, sentences get room."""

    name: str
    number: bool = False
    sentence: bool = False

    @property
    def style(self) -> str:
        """CSS class of the column."""
        return "number" if self.number else "sentence" if self.sentence else ""


@dataclass(frozen=True)
class Table:
    """Rows under headings; with `cards`, each row is a card on a phone. Rows at the positions in `strong` are bold."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    title: str = ""
    note: str = ""
    cards: bool = True
    strong: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Picture:
    """An inline SVG with title and caption."""

    title: str
    svg: str
    caption: str = ""
    tall: bool = False  # height of two pictures


@dataclass(frozen=True)
class Text:
    """Preformatted text, such as a configuration; folded if it is long."""

    title: str
    text: str
    folded: bool = True


@dataclass(frozen=True)
class Section:
    """A section with a heading and an anchor."""

    anchor: str
    title: str
    lead: str = ""
    pictures: Sequence[Picture] = ()
    tables: Sequence[Table] = ()
    texts: Sequence[Text] = ()

    @property
    def empty(self) -> bool:
        """True if there is nothing to show."""
        return not (self.pictures or self.tables or self.texts)


@dataclass(frozen=True)
class Tile:
    """A score in large figures."""

    label: str
    value: str
    interval: str
    bar: Markup
    note: str = ""
    low: bool = False  # True if the score is not above a constant baseline


@dataclass(frozen=True)
class Page:
    """A whole report."""

    title: str
    kind: str
    facts: Sequence[str]
    findings: Sequence[Finding]
    sections: Sequence[Section]
    tiles: Sequence[Tile] = field(default=())
    findings_title: str = "Before you read the scores"
    footer: str = "Made by bertram report from run records alone. It needs no network and has no scripts."


def render(page: Page) -> str:
    """The page as HTML without requests to other hosts."""
    package = resources.files(__package__)
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string((package / "template.html").read_text(encoding="utf-8"))
    style = Markup((package / "style.css").read_text(encoding="utf-8"))
    return template.render(page=page, style=style, Markup=Markup)


def shown(value: float | None, digits: int = 3) -> str:
    """A number with a true minus sign; a dash for none."""
    return "–" if value is None else f"{value:.{digits}f}".replace("-", "−")


def signed(value: float | None, digits: int = 3) -> str:
    """A difference with its sign."""
    return "–" if value is None else f"{round(value, digits) + 0.0:+.{digits}f}".replace("-", "−")


def shown_duration(seconds: float) -> str:
    """A duration in hours and minutes, a short one in seconds."""
    hours, minutes = divmod(round(seconds / 60), 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min" if minutes else f"{seconds:.0f} s"


def shown_interval(interval: Sequence[float] | None, digits: int = 3) -> str:
    """The two ends of an interval."""
    return "–" if interval is None else f"{shown(interval[0], digits)} to {shown(interval[1], digits)}"


def interval_bar(value: float | None, interval: Sequence[float] | None, baseline: float | None = None) -> Markup:
    """A small picture of a score and its interval between 0 and 1, or −1 and 1, with a tick at a baseline."""
    if value is None:
        return Markup("")
    low = -1.0 if min(value, *(interval or ()), baseline or 0.0) < 0 else 0.0

    def at(end_value: float) -> str:
        return f"{100 * min(1.0, max(0.0, (end_value - low) / (1 - low))):.1f}%"

    parts = []
    if interval is not None:
        start, end = interval
        parts.append(f'<i style="left:{at(start)};right:calc(100% - {at(end)})"></i>')
    if baseline is not None:
        parts.append(f'<u style="left:{at(baseline)}"></u>')
    parts.append(f'<b style="left:{at(value)}"></b>')
    return Markup(f'<span class="range" aria-hidden="true">{"".join(parts)}</span>')
