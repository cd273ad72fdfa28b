"""Speech through codecs: in time, in its band, at its level, and refused where PyAV cannot."""

from __future__ import annotations

import sys

import av
import numpy as np
import pytest

from shortvox.corpora.speech import SpeechData
from shortvox.errors import ConfigError
from shortvox.frontend.augment import Augmenter, AugmentSettings, power
from shortvox.frontend.codecs import CODECS, ENCODERS, through_codec
from shortvox.training.batches import TrainingBatches
from shortvox.training.settings import TrainSettings

RATES = [(name, bits) for name, codec in CODECS.items() for bits in (min(codec.bits), max(codec.bits))]
EDGE = {"gsm": 4000, "amr": 4000, "opus": 5500, "mp3": 6000}  # Hz above which the lowest rate carries nothing


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    """Two seconds of harmonics that glide, in syllables, and some noise of all frequencies."""
    rng = np.random.default_rng(0)
    time = np.arange(32000) / 16000
    phase = 2 * np.pi * np.cumsum(120 + 30 * np.sin(3 * time)) / 16000
    voiced = sum(np.sin(n * phase) / n for n in range(1, 30))
    syllables = np.clip(np.repeat(rng.normal(0.3, 0.5, 20), 1600), 0, 1)
    return ((0.1 * voiced + 0.02 * rng.standard_normal(32000)) * (syllables + 0.03)).astype(np.float32)


@pytest.mark.parametrize(("name", "bits"), RATES)
def test_a_codec_keeps_time_level_and_its_band(speech: np.ndarray, name: str, bits: int) -> None:
    heard = through_codec(speech, name, bits)
    assert heard.shape == speech.shape
    assert heard.dtype == np.float32
    np.testing.assert_array_equal(heard, through_codec(speech, name, bits))
    assert power(heard) == pytest.approx(power(speech), rel=1e-3)
    assert abs(_lag(speech, heard)) <= 24  # 1.5 ms
    assert not np.allclose(heard, speech, atol=1e-3)
    if bits == min(CODECS[name].bits):
        assert _power_above(heard, EDGE[name]) < 0.05 * _power_above(speech, EDGE[name])
    elif name in ("opus", "mp3"):
        assert _power_above(heard, EDGE[name]) > 0.2 * _power_above(speech, EDGE[name])


def test_more_bits_are_nearer_to_the_speech(speech: np.ndarray) -> None:
    for name in ("opus", "mp3"):
        errors = [power(through_codec(speech, name, bits) - speech) for bits in CODECS[name].bits]
        assert errors[-1] < 0.9 * errors[0]


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("samples", [1, 5, 479, 4800])
def test_any_length_and_silence(speech: np.ndarray, name: str, samples: int) -> None:
    bits = min(CODECS[name].bits)
    heard = through_codec(speech[:samples], name, bits)
    assert heard.shape == (samples,)
    assert np.isfinite(heard).all()
    assert not through_codec(np.zeros(samples, np.float32), name, bits).any()


def test_a_crop_starts_as_it_goes_on(speech: np.ndarray) -> None:
    """The codec has warmed up by the first sample: a crop alone is as loud there as within its utterance."""
    inside = through_codec(speech, "opus", 9000)[16000:17600]
    alone = through_codec(speech[16000:], "opus", 9000)[:1600]
    assert power(alone) == pytest.approx(power(inside), rel=0.3)


def test_the_kind_draws_every_codec_and_repeats(data: SpeechData) -> None:
    assert TrainingBatches  # whose import registers the kind
    augmenter = Augmenter(AugmentSettings(probability=1.0, kinds=("codec",)), data.corpus, data.store, seed=0)
    crop = data.store.read(0, 0, 8000)
    before = crop.copy()
    heard = [augmenter(crop, 0, np.random.default_rng(seed)) for seed in range(24)]
    np.testing.assert_array_equal(crop, before)
    np.testing.assert_array_equal(heard[3], augmenter(crop, 0, np.random.default_rng(3)))
    known = {(name, bits): through_codec(crop, name, bits) for name, codec in CODECS.items() for bits in codec.bits}
    drawn = [next(key for key, own in known.items() if np.array_equal(own, one)) for one in heard]
    assert {name for name, _ in drawn} == set(CODECS)
    assert len(set(drawn)) > 6


def test_without_pyav_the_kind_is_refused(data: SpeechData, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = TrainSettings(augment=AugmentSettings(kinds=("codec",)))
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "av", None)
        with pytest.raises(ConfigError, match=r"codec: needs PyAV; pip install 'shortvox\[media\]'"):
            TrainingBatches(data.corpus, data.store, settings, data.corpus.speakers)

    def lacking(name: str, mode: str) -> None:
        if name == ENCODERS[0]:
            raise ValueError(name)

    monkeypatch.setattr(av.codec, "Codec", lacking)
    with pytest.raises(ConfigError, match=f"this PyAV has no encoder {ENCODERS[0]}"):
        TrainingBatches(data.corpus, data.store, settings, data.corpus.speakers)


def _lag(sent: np.ndarray, heard: np.ndarray) -> int:
    """Samples by which `heard` comes late: the peak of the cross-correlation of their envelopes.

    Of the envelopes, because AMR keeps no waveform: its phases are its own.
    """
    size = 2 * len(sent)
    envelopes = [np.convolve(np.abs(waveform), np.hanning(161), "same") for waveform in (sent, heard)]
    before, after = (np.fft.rfft(envelope - envelope.mean(), size) for envelope in envelopes)
    correlation = np.fft.irfft(after * np.conj(before))
    peak = int(np.argmax(correlation))
    return peak if peak < len(sent) else peak - size


def _power_above(waveform: np.ndarray, hertz: float) -> float:
    spectrum = np.abs(np.fft.rfft(waveform)) ** 2
    return float(spectrum[int(hertz * len(waveform) / 16000) :].sum())
