"""Charts of a report over the length of speech: every system in one, and each with its interval.

Each takes a view of the results and a name unique in the page, and returns a Chart, or None without data.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from shortvox.report.svg import (
    MUTED,
    PAPER,
    Chart,
    drawing,
    series_colour,
    series_dash,
    series_marker,
    series_size,
    shortened,
    to_svg,
)
from shortvox.report.views import (
    View,
    finite,
    finite_length,
    headline_pair,
    length_label,
    number,
    percent,
)

LABEL_GAP = 12.5  # least distance between two labels beside a chart, in SVG units
Points = list[tuple[float, float]]
FigureOf = Callable[[str, str], float | None]  # (system, length) -> what the chart shows


def places_of(lengths: Sequence[str]) -> dict[str, float]:
    """Where lengths stand on the x axis: logarithmic in seconds; "full" a step beyond the longest."""
    places = {length: float(-np.log2(seconds)) for length in lengths if (seconds := finite_length(length))}
    beyond = min(places.values(), default=0.0) - 0.85
    return {length: places.get(length, beyond) for length in lengths}


def by_length(view: View, name: str, figure: FigureOf, label: str, what: str, intervals: bool = False) -> Chart | None:
    """One line per system over the lengths, named directly at the short end; the main pair drawn heavier."""
    lines = _lines(view, figure)
    if not lines:
        return None
    strong = headline_pair(view) or ()
    with drawing(400, 320) as canvas:
        axes = canvas.add_axes((0.075, 0.085, 0.575, 0.83))
        for position, system, points in lines:
            colour, heavy = series_colour(position), system in strong
            if intervals and heavy:
                _band(axes, view, system, colour, 0.16)
            axes.plot(
                [x for x, _ in points],
                [y for _, y in points],
                color=colour,
                ls=series_dash(position),
                lw=2.2 if heavy else 1.3,
                marker=series_marker(position),
                ms=series_size(position, 6 if heavy else 5),
                mec=PAPER,
                mew=0.7,
                zorder=4 if heavy else 3,
                clip_on=False,
            )
        _length_axis(axes, view.lengths)
        value_axis(axes, label)
        _label_ends(axes, [(points[-1], system, position) for position, system, points in lines], strong)
        last = view.shortest or ""
        worded = "; ".join(f"{system} {number(figure(system, last))}" for _, system, _ in lines)
        unit = "%" if intervals else "degrees"
        alt = f"{what}, {view.label}. At {length_label(last)}, {unit}: {worded}."
        return Chart(to_svg(canvas, name, alt), view.label)


def _lines(view: View, figure: FigureOf) -> list[tuple[int, str, Points]]:
    found, places = [], places_of(view.lengths)
    for position, system in enumerate(view.systems):
        points = [(places[length], value) for length in view.lengths if (value := figure(system, length)) is not None]
        if points:
            found.append((position, system, points))
    return found


def eer_by_length(view: View, name: str) -> Chart | None:
    return by_length(
        view,
        name,
        lambda system, length: _hundred(view.eer(system, length)),
        "EER, %",
        "Equal error rate by length of test speech",
        intervals=True,
    )


def spread_by_length(view: View, name: str) -> Chart | None:
    return by_length(
        view,
        name,
        lambda system, length: finite(view.at(system, length).get("spread_degrees")),
        "degrees",
        "Within-speaker spread of embeddings by length of test speech",
    )


def _hundred(value: float | None) -> float | None:
    return None if value is None else 100 * value


def _band(axes: Axes, view: View, system: str, colour: str, alpha: float) -> None:
    places = places_of(view.lengths)
    rows = [(places[length], *found) for length in view.lengths if (found := view.interval(system, length)) is not None]
    if len(rows) > 1:
        x, low, high = np.array(rows).T
        axes.fill_between(x, 100 * low, 100 * high, color=colour, alpha=alpha, lw=0, zorder=2)


def _length_axis(axes: Axes, lengths: Sequence[str], small: bool = False) -> None:
    places = list(places_of(lengths).values())
    axes.set_xticks(places, [length if small else length_label(length) for length in lengths])
    axes.grid(visible=False, axis="x")
    if len(places) > 1:
        margin = 0.03 * (max(places) - min(places))
        axes.set_xlim(min(places) - margin, max(places) + margin)


def value_axis(axes: Axes, label: str, bins: int = 6) -> None:
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_locator(MaxNLocator(bins, min_n_ticks=3))
    axes.spines["left"].set_visible(False)
    axes.set_title(label, loc="left", fontsize=10, color=MUTED, x=0.0, pad=8)


def _label_ends(axes: Axes, ends: list[tuple[tuple[float, float], str, int]], strong: Sequence[str]) -> None:
    """Names to the right of the lines' ends, pushed apart until none overlaps, with a thin leader."""
    order = sorted(ends, key=lambda end: end[0][1])
    wanted = [axes.transData.transform(point)[1] * 72 / axes.figure.dpi for point, _, _ in order]
    placed = spread_out(wanted, LABEL_GAP)
    box = axes.get_window_extent()
    bottom, height = box.y0 * 72 / axes.figure.dpi, box.height * 72 / axes.figure.dpi
    for (point, system, position), y in zip(order, placed, strict=True):
        at = (y - bottom) / height
        start = axes.transAxes.inverted().transform(axes.transData.transform(point))
        axes.plot(
            [start[0] + 0.015, 1.045, 1.065],
            [start[1], at, at],
            transform=axes.transAxes,
            lw=0.7,
            color=series_colour(position),
            alpha=0.7,
            clip_on=False,
        )
        axes.text(
            1.08,
            at,
            shortened(system),
            transform=axes.transAxes,
            va="center",
            fontsize=10,
            color=series_colour(position),
            weight="bold" if system in strong else "normal",
        )


def spread_out(wanted: Sequence[float], gap: float) -> list[float]:
    """Positions (ascending) moved as little as a simple pass needs so that neighbours are `gap` apart.

    Overlapping labels are merged into blocks centred on what they wanted (pool adjacent violators).
    """
    blocks: list[list[float]] = []
    for value in wanted:
        blocks.append([value, 1.0])
        while len(blocks) > 1:
            (low, below), (high, above) = blocks[-2], blocks[-1]
            if high - low >= gap * (below + above) / 2:
                break
            blocks[-2:] = [[(low * below + high * above) / (below + above), below + above]]
    return [centre + gap * (place - (count - 1) / 2) for centre, count in blocks for place in range(int(count))]


def panel(view: View, system: str, top: float, name: str) -> Chart | None:
    """One system with its 95 % band over the lengths, the other systems in grey behind it."""
    places = places_of(view.lengths)
    points = [
        (places[length], 100 * value) for length in view.lengths if (value := view.eer(system, length)) is not None
    ]
    if not points:
        return None
    position = view.systems.index(system)
    with drawing(176, 128) as canvas:
        axes = canvas.add_axes((0.13, 0.16, 0.83, 0.79))
        for other in view.systems:
            ghost = [
                (places[length], 100 * value)
                for length in view.lengths
                if (value := view.eer(other, length)) is not None
            ]
            if other != system and ghost:
                axes.plot(*zip(*ghost, strict=True), color=MUTED, lw=0.7, alpha=0.35, zorder=2)
        _band(axes, view, system, series_colour(position), 0.25)
        axes.plot(
            *zip(*points, strict=True),
            color=series_colour(position),
            lw=1.8,
            ls=series_dash(position),
            marker=series_marker(position),
            ms=series_size(position, 4),
            mec=PAPER,
            mew=0.5,
            zorder=4,
            clip_on=False,
        )
        _length_axis(axes, view.lengths, small=True)
        value_axis(axes, "", bins=4)
        axes.set_ylim(0, top)
        axes.tick_params(labelsize=9.5)
        figures = ", ".join(f"{length_label(length)} {percent(view.eer(system, length))} %" for length in view.lengths)
        return Chart(to_svg(canvas, name, f"{system}, {view.label}, equal error rate: {figures}"), system)


def panels(view: View, name: str) -> list[Chart]:
    highs = [
        100 * found[1]
        for system in view.systems
        for length in view.lengths
        if (found := view.interval(system, length)) is not None
    ]
    highs += [
        100 * value
        for system in view.systems
        for length in view.lengths
        if (value := view.eer(system, length)) is not None
    ]
    top = 1.04 * max([*highs, 1.0])
    drawn = (
        [panel(view, system, top, f"{name}-{position}") for position, system in enumerate(view.systems)]
        if highs
        else []
    )
    return [chart for chart in drawn if chart is not None]
