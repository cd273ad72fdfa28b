"""`shortvox export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from shortvox.cli.options import AsJson, OwnCache, audio_cache
from shortvox.errors import ConfigError
from shortvox.export.cost import open_speech
from shortvox.export.folder import export_model
from shortvox.printing import plain, show_json, show_table
from shortvox.progress import note, progress_bar


def export(
    model: Annotated[Path, typer.Option(help="Model folder.")],
    out: Annotated[Path, typer.Option(help="Folder to make; an export that is there is replaced.")],
    int8: Annotated[
        bool, typer.Option("--int8", help="Write model.int8.onnx too, which computes with int8; needs --corpus.")
    ] = False,
    fp16: Annotated[
        bool, typer.Option("--fp16", help="Write model.fp16.onnx too: half the size, computed in single precision.")
    ] = False,
    int8_storage: Annotated[
        bool,
        typer.Option(
            "--int8-storage",
            help="Write model.int8-storage.onnx too: a third of the size, computed in single precision.",
        ),
    ] = False,
    corpus: Annotated[
        list[Path] | None,
        typer.Option("--corpus", help="Speech that calibrates int8; may be given several times."),
    ] = None,
    test_corpus: Annotated[
        list[Path] | None,
        typer.Option(help="Speech that int8 is tested on; by default speakers held out of --corpus."),
    ] = None,
    cache: OwnCache = None,
    as_json: AsJson = False,
) -> None:
    """Write a model as ONNX: waveforms in, embeddings out, front end inside, compared with torch at every length."""
    if int8 and not corpus:
        raise ConfigError("--int8: needs speech to calibrate on; name some with --corpus DIR")
    if (corpus or test_corpus) and not int8:
        raise ConfigError("--corpus and --test-corpus: only --int8 uses speech; add it, or leave them out")
    speech = open_speech(corpus or [], test_corpus or [], audio_cache(cache, None)) if int8 else None
    with progress_bar(transient=True) as bar:
        task = bar.add_task("Export", total=2 + fp16 + int8_storage + 2 * int8, note="")

        def begin(step: str) -> None:
            bar.update(task, advance=1, note=step)

        report = export_model(model, out, half=fp16, int8_storage=int8_storage, int8=speech, on_step=begin)
    note(f"{', '.join(report['graphs'])} written to {out}")
    if as_json:
        show_json({"out": str(out), **report})
    else:
        for table in _tables(report):
            show_table(table)


def _tables(report: dict[str, Any]) -> list[Table]:
    graphs = report["graphs"]
    sizes = ", ".join(f"{file} {facts['bytes'] / 1e6:.1f} MB" for file, facts in graphs.items())
    agreement = Table(title=plain(f"Cosine to torch: {sizes}"))
    agreement.add_column("heard")
    for facts in graphs.values():
        agreement.add_column(facts["precision"], justify="right")
    for heard in next(iter(graphs.values()))["cosines"]:
        agreement.add_row(heard, *(_cosine(facts["cosines"].get(heard)) for facts in graphs.values()))
    tables = [agreement]
    for facts in graphs.values():
        if "error_rates" in facts:
            tables.append(_cost(facts["error_rates"]))
    return tables


def _cost(cost: dict[str, Any]) -> Table:
    table = Table(
        title=plain(
            f"EER on {cost['speakers']} speakers of {cost['test']}: {cost['targets']} targets, {cost['nontargets']} "
            "non-targets"
        )
    )
    for title in ("test side", "fp32 %", "int8 %"):
        table.add_column(title, justify="left" if title == "test side" else "right")
    for length, rates in cost["eer"].items():
        row = (f"{100 * rates[precision]:.2f}" for precision in ("fp32", "int8"))
        table.add_row(length if length == "full" else f"{length} s", *row)
    return table


def _cosine(found: float | None) -> str:
    return "–" if found is None else f"{found:.7f}"
