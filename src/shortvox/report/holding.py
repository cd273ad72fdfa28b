"""One picture of whether decisions keep their rates: by length of test speech, and while somebody speaks."""

from __future__ import annotations

import io
from typing import Any

import matplotlib
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

_BLUE, _RED, _GREY = "#1f6fb4", "#c0392b", "#777777"
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "shortvox",
    "font.family": "sans-serif",
    "font.size": 9,
}


def plot(result: dict[str, Any], name: str) -> str:
    """SVG of what `evaluation.holding.holding` found for a corpus."""
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(9.6, 3.4), layout="constrained")
        left, middle, right = figure.subplots(1, 3)
        last = len(result["lengths"][0]["rates"]) - 1
        _rates(left, result, last)
        _misses(middle, result, last)
        _early(right, result)
        figure.suptitle(
            f"{name}: {result['speakers']} speakers that were not calibrated on, 95 % intervals over speakers"
        )
        drawn = io.StringIO()
        FigureCanvasSVG(figure).print_svg(drawn, metadata={"Date": None, "Creator": None})
    return drawn.getvalue()


def _rates(axes: Any, result: dict[str, Any], which: int) -> None:
    rows = result["lengths"]
    rate = rows[0]["rates"][which]["max_fpr"]
    at = [row["median_seconds"] for row in rows]
    axes.axhline(100 * rate, color=_GREY, lw=1, ls="--")
    axes.text(at[0], 100 * rate, " promised", va="bottom", color=_GREY)
    _curve(axes, at, [row["rates"][which]["false_alarms"] for row in rows], _BLUE, "line for so much speech")
    one = [row["rates"][which]["one_cosine"]["false_alarms"] for row in rows]
    _curve(axes, at, one, _RED, "one cosine for all lengths")
    axes.set(xscale="log", yscale="log", xlabel="seconds of test speech", ylabel="strangers accepted, %")
    axes.legend(frameon=False)
    _seconds(axes)


def _misses(axes: Any, result: dict[str, Any], which: int) -> None:
    rows = result["lengths"]
    at = [row["median_seconds"] for row in rows]
    _curve(axes, at, [row["rates"][which]["misses"] for row in rows], _BLUE, "line for so much speech")
    expected = [100 * row["rates"][which]["expected_misses"] for row in rows]
    axes.plot(at, expected, color=_GREY, ls="--", lw=1, label="expected")
    one = [row["rates"][which]["one_cosine"]["misses"] for row in rows]
    _curve(axes, at, one, _RED, "one cosine")
    axes.set(xscale="log", xlabel="seconds of test speech", ylabel="true speakers not accepted, %", ylim=(0, 100))
    axes.legend(frameon=False)
    _seconds(axes)


def _early(axes: Any, result: dict[str, Any]) -> None:
    if not result["stream"]:
        axes.set_axis_off()
        return
    ways = result["stream"][-1]["ways"]
    fixed = [one for one in ways if one["name"].startswith("one look")]
    axes.plot(
        [one["mean_seconds"]["target"] for one in fixed],
        [100 * (1 - one["accepted"]["value"]) for one in fixed],
        color=_GREY,
        marker="o",
        ms=4,
        label="one look, after a fixed time",
    )
    early = ways[0]
    axes.plot(
        early["mean_seconds"]["target"],
        100 * (1 - early["accepted"]["value"]),
        color=_BLUE,
        marker="*",
        ms=13,
        ls="",
        label="while they speak",
    )
    axes.set(xlabel="mean seconds until decided", ylabel="true speakers not accepted, %", ylim=(0, None))
    axes.legend(frameon=False)


def _curve(axes: Any, at: list[float], shares: list[dict[str, Any]], colour: str, label: str) -> None:
    floor = 100 / max(share["trials"] for share in shares) / 2  # where nothing was seen, on a logarithmic axis
    values = [max(100 * share["value"], floor) for share in shares]
    low = [value - min(max(100 * share["low"], floor), value) for value, share in zip(values, shares, strict=True)]
    high = [max(100 * share["high"] - value, 0) for value, share in zip(values, shares, strict=True)]
    axes.errorbar(at, values, (low, high), color=colour, marker="o", ms=4, lw=1.4, capsize=2, label=label)


def _seconds(axes: Any) -> None:
    ticks = [0.3, 0.5, 1, 2, 5]
    axes.set_xticks(ticks, [f"{one:g}" for one in ticks])
    axes.minorticks_off()
