"""From trained steps to the content of `results.json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from shortvox import __version__
from shortvox.corpora.stats import corpus_facts
from shortvox.device import chosen_device
from shortvox.environment import each_once, environment
from shortvox.evaluation.calibrate import calibrated, kept_in
from shortvox.evaluation.evaluate import System, evaluate
from shortvox.evaluation.listener import Listener, facts_of, known_of
from shortvox.evaluation.settings import ScoringSettings
from shortvox.evaluation.testset import TestSet
from shortvox.heads import prototype_angles
from shortvox.models.folder import load_model
from shortvox.models.sidefiles import History, read_history
from shortvox.models.speaker_model import SpeakerModel
from shortvox.studies.data import StudyData
from shortvox.studies.step import Step
from shortvox.studies.study import Study


def study_results(
    study: Study,
    steps: Sequence[Step],
    data: StudyData,
    test: TestSet,
    *,
    cache: Path,
    encoders: Mapping[str, Listener],
    calibrations: Path,
    scores: Path | None = None,
) -> dict[str, Any]:
    """Figures, comparisons and facts of a study whose steps are all done; `scores` is a folder for score files.

    `encoders` are those from elsewhere by system; their calibrations are kept in `calibrations`.

    The training speakers are the cohort of score normalisation and transforms: no validation or test speaker is.
    """
    device = chosen_device(study.settings.train.device)
    models = {(step.system, step.seed): load_model(step.folder).to(device) for step in steps}
    folders = {(step.system, step.seed): step.folder for step in steps}
    histories = {(step.system, step.seed): read_history(step.folder) for step in steps}
    seeds = range(study.settings.seeds)

    def fitted(listener: Listener, folder: Path, scoring: ScoringSettings) -> Listener:
        return calibrated(
            listener,
            [folder],
            scoring,
            study.settings.test,
            validation=data.validation,
            cohort=data.train,
            cache=cache,
        )

    def scored(name: str) -> System:
        trained, scoring, about = study.trained(name), study.scoring(name), study.settings.systems[name].about
        if (encoder := encoders.get(trained)) is not None:
            one = fitted(encoder, kept_in(calibrations, encoder), scoring)
            facts = {**known_of(encoder), "about": about, "of": study.settings.systems[name].of, "epochs": None}
            return System((one,) * len(seeds), tuple(seeds), facts, scoring)
        each = tuple(fitted(models[trained, seed], folders[trained, seed], scoring) for seed in seeds)
        return System(each, tuple(seeds), _facts(study, name, models, histories), scoring)

    systems = {name: scored(name) for name in study.settings.systems}
    tested = evaluate(
        systems, test, study.settings.test, cohort=data.train, cache=cache, pairs=study.settings.compare, scores=scores
    )
    sides = {"train": data.train, "validation": data.validation, "test": data.test}
    settings = study.settings.model_dump(mode="json", exclude={"notes_table"})
    table = study.settings.notes_table
    return {
        "title": study.settings.title,
        "about": study.settings.about,
        **tested,
        "headline": dict(zip("ab", study.settings.compare[0], strict=True)) if study.settings.compare else None,
        "corpus": {name: corpus_facts(side.corpus, side.store) if side else None for name, side in sides.items()},
        "notes_table": table.model_dump(mode="json") if table else None,
        "settings": settings,
        "version": __version__,
        "environment": environment(),
    }


def _facts(
    study: Study,
    name: str,
    models: dict[tuple[str, int], SpeakerModel],
    histories: dict[tuple[str, int], History],
) -> dict[str, Any]:
    """What is known of one system before any test; of one that is only tested, what is known of its models."""
    seeds = range(study.settings.seeds)
    trained = study.trained(name)
    line = _ancestors(study, trained)
    drifted = len(line) > 1 and models[trained, 0].head.rows
    drifts = [_drift(models[line[-1], seed], models[trained, seed]) for seed in seeds] if drifted else []
    first = histories[trained, 0].model_dump(mode="json")

    def mean_total(fact: str) -> float | None:
        """Over seeds, of a fact of the whole line; None where it is not known of each."""
        found = [[getattr(histories[s, seed], fact) for s in line] for seed in seeds]
        return None if any(None in each for each in found) else float(np.mean([sum(each) for each in found]))

    wrapped = mean_total("wrapped")
    return {
        "about": study.settings.systems[name].about,
        "of": study.settings.systems[name].of,
        "total_steps": study.total_steps(name),
        "epochs": study.epochs(name),
        "fewer_steps": study.fewer_or_more(name) == "fewer",
        "more_steps": study.fewer_or_more(name) == "more",
        "seconds_heard": mean_total("seconds_heard"),
        "wall_seconds": mean_total("wall_seconds"),
        "wrapped_files": None if wrapped is None else round(wrapped),
        **facts_of(models[trained, 0]),
        "head_drift_degrees": float(np.mean(drifts)) if drifts else None,
        "head_drift_seeds": drifts,
        "trained_on": each_once(ran for s in line for seed in seeds for ran in histories[s, seed].environments()),
        "loss": first["loss"] if trained == name else [],
        "validation": first["validation"] if trained == name else [],
    }


def _ancestors(study: Study, name: str) -> list[str]:
    """The system and those of the study that it descends from, the oldest last."""
    start = study.parent(name)
    return [name, *(_ancestors(study, start) if start else [])]


def _drift(teacher: SpeakerModel, student: SpeakerModel) -> float:
    """Mean angle in degrees between the two heads' rows of the same speakers; the heads have rows."""
    row = {name: index for index, name in enumerate(teacher.speakers)}
    shared = [(row[name], index) for index, name in enumerate(student.speakers) if name in row]
    old, new = zip(*shared, strict=True)
    angles = prototype_angles(teacher.head.weight.detach()[list(old)], student.head.weight.detach()[list(new)])
    return float(angles.mean())
