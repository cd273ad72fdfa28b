"""Calibrations of a listener: an affine map for every protocol and length, and such a set for every way of scoring."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from shortvox.corpora.speech import SpeechData
from shortvox.evaluation.listener import Listener, fingerprint_of
from shortvox.evaluation.protocols import protocol
from shortvox.evaluation.scorer import make_scorer
from shortvox.evaluation.settings import ScoringSettings, TestSettings
from shortvox.evaluation.testset import TestSet
from shortvox.files import write_json
from shortvox.models.speaker_model import SpeakerModel
from shortvox.scoring.calibration import Calibration, fit_calibration
from shortvox.scoring.calibrationfile import nearest_fit, read_calibration

CALIBRATION_TRIALS = 20_000


def calibrate(
    listener: Listener,
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
    scorer = make_scorer(listener, scoring, test, settings, cohort=cohort, cache=cache, protocols=tuple(protocol))
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


def home_of(listener: Listener) -> Path | None:
    """The folder of a model of ours, which keeps its own calibrations; None for any other encoder."""
    return listener.folder if isinstance(listener, SpeakerModel) else listener.home


def kept_in(calibrations: Path, listener: Listener) -> Path:
    """Where a folder of calibrations of many encoders has those of one."""
    return calibrations / fingerprint_of(listener)


def calibration_path(folder: Path, scoring: ScoringSettings, cohort: SpeechData | None) -> Path:
    """The file of the calibration for one way of scoring."""
    variant = variant_of(scoring, cohort)
    return folder / (f"calibration-{variant}.json" if variant else "calibration.json")


def calibrated(
    listener: Listener,
    folders: Sequence[Path],
    scoring: ScoringSettings,
    settings: TestSettings,
    *,
    validation: SpeechData | None = None,
    cohort: SpeechData | None = None,
    cache: Path | None = None,
) -> Listener:
    """The listener with the calibration for one way of scoring.

    It is read from the first of the folders that has it; where none has, or the test has got protocols or lengths
    since, it is fitted on the `validation` speakers and kept in the first. Without these, what was read is all, or what
    the listener came with, if that was fitted for this way of scoring.
    """
    paths = [calibration_path(folder, scoring, cohort) for folder in folders]
    found = next((content for path in paths if (content := read_calibration(path)) is not None), None)
    fitted = (found or {}).get("protocols", {})
    wanted = set(settings.names())
    if validation is not None and not all(wanted <= set(fitted.get(name, ())) for name in settings.protocols):
        found = calibrate(listener, validation, settings, scoring=scoring, cohort=cohort, cache=cache)
        found["protocols"] = {
            **fitted,
            **{name: {**fitted.get(name, {}), **lengths} for name, lengths in found["protocols"].items()},
        }
        write_json(paths[0], found)
    own = listener.calibration
    if found is None and own is not None and own.get("scoring", "") == variant_of(scoring, cohort):
        found = own
    return replace(listener, calibration=found)


def calibration_for(listener: Listener, protocol_name: str, length: str, variant: str = "") -> Calibration | None:
    """The listener's calibration for the protocol at the nearest length it was fitted for.

    None without any, and where it was fitted for another way of scoring than `variant`.
    """
    found = nearest_fit(listener.calibration, protocol_name, length, variant)
    return None if found is None else found[1]


def variant_of(scoring: ScoringSettings, cohort: SpeechData | None) -> str:
    """Names a way of scoring and its cohort; '' for the default."""
    return scoring.key(cohort.corpus.fingerprint() if cohort is not None and scoring.needs_cohort else "")
