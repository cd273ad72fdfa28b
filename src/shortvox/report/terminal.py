"""The table of results for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from shortvox.printing import plain
from shortvox.report.tables import Cell, eer_grid
from shortvox.report.views import MISSING, length_label, views_of


def results_table(results: Mapping[str, Any]) -> Table:
    """EER % with 95 % intervals, systems x lengths, one block per protocol: for the terminal."""
    views = views_of(results)
    lengths = list(dict.fromkeys(length for view in views for length in view.lengths))
    synthetic = "SYNTHETIC voices: " if results.get("synthetic") else ""
    table = Table(
        title=Text(f"{synthetic}equal error rate, % (95 % interval over speakers)"),
        box=box.SIMPLE_HEAD,
        padding=(0, 1),
        pad_edge=False,
    )
    table.add_column("system", overflow="fold")
    for length in lengths:
        table.add_column(Text(length_label(length)), justify="right", no_wrap=True)
    for view in chain.from_iterable((whole, *whole.parts) for whole in views):
        block = eer_grid(view)
        by_length = {length: position for position, length in enumerate(view.lengths)}
        if len(views) > 1 or view.key:
            shorts = [
                Text(block.columns[by_length[length]].short, style="yellow") if length in by_length else Text("")
                for length in lengths
            ]
            table.add_row(plain(view.label, "bold"), *shorts)
        for row in block.rows:
            name = plain(row.label)
            for tag in row.tags:
                name.append(f" ({tag})", style="dim")
            table.add_row(
                name,
                *(
                    _terminal(row.cells[by_length[length]]) if length in by_length else Text(MISSING)
                    for length in lengths
                ),
            )
        table.add_section()
    if any(view.indicative for view in views):
        table.caption = Text("fewer than 20 test speakers: intervals are indicative")
    return table


def _terminal(cell: Cell) -> Text:
    text = Text(cell.value, style="bold" if cell.best else "")
    if cell.small:
        text.append(f"\n{cell.small}", style="dim not bold")
    return text
