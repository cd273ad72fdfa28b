"""Matplotlib figures as SVG that lives inside an HTML page and follows its light or dark colours.

Charts are drawn in stand-in colours (`series_colour`, INK, …) which become CSS variables here, so one
drawing serves both schemes. Text stays text and takes the page's font. Ids are prefixed, so that any number
of drawings share a page.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from typing import Any

import matplotlib
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

SERIES = 8  # distinct colours; further systems change the dash
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
GLYPHS = ("●", "■", "▲", "◆", "▼", "✚", "✖", "★")  # the same shapes as text, for legends and tables
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.5)))
INK, MUTED, GRID, PAPER = "#020200", "#020201", "#020202", "#020203"
_VARIABLES = {INK: "var(--ink)", MUTED: "var(--muted)", GRID: "var(--rule)", PAPER: "var(--paper)"}
NAME_LIMIT = 20  # longer names are cut in charts; tables show them whole
_SIZES = {"*": 1.5, "X": 1.2, "P": 1.2, "^": 1.1, "v": 1.1}  # markers that look smaller than they are
_POINTS_PER_UNIT = 72.0  # one SVG unit of a drawing is one point

_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "shortvox",
    "text.parse_math": False,
    "axes.formatter.use_mathtext": False,
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10.5,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "axes.axisbelow": True,
    "xtick.major.size": 3.0,
    "ytick.major.size": 0.0,
    "xtick.minor.size": 0.0,
    "ytick.minor.size": 0.0,
    "axes.labelsize": 10.5,
    "xtick.labelsize": 10.0,
    "ytick.labelsize": 10.0,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "lines.solid_capstyle": "round",
    "lines.solid_joinstyle": "round",
    "path.simplify": False,
    "axes.unicode_minus": True,
}


@dataclass(frozen=True)
class Chart:
    svg: str
    caption: str


def series_colour(position: int) -> str:
    return f"#0101{position % SERIES:02x}"


def series_marker(position: int) -> str:
    return MARKERS[position % SERIES]


def series_dash(position: int) -> Any:
    return DASHES[position // SERIES % len(DASHES)]


def series_size(position: int, size: float) -> float:
    return size * _SIZES.get(series_marker(position), 1.0)


def shortened(name: str) -> str:
    return name if len(name) <= NAME_LIMIT else name[: NAME_LIMIT - 1] + "…"


@contextmanager
def drawing(width: float, height: float) -> Iterator[Figure]:
    """A figure of `width` x `height` SVG units in the report's style; call `to_svg` inside the block."""
    # The user's own matplotlibrc must not change a report; the backend is no matter of style.
    style: Any = {key: value for key, value in matplotlib.rcParamsDefault.items() if key != "backend"} | _STYLE
    with matplotlib.rc_context(style), warnings.catch_warnings():
        # A name in a script that the measuring font lacks is still shown: the browser has the glyphs.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        warnings.filterwarnings("ignore", message="Matplotlib currently does not support")
        figure = Figure(figsize=(width / _POINTS_PER_UNIT, height / _POINTS_PER_UNIT))
        FigureCanvasSVG(figure)
        yield figure


def to_svg(figure: Figure, name: str, alt: str) -> str:
    """The figure as an `<svg>` element; `name` must be unique in the page, `alt` says what it shows."""
    buffer = io.StringIO()
    figure.savefig(
        buffer,
        format="svg",
        transparent=True,
        metadata={"Date": None, "Creator": None, "Format": None, "Type": None},
    )
    text = buffer.getvalue()
    text = text[text.index("<svg") :].strip()
    opening, body = text[: text.index(">")], text[text.index(">") + 1 :]
    box = re.search(r'viewBox="([^"]*)"', opening)
    assert box is not None  # matplotlib always writes one
    body = re.sub(r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>|<!--.*?-->", "", body, flags=re.DOTALL)
    body = re.sub(r"<[^<>]*>", lambda match: _own_tag(match[0], name), body)
    body = re.sub(r"\n\s*", "\n", body)
    return f'<svg class="plot" viewBox="{box[1]}" role="img" aria-label="{escape(alt)}">{body}'


def _own_tag(tag: str, name: str) -> str:
    """One tag with its ids made unique, its font left to the page and its stand-in colours made variables."""
    tag = tag.replace("xlink:href=", "href=").replace(' id="', f' id="{name}-')
    tag = tag.replace('href="#', f'href="#{name}-').replace("url(#", f"url(#{name}-")
    tag = re.sub(r" font-family: [^;\"]*;", "", tag)
    tag = re.sub(r"#0101([0-9a-f]{2})\b", lambda match: f"var(--s{int(match[1], 16) + 1})", tag)
    for colour, variable in _VARIABLES.items():
        tag = tag.replace(colour, variable)
    return tag
