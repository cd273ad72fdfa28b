"""Short files repeated up to the length of a test, as older toolkits pad them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shortvox.corpora.store import AudioStore


@dataclass(frozen=True)
class RepeatingStore:
    """A store whose utterances go on from their start when they end; `lengths` are still those of the files."""

    store: AudioStore

    @property
    def lengths(self) -> np.ndarray:
        return self.store.lengths

    def read(self, position: int, start: int = 0, samples: int | None = None) -> np.ndarray:
        length = int(self.lengths[position])
        if samples is None or start + samples <= length:
            return self.store.read(position, start, samples)
        return np.take(self.store.read(position), np.arange(start, start + samples), mode="wrap")

    def name(self, position: int) -> str:
        return self.store.name(position)
