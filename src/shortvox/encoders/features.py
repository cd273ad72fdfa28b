"""Log-mel features in numpy, as the makers of published speaker encoders compute them.

`kaldi_fbank` is Kaldi's (feature-fbank.cc, as kaldi-native-fbank reproduces it); `nemo_log_mel` is that of NVIDIA NeMo
(FilterbankFeatures). Both without dither, batched, at 16 kHz.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np

from shortvox.corpora.audio import SAMPLE_RATE

WINDOW = 400  # samples, 25 ms
HOP = 160  # samples, 10 ms
FFT = 512
PREEMPHASIS = 0.97
FLOOR = np.finfo(np.float32).eps  # of every energy before its logarithm, as in Kaldi
GUARD = 2.0**-24  # added to every energy before its logarithm, as in NeMo
BLOCK = 8192  # frames at a time, so that memory does not grow with 400 numbers a frame

WindowName = Literal["povey", "hamming", "hann"]
Edges = Literal["snip", "mirror"]
Normalisation = Literal["none", "mean", "mean-sd"]


def kaldi_frames(samples: int, edges: Edges) -> int:
    """Frames of so many samples: of whole windows (snip), or one for each hop, with the signal mirrored at its ends."""
    if edges == "snip":
        return max(0, 1 + (samples - WINDOW) // HOP)
    return (samples + HOP // 2) // HOP


def kaldi_samples(frames: int, edges: Edges) -> int:
    """A number of samples that gives exactly so many frames."""
    return (frames - 1) * HOP + WINDOW if edges == "snip" else frames * HOP


def kaldi_fbank(
    waveforms: np.ndarray,
    *,
    bands: int = 80,
    window: WindowName = "povey",
    edges: Edges = "snip",
    scale: float = 1.0,
    low: float = 20.0,
    high: float = SAMPLE_RATE / 2,
) -> np.ndarray:
    """(batch, samples) in [-1, 1] -> log-mel energies (batch, frames, bands) float32.

    25 ms windows every 10 ms; DC removal and pre-emphasis in each frame, power spectrum, triangles on Kaldi's mel scale
    from `low` to `high` Hz, natural logarithm of energies floored at float32's epsilon. `scale` multiplies the samples:
    32768 for networks that were trained on int16 values.
    """
    count = kaldi_frames(waveforms.shape[1], edges)
    signal = np.asarray(waveforms, dtype=np.float32) * np.float32(scale)
    if edges == "mirror":
        signal = signal[:, _mirrored(signal.shape[1], count)]
    framed = np.lib.stride_tricks.sliding_window_view(signal, WINDOW, axis=1)[:, ::HOP][:, :count]
    taper, bank = _window(window), _kaldi_bank(bands, low, high)
    result = np.empty((len(signal), count, bands), dtype=np.float32)
    for start in range(0, count, BLOCK):
        frames = framed[:, start : start + BLOCK]
        frames = frames - frames.mean(axis=2, keepdims=True)
        emphasised = frames.copy()
        emphasised[:, :, 1:] -= PREEMPHASIS * frames[:, :, :-1]
        emphasised[:, :, 0] *= 1 - PREEMPHASIS
        energies = _power(emphasised * taper) @ bank
        result[:, start : start + BLOCK] = np.log(np.maximum(energies, FLOOR))
    return result


def nemo_frames(samples: int) -> int:
    return samples // HOP


def nemo_log_mel(waveforms: np.ndarray, *, bands: int = 80) -> np.ndarray:
    """(batch, samples) in [-1, 1] -> log-mel energies (batch, frames, bands) float32, as NeMo's preprocessor.

    Pre-emphasis over the signal; STFT of 512 with a Hann window of 400 every 160, centred, zeros beyond the ends; power
    through triangles on Slaney's mel scale, each of area one; natural logarithm of energy + 2^-24.
    """
    signal = np.asarray(waveforms, dtype=np.float32)
    count = nemo_frames(signal.shape[1])
    emphasised = signal.copy()
    emphasised[:, 1:] -= PREEMPHASIS * signal[:, :-1]
    padded = np.pad(emphasised, ((0, 0), (WINDOW // 2, WINDOW // 2)))  # the window is centred within the FFT
    framed = np.lib.stride_tricks.sliding_window_view(padded, WINDOW, axis=1)[:, ::HOP][:, :count]
    taper, bank = _window("hann"), _slaney_bank(bands)
    result = np.empty((len(signal), count, bands), dtype=np.float32)
    for start in range(0, count, BLOCK):
        energies = _power(framed[:, start : start + BLOCK] * taper) @ bank
        result[:, start : start + BLOCK] = np.log(energies + np.float32(GUARD))
    return result


def normalised(features: np.ndarray, how: Normalisation) -> np.ndarray:
    """(batch, frames, bands) with each band's mean over the utterance removed, and its sd made one (NeMo: unbiased)."""
    if how == "none":
        return features
    centred = features - features.mean(axis=1, keepdims=True)
    if how == "mean":
        return centred
    sd = np.sqrt((centred**2).sum(axis=1, keepdims=True) / max(1, features.shape[1] - 1))
    return np.asarray(centred / (sd + np.float32(1e-5)), dtype=np.float32)


def _power(frames: np.ndarray) -> np.ndarray:
    """Windowed frames (…, WINDOW) -> power spectrum (…, FFT / 2 + 1) float32."""
    spectrum = np.fft.rfft(frames, FFT, axis=-1)
    return np.asarray(spectrum.real**2 + spectrum.imag**2, dtype=np.float32)


def _mirrored(samples: int, frames: int) -> np.ndarray:
    """Positions that the windows of `frames` frames cover: Kaldi mirrors, again and again where the signal is short."""
    before = (WINDOW - HOP) // 2
    wrapped = np.mod(np.arange(-before, (frames - 1) * HOP + WINDOW - before), 2 * samples)
    return np.where(wrapped < samples, wrapped, 2 * samples - 1 - wrapped)


@lru_cache
def _window(name: WindowName) -> np.ndarray:
    """(WINDOW,) float32; Povey's is the symmetric Hann window to the power of 0.85."""
    cosine = np.cos(2 * np.pi * np.arange(WINDOW) / (WINDOW - 1))
    tapers = {
        "povey": (0.5 - 0.5 * cosine) ** 0.85,
        "hamming": 0.54 - 0.46 * cosine,
        "hann": 0.5 - 0.5 * cosine,
    }
    return tapers[name].astype(np.float32)


@lru_cache
def _kaldi_bank(bands: int, low: float, high: float) -> np.ndarray:
    """(FFT / 2 + 1, bands) triangles that are straight on the mel scale; the Nyquist bin carries no weight."""

    def mel(hertz: np.ndarray | float) -> np.ndarray:
        return 1127.0 * np.log1p(np.asarray(hertz, dtype=np.float64) / 700.0)

    bank = _triangles(mel(np.arange(FFT // 2 + 1) * SAMPLE_RATE / FFT), np.linspace(mel(low), mel(high), bands + 2))
    bank[-1] = 0
    return bank.astype(np.float32)


@lru_cache
def _slaney_bank(bands: int) -> np.ndarray:
    """(FFT / 2 + 1, bands) triangles that are straight in hertz, each of area one.

    Slaney's mel scale (Auditory Toolbox, 1998): linear up to 1 kHz with 15 mels, then 27 steps to 6.4 kHz.
    """
    step, corner = 200 / 3, 1000.0
    ratio = np.log(6.4) / 27
    mels = np.linspace(0, corner / step + np.log(SAMPLE_RATE / 2 / corner) / ratio, bands + 2)
    edges = np.where(mels < 15, mels * step, corner * np.exp(ratio * (mels - 15)))
    bank = _triangles(np.arange(FFT // 2 + 1) * SAMPLE_RATE / FFT, edges)
    return (bank * (2 / (edges[2:] - edges[:-2]))).astype(np.float32)


def _triangles(bins: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """(bins, bands) triangles of height one between neighbours of the edges (bands + 2,)."""
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    rising = (bins[:, None] - left) / (centre - left)
    falling = (right - bins[:, None]) / (right - centre)
    return np.maximum(0.0, np.minimum(rising, falling))
