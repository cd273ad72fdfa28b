"""`shortvox metrics`: figures of a score file of any toolkit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from shortvox.cli.options import AsJson
from shortvox.errors import ScoreError
from shortvox.evaluation.bootstrap import DRAWS, MOST_DRAWS
from shortvox.evaluation.scorefile import ScoreTable, read_scores
from shortvox.evaluation.speakersfile import read_utt2spk
from shortvox.evaluation.summary import score_figures
from shortvox.printing import plain, show_json, show_table
from shortvox.progress import note


def metrics(
    scores: Annotated[Path, typer.Argument(help="TSV or Parquet with columns enrol, test, score, label.")],
    as_json: AsJson = False,
    speakers: Annotated[
        Path | None, typer.Option(help="Speaker of each utterance (two columns, or a manifest.csv).")
    ] = None,
    draws: Annotated[int, typer.Option(min=100, max=MOST_DRAWS, help="Bootstrap draws.")] = DRAWS,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Seed of the bootstrap.")] = 0,
    det: Annotated[Path | None, typer.Option(help="Write the DET curve to this SVG file.")] = None,
) -> None:
    """EER, minDCF, actDCF, Cllr and minCllr of a score file, with 95 % intervals."""
    table = read_scores(scores)
    owners = None if speakers is None else read_utt2spk(speakers)
    try:
        figures = score_figures(table, owners, speakers_from=str(speakers), draws=draws, seed=seed)
    except ScoreError as error:
        raise ScoreError(f"{scores}: {error}") from None
    if det is not None:
        _plot_det(table, det)
    for warning in figures["warnings"]:
        note(f"warning: {warning}")
    if as_json:
        show_json(figures)
    else:
        show_table(_as_table(figures, scores.name))


def _as_table(figures: dict[str, Any], title: str) -> Table:
    table = Table(
        title=plain(f"{title}: {figures['n_target']} targets, {figures['n_nontarget']} non-targets"),
        caption=plain(f"95 % intervals: bootstrap over {figures['resampled']}"),
    )
    for column in ("metric", "value", "95 % interval"):
        table.add_column(column, justify="left" if column == "metric" else "right")

    def add(name: str, value: float, key: str = "", scale: float = 1.0, digits: int = 4) -> None:
        bounds = figures["intervals"].get(key)
        shown = "" if bounds is None else " – ".join(f"{scale * bound:.{digits}f}" for bound in bounds)
        table.add_row(name, f"{scale * value:.{digits}f}", shown)

    add("EER %", figures["eer"], "eer", scale=100, digits=3)
    for p, value in figures["min_dcf"].items():
        add(f"minDCF (p = {p})", value, f"min_dcf_{p}")
    for p, value in figures["act_dcf"].items():
        add(f"actDCF (p = {p})", value)
    add("Cllr", figures["cllr"])
    add("minCllr", figures["min_cllr"])
    return table


def _plot_det(table: ScoreTable, path: Path) -> None:
    """The DET curve on probit axes, as SVG."""
    from shortvox.evaluation.detplot import write_det  # matplotlib takes a second to import, and only this needs it

    write_det(table.score, table.label, path)
