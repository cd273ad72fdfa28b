"""`shortvox corpus`: import, check, describe and split corpora."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from shortvox.cli.options import AsJson
from shortvox.corpora.check import Report, check_corpus
from shortvox.corpora.corpus import Corpus, load_corpora, load_corpus
from shortvox.corpora.importers import IMPORTERS, import_corpus
from shortvox.corpora.split import hold_out, read_speakers, split_speakers, write_split
from shortvox.corpora.stats import corpus_stats
from shortvox.corpora.store import open_store
from shortvox.printing import plain, show, show_json, show_table
from shortvox.progress import note

app = typer.Typer(no_args_is_help=True, help="Import, check, describe and split corpora.")

_SHOWN = 10  # names of files listed in a note; --json has all


@app.command("import")
def import_(
    layout: Annotated[str, typer.Argument(help=f"One of {', '.join(IMPORTERS)}.")],
    source: Annotated[Path, typer.Argument(help="Folder with the recordings (kaldi: the data directory).")],
    out: Annotated[Path, typer.Argument(help="Folder for the corpus: manifest.csv and a link to the audio.")],
    as_json: AsJson = False,
) -> None:
    """Write a manifest for recordings in a known layout; the recordings stay where they are."""
    imported = import_corpus(layout, source, out)
    for why, names in imported.reasons.items():
        _list(f"passed over ({why})", names)
    _list("cannot be opened (`shortvox corpus check` says why)", imported.unreadable)
    facts = {
        "manifest": str(imported.corpus.root / "manifest.csv"),
        **_counts(imported.corpus),
        "passed_over": imported.passed_over,
        "unreadable": imported.unreadable,
    }
    _show(facts, as_json, "{manifest}: {utterances} utterances of {speakers} speakers")


@app.command()
def check(
    corpus: Annotated[Path, typer.Argument(help="Folder with a manifest.csv.")],
    split: Annotated[
        list[Path] | None,
        typer.Option(help="A side of a split: another corpus or a list of speakers. May be repeated."),
    ] = None,
    min_seconds: Annotated[float, typer.Option(min=0, max=3600, help="Shorter utterances are listed.")] = 0.1,
    as_json: AsJson = False,
) -> None:
    """Decode every recording and list all that is wrong, with its row. Exit code 2 if anything is."""
    report = check_corpus(corpus, splits=split or (), min_seconds=min_seconds)
    if as_json:
        findings = [asdict(finding) for finding in report.findings]
        show_json(
            {
                "manifest": str(report.manifest),
                "utterances": report.utterances,
                "speakers": report.speakers,
                "ok": not findings,
                "counts": report.counts,
                "findings": findings,
            }
        )
    else:
        _print_report(report)
    if report.findings:
        raise typer.Exit(2)


@app.command()
def stats(
    corpus: Annotated[list[Path], typer.Argument(help="Folder with a manifest.csv; several count as one.")],
    as_json: AsJson = False,
) -> None:
    """Speakers, utterances, hours, durations, sessions, gender, and how many files reach each test length."""
    loaded = load_corpora(corpus)
    figures = corpus_stats(loaded, open_store(loaded))
    if as_json:
        show_json(figures)
    else:
        show_table(_table(figures))


@app.command()
def split(
    corpus: Annotated[Path, typer.Argument(help="Folder with a manifest.csv.")],
    out: Annotated[Path, typer.Argument(help="Gets the corpora train/ and test/, and lists of speakers.")],
    test_speakers: Annotated[Path | None, typer.Option(help="File with one test speaker a line.")] = None,
    fraction: Annotated[
        float, typer.Option(min=0, max=1, help="Share of speakers drawn for test, without a file.")
    ] = 0.2,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Seed of the draw.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Split by speaker, so that nobody is on both sides."""
    whole = load_corpus(corpus)
    if test_speakers is None:
        sides = hold_out(whole, fraction=fraction, seed=seed, min_utterances=1)
    else:
        sides = split_speakers(whole, read_speakers(test_speakers))
    train, test = write_split(out, *sides)
    facts = {side.root.name: {"corpus": str(side.root), **_counts(side)} for side in (train, test)}
    _show(
        facts,
        as_json,
        "{train[corpus]}: {train[speakers]} speakers, {train[utterances]} utterances",
        "{test[corpus]}: {test[speakers]} speakers, {test[utterances]} utterances",
    )


def _counts(corpus: Corpus) -> dict[str, int]:
    return {"utterances": len(corpus.utterances), "speakers": len(corpus.speakers)}


def _list(what: str, names: tuple[str, ...]) -> None:
    if names:
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        note(f"{len(names)} {what}: {', '.join(names[:_SHOWN])}{more}")


def _show(facts: dict[str, Any], as_json: bool, *lines: str) -> None:
    if as_json:
        show_json(facts)
        return
    for line in lines:
        show(line.format(**facts))


def _print_report(report: Report) -> None:
    for finding in report.findings:
        show(f"row {finding.row}: {finding.kind}: {finding.message}")
    found = ", ".join(f"{count} {kind}" for kind, count in report.counts.items()) or "nothing wrong"
    show(f"{report.manifest}: {report.utterances} utterances of {report.speakers} speakers: {found}")


def _table(figures: dict[str, Any]) -> Table:
    title = "{corpus}: {speakers} speakers, {utterances} utterances, {hours:.2f} h".format(**figures)
    table = Table(title=plain(title), show_header=False)
    table.add_row(
        "sessions", f"{figures['sessions']} ({figures['speakers_with_several_sessions']} speakers have several)"
    )
    table.add_row("speakers with one utterance", str(figures["speakers_with_one_utterance"]))
    table.add_row("gender", plain(_joined(figures["gender"])))
    table.add_row("duration, s", _joined(figures["seconds"]))
    table.add_row("utterances per speaker", _joined(figures["utterances_per_speaker"]))
    table.add_row(
        "utterances of at least", ", ".join(f"{length} s: {count}" for length, count in figures["at_least"].items())
    )
    return table


def _joined(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in values.items())
