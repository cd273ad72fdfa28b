from __future__ import annotations

import kaldi_native_fbank
import numpy as np
import pytest
import torch

from shortvox.encoders.features import (
    kaldi_fbank,
    kaldi_frames,
    kaldi_samples,
    nemo_frames,
    nemo_log_mel,
    normalised,
)

LENGTHS = (400, 559, 560, 4_000, 16_001)


def sounds(samples: int) -> np.ndarray:
    """(2, samples): noise with an offset, and a quiet sweep."""
    rng = np.random.default_rng(samples)
    time = np.arange(samples) / 16_000
    return np.stack(
        [0.1 * rng.standard_normal(samples) + 0.05, 0.001 * np.sin(2 * np.pi * (100 + 1500 * time) * time)]
    ).astype(np.float32)


def by_kaldi(
    waveform: np.ndarray, *, bands: int, window: str, snip: bool, scale: float, low: float, high: float
) -> np.ndarray:
    options = kaldi_native_fbank.FbankOptions()
    options.frame_opts.dither = 0
    options.frame_opts.snip_edges = snip
    options.frame_opts.window_type = {"hann": "hanning"}.get(window, window)
    options.mel_opts.num_bins = bands
    options.mel_opts.low_freq = low
    options.mel_opts.high_freq = high
    fbank = kaldi_native_fbank.OnlineFbank(options)
    fbank.accept_waveform(16_000, (scale * waveform).tolist())
    fbank.input_finished()
    return np.array([fbank.get_frame(at) for at in range(fbank.num_frames_ready)]).reshape(-1, bands)


@pytest.mark.parametrize("samples", LENGTHS)
@pytest.mark.parametrize(
    ("bands", "window", "snip", "scale", "low", "high"),
    [
        (80, "povey", True, 1.0, 20.0, 8000.0),  # 3D-Speaker
        (80, "hamming", True, 32768.0, 20.0, 8000.0),  # WeSpeaker
        (80, "povey", False, 32768.0, 20.0, 8000.0),  # ours
        (40, "hann", False, 1.0, 100.0, 7600.0),
    ],
)
def test_kaldi_features_are_those_of_kaldi(
    samples: int, bands: int, window: str, snip: bool, scale: float, low: float, high: float
) -> None:
    waveforms = sounds(samples)
    edges = "snip" if snip else "mirror"
    found = kaldi_fbank(
        waveforms,
        bands=bands,
        window=window,  # type: ignore[arg-type]
        edges=edges,  # type: ignore[arg-type]
        scale=scale,
        low=low,
        high=high,
    )
    assert found.dtype == np.float32
    for row, waveform in enumerate(waveforms):
        expected = by_kaldi(waveform, bands=bands, window=window, snip=snip, scale=scale, low=low, high=high)
        assert found[row].shape == expected.shape
        # What lies far below the loudest band of a frame is rounding of float32 in both.
        clear = expected > expected.max(axis=1, keepdims=True) - 18
        assert clear.mean() > 0.25
        np.testing.assert_allclose(found[row][clear], expected[clear], atol=2e-3)


def test_frames_are_counted_as_they_are_made() -> None:
    for edges in ("snip", "mirror"):
        for samples in (400, 479, 480, 719, 720, 12_345):
            made = kaldi_fbank(np.ones((1, samples), np.float32), edges=edges).shape[1]
            assert made == kaldi_frames(samples, edges)
        for frames in (1, 2, 99):
            assert kaldi_frames(kaldi_samples(frames, edges), edges) == frames


def test_long_signals_are_computed_in_blocks_without_seams(monkeypatch: pytest.MonkeyPatch) -> None:
    waveforms = sounds(16_000)
    whole, nemo = kaldi_fbank(waveforms), nemo_log_mel(waveforms)
    monkeypatch.setattr("shortvox.encoders.features.BLOCK", 7)
    np.testing.assert_allclose(kaldi_fbank(waveforms), whole, atol=1e-5)
    np.testing.assert_allclose(nemo_log_mel(waveforms), nemo, atol=1e-5)


def slaney_hertz(mel: float) -> float:
    return mel * 200 / 3 if mel < 15 else 1000 * 6.4 ** ((mel - 15) / 27)


@pytest.mark.parametrize("samples", LENGTHS)
def test_nemo_features_are_an_stft_through_slaney_triangles(samples: int) -> None:
    waveforms = sounds(samples)
    emphasised = np.concatenate([waveforms[:, :1], waveforms[:, 1:] - 0.97 * waveforms[:, :-1]], axis=1)
    window = torch.hann_window(400, periodic=False)
    spectrum = torch.stft(
        torch.from_numpy(emphasised), 512, 160, 400, window, center=True, pad_mode="constant", return_complex=True
    )
    power = spectrum.abs().square().numpy()[:, :, : samples // 160]
    top = 15 + 27 * np.log(8) / np.log(6.4)
    edges = [slaney_hertz(mel) for mel in np.linspace(0, top, 82)]
    bins = np.linspace(0, 8000, 257)
    bank = np.stack(
        [np.interp(bins, edges[band : band + 3], [0, 2 / (edges[band + 2] - edges[band]), 0]) for band in range(80)]
    )
    expected = np.log(np.einsum("mf,bft->btm", bank, power) + 2.0**-24)
    found = nemo_log_mel(waveforms)
    assert found.shape == (2, nemo_frames(samples), 80)
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_normalisation_is_over_each_utterance_and_band() -> None:
    features = np.random.default_rng(0).normal(3, 2, (2, 50, 4)).astype(np.float32)
    assert normalised(features, "none") is features
    mean = normalised(features, "mean")
    np.testing.assert_allclose(mean, features - features.mean(axis=1, keepdims=True), atol=1e-6)
    both = normalised(features, "mean-sd")
    np.testing.assert_allclose(both.mean(axis=1), 0, atol=1e-5)
    np.testing.assert_allclose(both.std(axis=1, ddof=1), 1, atol=1e-4)
    assert np.isfinite(normalised(features[:, :1], "mean-sd")).all()
