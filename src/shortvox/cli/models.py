"""`shortvox models`: every backbone variant."""

from __future__ import annotations

from rich.table import Table

from shortvox.cli.options import AsJson
from shortvox.models import backbone, blueprint, parameter_count
from shortvox.printing import show_json, show_table


def models(as_json: AsJson = False) -> None:
    """List the backbones with their parameters and embedding sizes."""
    made = {name: blueprint(name) for name in backbone}
    rows = {
        name: {
            "parameters": parameter_count(network),
            "dim": network.dim,
            "bands": network.bands,
            "about": (backbone[name].__doc__ or "").strip(),
        }
        for name, network in made.items()
    }
    if as_json:
        show_json({"models": rows})
        return
    table = Table()
    for title in ("backbone", "parameters", "embedding", "bands", "about"):
        table.add_column(title, justify="right" if title in ("parameters", "embedding", "bands") else "left")
    for name, row in rows.items():
        table.add_row(name, f"{row['parameters']:,}", str(row["dim"]), str(row["bands"]), str(row["about"]))
    show_table(table)
