"""A calibration by amount of speech as a fit gives it, for tests."""

from __future__ import annotations

import numpy as np

from shortvox.scoring.amount import AmountCalibration, Spread, Tail

# Shares of a standard normal distribution above -3.1, -2.3, …
POINTS = (-3.09, -2.33, -1.64, -1.28, 0.0, 1.28, 1.64, 2.33, 3.09)
SHARES = (0.999, 0.99, 0.95, 0.9, 0.5, 0.1, 0.05, 0.01, 0.001)
NORMAL = Tail(POINTS, SHARES)

AMOUNTS = AmountCalibration(
    shortest=0.3,
    longest=30.0,
    recordings=5,
    half=0.8,
    power=1.1,
    session=0.1,
    slope=40.0,
    slope_power=1.0,
    even=-0.1,
    even_rise=0.6,
    target=Spread(-0.05, 1.0, (-4.6, 0.0, -0.3)),
    nontarget=Spread(0.01, 0.08, (-4.9, 0.5, 0.1)),
    missed=NORMAL,
    accepted=NORMAL,
    looks=((1.0, 0.01, 3.0), (1.0, 0.1, 1.0), (3.0, 0.01, 4.0), (3.0, 0.1, 2.0)),
    looks_missed=((3.0, 0.01, -4.0), (3.0, 0.1, -1.0)),
)


def simulated(
    people: int,
    recordings: int,
    rng: np.random.Generator,
    lengths: tuple[float, ...],
    *,
    dim: int = 40,
    half: float = 0.7,
) -> tuple[np.ndarray, dict[float, np.ndarray]]:
    """Speakers (n,) and, for each length, embeddings (n, dim): the speaker plus noise that falls with seconds."""
    speakers = np.repeat(np.arange(people), recordings)
    voices = rng.standard_normal((people, dim))[speakers] + 0.3 * rng.standard_normal((len(speakers), dim))
    found = {}
    for length in lengths:
        noisy = voices + np.sqrt(half / length) * rng.standard_normal(voices.shape)
        found[length] = (noisy / np.linalg.norm(noisy, axis=1, keepdims=True)).astype(np.float32)
    return speakers, found
