"""DET curves on probit axes (Martin et al., "The DET curve in assessment of detection tasks", 1997)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from scipy.special import ndtri

from shortvox.evaluation.metrics import det_points, eer
from shortvox.files import write_atomic

TICKS = np.array([0.1, 0.5, 1, 2, 5, 10, 20, 40, 60, 80]) / 100


def write_det(scores: np.ndarray, labels: np.ndarray, path: Path) -> None:
    """The curve of scores (n,) with labels (n,), as SVG; Gaussian scores give a straight line."""
    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.add_subplot()
    low, high = ndtri(TICKS[0] / 2), ndtri(0.9)
    curve = np.array(det_points(scores, labels)).clip(1e-6, 1 - 1e-6)
    axes.plot(*ndtri(curve.T), label=f"EER {100 * eer(scores, labels):.2f} %")
    axes.plot([low, high], [low, high], color="0.8", linewidth=0.8, zorder=0)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks(ndtri(TICKS), [f"{100 * tick:g}" for tick in TICKS])
    axes.set(xlim=(low, high), ylim=(low, high), aspect="equal", xlabel="false alarm rate, %", ylabel="miss rate, %")
    axes.grid(color="0.9")
    axes.legend()
    write_atomic(path, lambda handle: figure.savefig(handle, format="svg"))
