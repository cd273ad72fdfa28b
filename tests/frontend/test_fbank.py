from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from shortvox.frontend.fbank import Fbank, mirror_edges, whole_windows
from shortvox.frontend.filterbank import frame_count
from shortvox.frontend.frontend import FrontEnd, FrontEndSettings
from voices import voice

kaldi = pytest.importorskip("kaldi_native_fbank")


def reference(waveform: np.ndarray, bands: int) -> np.ndarray:
    options = kaldi.FbankOptions()
    options.frame_opts.dither = 0.0
    options.frame_opts.snip_edges = False
    options.frame_opts.samp_freq = 16000
    options.mel_opts.num_bins = bands
    options.energy_floor = 0.0
    computer = kaldi.OnlineFbank(options)
    computer.accept_waveform(16000, (waveform * 32768).tolist())
    computer.input_finished()
    return np.stack([computer.get_frame(i) for i in range(computer.num_frames_ready)])


def ours(waveform: np.ndarray, bands: int) -> np.ndarray:
    return Fbank(bands=bands)(torch.from_numpy(waveform)[None])[0][0].numpy()


@pytest.mark.parametrize("bands", [64, 80])
@pytest.mark.parametrize("samples", [160, 239, 240, 400, 1000, 16000, 23456, 48077])
def test_agrees_with_kaldi(samples: int, bands: int) -> None:
    waveform = voice(samples % 5, samples / 16000, np.random.default_rng(samples))[:samples]
    expected = reference(waveform, bands)
    computed = ours(waveform, bands)
    assert computed.shape == expected.shape
    assert np.abs(computed - expected).max() < 1e-3


@settings(max_examples=25, deadline=None)
@given(samples=st.integers(80, 6000), seed=st.integers(0, 1000))
def test_agrees_with_kaldi_at_any_length(samples: int, seed: int) -> None:
    """In the bands within 60 dB of the loudest of their frame; quieter ones hold what rounding leaves of the loud."""
    waveform = voice(seed % 6, samples / 16000, np.random.default_rng(seed))
    computed, expected = ours(waveform, 80), reference(waveform, 80)
    audible = expected > expected.max(axis=1, keepdims=True) - np.log(10) * 6
    assert np.abs(computed - expected)[audible].max() < 1e-3


@settings(max_examples=25, deadline=None)
@given(samples=st.integers(80, 6000), seed=st.integers(0, 1000))
def test_rounding_is_small_beside_the_loudest_band(samples: int, seed: int) -> None:
    waveform = voice(seed % 6, samples / 16000, np.random.default_rng(seed))
    signal, _ = whole_windows(torch.from_numpy(waveform).double()[None], None)
    exact = Fbank(bands=80).double().log_mel(signal)[0].exp().numpy()
    power = np.exp(ours(waveform, 80).astype(np.float64))
    assert (np.abs(power - exact) / exact.max(axis=1, keepdims=True)).max() < 1e-5


def test_frame_counts() -> None:
    assert frame_count(16000) == 100
    assert frame_count(160) == 1
    assert frame_count(1) == 1  # too short for Kaldi, still something to embed
    assert frame_count(torch.tensor([16000, 240, 239, 3])).tolist() == [100, 2, 1, 1]


@pytest.mark.parametrize("bands", [64, 80])
def test_a_padded_batch_equals_one_by_one(bands: int) -> None:
    rng = np.random.default_rng(3)
    waveforms = [voice(n, n / 4 + 0.003, rng) for n in range(1, 6)] + [voice(0, 0.01, rng)]
    lengths = torch.tensor([len(w) for w in waveforms])
    padded = torch.full((len(waveforms), int(lengths.max())), 0.3)  # what lies past the end must not matter
    for row, waveform in enumerate(waveforms):
        padded[row, : len(waveform)] = torch.from_numpy(waveform)
    front_end = FrontEnd(FrontEndSettings(bands=bands))
    together, counts = front_end(padded, lengths)
    assert counts is not None
    for row, waveform in enumerate(waveforms):
        alone, none = front_end(torch.from_numpy(waveform)[None])
        assert none is None
        assert int(counts[row]) == alone.shape[1]
        torch.testing.assert_close(together[row, : int(counts[row])], alone[0], atol=1e-3, rtol=0)
        assert not together[row, int(counts[row]) :].any()


@pytest.mark.parametrize("samples", [1, 3, 79, 80, 119, 120, 1000])
def test_edges_are_mirrored_as_numpy_does(samples: int) -> None:
    signal = torch.randn(2, 1200, generator=torch.Generator().manual_seed(samples))
    lengths = torch.tensor([samples, 1200])
    padded = mirror_edges(signal, lengths)
    alone = mirror_edges(signal[:1, :samples], None)[0]
    for row, length in enumerate(lengths.tolist()):
        expected = np.pad(signal[row, :length].numpy(), (120, padded.shape[1]), mode="symmetric")
        np.testing.assert_array_equal(padded[row], expected[: padded.shape[1]])
    np.testing.assert_array_equal(alone, padded[0, : len(alone)])


def test_silence_and_a_single_sample_are_finite() -> None:
    front_end = FrontEnd(FrontEndSettings())
    for waveform in (torch.zeros(1, 4000), torch.full((1, 1), 0.5)):
        assert torch.isfinite(front_end(waveform)[0]).all()


def test_bf16_autocast_leaves_features_in_full_precision() -> None:
    front_end = FrontEnd(FrontEndSettings())
    waveform = torch.from_numpy(voice(1, 0.3, np.random.default_rng(0)))[None]
    with torch.autocast("cpu", torch.bfloat16):
        inside, _ = front_end(waveform)
    torch.testing.assert_close(inside, front_end(waveform)[0], atol=0, rtol=0)
