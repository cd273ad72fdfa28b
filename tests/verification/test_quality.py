"""What is said of good and of bad recordings."""

from __future__ import annotations

import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from shortvox.verification.quality import Fault, Finding, examine, flat_share, high_band, level, loudest
from shortvox.verification.speech import Speech, find_speech
from voices import syllables

RATE = 16000
VOICE = syllables(3, 1.0, np.random.default_rng(3)) + 1e-3 * np.random.default_rng(4).standard_normal(RATE)
RECORDING = np.pad(VOICE, (RATE // 2, RATE // 2)).astype(np.float32)


def all_speech(waveform: np.ndarray) -> Speech:
    return Speech(waveform, ((0, len(waveform)),))


def clipped(waveform: np.ndarray, share: float) -> np.ndarray:
    limit = np.quantile(np.abs(waveform), 1 - share)
    return np.clip(waveform, -limit, limit)


def through_telephone(waveform: np.ndarray) -> np.ndarray:
    return soxr.resample(soxr.resample(waveform, RATE, 8000), 8000, RATE)


def test_nothing_is_wrong_with_a_good_recording() -> None:
    assert examine(find_speech(RECORDING), 0.5) == ()


@pytest.mark.parametrize(
    ("waveform", "text"),
    (
        (np.zeros(0), "nothing was recorded"),
        (np.zeros(1), "0.00 s of silence: nothing is louder than -99 dBFS"),
        (np.zeros(4 * RATE), "4.00 s of silence: nothing is louder than -99 dBFS"),
        (np.full(RATE, 0.7), "1.00 s of silence: nothing is louder than -99 dBFS"),
        (1e-4 * np.sin(np.arange(RATE)), "1.00 s of silence: nothing is louder than -83 dBFS"),
    ),
)
def test_silence_is_refused(waveform: np.ndarray, text: str) -> None:
    (found,) = examine(find_speech(waveform.astype(np.float32)), 0.3)
    assert (found.fault, found.text, found.refuses) == (Fault.SILENCE, text, True)


@pytest.mark.parametrize("sound", (np.random.default_rng(1).standard_normal(RATE), np.sin(np.arange(RATE) / 5)))
def test_sound_without_speech_is_noise(sound: np.ndarray) -> None:
    (found,) = examine(find_speech(0.1 * sound), 0.3)
    assert (found.fault, found.text, found.refuses) == (Fault.NOISE, "1.00 s of sound, but no speech in it", True)


def test_too_little_speech_says_how_much_of_what() -> None:
    speech = Speech(np.pad(VOICE, (0, 3 * RATE)).astype(np.float32), ((0, round(0.9 * RATE)),))
    assert examine(speech, 0.9) == ()
    assert examine(speech, 1.5) == (
        Finding(
            Fault.TOO_SHORT,
            "0.90 s of speech in 4.00 s of recording, 1.50 s are needed",
            "speak 0.6 s longer",
            refuses=True,
        ),
    )


@pytest.mark.parametrize("gain", (0.05, 1.0, 3.0))
@pytest.mark.parametrize(("share", "expected"), ((0.0, []), (0.02, [False]), (0.2, [False]), (0.4, [True])))
def test_clipping_is_told_at_any_gain(gain: float, share: float, expected: list[bool]) -> None:
    found = [one for one in examine(all_speech(clipped(VOICE, share) * gain), 0.3) if one.fault is Fault.CLIPPING]
    assert [one.refuses for one in found] == expected
    assert all(one.text.endswith(" % of the samples are clipped") for one in found)
    assert all(float(one.text.split()[0]) == pytest.approx(100 * share, rel=0.15) for one in found)


@settings(max_examples=30, deadline=None)
@given(share=st.floats(0.005, 0.6))
def test_the_share_of_clipped_samples_is_measured(share: float) -> None:
    assert flat_share(clipped(VOICE, share)) == pytest.approx(share, rel=0.15)


def test_quiet_speech_is_warned_of() -> None:
    scaled = VOICE / np.sqrt(VOICE.var())
    assert level(scaled * 0.01) == pytest.approx(-40, abs=0.1)
    assert examine(all_speech(scaled * 10**-2.9), 0.3) == ()
    (found,) = examine(all_speech(scaled * 10**-3.1), 0.3)
    assert (found.fault, found.refuses) == (Fault.TOO_QUIET, False)
    assert "-62 dBFS" in found.text


def test_telephone_speech_is_warned_of() -> None:
    narrow = through_telephone(VOICE)
    (found,) = examine(all_speech(narrow), 0.3)
    assert (found.fault, found.refuses) == (Fault.NARROW_BAND, False)
    assert high_band(VOICE) > -45


def test_the_band_is_measured_as_power() -> None:
    time = np.arange(5 * RATE) / RATE
    tones = np.sin(2 * np.pi * 1000 * time) + 0.01 * np.sin(2 * np.pi * 6000 * time)
    assert high_band(tones) == pytest.approx(-40, abs=0.1)


def test_what_refuses_comes_first_and_everything_is_said() -> None:
    quiet = through_telephone(VOICE) * 1e-3
    found = examine(all_speech(quiet), 2.0)
    assert [one.fault for one in found] == [Fault.TOO_SHORT, Fault.TOO_QUIET, Fault.NARROW_BAND]
    destroyed = examine(all_speech(clipped(quiet, 0.5)), 0.3)
    assert [one.fault for one in destroyed] == [Fault.CLIPPING, Fault.TOO_QUIET]


def test_loudness_is_about_the_mean() -> None:
    assert loudest(np.full(1000, 0.5)) < -100
    assert loudest(np.array([1.0])) < -100
    assert loudest(np.tile([0.1, -0.1], 800)) == pytest.approx(-20)


def test_a_moment_too_little_is_not_said_to_be_enough() -> None:
    """Of rounded figures, too."""
    speech = Speech(np.zeros(RATE, np.float32), ((0, 4799),))
    finding = next(one for one in examine(speech, 0.3) if one.fault is Fault.TOO_SHORT)
    assert finding.text.startswith("0.29 s of speech") and finding.advice == "speak 0.1 s longer"


@settings(max_examples=40, deadline=None)
@given(
    samples=st.integers(0, 3000),
    seed=st.integers(0, 99),
    scale=st.sampled_from((0.0, 1e-20, 1e-4, 0.3, 20.0)),
    shortest=st.floats(0, 1),
    spoken=st.booleans(),
)
def test_any_waveform_gives_single_lines(samples: int, seed: int, scale: float, shortest: float, spoken: bool) -> None:
    waveform = (np.random.default_rng(seed).standard_normal(samples) * scale).clip(-32, 32).astype(np.float32)
    speech = all_speech(waveform) if spoken and samples else find_speech(waveform)
    found = examine(speech, shortest)
    assert found or speech.segments
    for one in found:
        assert one.text and one.advice and "\n" not in one.text + one.advice
        assert "nan" not in one.text and "inf" not in one.text
    assert len({one.fault for one in found}) == len(found)
