"""One model adapted to short speech: the `adapt` study with the two systems that matter, and what comes of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from shortvox.box import model_path
from shortvox.corpora.corpus import load_corpora
from shortvox.encoders.opening import open_encoder
from shortvox.errors import ModelError
from shortvox.evaluation.amounts import calibrate_amounts
from shortvox.evaluation.bootstrap import FEWEST_SPEAKERS
from shortvox.evaluation.calibrate import calibrate
from shortvox.evaluation.settings import TestSettings
from shortvox.export.folder import REPORT, export_model
from shortvox.files import write_bytes, write_json, write_text
from shortvox.models.folder import FILES, load_model
from shortvox.progress import note
from shortvox.scoring.calibrationfile import CALIBRATION, read_calibration
from shortvox.studies.catalogue import load_study
from shortvox.studies.data import StudyData
from shortvox.studies.runner import StudyRun, plan, run_study
from shortvox.studies.study import Study

PRESETS = ((60, "few"), (600, "some"))  # training speakers at most, and the preset for so many
MOST = "many"
MOST_TESTED = 0.5  # share of the speakers, of few of them
BEFORE, AFTER = "before", "adapted"
CARD, CONFIG = "card.md", "config.yaml"
ORIGINS = ("- began as:", "- adapted from:")  # lines of a card that say where the weights come from


@dataclass(frozen=True)
class Change:
    """EER before and after at one length, as shares, and the 95 % interval of the difference."""

    protocol: str
    length: str
    before: float
    after: float
    interval: tuple[float, float]

    @property
    def worse(self) -> bool:
        """Whether it is worse beyond what the choice of test speakers explains."""
        return self.interval[0] > 0


@dataclass(frozen=True)
class Adapted:
    """What was measured, and the folders of the model and of its graphs."""

    results: dict[str, Any]
    changes: tuple[Change, ...]
    model: Path
    graphs: Path


def preset_for(speakers: int) -> str:
    """The preset of the `adapt` study for so many training speakers."""
    return next((name for most, name in PRESETS if speakers <= most), MOST)


def adapt_study(
    start: str,
    corpora: Sequence[Path],
    changes: Mapping[str, Any],
    *,
    labelled: bool = True,
    tested_elsewhere: bool = False,
) -> Study:
    """The study that adapts the model in folder `start`, of a size that fits the speakers to train on.

    Those are all of the corpora where it is `tested_elsewhere`. Where it is not known who speaks, nobody can be held
    out to watch.
    """
    corpus = load_corpora(corpora)
    speakers = len(corpus.speakers) if labelled else len(corpus)
    given: dict[str, Any] = {f"systems.{BEFORE}.encoder": start, "test_speakers": share_to_test(speakers)}
    if not labelled:
        given |= {"train.validation.speakers": 0, "train.validation.every": 0}
    changes = {**given, **changes}
    kept = 1.0 if tested_elsewhere else 1 - load_study("adapt", preset=MOST, changes=changes).settings.test_speakers
    return load_study("adapt", preset=preset_for(round(kept * speakers)), changes=changes)


def share_to_test(speakers: int) -> float:
    """A fifth of so many speakers; of few, as many as it takes to tell a difference, up to half."""
    return max(0.2, min(MOST_TESTED, FEWEST_SPEAKERS / max(speakers, 1)))


def adapt(study: Study, run: StudyRun, *, even_if_worse: bool = False) -> Adapted:
    """Train, test before and after, and leave `model/` and `graphs/` in the folder of `run`; goes on where it stopped.

    Raises ModelError, and leaves neither, where the model got worse (`what_got_worse`), unless `even_if_worse`; and
    ShortvoxError as `run_study` does.
    """
    results = run_study(study, run)
    changes = changes_of(results)
    tested = min(figures["trials"]["speakers"] for figures in by_protocol(results).values())
    model, graphs = run.out / "model", run.out / "graphs"
    worse = what_got_worse(changes, tested)
    if worse and not even_if_worse:
        there = f"; {model} is of an earlier run" if model.exists() else ""
        raise ModelError(
            f"{run.out}: the adapted model has a higher EER than before: {worse}; nothing is exported{there}. Give it "
            "more speakers, or --set S=… (fewer steps) or train.optimiser.lr=… (lower), or add --even-if-worse"
        )
    data = run.source.open()
    steps = plan(study.on(len(data.train.corpus)), run, data.train.corpus.fingerprint())
    trained = next(step.folder for step in steps if step.system == AFTER)
    (model / CONFIG).unlink(missing_ok=True)  # first and last: a folder without it is no model
    for name in (*(name for name in FILES if name != CONFIG), "training.json", CALIBRATION):
        if (trained / name).exists():
            write_bytes(model / name, (trained / name).read_bytes())
    write_text(model / CARD, (trained / CARD).read_text(encoding="utf-8") + _of_its_origin(study, changes, tested))
    write_json(model / "adapted.json", {"changes": [vars(change) for change in changes], "command": run.command})
    write_bytes(model / CONFIG, (trained / CONFIG).read_bytes())
    if not _is_exported(model, graphs):
        export_model(model, graphs, half=True, on_step=lambda step: note(f"exporting: {step}"))
    _calibrate_by_amount(model, graphs, data)
    return Adapted(results, changes, model, graphs)


def what_got_worse(changes: Sequence[Change], speakers: int) -> str | None:
    """In words, what is worse beyond what the choice of test speakers explains; None where nothing is.

    Of so few speakers that no interval can be trusted, all lengths of both protocols together have their say.
    """
    if speakers >= FEWEST_SPEAKERS:
        worse = [change for change in changes if change.worse]
        return "; ".join(f"{_told(one.before, one.after)} ({one.protocol}, {one.length})" for one in worse) or None
    before, after = (fmean(getattr(change, side) for change in changes) for side in ("before", "after"))
    if after <= before:
        return None
    return f"{_told(before, after)} on the mean, of {speakers} test speakers, too few to be sure"


def _told(before: float, after: float) -> str:
    return f"{100 * after:.1f} instead of {100 * before:.1f} %"


def _calibrate_by_amount(model: Path, graphs: Path, data: StudyData) -> None:
    """Let `model` and `graphs` have what decisions need, of the people whom no training heard; keeps what is there."""
    path = graphs / CALIBRATION
    parts = [part for part in (data.validation, data.test) if part is not None]
    speakers = sum(len(part.corpus.speakers) for part in parts)
    content = read_calibration(path) or calibrate(open_encoder(graphs), data.test, TestSettings())
    if "amounts" not in content and speakers >= FEWEST_SPEAKERS:
        note(f"calibrating by amount of speech on {speakers} speakers")
        content |= calibrate_amounts(open_encoder(graphs), parts)
    elif "amounts" not in content:
        note(
            f"{speakers} speakers were held out, too few to calibrate decisions on; before verify, enroll or identify, "
            f"run shortvox calibrate --model {graphs} with {FEWEST_SPEAKERS} others or more"
        )
    for folder in (graphs, model):
        write_json(folder / CALIBRATION, content)


def _of_its_origin(study: Study, changes: Sequence[Change], speakers: int) -> str:
    """What a card adds: which model it was, where that came from as far as its own card says so, and the figures."""
    start = str(study.settings.systems[BEFORE].encoder)
    path = model_path(start)
    card = (path if path.is_dir() else path.parent) / CARD
    lines = card.read_text(encoding="utf-8").splitlines() if card.is_file() else []
    told = next((line.removeprefix("- ") for line in lines if line.startswith(ORIGINS)), next(iter(lines), ""))
    rows = [
        f"| {one.protocol} | {one.length} | {100 * one.before:.1f} | {100 * one.after:.1f} | "
        f"{100 * one.interval[0]:+.1f} to {100 * one.interval[1]:+.1f} |\n"
        for one in changes
    ]
    return (
        f"- adapted from: {Path(start).name} ({told.lstrip('# ') or 'no card'})\n\n"
        f"EER in percent, {speakers} test speakers, and the 95 % interval of the difference in points:\n\n"
        f"| protocol | length | before | after | difference |\n|---|---|---|---|---|\n{''.join(rows)}"
    )


def _is_exported(model: Path, graphs: Path) -> bool:
    """Whether the graphs are of this very model."""
    try:
        known = json.loads((graphs / REPORT).read_text())["fingerprint"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return bool(known == load_model(model).fingerprint())


def by_protocol(results: Mapping[str, Any]) -> Mapping[str, Any]:
    """The figures of each protocol, of one as of several."""
    protocols: Mapping[str, Any] = results.get("protocols") or {results["protocol"]: results}
    return protocols


def changes_of(results: Mapping[str, Any]) -> tuple[Change, ...]:
    """Before and after in every protocol and at every length."""
    found = []
    for name, figures in by_protocol(results).items():
        compared = {one["length"]: one for one in figures["comparisons"] if (one["a"], one["b"]) == (AFTER, BEFORE)}
        systems = figures["systems"]
        for length, one in compared.items():
            before, after = (systems[system]["lengths"][length]["eer"] for system in (BEFORE, AFTER))
            found.append(Change(name, length, before, after, tuple(one["interval"])))
    return tuple(found)
