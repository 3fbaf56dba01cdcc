"""Figures as inline SVG whose colours are the page's: they follow its light, dark and printed form.

Matplotlib knows only fixed colours. So everything is drawn in stand-ins, one for each CSS colour that is asked for,
and the stand-ins are replaced in the SVG text. For the page's named colours they are those of its light form, no two
of which are the same, so that a picture of its own (PNG) has the same look.
"""

import hashlib
import io
import re
from collections.abc import Callable
from importlib.resources import files
from typing import Any, Concatenate, ParamSpec

from matplotlib import style
from matplotlib.figure import Figure

P = ParamSpec("P")
WIDTH = 400  # px of a figure: two stand side by side on a desk, and the text is still readable on a phone
_STYLE_SHEET = files("bertram.report").joinpath("style.css").read_text(encoding="utf-8")
_LIGHT = _STYLE_SHEET[: _STYLE_SHEET.index("@media")]
_STAND_INS: dict[str, str] = {
    f"var({name})": value for name, value in re.findall(r"(--[\w-]+): (#[0-9a-f]{6})\b", _LIGHT)
}  # by colour
_FONT = re.compile(r"font: ((?:\w+ )?)([\d.]+)px [^;\"]+")
_DATED = re.compile(r"<metadata>.*?</metadata>", re.DOTALL)
_REFERENCE = re.compile(r'(\bid="|href="#|url\(#)')


def css(colour: str) -> str:
    """A stand-in for a CSS colour, such as ``var(--ink)``, for use in Matplotlib."""
    return _STAND_INS.setdefault(colour, f"#fe{len(_STAND_INS):04x}")


def series(number: int) -> str:
    """The colour of the n-th task or arm; there are eight."""
    return css(f"var(--series-{number % 8 + 1})")


def mixed(colour: str, share: float, background: str = "var(--cell)") -> str:
    """A CSS colour mixed with another; shares are rounded to 5 %."""
    return css(f"color-mix(in oklab, {colour} {round(share * 20) * 5}%, {background})")


INK, MUTED, LINE, CARD = css("var(--ink)"), css("var(--muted)"), css("var(--line)"), css("var(--card)")

STYLE: dict[str, Any] = {
    "svg.fonttype": "none",  # text stays text: it can be found, read aloud, and has the page's font
    "text.parse_math": False,  # a dollar in a label is a dollar
    "svg.hashsalt": "bertram",
    "font.size": 12,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.edgecolor": LINE,
    "axes.facecolor": "none",
    "axes.labelcolor": MUTED,
    "axes.titlecolor": INK,
    "xtick.labelsize": 11,
    "ytick.labelsize": 11,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.major.size": 3,
    "ytick.major.size": 0,
    "text.color": INK,
    "figure.facecolor": "none",
    "legend.frameon": False,
    "legend.fontsize": 11.5,
    "legend.handlelength": 1.2,
    "legend.columnspacing": 1.4,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
}


def svg(
    draw: Callable[Concatenate[Figure, P], None], width: float, height: float, *args: P.args, **kwargs: P.kwargs
) -> str:
    """An `<svg>` element for a page.

    Args:
        draw: function that draws on an empty figure.
        width: width on the page at full size, in px.
        height: height on the page at full size, in px.
        *args: arguments of `draw` after the figure.
        **kwargs: keyword arguments of `draw`.
    """
    buffer = io.StringIO()
    with style.context(["default", STYLE]):
        figure = Figure(figsize=(width / 72, height / 72), dpi=72, layout="constrained")
        draw(figure, *args, **kwargs)
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return _for_page(buffer.getvalue(), width, height)


def _for_page(text: str, width: float, height: float) -> str:
    inner = _DATED.sub("", text[text.index(">", text.index("<svg")) + 1 :])
    for colour, stand_in in _STAND_INS.items():
        inner = inner.replace(stand_in, colour)
    inner = _FONT.sub(r"font: \1\2px var(--sans)", inner)
    key = hashlib.sha256(inner.encode()).hexdigest()[:8]  # ids of several figures stay apart on one page
    inner = _REFERENCE.sub(rf"\g<1>{key}-", inner)
    return f'<svg viewBox="0 0 {width:g} {height:g}" style="max-width:{width:g}px" aria-hidden="true">{inner}'
