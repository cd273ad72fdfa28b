"""`shortvox adapt`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from shortvox.cli.options import AsJson, Cache, Corpora, Set, audio_cache, command_line
from shortvox.config import parse_assignments
from shortvox.errors import ConfigError
from shortvox.evaluation.bootstrap import FEWEST_SPEAKERS
from shortvox.printing import show_json, show_table
from shortvox.progress import note
from shortvox.studies.adapting import Change, adapt_study, by_protocol
from shortvox.studies.adapting import adapt as adapt_model
from shortvox.studies.data import DataSource
from shortvox.studies.runner import StudyRun


def adapt(
    start: Annotated[
        str, typer.Option("--from", metavar="MODEL", help="Start: default, tiny, a model folder or a graph of ours.")
    ],
    corpus: Corpora,
    out: Annotated[Path, typer.Option(help="Folder for model/, graphs/, results.json and report.html.")],
    test_corpus: Annotated[
        list[Path] | None, typer.Option(help="Speech to test on, instead of a fifth of the speakers of --corpus.")
    ] = None,
    trials: Annotated[Path | None, typer.Option(help="VoxCeleb or Kaldi trial list over the test speakers.")] = None,
    no_labels: Annotated[
        bool, typer.Option("--unlabelled", help="Take no notice of who speaks in --corpus; needs --test-corpus.")
    ] = False,
    even_if_worse: Annotated[
        bool, typer.Option("--even-if-worse", help="Export a model that got worse at some length.")
    ] = False,
    set_: Set = None,
    cache: Cache = None,
    as_json: AsJson = False,
) -> None:
    """Adapt a speaker encoder to short speech, or to your own; test before and after, calibrate, export."""
    if no_labels and not test_corpus:
        raise ConfigError(
            "--unlabelled: who spoke has to be known of the test; name labelled speech with --test-corpus"
        )
    changes = parse_assignments(set_ or [])
    study = adapt_study(start, corpus, changes, labelled=not no_labels, tested_elsewhere=bool(test_corpus))
    source = DataSource(
        corpora=tuple(corpus),
        cache=audio_cache(cache, out / "audio"),
        test_corpora=tuple(test_corpus or ()),
        trials=trials,
        share=study.settings.test_speakers,
        validation_speakers=study.settings.train.validation.speakers,
        unlabelled=no_labels,
    )
    run = StudyRun(out=out, source=source, jobs=1, command=command_line())
    done = adapt_model(study, run, even_if_worse=even_if_worse)
    if as_json:
        show_json(
            {
                "model": str(done.model),
                "graphs": str(done.graphs),
                "report": str(out / "report.html"),
                "changes": [vars(change) | {"worse": change.worse} for change in done.changes],
            }
        )
    else:
        show_table(_table(done.changes, done.results))
    note(f"model: {done.model}; graphs: {done.graphs}; report: {out / 'report.html'}")


def _table(changes: tuple[Change, ...], results: dict[str, Any]) -> Table:
    speakers = next(iter(by_protocol(results).values()))["trials"]["speakers"]
    few = f"; fewer than {FEWEST_SPEAKERS} test speakers: indicative" if speakers < FEWEST_SPEAKERS else ""
    table = Table(title=f"EER in percent, {speakers} test speakers", caption=f"95 % intervals over speakers{few}")
    for column in ("protocol", "length", "before", "after", "difference", "95 % interval"):
        table.add_column(column, justify="left" if column == "protocol" else "right")
    for one in changes:
        low, high = (f"{100 * bound:+.1f}" for bound in one.interval)
        table.add_row(
            one.protocol,
            one.length,
            f"{100 * one.before:.1f}",
            f"{100 * one.after:.1f}",
            f"{100 * (one.after - one.before):+.1f}",
            f"{low} to {high}",
        )
    return table
