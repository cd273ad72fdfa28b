"""One training with its held-out speakers: they watch it while it runs, and calibrate its model."""

from __future__ import annotations

from pathlib import Path

from shortvox.corpora.speech import SpeechData
from shortvox.device import chosen_device
from shortvox.evaluation.calibrate import calibrate
from shortvox.evaluation.settings import TestSettings
from shortvox.evaluation.validation import Validator
from shortvox.files import write_json
from shortvox.models.folder import load_model
from shortvox.models.speaker_model import SpeakerModel
from shortvox.training.distributed import leads
from shortvox.training.settings import TrainSettings
from shortvox.training.trainer import OnStep, train


def train_and_calibrate(
    settings: TrainSettings,
    train_data: SpeechData,
    validation: SpeechData | None,
    out: Path,
    *,
    init: Path | None = None,
    resume: bool = False,
    test: TestSettings | None = None,
    cache: Path | None = None,
    on_step: OnStep | None = None,
) -> SpeakerModel:
    """Train a model folder; with validation speakers, fit its calibration for the protocols and lengths of `test`.

    `cache` keeps the validation speakers' embeddings, for calibrations of other ways of scoring, and what teachers say
    of whole utterances.
    """
    validator = None
    if validation is not None:
        validator = Validator(validation, utterances=settings.validation.utterances)
    model = train(settings, train_data, out, init=init, resume=resume, validate=validator, on_step=on_step, cache=cache)
    if validation is None or not leads():
        return model
    if on_step is not None:
        on_step(settings.steps, settings.steps, "calibrating on the validation speakers")
    write_json(out / "calibration.json", calibrate(model, validation, test or TestSettings(), cache=cache))
    return load_model(out).to(chosen_device(settings.device))
