"""Made speakers: pitch and formants move by the factors drawn, each on its own, and the corpus says from whom."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from benchmarks.changed_voices import FORMANTS, LEAST, PITCH, change_voice, draw, main

from shortvox.corpora.corpus import Corpus, load_corpus
from shortvox.demo.purity import _pitch

RESONANCES = (700, 1200, 2500)  # Hz
AROUND = ((400, 950), (950, 1800), (1800, 3400))


def vowel(pitch: float = 110.0) -> np.ndarray:
    """One second of harmonics under three resonances."""
    time = np.arange(16000) / 16000
    heard = np.zeros(16000)
    for number in range(1, int(7800 / pitch)):
        level = 0.01 + sum(1 / (1 + ((number * pitch - centre) / 80) ** 2) for centre in RESONANCES)
        heard += level * np.sin(2 * np.pi * number * pitch * time + number**2)
    return (0.1 * heard / np.abs(heard).max()).astype(np.float32)


def resonances(waveform: np.ndarray) -> np.ndarray:
    """Centres of gravity of the power around each, in Hz."""
    power = np.abs(np.fft.rfft(waveform * np.hanning(len(waveform)))) ** 2
    hertz = np.fft.rfftfreq(len(waveform), 1 / 16000)
    return np.array([np.average(hertz, weights=power * ((hertz > low) & (hertz < high))) for low, high in AROUND])


@pytest.mark.parametrize(("pitch", "formants"), [(1.0, 1.0), (1.0, 1.15), (1.2, 1.0), (1.2, 1.15), (0.8, 0.9)])
def test_pitch_and_formants_move_each_on_its_own(pitch: float, formants: float) -> None:
    before = vowel()
    after = change_voice(before, pitch, formants)
    assert after.dtype == np.float32
    assert len(after) == pytest.approx(len(before) / pitch, abs=1)
    assert np.abs(after).max() == pytest.approx(np.abs(before).max(), rel=1e-4)
    heard, was = _pitch(after), _pitch(before)
    assert heard is not None
    assert was is not None
    assert heard / was == pytest.approx(pitch, rel=0.01)
    np.testing.assert_allclose(resonances(after) / resonances(before), formants, rtol=0.04)


def test_unchanged_is_the_same_sound() -> None:
    before = vowel(190.0)
    np.testing.assert_allclose(change_voice(before, 1.0, 1.0), before, atol=1e-4)
    assert len(change_voice(before[:100], 1.0, 1.1)) == 100  # shorter than a frame
    assert not change_voice(np.zeros(2000, np.float32), 1.2, 1.1).any()


def test_draws_stay_in_range_and_always_move_formants() -> None:
    rng = np.random.default_rng(0)
    drawn = np.array([draw(rng) for _ in range(200)])
    assert PITCH[0] <= drawn[:, 0].min() < 0.85
    assert 1.2 < drawn[:, 0].max() <= PITCH[1]
    assert FORMANTS[0] <= drawn[:, 1].min() < drawn[:, 1].max() <= FORMANTS[1]
    assert np.abs(np.log2(drawn[:, 1])).min() >= LEAST


def test_a_corpus_of_made_speakers(corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    for name in ("once", "again"):
        options = ["--voices", "8", "--utterances", "2", "--seed", "3"]
        monkeypatch.setattr(sys, "argv", ["changed_voices.py", str(tmp_path / name), str(corpus.root), *options])
        main()
        made.append(load_corpus(tmp_path / name))
    first, second = made
    assert first.fingerprint() == second.fingerprint()
    assert len(first.speakers) == 8
    assert all(len(positions) == 2 for positions in first.by_speaker().values())
    origin = {u.id.partition("-")[2]: u.column("from") for u in first.utterances}
    assert origin.items() <= {u.id: u.speaker for u in corpus.utterances}.items()
    assert {u.column("from") for u in first.utterances} == set(corpus.speakers)  # six give one voice, two give two
    for positions in first.by_speaker().values():
        assert len({first.utterances[at].column("formants") for at in positions}) == 1
    assert set(first.speakers).isdisjoint(corpus.speakers)
