"""The tables of results for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from shortvox.printing import plain
from shortvox.report.tables import Cell, Grid, difference_grid, eer_grid
from shortvox.report.views import MISSING, View, length_label, over_all, views_of

MOST_PAIRS = 12  # of each table; the report has all


def results_table(results: Mapping[str, Any]) -> Group:
    """EER % with 95 % intervals, systems x lengths, and what was compared, pairs x lengths: for the terminal."""
    views = views_of(results)
    differences = [
        table
        for cost, what in ((False, "EER, percentage points"), (True, "minDCF, p(target) = 0.05"))
        if (table := _differences(views, what, cost=cost)) is not None
    ]
    return Group(_error_rates(results, views), *differences)


def _error_rates(results: Mapping[str, Any], views: Sequence[View]) -> Table:
    lengths = _lengths(views)
    synthetic = "SYNTHETIC voices: " if results.get("synthetic") else ""
    table = _table(f"{synthetic}equal error rate, % (95 % interval {over_all(views)})", "system", lengths)
    for view in chain.from_iterable((whole, *whole.parts) for whole in views):
        block = eer_grid(view)
        if len(views) > 1 or view.key:
            shorts = [Text(column.short, style="yellow") for column in block.columns]
            table.add_row(plain(view.label, "bold"), *_at(lengths, view.lengths, shorts, Text("")))
        _add_rows(table, block, view.lengths, lengths)
        table.add_section()
    random = any(view.crop_range(name, length) for view in views for name in view.systems for length in view.lengths)
    words = ["crops: lowest and highest over their random places"] if random else []
    words += ["fewer than 20 test speakers: intervals are indicative"] if any(view.indicative for view in views) else []
    table.caption = Text("; ".join(words))
    return table


def _differences(views: Sequence[View], what: str, *, cost: bool) -> Table | None:
    """Differences with their adjusted p; A or B is who is significantly better. None where nothing was compared."""
    grids = [(view, difference_grid(view, cost=cost)) for view in views]
    shown = [(view, grid) for view, grid in grids if grid.rows]
    if not shown:
        return None
    lengths = _lengths(views)
    table = _table(f"difference in {what}, and its p ({over_all(views)}; Holm per table)", "A − B", lengths)
    hidden = 0
    for view, grid in shown:
        own = [length for length in view.lengths if length_label(length) in {column.label for column in grid.columns}]
        if len(views) > 1 or view.key:
            table.add_row(plain(view.label, "bold"))
        _add_rows(table, grid, own, lengths, most=MOST_PAIRS)
        hidden += max(0, len(grid.rows) - MOST_PAIRS)
        table.add_section()
    words = ["A or B: significantly better"]
    words += ["none with fewer than 20 test speakers"] if any(view.indicative for view in views) else []
    words += [f"too few draws ({view.draws}) for any" for view, _ in shown if view.undecidable][:1]
    words += [f"{hidden} more pairs in the report"] if hidden else []
    table.caption = Text("; ".join(words))
    return table


def _table(title: str, first: str, lengths: Sequence[str]) -> Table:
    table = Table(title=Text(title), box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    table.add_column(first, overflow="fold")
    for length in lengths:
        table.add_column(Text(length_label(length)), justify="right", no_wrap=True)
    return table


def _add_rows(table: Table, grid: Grid, own: Sequence[str], lengths: Sequence[str], *, most: int | None = None) -> None:
    for row in grid.rows[:most]:
        name = plain(row.label)
        for tag in row.tags:
            name.append(f" ({tag})", style="dim")
        table.add_row(name, *_at(lengths, own, [_terminal(cell) for cell in row.cells], Text(MISSING)))


def _at(lengths: Sequence[str], own: Sequence[str], cells: Sequence[Text], missing: Text) -> list[Text]:
    """Cells of a block's own lengths under the columns of all."""
    by_length = dict(zip(own, cells, strict=True))
    return [by_length.get(length, missing) for length in lengths]


def _terminal(cell: Cell) -> Text:
    text = Text(cell.value, style="bold" if cell.best or cell.mark else "")
    if cell.mark:
        text.append(f" {cell.mark.upper()}")
    for line in filter(None, (cell.small, cell.more, cell.hint)):
        text.append(f"\n{line}", style="dim not bold")
    return text


def _lengths(views: Sequence[View]) -> list[str]:
    return list(dict.fromkeys(length for view in views for length in view.lengths))
