"""Channels that speech passes on its way: telephone, narrow bands, a loudspeaker, overload, lost packets.

Each is a kind of augmentation (augment.py): (samples,) -> (samples,), every choice from the generator given.
"""

from __future__ import annotations

import numpy as np
import soxr
from scipy import fft

from shortvox.corpora.audio import SAMPLE_RATE
from shortvox.frontend.augment import Augmenter, kind, power, reverberate

TELEPHONE_RATE = 8000
MU = 255.0  # G.711's compression of loud samples (mu-law)
A = 87.6  # and A-law's
CODE_STEPS = 128.0  # of either, on each side of zero
PACKET = SAMPLE_RATE // 50  # 20 ms


@kind("telephone")
def telephone(augmenter: Augmenter, waveform: np.ndarray, position: int, rng: np.random.Generator) -> np.ndarray:
    """300–3400 Hz, sampled at 8 kHz and coded by G.711, mu-law or A-law, at a level of -30 to -6 dB of full scale."""
    narrow = soxr.resample(_band(waveform, 300.0, 3400.0), SAMPLE_RATE, TELEPHONE_RATE)
    peak = max(float(np.abs(narrow).max(initial=0.0)), 1e-9)
    level = 10 ** (rng.uniform(-30.0, -6.0) / 20)
    compress, expand = (_mu, _mu_inverse) if rng.random() < 0.5 else (_a, _a_inverse)
    sent = narrow / peak * level
    coded = np.round(compress(np.abs(sent)) * CODE_STEPS) / CODE_STEPS
    heard = np.sign(sent) * expand(coded) * (peak / level)
    wide = soxr.resample(heard, TELEPHONE_RATE, SAMPLE_RATE)[: len(waveform)]
    return np.pad(wide, (0, len(waveform) - len(wide))).astype(np.float32)


@kind("band")
def limit_band(augmenter: Augmenter, waveform: np.ndarray, position: int, rng: np.random.Generator) -> np.ndarray:
    """Nothing below 20–300 Hz, nothing above 3–7.5 kHz."""
    return _band(waveform, rng.uniform(20.0, 300.0), rng.uniform(3000.0, 7500.0))


@kind("playback")
def play_back(augmenter: Augmenter, waveform: np.ndarray, position: int, rng: np.random.Generator) -> np.ndarray:
    """Through a small loudspeaker: a band with three resonances, driven into soft overload, heard in a room."""
    spectrum = fft.rfft(waveform)
    hertz = fft.rfftfreq(len(waveform), 1 / SAMPLE_RATE)
    decibels = _band_decibels(hertz, rng.uniform(150.0, 500.0), rng.uniform(4000.0, 7000.0))
    for _ in range(3):
        centre, width = np.exp(rng.uniform(np.log(300.0), np.log(5000.0))), rng.uniform(0.1, 0.4)
        decibels += rng.uniform(-8.0, 8.0) * np.exp(-0.5 * (np.log(np.maximum(hertz, 1.0) / centre) / width) ** 2)
    heard = fft.irfft(spectrum * 10 ** (decibels / 20), len(waveform))
    drive = rng.uniform(0.5, 4.0) / max(float(np.abs(heard).max(initial=0.0)), 1e-9)
    return reverberate(augmenter, np.tanh(drive * heard).astype(np.float32), position, rng)


@kind("overload")
def overload(augmenter: Augmenter, waveform: np.ndarray, position: int, rng: np.random.Generator) -> np.ndarray:
    """Clipped at 5 to 50 % of the peak."""
    ceiling = rng.uniform(0.05, 0.5) * float(np.abs(waveform).max(initial=0.0))
    return np.clip(waveform, -ceiling, ceiling)


@kind("loss")
def lose_packets(augmenter: Augmenter, waveform: np.ndarray, position: int, rng: np.random.Generator) -> np.ndarray:
    """Of packets of 20 ms, 2 to 15 % are lost; each is silence, or the packet before it once more."""
    result = waveform.copy()
    repeats, share = rng.random() < 0.5, rng.uniform(0.02, 0.15)
    for start in range(PACKET, len(result), PACKET):
        if rng.random() < share:
            lost = result[start : start + PACKET]
            lost[:] = result[start - PACKET : start][: len(lost)] if repeats else 0.0
    return result


def _band(waveform: np.ndarray, low: float, high: float) -> np.ndarray:
    """(samples,) with 48 dB an octave off outside the band, at the level it had."""
    decibels = _band_decibels(fft.rfftfreq(len(waveform), 1 / SAMPLE_RATE), low, high)
    heard = fft.irfft(fft.rfft(waveform) * 10 ** (decibels / 20), len(waveform))
    return (heard * np.sqrt(power(waveform) / max(power(heard), 1e-12))).astype(np.float32)


def _band_decibels(hertz: np.ndarray, low: float, high: float) -> np.ndarray:
    octaves = np.maximum(np.log2(low / np.maximum(hertz, 1.0)), np.log2(np.maximum(hertz, 1.0) / high))
    return -48.0 * np.maximum(octaves, 0.0)


def _mu(samples: np.ndarray) -> np.ndarray:
    return np.log1p(MU * samples) / np.log1p(MU)


def _mu_inverse(coded: np.ndarray) -> np.ndarray:
    return np.expm1(coded * np.log1p(MU)) / MU


def _a(samples: np.ndarray) -> np.ndarray:
    return np.where(samples < 1 / A, A * samples, 1 + np.log(np.maximum(A * samples, 1e-9))) / (1 + np.log(A))


def _a_inverse(coded: np.ndarray) -> np.ndarray:
    scaled = coded * (1 + np.log(A))
    return np.where(scaled < 1, scaled, np.exp(scaled - 1)) / A
