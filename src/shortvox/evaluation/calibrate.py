"""Calibrations of a model: one affine map for every protocol and length, and one such set for every way of scoring."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from shortvox.corpora.speech import SpeechData
from shortvox.evaluation.protocols import FULL, protocol
from shortvox.evaluation.scorer import make_scorer
from shortvox.evaluation.settings import ScoringSettings, TestSettings
from shortvox.evaluation.testset import TestSet
from shortvox.files import write_json
from shortvox.models.sidefiles import read_calibration
from shortvox.models.speaker_model import SpeakerModel
from shortvox.scoring.calibration import Calibration, fit_calibration

CALIBRATION_TRIALS = 20_000


def calibrate(
    model: SpeakerModel,
    data: SpeechData,
    settings: TestSettings,
    *,
    scoring: ScoringSettings | None = None,
    cohort: SpeechData | None = None,
    cache: Path | None = None,
) -> dict[str, Any]:
    """Affine calibrations fitted on `data`, for every protocol at the lengths given: content of `calibration.json`.

    Scores are made by `scoring`, by default as every test does without settings of its own.
    """
    scoring = scoring or ScoringSettings()
    settings = settings.model_copy(
        update={"max_nontarget": CALIBRATION_TRIALS, "same_gender": False, "crop_seeds": 1, "band_limited": False}
    )
    test = TestSet.make(data, settings)
    scorer = make_scorer(model, scoring, test, settings, cohort=cohort, cache=cache, protocols=tuple(protocol))
    fitted: dict[str, dict[str, Any]] = {}
    for name in protocol:
        fitted[name] = {}
        for length in settings.names():
            (cut,) = scorer.cuts(protocol[name], length)
            scores = scorer.scores(protocol[name], length, cut)
            fitted[name][length] = fit_calibration(scores, test.trials.label).to_json()
    content = {"fitted_on": f"{data.corpus.name}: {len(data.corpus.speakers)} speakers", "protocols": fitted}
    variant = variant_of(scoring, cohort)
    return {**content, "scoring": variant} if variant else content


def calibrated(
    model: SpeakerModel,
    folder: Path,
    scoring: ScoringSettings,
    settings: TestSettings,
    *,
    validation: SpeechData | None = None,
    cohort: SpeechData | None = None,
    cache: Path | None = None,
) -> SpeakerModel:
    """The model in `folder` with the calibration for one way of scoring.

    It is read from the folder; where it is missing, or the test has got protocols or lengths since, it is fitted on the
    `validation` speakers and kept there. Without these, the model is as it is in the folder.
    """
    variant = variant_of(scoring, cohort)
    path = folder / (f"calibration-{variant}.json" if variant else "calibration.json")
    found = read_calibration(path)
    fitted = (found or {}).get("protocols", {})
    wanted = set(settings.names())
    if validation is not None and not all(wanted <= set(fitted.get(name, ())) for name in settings.protocols):
        found = calibrate(model, validation, settings, scoring=scoring, cohort=cohort, cache=cache)
        found["protocols"] = {
            **fitted,
            **{name: {**fitted.get(name, {}), **lengths} for name, lengths in found["protocols"].items()},
        }
        write_json(path, found)
    return replace(model, calibration=found)


def calibration_for(model: SpeakerModel, protocol_name: str, length: str, variant: str = "") -> Calibration | None:
    """The model's calibration for the protocol at the nearest length it was fitted for.

    None without any, and where it was fitted for another way of scoring than `variant`.
    """
    content = model.calibration or {}
    fitted = content.get("protocols", {}).get(protocol_name)
    if not fitted or content.get("scoring", "") != variant:
        return None
    nearest = min(fitted, key=lambda name: abs(_log_seconds(name) - _log_seconds(length)))
    return Calibration.from_json(fitted[nearest], "calibration.json")


def variant_of(scoring: ScoringSettings, cohort: SpeechData | None) -> str:
    """Names a way of scoring and its cohort; '' for the default."""
    return scoring.key(cohort.corpus.fingerprint() if cohort is not None and scoring.needs_cohort else "")


def _log_seconds(length: str) -> float:
    return float(np.log(60.0 if length == FULL else float(length)))
