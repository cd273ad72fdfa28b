"""What each channel does to speech, seen in its spectrum, its samples and its silences."""

from __future__ import annotations

import io

import av
import numpy as np
import pytest

from shortvox.corpora.speech import SpeechData
from shortvox.frontend import channels
from shortvox.frontend.augment import Augmenter, AugmentSettings, kind, power
from shortvox.training.batches import TrainingBatches

KINDS = ("telephone", "band", "playback", "overload", "loss")
CROP = 16000


def through(data: SpeechData, name: str, waveform: np.ndarray, seed: int = 0) -> np.ndarray:
    augmenter = Augmenter(AugmentSettings(probability=1.0, rooms=2, kinds=(name,)), data.corpus, data.store, seed=0)
    return augmenter(waveform, 0, np.random.default_rng(seed))


def share_above(waveform: np.ndarray, hertz: float) -> float:
    spectrum = np.abs(np.fft.rfft(waveform)) ** 2
    return float(spectrum[int(hertz * len(waveform) / 16000) :].sum() / spectrum.sum())


@pytest.fixture(scope="module")
def noise() -> np.ndarray:
    return (0.1 * np.random.default_rng(5).standard_normal(CROP)).astype(np.float32)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("samples", [1, 5, 479, CROP])
def test_a_channel_keeps_length_and_level_and_repeats(data: SpeechData, name: str, samples: int) -> None:
    assert TrainingBatches  # whose import registers the channels
    speech = data.store.read(0, 0, samples)
    before = speech.copy()
    for seed in range(4):
        heard = through(data, name, speech, seed)
        assert heard.shape == speech.shape
        assert heard.dtype == np.float32
        assert np.isfinite(heard).all()
        np.testing.assert_array_equal(heard, through(data, name, speech, seed))
    np.testing.assert_array_equal(speech, before)  # what the store gave is not changed
    assert np.isfinite(through(data, name, np.zeros(samples, dtype=np.float32))).all()
    if samples == CROP and name in ("telephone", "band"):
        assert power(heard) == pytest.approx(power(speech), rel=0.15)


def test_a_telephone_carries_300_to_3400_hz(data: SpeechData, noise: np.ndarray) -> None:
    heard = through(data, "telephone", noise)
    assert share_above(noise, 4100) > 0.4
    assert share_above(heard, 4100) < 1e-3
    assert share_above(heard, 250) > 0.99


@pytest.mark.parametrize(
    ("law", "codec"),
    [((channels._mu, channels._mu_inverse), "pcm_mulaw"), ((channels._a, channels._a_inverse), "pcm_alaw")],
)
def test_compression_is_that_of_g711(law: tuple[object, object], codec: str) -> None:
    """Against the coder of a library: as much noise at every level, to 2 dB (it rounds in segments, not smoothly)."""
    rng = np.random.default_rng(0)
    for level in (0.01, 0.1, 0.7):
        sent = level * rng.uniform(-1, 1, 8000)
        compress, expand = law
        mine = np.sign(sent) * expand(np.round(compress(np.abs(sent)) * channels.CODE_STEPS) / channels.CODE_STEPS)
        its = _coded(sent, codec)
        assert _snr(sent, mine) == pytest.approx(_snr(sent, its), abs=2.0)


def _coded(samples: np.ndarray, codec: str) -> np.ndarray:
    held = io.BytesIO()
    with av.open(held, "w", format="wav") as container:
        stream = container.add_stream(codec, rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray((samples * 32767).astype(np.int16)[None], format="s16", layout="mono")
        frame.sample_rate = 8000
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    held.seek(0)
    with av.open(held) as container:
        return np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)]) / 32767


def _snr(sent: np.ndarray, heard: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(sent**2) / np.mean((heard - sent) ** 2)))


def test_a_band_has_two_edges(data: SpeechData, noise: np.ndarray) -> None:
    above = [share_above(through(data, "band", noise, seed), 7900) for seed in range(6)]
    assert max(above) < 0.01 < share_above(noise, 7900) + 0.01
    assert len(set(above)) > 1


def test_overload_clips_and_a_loudspeaker_distorts(data: SpeechData) -> None:
    tone = (0.5 * np.sin(2 * np.pi * 1000 * np.arange(CROP) / 16000)).astype(np.float32)
    clipped = through(data, "overload", tone)
    peak = np.abs(clipped).max()
    assert 0.02 <= peak <= 0.26
    assert (np.abs(clipped) > 0.999 * peak).mean() > 0.3
    assert share_above(through(data, "playback", tone), 2500) > share_above(tone, 2500) + 1e-4


def test_lost_packets_are_silence_or_repeated(data: SpeechData) -> None:
    ramp = np.arange(1, 48001, dtype=np.float32)
    seen = set()
    for seed in range(8):
        packets = through(data, "loss", ramp, seed).reshape(-1, 320)
        changed = np.flatnonzero((packets != ramp.reshape(-1, 320)).any(axis=1))
        assert 1 <= len(changed) <= 40
        silent = bool((packets[changed] == 0).all())
        repeated = all((packets[at] == packets[at - 1]).all() for at in changed)
        assert silent or repeated
        seen.add(silent)
    assert seen == {True, False}


def test_several_kinds_one_after_the_other(data: SpeechData, noise: np.ndarray) -> None:
    """With `most: 2` some crops get one kind and some both, in the order of the settings."""
    settings = AugmentSettings(probability=1.0, kinds=("overload", "telephone"), most=2)
    augmenter = Augmenter(settings, data.corpus, data.store, seed=0)
    found = set()
    for seed in range(20):
        heard = augmenter(noise, 0, np.random.default_rng(seed))
        narrow = share_above(heard, 4100) < 1e-3
        alone = through(data, "telephone", noise, seed)
        clipped = narrow and abs(power(heard) - power(alone)) > 0.3 * power(alone)
        found.add((narrow, clipped))
    assert found == {(False, False), (True, False), (True, True)}
    assert set(KINDS) <= set(kind)
