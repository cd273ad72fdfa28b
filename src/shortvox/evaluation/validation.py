"""What speakers held out from the training are for: an EER while it runs, and the calibration of its model."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from shortvox.corpora.audio import SAMPLE_RATE
from shortvox.evaluation.calibrate import calibrate
from shortvox.evaluation.metrics import eer
from shortvox.evaluation.settings import TestSettings
from shortvox.evaluation.trials import make_trials
from shortvox.files import write_json
from shortvox.models.embedding import centre, embed_crops, whole
from shortvox.models.folder import SpeakerModel, load_model
from shortvox.training.data import TrainingData
from shortvox.training.distributed import chosen_device, leads
from shortvox.training.settings import TrainSettings
from shortvox.training.trainer import OnStep, train


class Validator:
    """`validator(model)` -> EER at 1 s and at full length (full x short, centre crops) over held-out speakers."""

    def __init__(self, data: TrainingData, *, utterances: int) -> None:
        names = {data.corpus.utterances[position].id for own in data.corpus.spread(utterances) for position in own}
        self.data = data.select(lambda utterance: utterance.id in names)
        self.trials = make_trials(self.data.corpus, seed=0, max_nontarget=20_000)

    def __call__(self, model: SpeakerModel) -> dict[str, float]:
        store, positions = self.data.store, range(len(self.data.corpus))
        full = embed_crops(model, store, [whole(store, p) for p in positions])
        short = embed_crops(model, store, [centre(store, p, SAMPLE_RATE) for p in positions])
        return {"eer": self._eer(full, short), "eer_full": self._eer(full, full)}

    def _eer(self, enrol: np.ndarray, test: np.ndarray) -> float:
        scores = np.einsum("nd,nd->n", enrol[self.trials.enrol], test[self.trials.test])
        return float(eer(scores.astype(np.float64), self.trials.label))


def train_and_calibrate(
    settings: TrainSettings,
    train_data: TrainingData,
    validation: TrainingData | None,
    out: Path,
    *,
    init: Path | None = None,
    resume: bool = False,
    test: TestSettings | None = None,
    cache: Path | None = None,
    on_step: OnStep | None = None,
) -> SpeakerModel:
    """Train a model folder; with validation speakers, fit its calibration for the protocols and lengths of `test`.

    `cache` keeps the validation speakers' embeddings, for calibrations of other ways of scoring.
    """
    validator = None
    if validation is not None:
        validator = Validator(validation, utterances=settings.validation.utterances)
    model = train(settings, train_data, out, init=init, resume=resume, validate=validator, on_step=on_step)
    if validation is None or not leads():
        return model
    write_json(out / "calibration.json", calibrate(model, validation, test or TestSettings(), cache=cache))
    return load_model(out).to(chosen_device(settings.device))
