"""`shortvox evaluate`."""

from __future__ import annotations

import datetime
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from shortvox import __version__
from shortvox.box import in_the_box
from shortvox.cli.options import (
    AsJson,
    Cache,
    Corpora,
    Device,
    Set,
    Specs,
    audio_cache,
    command_line,
)
from shortvox.config import nearest_name, override_all, parse, parse_assignments
from shortvox.corpora.corpus import load_corpora
from shortvox.corpora.speech import SpeechData
from shortvox.corpora.stats import corpus_facts
from shortvox.device import chosen_device
from shortvox.effect import idle, refuse_idle
from shortvox.environment import environment
from shortvox.errors import ConfigError, ModelError
from shortvox.evaluation.calibrate import calibrated, home_of, kept_in
from shortvox.evaluation.cohort import NO_COHORT, open_cohort, refuse_overlap
from shortvox.evaluation.evaluate import System, on_its_own
from shortvox.evaluation.evaluate import evaluate as evaluate_systems
from shortvox.evaluation.listener import Listener, as_asked, known_of, name_of, open_listener
from shortvox.evaluation.protocols import parse_lengths
from shortvox.evaluation.settings import ScoringSettings, TestSettings, of_all_pairs
from shortvox.evaluation.testset import TestSet
from shortvox.evaluation.triallist import only_tried, read_trials
from shortvox.files import ensure_writable, write_json
from shortvox.locks import one_writer
from shortvox.printing import show_json, show_table
from shortvox.progress import note
from shortvox.report.render import write_report
from shortvox.report.terminal import results_table


def evaluate(
    model: Specs,
    corpus: Corpora,
    out: Annotated[Path, typer.Option(help="Folder for results.json, report.html and cached embeddings.")],
    trials: Annotated[Path | None, typer.Option(help="VoxCeleb or Kaldi trial list; by default all pairs.")] = None,
    protocols: Annotated[
        list[str] | None, typer.Option("--protocol", help="full-short, short-short, or both (default).")
    ] = None,
    lengths: Annotated[str, typer.Option(help="Seconds of test speech, and 'full'.")] = "full,5,3,2,1.5,1",
    cohort: Annotated[
        list[Path] | None,
        typer.Option(help="Corpus of speakers for score normalisation and transforms; may be given several times."),
    ] = None,
    scores: Annotated[bool, typer.Option("--scores", help="Write the scores of all trials too, as Parquet.")] = False,
    calibrations: Annotated[
        Path | None,
        typer.Option(
            help="Folder where `calibrate` keeps those of many encoders; by default in the output.", show_default=False
        ),
    ] = None,
    by: Annotated[str | None, typer.Option(help="Split the figures by this manifest column of the test side.")] = None,
    set_: Set = None,
    device: Device = "auto",
    cache: Cache = None,
    as_json: AsJson = False,
) -> None:
    """EER, minDCF and calibrated costs of models at every length of test speech, with intervals."""
    chosen = tuple(protocols or ("full-short", "short-short"))
    values = {"protocols": chosen, "lengths": parse_lengths(lengths)}
    settings = parse(TestSettings, override_all(values, parse_assignments(set_ or [])), "evaluate")
    refuse_idle(idle(settings) | (of_all_pairs(settings) if trials else {}), "evaluate")
    _check_cohort(settings, cohort)
    where = chosen_device(device)
    _refuse_twice(model)
    listeners = [open_listener(spec, where) for spec in model]
    for listener in listeners:
        as_asked(listener, settings.scoring)  # before anything is decoded
    known = [known_of(listener) for listener in listeners]
    ensure_writable(out)
    with one_writer(out):
        everything = load_corpora(corpus)
        if by is not None and by not in everything.columns():
            raise ConfigError(f"--by: no column '{by}' in the manifest{nearest_name(by, everything.columns())}")
        tested, listed = everything, None
        if trials is not None:
            tested, listed = only_tried(everything, read_trials(trials, everything))
            if listed.remarks:
                note(f"{trials}: {listed.remarks}")
        if cohort:
            refuse_overlap(load_corpora(cohort), tested, "in --cohort and in the test")
        audio = audio_cache(cache, out / "audio")
        data = SpeechData.open(tested, audio)
        test = TestSet.make(data, settings, listed)
        others = open_cohort(cohort, settings.scoring.cohort.utterances, audio) if cohort else None
        kept = calibrations or out / "calibrations"
        fitted = [calibrated(one, _folders(one, kept), settings.scoring, settings, cohort=others) for one in listeners]
        names = _names(model, listeners)
        systems = {name: System((one,), facts=facts) for name, one, facts in zip(names, fitted, known, strict=True)}
        _note_uncalibrated(systems, settings.scoring)
        results: dict[str, Any] = {
            "title": f"Evaluation on {data.corpus.name}",
            "about": "",
            **evaluate_systems(
                systems,
                test,
                settings,
                cohort=others,
                cache=out / "embeddings",
                by=by,
                scores=out / "scores" if scores else None,
            ),
            "corpus": {"test": corpus_facts(data.corpus, data.store)},
            "settings": settings.model_dump(mode="json"),
            "command": command_line(),
            "version": __version__,
            "environment": environment(),
            "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        }
        on_its_own(results)
        write_json(out / "results.json", results)
        write_report(results, out / "report.html")
    note(f"results.json and report.html written to {out}")
    if as_json:
        show_json(results)
    else:
        show_table(results_table(results))


def _check_cohort(settings: TestSettings, cohort: list[Path] | None) -> None:
    """Refuse a scoring that lacks a cohort and a cohort that nothing uses, before anything is decoded."""
    if settings.scoring.needs_cohort and not cohort:
        raise ConfigError(NO_COHORT)
    if cohort and not settings.scoring.needs_cohort:
        raise ConfigError(
            "--cohort: only score normalisation and transforms use one; add --set "
            "scoring.norm.name=as-norm1, or leave it out"
        )


def _refuse_twice(specs: list[str]) -> None:
    places = [spec if spec.startswith("python:") or in_the_box(spec) else str(Path(spec).absolute()) for spec in specs]
    if len({os.path.realpath(place) for place in places}) < len(specs):
        raise ModelError("--model: the same encoder was given twice")


def _names(specs: list[str], listeners: list[Listener]) -> list[str]:
    """What each calls itself, or what the user named where two do so alike."""
    names = [name_of(listener) or spec for spec, listener in zip(specs, listeners, strict=True)]
    return [name if names.count(name) == 1 else spec for spec, name in zip(specs, names, strict=True)]


def _folders(listener: Listener, calibrations: Path) -> list[Path]:
    """Where a calibration may be: what somebody fitted for this use comes before what came with a model."""
    home = home_of(listener)
    return [kept_in(calibrations, listener), *([home] if home else [])]


def _note_uncalibrated(systems: Mapping[str, System], scoring: ScoringSettings) -> None:
    lacking = [name for name, system in systems.items() if any(one.calibration is None for one in system.listeners)]
    if lacking:
        way = "for this way of scoring, so" if scoring != ScoringSettings() else f"for {', '.join(lacking)}:"
        note(f"no calibration was fitted {way} actDCF and Cllr are missing; `shortvox calibrate` or a study fits one")
