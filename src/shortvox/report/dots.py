"""Dot charts of a report: the main difference with its interval, every seed, and head drift."""

from __future__ import annotations

from typing import Any

from matplotlib.ticker import FuncFormatter, MaxNLocator

from shortvox.report.svg import (
    GRID,
    INK,
    MUTED,
    PAPER,
    Chart,
    drawing,
    series_colour,
    series_marker,
    series_size,
    shortened,
    to_svg,
)
from shortvox.report.views import View, finite, headline_pair, length_label, number, pair

# (series, system, mean, every seed, interval)
SeedRow = tuple[int, str, float, list[float], tuple[float, float] | None]


def forest(view: View, name: str) -> Chart | None:
    """The main pair's difference in EER at every length, with its interval; filled where significant."""
    found = headline_pair(view)
    rows: list[tuple[str, Any]] = (
        []
        if found is None
        else [
            (length, compared)
            for length in view.lengths
            if (compared := view.comparison(*found, length)) is not None
            and finite(compared.get("difference")) is not None
        ]
    )
    if found is None or not rows:
        return None
    a, b = found
    height = 66 + 26 * len(rows)
    with drawing(400, height) as canvas:
        axes = canvas.add_axes((0.12, 50 / height, 0.85, 1 - 56 / height))
        axes.axvline(0, color=INK, lw=0.9, zorder=2)
        reach = 0.1
        for place, (_, compared) in enumerate(rows):
            centre = 100 * compared["difference"]
            interval = pair(compared.get("interval"))
            if interval is not None:
                axes.plot(
                    [100 * interval[0], 100 * interval[1]],
                    [place, place],
                    color=INK,
                    lw=2.2,
                    alpha=0.75,
                    solid_capstyle="butt",
                )
                reach = max(reach, 100 * abs(interval[0]), 100 * abs(interval[1]))
            sure = compared.get("significant") and not compared.get("indicative")
            axes.plot(
                [centre],
                [place],
                marker="o",
                color=INK,
                ls="none",
                ms=7,
                mec=INK,
                mew=1.6,
                zorder=5,
                mfc=INK if sure else PAPER,
            )
            reach = max(reach, abs(centre))
        axes.set_xlim(-1.1 * reach, 1.1 * reach)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_yticks(range(len(rows)), [length_label(length) for length, _ in rows])
        axes.grid(visible=False, axis="y")
        axes.spines["left"].set_visible(False)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value, 1, signed=True)))
        for x, side, text in (
            (0.0, "left", f"← {shortened(a)} better"),
            (1.0, "right", f"{shortened(b)} better →"),
        ):
            canvas.text(0.12 + 0.85 * x, 10 / height, text, ha=side, fontsize=10, color=MUTED)
        worded = "; ".join(
            f"{length_label(length)} {number(compared['difference'], 2, 100, signed=True)}" for length, compared in rows
        )
        alt = f"Equal error rate of {a} minus {b}, percentage points, {view.label}: {worded}."
        return Chart(to_svg(canvas, name, alt), view.label)


def dots(view: View, name: str, rows: list[SeedRow], label: str, what: str) -> Chart | None:
    """One row per system: every seed a dot, their mean a bar, the interval a pale line."""
    if not rows:
        return None
    height = 62 + 24 * len(rows)
    with drawing(400, height) as canvas:
        axes = canvas.add_axes((0.345, 42 / height, 0.625, 1 - 48 / height))
        for place, (position, _, mean, seeds, interval) in enumerate(rows):
            colour = series_colour(position)
            if interval is not None:
                axes.plot(interval, [place, place], color=colour, lw=7, alpha=0.18, solid_capstyle="butt")
            axes.plot([mean, mean], [place - 0.3, place + 0.3], color=colour, lw=2, solid_capstyle="butt")
            axes.plot(
                seeds,
                [place] * len(seeds),
                ls="none",
                marker=series_marker(position),
                ms=series_size(position, 6),
                color=colour,
                mec=PAPER,
                mew=0.7,
                zorder=4,
            )
        axes.set_yticks(range(len(rows)), [shortened(system) for _, system, _, _, _ in rows])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.grid(visible=False, axis="y")
        axes.spines["left"].set_color(GRID)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.set_xlabel(label, color=MUTED)
        worded = "; ".join(
            f"{system} {', '.join(number(seed) for seed in seeds) or number(mean)}"
            for _, system, mean, seeds, _ in rows
        )
        return Chart(to_svg(canvas, name, f"{what}, {view.label}: {worded}."), view.label)


def seed_dots(view: View, name: str) -> Chart | None:
    """Every training seed at the shortest length."""
    length = view.shortest or ""
    rows: list[SeedRow] = []
    for position, system in enumerate(view.systems):
        mean = view.eer(system, length)
        seeds = [
            100 * value
            for seed in view.at(system, length).get("seeds") or ()
            if (value := finite(seed.get("eer"))) is not None
        ]
        interval = view.interval(system, length)
        if mean is not None and seeds:
            rows.append(
                (
                    position,
                    system,
                    100 * mean,
                    seeds,
                    None if interval is None else (100 * interval[0], 100 * interval[1]),
                )
            )
    return dots(view, name, rows, f"EER at {length_label(length)}, %", "Equal error rate of every training seed")


def drift_dots(view: View, name: str) -> Chart | None:
    """How far the head's rows moved from the teacher's."""
    rows: list[SeedRow] = []
    for position, system in enumerate(view.systems):
        drift = finite(view.system(system).get("head_drift_degrees"))
        seeds = [
            value for seed in view.system(system).get("head_drift_seeds") or () if (value := finite(seed)) is not None
        ]
        if drift is not None:
            rows.append((position, system, drift, seeds, None))
    return dots(view, name, rows, "mean angle to the teacher's rows, degrees", "Head drift")
