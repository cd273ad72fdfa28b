"""A calibration by amount of speech that is fitted on some people holds for others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from amounts import simulated
from shortvox.corpora.corpus import Corpus
from shortvox.corpora.speech import SpeechData
from shortvox.corpora.utterance import Utterance
from shortvox.encoders.encoder import Encoder
from shortvox.errors import ScoreError
from shortvox.evaluation.amounts import calibrate_amounts, extremes, fit_amounts
from shortvox.evaluation.spoken import ENROLLED, TESTED, HeardCorpus, make_trials
from shortvox.scoring.amount import AmountCalibration
from shortvox.verification.stream import LOOKS
from voices import syllables

WHOLE = 6.0


def heard(seed: int, people: int = 40) -> HeardCorpus:
    """People with eight recordings of six seconds each, whose looks share their beginnings."""
    rng = np.random.default_rng(seed)
    speakers, crops = simulated(people, 8, rng, (*sorted({*TESTED, *ENROLLED}), WHOLE))
    crops[0.0] = crops.pop(WHOLE)
    _, looks = simulated(people, 8, np.random.default_rng(seed), LOOKS)
    sessions = np.array(["s"] * len(speakers))
    return HeardCorpus(speakers.astype(str), sessions, np.full(len(speakers), WHOLE), crops, looks, {})


@pytest.fixture(scope="module")
def fitted() -> AmountCalibration:
    one = heard(1)
    return fit_amounts(make_trials(one), [one])


def test_half_of_an_embedding_is_speaker_where_it_was_made_so(fitted: AmountCalibration) -> None:
    assert fitted.shortest == 0.3 and fitted.longest == 30 and fitted.recordings == 5
    ratio = fitted.share_of_speaker(0.7) / fitted.share_of_speaker(30)
    assert ratio == pytest.approx(1.09 / (1 + 0.09 + 1), rel=0.15)


def test_one_rate_of_false_alarms_holds_at_every_length_for_others(fitted: AmountCalibration) -> None:
    lengths = []
    for trials in make_trials(heard(2)):
        at = fitted.reliability(trials.enrolled, trials.recordings, trials.tested)
        strangers = trials.score[~trials.label] >= fitted.accept(0.05, at[~trials.label])
        missed = trials.score[trials.label] < fitted.reject(0.1, at[trials.label])
        lengths.append((strangers.mean(), missed.mean()))
    accepted, missed = np.array(lengths).T
    assert accepted.min() > 0.025 and accepted.max() < 0.09
    assert missed.min() > 0.04 and missed.max() < 0.2


def test_ratios_are_calibrated_at_every_length(fitted: AmountCalibration) -> None:
    """Expected cost of the ratios beside the best that any map of this length's cosines has."""
    from sklearn.linear_model import LogisticRegression

    for trials in make_trials(heard(3))[::12]:
        llr = fitted.llr(trials.score, fitted.reliability(trials.enrolled, trials.recordings, trials.tested))
        cost = _cllr(llr, trials.label)
        best = LogisticRegression(C=1e6, class_weight="balanced").fit(trials.score[:, None], trials.label)
        assert cost < _cllr(best.decision_function(trials.score[:, None]), trials.label) + 0.06


def _cllr(llr: np.ndarray, label: np.ndarray) -> float:
    cost = np.logaddexp(0, np.where(label, -llr, llr)) / np.log(2)
    return float(cost[label].mean() + cost[~label].mean()) / 2


def test_all_looks_together_keep_the_rates(fitted: AmountCalibration) -> None:
    lowest, highest = extremes(fitted, heard(4), 3.0)
    accept, reject = fitted.stream_lines(0.02, 0.02, 3.0)
    assert (highest >= accept).mean() == pytest.approx(0.02, abs=0.012)
    assert (lowest < reject).mean() == pytest.approx(0.02, abs=0.015)
    assert len(lowest) == 40 * 8 * 7 and len(highest) == 320 * 320 - 40 * 8 * 8


def test_no_trial_is_of_what_was_enrolled_or_of_one_session() -> None:
    one = heard(5, people=4)
    sessions = np.tile(["a", "b"], len(one.speakers) // 2)
    known = HeardCorpus(one.speakers, sessions, one.seconds, one.crops, one.beginnings, {})
    plain, fair = make_trials(one)[0], make_trials(known)[0]
    assert plain.label.sum() == 4 * 8 * 7 and fair.label.sum() == 4 * 8 * 4
    assert plain.score.max() < 0.9999


def test_a_corpus_of_speech_calibrates_any_encoder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = spoken(tmp_path, people=5)
    found = calibrate_amounts(SPECTRUM, [data])
    amounts = AmountCalibration.from_json(found["amounts"], "here")
    assert found["detector"] == "silero" and found["amounts_fitted_on"] == ["made: 5 speakers"]
    assert 0.3 <= amounts.shortest < amounts.longest and amounts.recordings == 2
    assert calibrate_amounts(SPECTRUM, [data.select(lambda one: one.speaker == "p0")]) == {}
    assert "here: " in (said := capsys.readouterr().err) and said.count("\n") == 1


def spoken(folder: Path, people: int) -> SpeechData:
    """People with four recordings of two seconds, which a detector hears."""
    rows = []
    for number in range(people):
        for take in range(4):
            wave = syllables(number, 2.0, np.random.default_rng((take, number)))
            soundfile.write(folder / f"{number}-{take}.wav", wave, 16_000)
            rows.append(Utterance(f"{number}-{take}", f"p{number}", folder / f"{number}-{take}.wav"))
    return SpeechData.open(Corpus("made", folder, tuple(rows)))


def spectra(waveforms: list[np.ndarray]) -> np.ndarray:
    return np.stack([np.log(1e-6 + np.abs(np.fft.rfft(one, 512)))[:64] for one in waveforms])


SPECTRUM = Encoder("a", "b", "here", 64, "f", 1600, spectra)


def test_too_little_speech_is_refused() -> None:
    with pytest.raises(ScoreError, match="too few combinations"):
        fit_amounts(make_trials(heard(6, people=4))[:3])
