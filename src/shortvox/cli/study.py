"""`shortvox study` and `shortvox demo`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from shortvox.cli.options import AsJson, Cache, Set, audio_cache, command_line
from shortvox.config import parse_assignments
from shortvox.demo.deciding import decisions_table, show_decisions
from shortvox.demo.voices import prepare_demo_voices
from shortvox.effect import refuse_idle
from shortvox.errors import ConfigError
from shortvox.evaluation.settings import of_all_pairs
from shortvox.files import ensure_writable
from shortvox.locks import one_writer
from shortvox.printing import show_json, show_table
from shortvox.progress import note
from shortvox.report.terminal import results_table
from shortvox.studies.catalogue import list_studies, load_study
from shortvox.studies.data import DataSource
from shortvox.studies.runner import StudyRun, run_study

Folders = Annotated[list[Path] | None, typer.Option("--corpus", help="Corpus folder; may be given several times.")]
OUT = "Folder for models, results.json and report.html; work already done in it is reused."
STORE = "Folder for decoded audio, trainings and embeddings, by default --out; studies given the same one share them."
Jobs = Annotated[
    int, typer.Option(min=0, max=256, help="Trainings at a time; 0: one per CPU core, at most 2, or 1 on a GPU.")
]


def study(
    name: Annotated[str, typer.Argument(help="A study's name, the path of a study's YAML file, or 'list'.")],
    corpus: Folders = None,
    out: Annotated[Path | None, typer.Option(help=OUT)] = None,
    store: Annotated[Path | None, typer.Option(help=STORE, show_default=False)] = None,
    preset: Annotated[str | None, typer.Option(help="A preset of the study, such as small.")] = None,
    test_corpus: Annotated[list[Path] | None, typer.Option(help="Corpora to test on, instead of a split.")] = None,
    test_speakers: Annotated[Path | None, typer.Option(help="File with the speakers to test on.")] = None,
    trials: Annotated[Path | None, typer.Option(help="VoxCeleb or Kaldi trial list over the test speakers.")] = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, max=100, help="Training seeds; more give honest intervals.")
    ] = None,
    scores: Annotated[bool, typer.Option("--scores", help="Write the scores of all trials too, as Parquet.")] = False,
    set_: Set = None,
    jobs: Jobs = 0,
    cache: Cache = None,
    as_json: AsJson = False,
) -> None:
    """Run a study: train every system, test it at every length, write a report. The same command continues it."""
    if name == "list":
        _list(as_json)
        return
    if not corpus or out is None:
        raise ConfigError(f"study {name}: give --corpus DIR (once or more) and --out DIR")
    if test_corpus and test_speakers:
        raise ConfigError(f"study {name}: give --test-corpus or --test-speakers, not both")
    changes = parse_assignments(set_ or [])
    if seeds is not None:
        changes["seeds"] = seeds
    chosen = load_study(name, preset=preset, changes=changes)
    if trials:  # what a preset sets of the pairs may stand
        idle = {f"test.{key}": need for key, need in of_all_pairs(chosen.settings.test).items()}
        refuse_idle({key: need for key, need in idle.items() if key in changes}, f"study {name}")
    source = DataSource(
        corpora=tuple(corpus),
        cache=audio_cache(cache, (store or out) / "audio"),
        test_corpora=tuple(test_corpus or ()),
        test_speakers=test_speakers,
        trials=trials,
        share=chosen.settings.test_speakers,
        validation_speakers=chosen.settings.train.validation.speakers,
    )
    run = StudyRun(out=out, store=store, source=source, jobs=_jobs(jobs), command=command_line(), scores=scores)
    _show(run_study(chosen, run), out, as_json)


def demo(
    corpus: Annotated[
        list[Path] | None, typer.Option("--corpus", help="Your own corpus instead of the demo voices.")
    ] = None,
    out: Annotated[Path, typer.Option(help=OUT)] = Path("runs/demo"),
    test_speakers: Annotated[Path | None, typer.Option(help="File with the speakers of --corpus to test on.")] = None,
    synthetic: Annotated[bool, typer.Option("--synthetic", help="Synthetic voices, without any download.")] = False,
    set_: Set = None,
    jobs: Jobs = 0,
    as_json: AsJson = False,
) -> None:
    """Recorded voices, verified and identified with the model in the box; then a small frozen-head study of them."""
    if corpus and synthetic:
        raise ConfigError("demo: give --corpus or --synthetic, not both")
    if test_speakers and not corpus:
        raise ConfigError("demo: --test-speakers names speakers of --corpus; give --corpus DIR too")
    chosen = load_study("frozen-fc", preset="demo", changes=parse_assignments(set_ or []))
    validation = chosen.settings.train.validation.speakers
    facts: dict[str, Any] = {}
    if corpus:
        source = DataSource(
            tuple(corpus),
            out / "audio",
            test_speakers=test_speakers,
            share=chosen.settings.test_speakers,
            validation_speakers=validation,
        )
    else:
        with one_writer(ensure_writable(out)):
            voices = prepare_demo_voices(out / "voices", only_synthetic=synthetic)
            if not as_json:
                show_table(decisions_table(show_decisions(voices.test, out / "voices.db", out / "audio")))
                note(f"{out / 'voices.db'}: the actors' voices; `shortvox speakers list --gallery` shows them")
        facts = {"synthetic": voices.synthetic, "notes": voices.notes, "licences": voices.licences}
        source = DataSource((voices.train,), out / "audio", test_corpora=(voices.test,), validation_speakers=validation)
    run = StudyRun(out=out, source=source, jobs=_jobs(jobs), command=command_line(), **facts)
    _show(run_study(chosen, run), out, as_json)


def _show(results: dict[str, Any], out: Path, as_json: bool) -> None:
    if as_json:
        show_json(results)
    else:
        show_table(results_table(results))
    note(f"report: {out / 'report.html'}; figures: {out / 'results.json'}")


def _list(as_json: bool) -> None:
    studies = list_studies()
    if as_json:
        show_json({"studies": studies})
        return
    table = Table()
    for title in ("study", "about", "systems", "presets"):
        table.add_column(title, no_wrap=title == "study")
    for entry in studies:
        table.add_row(entry["name"], entry["title"], str(len(entry["systems"])), ", ".join(entry["presets"]))
    show_table(table)
    note("shortvox study list --json gives the question and the systems of each")


def _jobs(asked: int) -> int:
    if asked:
        return asked
    import torch  # slow to import, and not needed for `study list`

    return 1 if torch.cuda.is_available() else min(2, os.cpu_count() or 1)
