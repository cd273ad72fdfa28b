"""What is kept of a voice: an embedding for each recording that enrolled it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from shortvox.verification.space import Space


@dataclass(frozen=True, eq=False)
class Voiceprint:
    """Embeddings (recordings, dim) float32 of unit length, `seconds` of net speech of each, and the space of both.

    `percent` says how much of the speech is there that the chosen error needs, up to 100, `advice` what to add,
    `expected_error` the share of this person's own tests that would be missed as it is. `cohesion` is the mean cosine
    between the recordings, None for a single one. `warnings` are lines for the person who enrols.
    """

    space: Space
    embeddings: np.ndarray
    seconds: tuple[float, ...]
    percent: int
    expected_error: float
    advice: str | None = None
    cohesion: float | None = None
    warnings: tuple[str, ...] = ()

    @property
    def net_speech(self) -> float:
        """Seconds of speech of all recordings."""
        return sum(self.seconds)

    @cached_property
    def centre(self) -> np.ndarray:
        """(dim,) float32 of unit length: the mean of the recordings."""
        mean = self.embeddings.mean(axis=0, dtype=np.float64)
        return (mean / np.linalg.norm(mean)).astype(np.float32)

    def as_dict(self) -> dict[str, Any]:
        """What is said of it, for JSON; no embeddings."""
        return {
            "recordings": len(self.seconds),
            "net_speech": self.net_speech,
            "percent": self.percent,
            "expected_error": self.expected_error,
            "advice": self.advice,
            "cohesion": self.cohesion,
            "warnings": list(self.warnings),
            "space": self.space.key,
        }
