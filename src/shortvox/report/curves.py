"""Curves of a report that do not run over lengths: detection error trade-off, and training."""

from __future__ import annotations

import numpy as np
from matplotlib.ticker import MaxNLocator
from scipy.special import ndtri

from shortvox.report.figures import value_axis
from shortvox.report.svg import MUTED, Chart, drawing, series_colour, series_dash, to_svg
from shortvox.report.views import View, headline_pair, length_label, number, pair

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
            axes.plot(
                ndtri(points[:, 0]),
                ndtri(points[:, 1]),
                color=series_colour(position),
                ls=series_dash(position),
                lw=2.0 if system in strong else 1.2,
                zorder=4 if system in strong else 3,
            )
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_ticks([float(ndtri(tick)) for tick in ticks], [f"{100 * tick:g}" for tick in ticks])
        axes.set_xlim(limits)
        axes.set_ylim(limits)
        axes.set_xlabel("false alarms, %")
        axes.set_ylabel("misses, %", labelpad=2)
        alt = f"Detection error trade-off at {length_label(length)}, {view.label}, for " + ", ".join(
            system for _, system, _ in curves
        )
        return Chart(to_svg(canvas, name, alt), f"{view.label}, {length_label(length)}")


def training_curve(view: View, name: str, key: str, label: str, what: str, scale: float = 1.0) -> Chart | None:
    """Loss or validation EER over the steps of the first seed; long curves are averaged in blocks."""
    lines = []
    for position, system in enumerate(view.systems):
        raw = [
            (point.get("step"), point.get("eer")) if isinstance(point, dict) else point
            for point in view.system(system).get(key) or ()
        ]
        known = [found for point in raw if (found := pair(list(point))) is not None]
        if len(known) > 1:
            lines.append((position, system, thinned(np.array(known))))
    if not lines:
        return None
    with drawing(400, 240) as canvas:
        axes = canvas.add_axes((0.085, 0.17, 0.895, 0.72))
        for position, _, points in lines:
            axes.plot(
                points[:, 0],
                scale * points[:, 1],
                color=series_colour(position),
                lw=1.3,
                ls=series_dash(position),
            )
        axes.grid(visible=False, axis="x")
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.set_xlabel("training step", color=MUTED)
        value_axis(axes, label)
        worded = "; ".join(f"{system} {number(points[-1, 1], 2, scale)}" for _, system, points in lines)
        return Chart(to_svg(canvas, name, f"{what}. At the end: {worded}."), what)


def thinned(points: np.ndarray, most: int = 120) -> np.ndarray:
    """(n, 2) points as at most `most` block means, so that a noisy loss reads as a line."""
    blocks = np.array_split(points, min(most, len(points)))
    return np.array([block.mean(axis=0) for block in blocks])
