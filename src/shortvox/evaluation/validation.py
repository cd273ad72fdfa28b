"""What speakers held out from the training are for while it runs: an EER at one second and on whole files."""

from __future__ import annotations

import numpy as np

from shortvox.corpora.audio import SAMPLE_RATE
from shortvox.corpora.crop import centre, whole
from shortvox.corpora.speech import SpeechData
from shortvox.evaluation.metrics import eer
from shortvox.evaluation.trials import make_trials
from shortvox.models.embedding import embed_crops
from shortvox.models.speaker_model import SpeakerModel


class Validator:
    """`validator(model)` -> EER at 1 s and at full length (full x short, centre crops) over held-out speakers."""

    def __init__(self, data: SpeechData, *, utterances: int) -> None:
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
