"""Made voices: a pulse train of one pitch through formants of one vocal tract, with vowels that vary."""

from __future__ import annotations

import numpy as np
from scipy.signal import lfilter

RATE = 16000
VOWELS = ((700, 1200, 2500), (300, 2200, 2900), (450, 1700, 2500), (350, 800, 2400), (550, 900, 2600))


def word(rng: np.random.Generator, pitch: float, tract: float, seconds: float = 1.0, rate: int = RATE) -> np.ndarray:
    """(samples,) float32: half a second of vowel after vowel, between two silences of 0.3 s."""
    pieces = [np.zeros(int(0.3 * rate))]
    for _ in range(max(round(seconds / 0.25), 1)):
        wanted = pitch * 2 ** rng.normal(0, 0.08)
        pulses = np.diff(np.floor(np.arange(int(0.25 * rate) + 1) * wanted / rate))
        sound = pulses + 0.01 * rng.standard_normal(len(pulses))
        for formant in VOWELS[rng.integers(len(VOWELS))]:
            angle, radius = 2 * np.pi * formant * tract / rate, np.exp(-np.pi * 90 / rate)
            sound = lfilter([1 - radius], [1, -2 * radius * np.cos(angle), radius**2], sound)
        pieces.append(sound / np.abs(sound).max() * 0.5)
    pieces.append(np.zeros(int(0.3 * rate)))
    return (np.concatenate(pieces) + 1e-4 * rng.standard_normal(sum(map(len, pieces)))).astype(np.float32)
