"""`SpeakerClassifier`: who speaks, as scikit-learn asks it. For who has scikit-learn, 1.4 or later.

people = SpeakerClassifier(max_fpr=0.001).fit(["a1.wav", "a2.wav", "b1.wav"], ["alice", "alice", "bob"])
people.predict(["door.wav"])  # alice, bob, unknown, or abstain where too little was said
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from shortvox.errors import AudioError, ConfigError
from shortvox.verification.decision import Outcome, Refusal
from shortvox.verification.policy import MAX_FPR, MAX_MISS, Rates
from shortvox.verification.recording import Recording
from shortvox.verification.verifier import Heard, Verifier


class SpeakerClassifier(ClassifierMixin, BaseEstimator):
    """A class for each person, and two more answers: nobody of them, and too little speech.

    X is a sequence of recordings as a `Verifier` takes them: paths, or arrays (samples,) of floats at 16 kHz, of any
    lengths. y has a label for each.

    `model` is what `Verifier.load` takes, or a Verifier. `max_fpr` is the probability that a stranger is taken for
    anybody who was enrolled, however many there are; `max_miss` the share of true speakers that may be taken for a
    stranger. `unknown` is the answer for strangers, and their label: `fit` passes them over. `abstain` is the answer
    where too little was said, or nothing could be heard; it is never right. With numbers as labels, both are numbers.

    `classes_` are the labels of the people, sorted, and `voiceprints_` their voiceprints.
    """

    def __init__(
        self,
        model: Any = "default",
        *,
        max_fpr: float = MAX_FPR,
        max_miss: float = MAX_MISS,
        unknown: Any = "unknown",
        abstain: Any = "abstain",
    ) -> None:
        self.model = model
        self.max_fpr = max_fpr
        self.max_miss = max_miss
        self.unknown = unknown
        self.abstain = abstain

    def fit(self, X: Iterable[Recording], y: Iterable[Any]) -> Self:
        """Enrol everybody.

        Raises AudioError where a person's recordings are refused, what `Verifier.enrol` raises, and ConfigError for
        labels or rates that cannot be used.
        """
        Rates(self.max_fpr, self.max_miss)  # refuses what is no rate
        recordings, labels = list(X), np.array([*y])
        if len(recordings) != len(labels):
            raise ConfigError(f"{len(recordings)} recordings and {len(labels)} labels; give a label for each recording")
        classes = np.unique(labels[labels != self.unknown])
        self._refuse_labels(classes)
        verifier = self._load()
        voiceprints = []
        for label in classes:
            voiceprint = verifier.enrol([recordings[place] for place in np.flatnonzero(labels == label)])
            if isinstance(voiceprint, Refusal):
                raise AudioError(f"label {label}: {voiceprint.text}; {voiceprint.advice}")
            voiceprints.append(voiceprint)
        self.classes_, self.voiceprints_, self.verifier_ = classes, tuple(voiceprints), verifier
        return self

    def predict(self, X: Iterable[Recording]) -> np.ndarray:
        """Answers (recordings,). Raises AudioError for a recording that cannot be read."""
        verifier = self._ready()
        places = [self._place(verifier, verifier.hear(recording)) for recording in X]
        return self._answers(self.classes_)[np.array(places, int)]

    def decision_function(self, X: Iterable[Recording]) -> np.ndarray:
        """Natural-log likelihood ratios (recordings, classes), for two classes too; NaN where nothing could be heard.

        Raises AudioError for a recording that cannot be read.
        """
        verifier = self._ready()
        found = [self._llrs(verifier, verifier.hear(recording)) for recording in X]
        return np.array(found).reshape(len(found), len(self.classes_))

    def _place(self, verifier: Verifier, heard: Heard | Refusal) -> int:
        """Which of the answers is given."""
        classes = len(self.classes_)
        nearest = 0 if isinstance(heard, Refusal) else int(np.argmax(self._llrs(verifier, heard)))
        decision = verifier.decide(
            self.voiceprints_[nearest], heard, max_fpr=self.max_fpr, max_miss=self.max_miss, comparisons=classes
        )
        return {Outcome.SAME: nearest, Outcome.DIFFERENT: classes, Outcome.TOO_LITTLE_SPEECH: classes + 1}[
            decision.outcome
        ]

    def _llrs(self, verifier: Verifier, heard: Heard | Refusal) -> np.ndarray:
        """(classes,), NaN for a refusal."""
        if isinstance(heard, Refusal):
            return np.full(len(self.classes_), np.nan)
        centres = np.stack([one.centre for one in self.voiceprints_]).astype(np.float64)
        seconds, recordings = np.array([(one.net_speech, len(one.seconds)) for one in self.voiceprints_]).T
        return verifier.llr(centres @ heard.embedding.astype(np.float64), seconds, recordings, heard.net_speech)

    def _answers(self, classes: np.ndarray) -> np.ndarray:
        return np.array([*classes, self.unknown, self.abstain])

    def _refuse_labels(self, classes: np.ndarray) -> None:
        if not len(classes):
            raise ConfigError(f"nobody to enrol: no recording has another label than {self.unknown}")
        if self.abstain in (*classes, self.unknown):
            raise ConfigError(f"{self.abstain} is a label, or `unknown`; give another `abstain`")
        if len({_kind(label) for label in (*classes, self.unknown, self.abstain)}) > 1:
            raise ConfigError(
                f"labels as {classes[0]} are of another type than {self.unknown} or {self.abstain}; give `unknown` and "
                "`abstain` of the type of the labels"
            )

    def _load(self) -> Verifier:
        return self.model if isinstance(self.model, Verifier) else Verifier.load(self.model)

    def _ready(self) -> Verifier:
        """The verifier of the voiceprints. A copy that came without it loads it again."""
        check_is_fitted(self, "voiceprints_")
        if not hasattr(self, "verifier_"):
            self.verifier_ = self._load()
            self.verifier_.refuse_another_space(self.voiceprints_[0])
        return self.verifier_

    def __getstate__(self) -> dict[str, Any]:
        """Without the network, which cannot be carried elsewhere."""
        return {name: value for name, value in super().__getstate__().items() if name != "verifier_"}


def _kind(label: Any) -> str:
    kind = np.array(label).dtype.kind
    return "number" if kind in "iuf" else kind
