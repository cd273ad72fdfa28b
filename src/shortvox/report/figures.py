"""The charts of a report. Each takes a view of the results and returns a Chart, or None when there is nothing to draw."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator
from scipy.special import ndtri

from shortvox.report.svg import (
    GRID,
    INK,
    MUTED,
    PAPER,
    Chart,
    drawing,
    series_colour,
    series_dash,
    series_marker,
    to_svg,
)
from shortvox.report.views import View, finite, finite_length, headline_pair, length_label, number, pair, percent

LABEL_GAP = 12.5            # least distance between two labels beside a chart, in SVG units
NAME_LIMIT = 24             # longer names are cut in charts (tables show them whole)


def shortened(name: str) -> str:
    return name if len(name) <= NAME_LIMIT else name[:NAME_LIMIT - 1] + "…"


def places_of(lengths: Sequence[str]) -> dict[str, float]:
    """Where lengths stand on the x axis: logarithmic in seconds, and "full" a step beyond the longest of them."""
    places = {length: float(-np.log2(seconds)) for length in lengths if (seconds := finite_length(length))}
    beyond = min(places.values(), default=0.0) - 0.85
    return {length: places.get(length, beyond) for length in lengths}


def by_length(view: View, name: str, figure: Callable[[str, str], float | None], label: str, what: str,
              intervals: bool = False) -> Chart | None:
    """One line per system over the lengths, named directly at the short end; the main pair drawn heavier."""
    lines = _lines(view, figure)
    if not lines:
        return None
    strong = headline_pair(view) or ()
    with drawing(470, 350) as canvas:
        axes = canvas.add_axes((0.095, 0.14, 0.60, 0.77))
        for position, system, points in lines:
            colour, heavy = series_colour(position), system in strong
            if intervals and heavy:
                _band(axes, view, system, colour, 0.16)
            axes.plot([x for x, _ in points], [y for _, y in points], color=colour, ls=series_dash(position),
                      lw=2.2 if heavy else 1.3, marker=series_marker(position), ms=6 if heavy else 5,
                      mec=PAPER, mew=0.7, zorder=4 if heavy else 3, clip_on=False)
        _length_axis(axes, view.lengths)
        _value_axis(axes, label)
        _label_ends(axes, [(points[-1], system, position) for position, system, points in lines], strong)
        last = view.shortest or ""
        worded = "; ".join(f"{system} {number(figure(system, last))}"
                           for _, system, _ in lines)
        unit = "%" if intervals else "degrees"
        alt = f"{what}, {view.label}. At {length_label(last)}, {unit}: {worded}."
        return Chart(to_svg(canvas, name, alt), view.label)


def _lines(view: View, figure: Callable[[str, str], float | None]) -> list[tuple[int, str, list[tuple[float, float]]]]:
    found, places = [], places_of(view.lengths)
    for position, system in enumerate(view.systems):
        points = [(places[length], value) for length in view.lengths
                  if (value := figure(system, length)) is not None]
        if points:
            found.append((position, system, points))
    return found


def eer_by_length(view: View, name: str) -> Chart | None:
    return by_length(view, name, lambda system, length: _hundred(view.eer(system, length)), "EER, %",
                     "Equal error rate by length of test speech", intervals=True) if view.lengths else None


def spread_by_length(view: View, name: str) -> Chart | None:
    return by_length(view, name, lambda system, length: finite(view.at(system, length).get("spread_degrees")),
                     "degrees", "Within-speaker spread of embeddings by length of test speech")


def _hundred(value: float | None) -> float | None:
    return None if value is None else 100 * value


def _band(axes: Axes, view: View, system: str, colour: str, alpha: float) -> None:
    places = places_of(view.lengths)
    rows = [(places[length], *found) for length in view.lengths
            if (found := view.interval(system, length)) is not None]
    if len(rows) > 1:
        x, low, high = np.array(rows).T
        axes.fill_between(x, 100 * low, 100 * high, color=colour, alpha=alpha, lw=0, zorder=2)


def _length_axis(axes: Axes, lengths: Sequence[str], small: bool = False) -> None:
    places = list(places_of(lengths).values())
    axes.set_xticks(places,
                    [length if small else length_label(length) for length in lengths])
    axes.grid(visible=False, axis="x")
    if len(places) > 1:
        margin = 0.03 * (max(places) - min(places))
        axes.set_xlim(min(places) - margin, max(places) + margin)


def _value_axis(axes: Axes, label: str, bins: int = 6) -> None:
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
        axes.plot([start[0] + 0.015, 1.045, 1.065], [start[1], at, at], transform=axes.transAxes, lw=0.7,
                  color=series_colour(position), alpha=0.7, clip_on=False)
        axes.text(1.08, at, shortened(system), transform=axes.transAxes, va="center", fontsize=10,
                  color=series_colour(position), weight="bold" if system in strong else "normal")


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
    points = [(places[length], 100 * value) for length in view.lengths
              if (value := view.eer(system, length)) is not None]
    if not points:
        return None
    position = view.systems.index(system)
    with drawing(200, 140) as canvas:
        axes = canvas.add_axes((0.12, 0.15, 0.85, 0.80))
        for other in view.systems:
            ghost = [(places[length], 100 * value) for length in view.lengths
                     if (value := view.eer(other, length)) is not None]
            if other != system and ghost:
                axes.plot(*zip(*ghost, strict=True), color=MUTED, lw=0.7, alpha=0.35, zorder=2)
        _band(axes, view, system, series_colour(position), 0.25)
        axes.plot(*zip(*points, strict=True), color=series_colour(position), lw=1.8, ls=series_dash(position),
                  marker=series_marker(position), ms=4, mec=PAPER, mew=0.5, zorder=4, clip_on=False)
        _length_axis(axes, view.lengths, small=True)
        _value_axis(axes, "", bins=4)
        axes.set_ylim(0, top)
        figures = ", ".join(f"{length_label(length)} {percent(view.eer(system, length))} %" for length in view.lengths)
        return Chart(to_svg(canvas, name, f"{system}, {view.label}, equal error rate: {figures}"), system)


def panels(view: View, name: str) -> list[Chart]:
    highs = [100 * found[1] for system in view.systems for length in view.lengths
             if (found := view.interval(system, length)) is not None]
    highs += [100 * value for system in view.systems for length in view.lengths
              if (value := view.eer(system, length)) is not None]
    drawn = [panel(view, system, 1.04 * max(highs), f"{name}-{position}")
             for position, system in enumerate(view.systems)] if highs else []
    return [chart for chart in drawn if chart is not None]


PROBIT_TICKS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4)


def det(view: View, length: str, name: str) -> Chart | None:
    """Detection error trade-off at one length, on probit axes: Gaussian scores give straight lines."""
    curves: list[tuple[int, str, np.ndarray]] = []
    for position, system in enumerate(view.systems):
        raw = [found for point in view.at(system, length).get("det") or () if (found := pair(point)) is not None]
        points = np.array([found for found in raw if all(0 < value < 0.6 for value in found)])
        if len(points) > 1:
            curves.append((position, system, points))
    if not curves:
        return None
    everything = np.concatenate([points for _, _, points in curves])
    low = max(0.0008, min(0.02, float(everything.min())))
    limits = (float(ndtri(low)), float(ndtri(0.5)))
    ticks = [tick for tick in PROBIT_TICKS if tick >= low]
    strong = headline_pair(view) or ()
    with drawing(340, 330) as canvas:
        axes = canvas.add_axes((0.14, 0.13, 0.83, 0.84))
        axes.plot(limits, limits, color=MUTED, lw=0.7, ls=(0, (2, 3)), zorder=1)
        for position, system, points in curves:
            axes.plot(ndtri(points[:, 0]), ndtri(points[:, 1]), color=series_colour(position),
                      ls=series_dash(position), lw=2.0 if system in strong else 1.2,
                      zorder=4 if system in strong else 3)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_ticks([float(ndtri(tick)) for tick in ticks], [f"{100 * tick:g}" for tick in ticks])
        axes.set_xlim(limits)
        axes.set_ylim(limits)
        axes.set_xlabel("false alarms, %")
        axes.set_ylabel("misses, %", labelpad=2)
        alt = (f"Detection error trade-off at {length_label(length)}, {view.label}, for "
               + ", ".join(system for _, system, _ in curves))
        return Chart(to_svg(canvas, name, alt), f"{view.label}, {length_label(length)}")


def forest(view: View, name: str) -> Chart | None:
    """The main pair's difference in EER at every length, with its paired interval; filled where significant."""
    found = headline_pair(view)
    rows: list[tuple[str, Any]] = [] if found is None else [
        (length, compared) for length in view.lengths
        if (compared := view.comparison(*found, length)) is not None
        and finite(compared.get("difference")) is not None]
    if found is None or not rows:
        return None
    a, b = found
    with drawing(470, 70 + 30 * len(rows)) as canvas:
        height = 70 + 30 * len(rows)
        axes = canvas.add_axes((0.11, 50 / height, 0.86, 1 - 56 / height))
        axes.axvline(0, color=INK, lw=0.9, zorder=2)
        reach = 0.1
        for place, (_, compared) in enumerate(rows):
            centre = 100 * compared["difference"]
            interval = pair(compared.get("interval"))
            if interval is not None:
                axes.plot([100 * interval[0], 100 * interval[1]], [place, place], color=series_colour(0), lw=2.2,
                          alpha=0.75, solid_capstyle="butt")
                reach = max(reach, 100 * abs(interval[0]), 100 * abs(interval[1]))
            sure = compared.get("significant") and not compared.get("indicative")
            axes.plot([centre], [place], marker="o", ms=7, mec=series_colour(0), mew=1.6, zorder=5,
                      mfc=series_colour(0) if sure else PAPER)
            reach = max(reach, abs(centre))
        axes.set_xlim(-1.1 * reach, 1.1 * reach)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_yticks(range(len(rows)), [length_label(length) for length, _ in rows])
        axes.grid(visible=False, axis="y")
        axes.spines["left"].set_visible(False)
        axes.xaxis.set_major_locator(MaxNLocator(6))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value, 1, signed=True)))
        for x, side, text in ((0.0, "left", f"← {shortened(a)} better"), (1.0, "right", f"{shortened(b)} better →")):
            canvas.text(0.11 + 0.86 * x, 10 / height, text, ha=side, fontsize=10, color=MUTED)
        worded = "; ".join(f"{length_label(length)} {number(compared['difference'], 2, 100, signed=True)}"
                           for length, compared in rows)
        return Chart(to_svg(canvas, name, f"Equal error rate of {a} minus {b}, percentage points, {view.label}: "
                                          f"{worded}."), view.label)


def dots(view: View, name: str, rows: list[tuple[int, str, float, list[float], tuple[float, float] | None]],
         label: str, what: str) -> Chart | None:
    """One row per system: every seed a dot, their mean a bar, the interval a pale line."""
    if not rows:
        return None
    height = 62 + 24 * len(rows)
    with drawing(470, height) as canvas:
        axes = canvas.add_axes((0.33, 42 / height, 0.64, 1 - 48 / height))
        for place, (position, _, mean, seeds, interval) in enumerate(rows):
            colour = series_colour(position)
            if interval is not None:
                axes.plot(interval, [place, place], color=colour, lw=7, alpha=0.18, solid_capstyle="butt")
            axes.plot([mean, mean], [place - 0.3, place + 0.3], color=colour, lw=2, solid_capstyle="butt")
            axes.plot(seeds, [place] * len(seeds), ls="none", marker=series_marker(position), ms=6, color=colour,
                      mec=PAPER, mew=0.7, zorder=4)
        axes.set_yticks(range(len(rows)), [shortened(system) for _, system, _, _, _ in rows])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.grid(visible=False, axis="y")
        axes.spines["left"].set_color(GRID)
        axes.xaxis.set_major_locator(MaxNLocator(6))
        axes.set_xlabel(label, color=MUTED)
        worded = "; ".join(f"{system} {', '.join(number(seed) for seed in seeds) or number(mean)}"
                           for _, system, mean, seeds, _ in rows)
        return Chart(to_svg(canvas, name, f"{what}, {view.label}: {worded}."), view.label)


def seed_dots(view: View, name: str) -> Chart | None:
    """Every training seed at the shortest length."""
    length, rows = view.shortest, []
    for position, system in enumerate(view.systems if length else ()):
        mean = view.eer(system, length or "")
        seeds = [100 * value for seed in view.at(system, length or "").get("seeds") or ()
                 if (value := finite(seed.get("eer"))) is not None]
        interval = view.interval(system, length or "")
        if mean is not None and seeds:
            rows.append((position, system, 100 * mean, seeds,
                         None if interval is None else (100 * interval[0], 100 * interval[1])))
    return dots(view, name, rows, f"EER at {length_label(length or '')}, %", "Equal error rate of every training seed")


def drift_dots(view: View, name: str) -> Chart | None:
    """How far the head's rows moved from the teacher's."""
    rows: list[tuple[int, str, float, list[float], tuple[float, float] | None]] = []
    for position, system in enumerate(view.systems):
        drift = finite(view.system(system).get("head_drift_degrees"))
        seeds = [value for seed in view.system(system).get("head_drift_seeds") or ()
                 if (value := finite(seed)) is not None]
        if drift is not None:
            rows.append((position, system, drift, seeds, None))
    return dots(view, name, rows, "mean angle to the teacher's rows, degrees", "Head drift")


def training_curve(view: View, name: str, key: str, label: str, what: str, scale: float = 1.0) -> Chart | None:
    """Loss or validation EER over the steps of the first seed; long curves are averaged in blocks."""
    lines = []
    for position, system in enumerate(view.systems):
        raw = [(point.get("step"), point.get("eer")) if isinstance(point, dict) else point
               for point in view.system(system).get(key) or ()]
        known = [found for point in raw if (found := pair(list(point))) is not None]
        if len(known) > 1:
            lines.append((position, system, thinned(np.array(known))))
    if not lines:
        return None
    with drawing(470, 300) as canvas:
        axes = canvas.add_axes((0.095, 0.15, 0.60, 0.75))
        for position, _, points in lines:
            axes.plot(points[:, 0], scale * points[:, 1], color=series_colour(position), lw=1.3,
                      ls=series_dash(position))
        axes.grid(visible=False, axis="x")
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.set_xlabel("training step", color=MUTED)
        _value_axis(axes, label)
        _label_ends(axes, [((points[-1, 0], scale * points[-1, 1]), system, position)
                           for position, system, points in lines], ())
        worded = "; ".join(f"{system} {number(points[-1, 1], 2, scale)}" for _, system, points in lines)
        return Chart(to_svg(canvas, name, f"{what}. At the end: {worded}."), what)


def thinned(points: np.ndarray, most: int = 120) -> np.ndarray:
    """(n, 2) points as at most `most` block means, so that a noisy loss reads as a line."""
    blocks = np.array_split(points, min(most, len(points)))
    return np.array([block.mean(axis=0) for block in blocks])
