"""Who speaks, as scikit-learn asks it: with scikit-learn itself."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import soundfile
from sklearn.base import clone, is_classifier
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from amounts import AMOUNTS
from shortvox.adapters.sklearn import SpeakerClassifier
from shortvox.encoders.encoder import Encoder
from shortvox.errors import AudioError, ConfigError, EncoderError
from shortvox.verification.verifier import Verifier
from voices import RATE, syllables

PEOPLE = {"alice": 0, "bob": 1, "carol": 2}
STRANGER = 3
DIRECTIONS = np.eye(8, dtype=np.float32)


def by_level(waveforms: list[np.ndarray]) -> np.ndarray:
    """A person is a loudness here, and every recording has a noise of its own."""
    found = []
    for one in waveforms:
        speaker = min(round(float(np.abs(one).max()) * 32) - 1, 7)
        noise = np.random.default_rng(len(one)).standard_normal(8) * 0.1
        found.append(DIRECTIONS[speaker] + noise)
    return np.stack(found)


VERIFIER = Verifier(Encoder("a", "b", "here", 8, "f", 1600, by_level), AMOUNTS, "none")


def said(speaker: int, number: int, seconds: float = 2.0) -> np.ndarray:
    """A recording of a person, of a length of its own."""
    found = np.random.default_rng((speaker, number)).uniform(-0.5, 0.5, round(seconds * RATE) + 10 * number + speaker)
    return (found / np.abs(found).max() * (speaker + 1) / 32).astype(np.float32)


def recordings(each: int = 4) -> tuple[list[np.ndarray], list[str]]:
    pairs = [(said(speaker, number), name) for name, speaker in PEOPLE.items() for number in range(each)]
    return [recording for recording, _ in pairs], [name for _, name in pairs]


def fitted(**parameters: object) -> SpeakerClassifier:
    return SpeakerClassifier(VERIFIER, **parameters).fit(*recordings())  # type: ignore[arg-type]


def test_people_strangers_and_too_little() -> None:
    people = fitted()
    assert is_classifier(people) and people.classes_.tolist() == ["alice", "bob", "carol"]
    heard = [said(2, 9), said(0, 9), said(STRANGER, 9), said(1, 9, seconds=0.05)]
    assert people.predict(heard).tolist() == ["carol", "alice", "unknown", "abstain"]
    assert people.predict([]).tolist() == []
    assert people.score([*heard], ["carol", "alice", "unknown", "bob"]) == 0.75


def test_decision_function_gives_the_ratios_of_a_verifier() -> None:
    people = fitted()
    test = said(1, 9)
    found = people.decision_function([test, said(1, 9, seconds=0.05)])
    expected = [VERIFIER.verify(voiceprint, test).llr for voiceprint in people.voiceprints_]
    assert found[0] == pytest.approx(expected) and found.shape == (2, 3)
    assert np.isnan(found[1]).all() and people.classes_[found[0].argmax()] == "bob"
    assert people.decision_function([]).shape == (0, 3)


def test_the_rate_is_that_of_all_voices_together() -> None:
    """A test that a stranger reaches in so many cases is accepted alone, and not beside two others."""
    test = said(0, 9)
    (alice, *_) = fitted().voiceprints_
    decision = VERIFIER.verify(alice, test)
    reliability = AMOUNTS.reliability(alice.net_speech, 4, decision.net_speech)
    rate = 1.5 * float(AMOUNTS.false_alarms(decision.score, reliability))
    mine = [recording for recording, name in zip(*recordings(), strict=True) if name == "alice"]
    alone = SpeakerClassifier(VERIFIER, max_fpr=rate).fit(mine, ["alice"] * 4)
    assert alone.predict([test]).tolist() == ["alice"]
    assert fitted(max_fpr=rate).predict([test]).tolist() != ["alice"]


def test_parameters_can_be_seen_set_and_cloned() -> None:
    people = fitted(max_fpr=0.02)
    copy = clone(people)
    assert copy.get_params()["max_fpr"] == 0.02 and not hasattr(copy, "classes_")
    assert copy.set_params(max_fpr=0.5).max_fpr == 0.5
    with pytest.raises(NotFittedError):
        copy.predict([said(0, 9)])


def test_cross_validation_and_a_search_over_the_rate() -> None:
    """Strangers have the label `unknown`, and are not enrolled."""
    heard, labels = recordings()
    heard += [said(STRANGER + more, number) for more in range(2) for number in range(2)]
    labels += ["unknown"] * 4
    people = SpeakerClassifier(VERIFIER)
    assert cross_val_score(people, heard, labels, cv=2, error_score="raise").tolist() == [1.0, 1.0]
    search = GridSearchCV(people, {"max_fpr": [1e-300, 0.01]}, cv=2, error_score="raise").fit(heard, labels)
    assert search.best_params_ == {"max_fpr": 0.01} and search.best_score_ == 1
    assert search.best_estimator_.classes_.tolist() == sorted(PEOPLE)


def test_a_pipeline_of_paths(tmp_path: Path) -> None:
    paths, labels = [], []
    for number, (samples, label) in enumerate(zip(*recordings(2), strict=True)):
        soundfile.write(tmp_path / f"{number}.wav", samples, RATE, subtype="FLOAT")
        paths.append(tmp_path / f"{number}.wav")
        labels.append(label)
    people = make_pipeline(FunctionTransformer(lambda X: [str(path) for path in X]), SpeakerClassifier(VERIFIER))
    assert people.fit(paths, labels).predict(paths).tolist() == labels


@pytest.mark.parametrize("numbers", (np.array([7, 9]), np.array([7, 9], np.uint8)))
def test_labels_may_be_numbers(numbers: np.ndarray) -> None:
    heard, labels = [said(0, 0), said(1, 0)], numbers
    people = SpeakerClassifier(VERIFIER, unknown=-1, abstain=-2).fit(heard, labels)
    found = people.predict([said(1, 9), said(2, 9), said(0, 9, seconds=0.05)])
    assert found.tolist() == [9, -1, -2] and found.dtype.kind == "i"
    with pytest.raises(ConfigError, match="of another type"):
        SpeakerClassifier(VERIFIER).fit(heard, labels)


@pytest.mark.parametrize(
    ("parameters", "labels", "told"),
    (
        ({}, ["a"], "2 recordings and 1 labels"),
        ({}, ["unknown", "unknown"], "nobody to enrol"),
        ({"abstain": "b"}, ["a", "b"], "another `abstain`"),
        ({"abstain": "unknown"}, ["a", "b"], "another `abstain`"),
        ({"max_fpr": 0.0}, ["a", "b"], "max_fpr 0"),
    ),
)
def test_what_cannot_be_fitted(parameters: dict[str, object], labels: list[str], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        SpeakerClassifier(VERIFIER, **parameters).fit([said(0, 0), said(1, 0)], labels)  # type: ignore[arg-type]


def test_a_refused_enrolment_is_named() -> None:
    with pytest.raises(AudioError, match=r"label b: recording 1: 0\.05 s of speech .* speak"):
        SpeakerClassifier(VERIFIER).fit([said(0, 0), said(1, 0, seconds=0.05)], ["a", "b"])


def test_it_can_be_carried_elsewhere_without_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Verifier, "load", lambda model: VERIFIER)
    people = SpeakerClassifier("here").fit(*recordings())
    carried = pickle.dumps(people)
    assert pickle.loads(carried).predict([said(2, 9)]).tolist() == ["carol"]
    other = Verifier(VERIFIER.encoder, VERIFIER.calibration, "energy")
    monkeypatch.setattr(Verifier, "load", lambda model: other)
    with pytest.raises(EncoderError, match="another space"):
        pickle.loads(carried).predict([said(2, 9)])


def test_speech_is_found_in_it() -> None:
    """With the detector that is used, silence is no answer."""
    listening = Verifier(VERIFIER.encoder, AMOUNTS)
    heard = syllables(3, 2.0, np.random.default_rng(9))
    people = SpeakerClassifier(listening).fit([heard], ["a"])
    assert people.predict([np.zeros(2 * RATE, np.float32)]).tolist() == ["abstain"]
