"""Tables of a report as plain data; the template, or a terminal, only lays them out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from shortvox.evaluation.bootstrap import resolution
from shortvox.report.views import (
    MISSING,
    SHORT_LIMIT,
    View,
    finite,
    headline_pair,
    length_label,
    number,
    p_value,
    pair,
    percent,
)

STEPS = {"fewer_steps": "fewer steps", "more_steps": "more steps"}  # what stands beside a system's name
Measured = Mapping[str, Any]  # one entry of a system's "lengths"


@dataclass(frozen=True)
class Cell:
    value: str
    small: str = ""  # the interval or the count under the value
    more: str = ""  # a second line under it
    best: bool = False
    mark: str = ""  # CSS class of a comparison: "a", "b" or ""
    hint: str = ""


@dataclass(frozen=True)
class Column:
    label: str
    short: str = ""  # e.g. "38 % short" when the column has too many short files


@dataclass(frozen=True)
class Row:
    label: str
    series: int | None  # which colour and marker the system has in the charts
    cells: tuple[Cell, ...]
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Grid:
    head: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]

    @property
    def empty(self) -> bool:
        return all(cell.value == MISSING for row in self.rows for cell in row.cells)


def interval_text(interval: tuple[float, float] | None, digits: int = 1) -> str:
    return "" if interval is None else f"{percent(interval[0], digits)}–{percent(interval[1], digits)}"


def grid(
    view: View,
    figure: Callable[[Measured], Any],
    text: Callable[[Any], str] = percent,
    small: Callable[[Measured], str] = lambda measured: "",
    more: Callable[[str, str], str] = lambda name, length: "",
) -> Grid:
    """Systems down, lengths across. The lowest printed value of a column is its best, ties included."""
    figures = {
        (name, length): finite(figure(view.at(name, length))) for name in view.systems for length in view.lengths
    }
    lowest = {}
    for length in view.lengths:
        found = [figures[name, length] for name in view.systems]
        known = [value for value in found if value is not None]
        lowest[length] = text(min(known)) if len(known) > 1 else None

    def cell(name: str, length: str) -> Cell:
        printed = text(figures[name, length])
        return Cell(
            printed,
            "" if printed == MISSING else small(view.at(name, length)),
            "" if printed == MISSING else more(name, length),
            best=printed == lowest[length],
        )

    rows = tuple(
        Row(
            name,
            position,
            tuple(cell(name, length) for length in view.lengths),
            tuple(tag for key, tag in STEPS.items() if view.system(name).get(key)),
        )
        for position, name in enumerate(view.systems)
    )
    return Grid("System", tuple(_column(view, length) for length in view.lengths), rows)


def _column(view: View, length: str) -> Column:
    share = view.short_fraction(length)
    return Column(length_label(length), f"{share:.0%} short".replace("%", " %") if share > SHORT_LIMIT else "")


def eer_grid(view: View) -> Grid:
    return grid(
        view,
        lambda at: at.get("eer"),
        small=lambda at: interval_text(pair((at.get("intervals") or {}).get("eer"))),
        more=lambda name, length: "" if (found := view.crop_range(name, length)) is None else crops_text(found),
    )


def crops_text(found: tuple[float, float]) -> str:
    return f"crops {interval_text(found)}"


def _nested(key: str) -> Callable[[Measured], Any]:
    return lambda at: (at.get(key) or {}).get("eer")


def _dcf_interval(at: Measured) -> str:
    found = pair((at.get("intervals") or {}).get("min_dcf_0.05"))
    return "" if found is None else f"{found[0]:.2f}–{found[1]:.2f}"


def _three(value: Any) -> str:
    return number(value, 3)


# (title, what it says, builder); a grid without one figure is left out.
OTHER_METRICS: tuple[tuple[str, str, Callable[[View], Grid]], ...] = (
    (
        "minDCF, p(target) = 0.05",
        "Lowest normalised detection cost over all thresholds; the notes' operating point.",
        lambda view: grid(view, lambda at: (at.get("min_dcf") or {}).get("0.05"), _three, _dcf_interval),
    ),
    (
        "minDCF, p(target) = 0.01",
        "The same with rarer targets.",
        lambda view: grid(view, lambda at: (at.get("min_dcf") or {}).get("0.01"), _three),
    ),
    (
        "actDCF, p(target) = 0.05",
        "Cost at the threshold that the calibrated scores imply.",
        lambda view: grid(view, lambda at: (at.get("act_dcf") or {}).get("0.05"), _three),
    ),
    (
        "Cllr",
        "Cost of the calibrated scores as log-likelihood ratios, in bits; 1 is a system that knows nothing.",
        lambda view: grid(view, lambda at: at.get("cllr"), _three),
    ),
    (
        "minCllr",
        "Cllr after the best possible calibration.",
        lambda view: grid(view, lambda at: at.get("min_cllr"), _three),
    ),
)
OTHER_QUESTIONS: tuple[tuple[str, str, Callable[[View], Grid]], ...] = (
    (
        "Only files at least as long as the crop",
        "EER % over the trials whose cropped files are all long enough; below it, the number of target trials.",
        lambda view: grid(
            view,
            _nested("long_only"),
            small=lambda at: (
                f"{(at.get('long_only') or {}).get('n_target')}"
                if (at.get("long_only") or {}).get("n_target") is not None
                else ""
            ),
        ),
    ),
    (
        "Impostors of the same package family",
        "EER % when the two voices of every non-target trial come from the same "
        "package family, so that channel and style give less away.",
        lambda view: grid(view, _nested("same_family")),
    ),
    (
        "Band-limited to 4 kHz",
        "EER % with everything low-passed to 4 kHz, so that an 8 kHz recording cannot be told by its empty upper band.",
        lambda view: grid(view, _nested("band_limited")),
    ),
)


def notes_grid(table: Mapping[str, Any]) -> Grid:
    """The research notes' own figures, with their best per column marked as ours is; those without any are marked."""
    names = tuple(str(name) for name in table.get("columns") or ())
    rows = {name: row or [] for name, row in (table.get("rows") or {}).items()}
    without = {name for name, row in rows.items() if not any(finite(value) is not None for value in row)}
    digits = int(table.get("digits", 2))
    lowest: list[float | None] = []
    for position in range(len(names)):
        found = [finite(row[position]) for row in rows.values() if position < len(row)]
        known = [value for value in found if value is not None]
        lowest.append(min(known) if known else None)

    def cell(row: list[Any], position: int) -> Cell:
        value = finite(row[position]) if position < len(row) else None
        own = 0 if value is None else len(f"{value:g}".partition(".")[2])
        return Cell(number(value, max(digits, own)), best=value is not None and value == lowest[position])

    return Grid(
        "System",
        tuple(Column(length_label(name)) for name in names),
        tuple(
            Row(
                str(name),
                None,
                tuple(cell(row, position) for position in range(len(names))),
                ("no figure",) if name in without else (),
            )
            for name, row in rows.items()
        ),
    )


def difference_grid(view: View, *, cost: bool = False) -> Grid:
    """Pairs down, lengths across: the difference in EER, or in minDCF, marked with who is significantly better."""
    comparisons = view.cost_comparisons if cost else view.comparisons
    pairs = list(dict.fromkeys((found["a"], found["b"]) for found in comparisons))
    main = headline_pair(view) or ("", "")
    pairs = [main if set(names) == set(main) else names for names in pairs]
    pairs.sort(key=lambda names: names != main)
    lengths = [length for length in view.lengths if any(found.get("length") == length for found in comparisons)]

    def cell(a: str, b: str, length: str) -> Cell:
        found = view.comparison(a, b, length, cost=cost)
        if found is None:
            return Cell(MISSING)
        difference = finite(found.get("difference"))
        sure = bool(found.get("significant")) and not found.get("indicative") and difference is not None
        mark = ("a" if difference < 0 else "b") if sure and difference is not None else ""
        return Cell(_difference(found.get("difference"), cost), mark=mark, hint=f"p {view.holm_p(found)}")

    return Grid(
        "A − B",
        tuple(Column(length_label(length)) for length in lengths),
        tuple(
            Row(
                f"{a} − {b}",
                None,
                tuple(cell(a, b, length) for length in lengths),
                ("main question",) if (a, b) == main else (),
            )
            for a, b in pairs
        ),
    )


def _difference(value: Any, cost: bool, *, signed: bool = True) -> str:
    """minDCF as it is, EER in percentage points."""
    return number(value, 3, signed=signed) if cost else number(value, 2, 100, signed=signed)


def comparison_rows(view: View, *, cost: bool = False) -> list[dict[str, Any]]:
    """Every comparison in full, for the long table."""
    rows = []
    for found in view.cost_comparisons if cost else view.comparisons:
        interval = pair(found.get("interval"))
        rows.append(
            {
                "a": found.get("a"),
                "b": found.get("b"),
                "length": length_label(str(found.get("length"))),
                "difference": _difference(found.get("difference"), cost),
                "interval": MISSING
                if interval is None
                else " to ".join(_difference(bound, cost, signed=False) for bound in interval),
                "p": p_value(found.get("p"), None if view.draws is None else resolution(1, view.draws)),
                "p_holm": view.holm_p(found),
                "verdict": "indicative"
                if found.get("indicative")
                else "significant"
                if found.get("significant")
                else "not significant",
            }
        )
    return rows
