"""One model adapted to short speech: the `adapt` study with the two systems that matter, and what comes of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shortvox.box import model_path
from shortvox.corpora.corpus import load_corpora
from shortvox.errors import ModelError
from shortvox.evaluation.bootstrap import FEWEST_SPEAKERS
from shortvox.export.folder import REPORT, export_model
from shortvox.files import write_bytes, write_json, write_text
from shortvox.models.folder import FILES, load_model
from shortvox.progress import note
from shortvox.studies.catalogue import load_study
from shortvox.studies.runner import StudyRun, plan, run_study
from shortvox.studies.study import Study

PRESETS = ((60, "few"), (600, "some"))  # training speakers at most, and the preset for so many
MOST = "many"
BEFORE, AFTER = "before", "adapted"
CARD = "card.md"
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
    given: dict[str, Any] = {f"systems.{BEFORE}.encoder": start}
    if not labelled:
        given |= {"train.validation.speakers": 0, "train.validation.every": 0}
    changes = {**given, **changes}
    kept = 1.0 if tested_elsewhere else 1 - load_study("adapt", preset=MOST, changes=changes).settings.test_speakers
    speakers = len(corpus.speakers) if labelled else len(corpus)
    return load_study("adapt", preset=preset_for(round(kept * speakers)), changes=changes)


def adapt(study: Study, run: StudyRun, *, even_if_worse: bool = False) -> Adapted:
    """Train, test before and after, and leave `model/` and `graphs/` in the folder of `run`; goes on where it stopped.

    Raises ModelError, and leaves neither, where the model got worse at a length beyond what the choice of test speakers
    explains, unless `even_if_worse`; and ShortvoxError as `run_study` does.
    """
    results = run_study(study, run)
    changes = changes_of(results)
    tested = min(figures["trials"]["speakers"] for figures in by_protocol(results).values())
    worse = [change for change in changes if change.worse]
    if worse and not even_if_worse:
        told = "; ".join(
            f"{100 * one.after:.1f} instead of {100 * one.before:.1f} % ({one.protocol}, {one.length})" for one in worse
        )
        unsure = f"; {tested} test speakers are too few to be sure, so test on more" if tested < FEWEST_SPEAKERS else ""
        raise ModelError(
            f"{run.out}: the adapted model has a higher EER than before: {told}; nothing is exported{unsure}. Give it "
            "more speakers, or --set S=… (fewer steps) or train.optimiser.lr=… (lower), or add --even-if-worse"
        )
    data = run.source.open()
    steps = plan(study.on(len(data.train.corpus)), run, data.train.corpus.fingerprint())
    trained = next(step.folder for step in steps if step.system == AFTER)
    model, graphs = run.out / "model", run.out / "graphs"
    for name in (*(name for name in FILES if name != "config.yaml"), "training.json", "calibration.json"):
        if (trained / name).exists():
            write_bytes(model / name, (trained / name).read_bytes())
    write_text(model / CARD, (trained / CARD).read_text(encoding="utf-8") + _of_its_origin(study, changes, tested))
    write_bytes(model / "config.yaml", (trained / "config.yaml").read_bytes())  # last: the folder is whole now
    write_json(model / "adapted.json", {"changes": [vars(change) for change in changes], "command": run.command})
    if not _is_exported(model, graphs):
        export_model(model, graphs, half=True, on_step=lambda step: note(f"exporting: {step}"))
    return Adapted(results, changes, model, graphs)


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
