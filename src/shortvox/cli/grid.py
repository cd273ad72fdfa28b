"""`shortvox grid`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from shortvox.cli.options import AsJson, Corpora, Device, OwnCache, OwnCalibration, Spec, audio_cache
from shortvox.corpora.corpus import load_corpus
from shortvox.corpora.speech import SpeechData
from shortvox.environment import environment
from shortvox.evaluation.holding import holding
from shortvox.evaluation.spoken import hear
from shortvox.files import ensure_writable, write_json, write_text
from shortvox.printing import show_json, show_table
from shortvox.progress import note
from shortvox.report.holding import plot
from shortvox.verification.verifier import Verifier


def grid(
    corpus: Corpora,
    out: Annotated[Path, typer.Option(help="Folder for results.json and the plots.")],
    model: Spec = "default",
    calibration: OwnCalibration = None,
    device: Device = "cpu",
    cache: OwnCache = None,
    as_json: AsJson = False,
) -> None:
    """Do decisions keep their error rates? At each length of speech, on speakers they were not calibrated on.

    The grid of enrolment by test length, the worth of more recordings, and of deciding while they speak.
    """
    verifier = Verifier.load(model, calibration=calibration, device=device)
    ensure_writable(out)
    found: dict[str, Any] = {"encoder": verifier.encoder.name, "space": verifier.space.key, "corpora": {}}
    found["environment"] = environment()
    for folder in corpus:
        data = SpeechData.open(load_corpus(folder), audio_cache(cache, None))
        note(f"{data.corpus.name}: {len(data.corpus.speakers)} speakers are heard")
        heard = hear(verifier.encoder.embed, data, verifier.encoder.shortest, chunks=True)
        found["corpora"][data.corpus.name] = result = holding(verifier.calibration, heard)
        write_text(out / f"{data.corpus.name}.svg", plot(result, data.corpus.name))
    write_json(out / "results.json", found)
    if as_json:
        show_json(found)
        return
    for name, result in found["corpora"].items():
        for table in tables(name, result):
            show_table(table)
    note(f"{out / 'results.json'}: every figure with its interval; a plot for each corpus beside it")


def tables(name: str, result: dict[str, Any]) -> list[Table]:
    """What a terminal shows of one corpus."""
    return [_rates(name, result), _grid(result), _recordings(result), *(_stream(one) for one in result["stream"])]


def _rates(name: str, result: dict[str, Any]) -> Table:
    table = Table(title=f"{name}, {result['speakers']} speakers: a whole enrolment against so much speech, %")
    for head in ("test", *_heads(result), "EER", "Cllr", "min", "actDCF", "min"):
        table.add_column(head, justify="right")
    for row in result["lengths"]:
        cells = [
            cell
            for rate in row["rates"]
            for cell in (
                interval(rate["false_alarms"]),
                interval(rate["misses"]),
                percent(rate["one_cosine"]["false_alarms"]["value"]),
            )
        ]
        costs = [f"{row[key]:.3f}" for key in ("cllr", "min_cllr", "act_dcf", "min_dcf")]
        table.add_row(str(row["seconds"]), *cells, percent(row["eer"]), *costs)
    return table


def _heads(result: dict[str, Any]) -> list[str]:
    rates = [percent(rate["max_fpr"]) for rate in result["lengths"][0]["rates"]]
    return [head for rate in rates for head in (f"false alarms at {rate}", "misses", "false alarms, one cosine")]


def _grid(result: dict[str, Any]) -> Table:
    cells = {(one["enrolled"], one["tested"]): one for one in result["grid"] if one["recordings"] == 1}
    tested = list(dict.fromkeys(key[1] for key in cells))
    table = Table(title="EER % by seconds enrolled (one recording) and tested")
    for head in ("enrolled", *map(str, tested)):
        table.add_column(head, justify="right")
    for enrolled in dict.fromkeys(key[0] for key in cells):
        row = [percent(cells[enrolled, one]["eer"]) if (enrolled, one) in cells else "" for one in tested]
        table.add_row(str(enrolled), *row)
    return table


def _recordings(result: dict[str, Any]) -> Table:
    cells = {(one["recordings"], one["enrolled"], one["tested"]): one for one in result["grid"]}
    table = Table(title="EER % with more recordings enrolled, of 1 s each and whole, against 1 s")
    for head in ("recordings", "of 1 s", "whole"):
        table.add_column(head, justify="right")
    for count in dict.fromkeys(key[0] for key in cells):
        found = [cells.get((count, enrolled, 1.0)) for enrolled in (1.0, "full")]
        table.add_row(str(count), *(percent(one["eer"]) if one else "" for one in found))
    return table


def _stream(result: dict[str, Any]) -> Table:
    title = (
        f"while they speak: at most {percent(result['max_fpr'])} % false alarms and {percent(result['max_miss'])} % "
        f"misses, up to {result['give_up_after']:g} s"
    )
    table = Table(title=title)
    for head in ("way", "false alarms", "misses", "accepted", "undecided", "s of speech, target", "non-target"):
        table.add_column(head, justify="left" if head == "way" else "right")
    for one in result["ways"]:
        shares = [interval(one[key]) for key in ("false_alarms", "misses", "accepted")]
        seconds = [f"{one['mean_seconds'][side]:.2f}" for side in ("target", "nontarget")]
        table.add_row(one["name"], *shares, percent(one["undecided"]["target"]), *seconds)
    return table


def percent(share: float) -> str:
    return f"{100 * share:.3g}" if share < 0.001 else f"{100 * share:.1f}"


def interval(share: dict[str, Any]) -> str:
    return f"{percent(share['value'])} ({percent(share['low'])}–{percent(share['high'])})"
