"""Where speech is found: the same as a whole and as it comes, inside the recording, by every detector."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from shortvox.errors import AudioError, ConfigError
from shortvox.frontend.fbank import whole_windows
from shortvox.frontend.vad import detector as lab
from shortvox.verification.detectors import DETECTOR, Detector, Listener, detector
from shortvox.verification.speech import BRIDGED, PADDING, SHORTEST, SpeechStream, find_speech
from voices import syllables

RATE = 16000
VOICE = syllables(3, 2.0, np.random.default_rng(3))
names = pytest.mark.parametrize("name", [*detector])
streamed = pytest.mark.parametrize("name", ("silero", "none"))


def in_silence(speech: np.ndarray, before: float, after: float) -> np.ndarray:
    """Speech between seconds of faint hiss."""
    whole = np.random.default_rng(1).standard_normal(len(speech) + round((before + after) * RATE)) * 1e-4
    whole[round(before * RATE) :][: len(speech)] += speech
    return whole.astype(np.float32)


class Told(Detector):
    """Decides as it is told, and knows how long it is."""

    hop = 160

    def __init__(self, decisions: list[bool]) -> None:
        self.decisions = np.array(decisions, bool)

    def __call__(self, waveform: np.ndarray) -> np.ndarray:
        return self.decisions[: -(len(waveform) // -self.hop)]

    def listener(self) -> Listener:
        return ToldListener(self)


class ToldListener(Listener):
    def __init__(self, told: Told) -> None:
        self.told, self.heard = told, 0

    def push(self, block: np.ndarray) -> np.ndarray:
        before, self.heard = self.heard, self.heard + len(block)
        return self.told.decisions[before // Told.hop : self.heard // Told.hop]

    def finish(self) -> np.ndarray:
        return self.told.decisions[self.heard // Told.hop : -(self.heard // -Told.hop)]


def told(monkeypatch: pytest.MonkeyPatch, decisions: list[bool]) -> None:
    monkeypatch.setitem(detector._entries, "told", Told(decisions))


def joined(name: str, waveform: np.ndarray, cuts: list[int]) -> np.ndarray:
    stream = SpeechStream(name)
    pieces = [piece for block in np.split(waveform, sorted(cuts)) for piece in stream.push(block)]
    pieces += stream.finish()
    found = np.concatenate([waveform[:0], *pieces])
    assert stream.seconds == len(found) / RATE
    assert stream.heard == len(waveform) / RATE
    return found


@names
@settings(max_examples=30, deadline=None)
@given(
    samples=st.integers(0, 4000),
    seed=st.integers(0, 99),
    level=st.sampled_from((0.0, 1e-7, 0.1, 1.0, 30.0)),
    double=st.booleans(),
)
def test_segments_lie_in_order_inside_any_waveform(
    name: str, samples: int, seed: int, level: float, double: bool
) -> None:
    noise = np.random.default_rng(seed).uniform(-level, level, samples)
    waveform = noise if double else noise.astype(np.float32)
    found = find_speech(waveform, name)
    edges = [edge for segment in found.segments for edge in segment]
    assert edges == sorted({*edges})
    assert not edges or (edges[0] >= 0 and edges[-1] <= samples)
    assert found.waveform.dtype == found.net.dtype == np.float32
    assert len(found.net) == round(found.seconds * RATE)


@names
@pytest.mark.parametrize("samples", (0, 1, 79, 80, 511, 512, 513, 160_000))
def test_every_sample_belongs_to_a_frame(name: str, samples: int) -> None:
    found = detector[name](np.zeros(samples, np.float32))
    assert found.dtype == bool and found.shape == (-(-samples // detector[name].hop),)


@settings(max_examples=200, deadline=None)
@given(data=st.data(), decisions=st.lists(st.booleans(), max_size=120))
def test_a_stream_gives_what_the_whole_gives(data: st.DataObject, decisions: list[bool]) -> None:
    samples = max(len(decisions) * Told.hop - data.draw(st.integers(0, Told.hop - 1)), 0)
    cuts = data.draw(st.lists(st.integers(0, samples), max_size=8))
    waveform = np.linspace(-1, 1, samples, dtype=np.float32)
    with pytest.MonkeyPatch.context() as patch:
        told(patch, decisions)
        assert np.array_equal(joined("told", waveform, cuts), find_speech(waveform, "told").net)


@streamed
@settings(max_examples=10, deadline=None)
@given(cuts=st.lists(st.integers(0, 3 * RATE + 77), max_size=12))
def test_a_detector_decides_alike_on_blocks_of_any_size(name: str, cuts: list[int]) -> None:
    waveform = in_silence(VOICE, 0.5, 0.5 + 77 / RATE)
    assert np.array_equal(joined(name, waveform, cuts), find_speech(waveform, name).net)


def test_a_stream_keeps_little_and_gives_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    speech, silence, pause = [True] * 400, [False] * 400, [False] * (BRIDGED // Told.hop)
    told(monkeypatch, silence + speech + pause + speech + silence)
    stream = SpeechStream("told")
    for block in np.array_split(np.ones(len(detector["told"](np.ones(10**6))) * Told.hop, np.float32), 808):  # type: ignore[arg-type]
        stream.push(block)
        assert len(stream._kept) <= PADDING + BRIDGED + SHORTEST + Told.hop
        if stream._gatherer._spoken >= SHORTEST and stream._gatherer._last == stream._gatherer._now:
            assert stream._gatherer._given == stream._gatherer._now
    assert stream.seconds == (800 * Told.hop + BRIDGED + 2 * PADDING) / RATE


def frames(samples: int) -> int:
    return -(-samples // Told.hop)


def test_short_gaps_are_bridged_clicks_dropped_and_ends_padded(monkeypatch: pytest.MonkeyPatch) -> None:
    quiet, word = [False] * 30, [True] * frames(SHORTEST)
    click = [True] * (frames(SHORTEST) - 1)
    gap = [False] * (BRIDGED // Told.hop)
    told(monkeypatch, quiet + word + gap + word + gap + [False] + click + quiet + word)
    samples = len(detector["told"](np.ones(10**6))) * Told.hop  # type: ignore[arg-type]
    first = 30 * Told.hop
    second = first + (2 * len(word) + len(gap)) * Told.hop
    last = samples - len(word) * Told.hop
    expected = ((first - PADDING, second + PADDING), (last - PADDING, samples))
    assert find_speech(np.zeros(samples, np.float32), "told").segments == expected


@pytest.mark.parametrize("samples", (1, 79, 80, 81, 400, 12_345, 1600 * 100))
@pytest.mark.parametrize("level", (1e-6, 0.3))
def test_energy_is_that_of_the_front_end_frame_by_frame(samples: int, level: float) -> None:
    rng = np.random.default_rng(samples)
    waveform = rng.standard_normal(samples) * level * rng.uniform(0, 1, samples // 800 + 1).repeat(800)[:samples] ** 4
    waveform = waveform.astype(np.float32)
    signal, counts = whole_windows(torch.from_numpy(waveform)[None], torch.tensor([samples]))
    expected = lab["sre16-v2"](signal, counts)[0].numpy()
    found = detector["energy"](waveform)
    assert np.array_equal(found[: len(expected)], expected)
    assert len(found) - len(expected) in (0, 1)


@pytest.mark.parametrize("seconds", (0.3, 0.5, 1.0))
def test_a_word_in_silence_is_found_where_it_is(seconds: float) -> None:
    word = VOICE[: round(seconds * RATE)]
    found = find_speech(in_silence(word, 0.5, 0.5))
    assert found.segments
    assert abs(found.segments[0][0] / RATE - 0.5) < 0.12
    assert abs(found.seconds - seconds) < 0.2


@pytest.mark.parametrize("level", (0.0, 1e-4, 0.1))
def test_noise_and_silence_hold_no_speech(level: float) -> None:
    noise = np.random.default_rng(3).standard_normal(2 * RATE).astype(np.float32) * np.float32(level)
    assert find_speech(noise).segments == ()
    assert len(find_speech(noise).net) == 0


def test_a_recording_does_not_depend_on_what_was_heard_before() -> None:
    waveform = in_silence(VOICE, 0.1, 0.1)
    first = find_speech(waveform).segments
    find_speech(np.ones(RATE, np.float32))
    assert find_speech(waveform).segments == first


@pytest.mark.parametrize(
    ("waveform", "named"),
    (
        (np.array([0.0, np.nan], np.float32), "not finite"),
        (np.array([0.0, -np.inf]), "not finite"),
        (np.array([0.0, 33.0]), "33 times full scale"),
        (np.zeros((2, 8)), "one channel"),
        (np.zeros(8, np.int16), "divide int16 by 32768"),
        (np.array(["a"]), "expected floats"),
    ),
)
def test_what_is_no_waveform_is_refused(waveform: np.ndarray, named: str) -> None:
    with pytest.raises(AudioError, match=named) as raised:
        find_speech(waveform)
    assert "\n" not in str(raised.value)
    stream = SpeechStream()
    with pytest.raises(AudioError, match=named):
        stream.push(waveform)
    assert stream.heard == 0


def test_a_detector_is_named() -> None:
    with pytest.raises(ConfigError, match=r"unknown speech detector .siler..*silero"):
        find_speech(VOICE, "siler")
    with pytest.raises(ConfigError, match=f"whole recording; for streams use '{DETECTOR}'"):
        SpeechStream("energy")


def test_a_constant_offset_is_not_heard() -> None:
    quiet = in_silence(0.1 * VOICE, 0.3, 0.3)
    assert find_speech(quiet + np.float32(0.3)).segments == find_speech(quiet).segments != ()


@pytest.mark.parametrize("decibels", (-30, 20))
def test_quiet_and_loud_speech_is_found_alike(decibels: float) -> None:
    recording = in_silence(VOICE, 0.3, 0.3)
    scaled = find_speech(recording * np.float32(10 ** (decibels / 20)))
    assert abs(scaled.seconds - find_speech(recording).seconds) < 0.15
