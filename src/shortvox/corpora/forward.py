"""Reading at any position from a decoder that only goes forward."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np


class Forward:
    """Reads on from what the last read left, or, for an earlier position, from the start again.

    `begin` starts the decoder anew and gives pieces (samples, channels) float32. Only what the last read
    needed is kept.
    """

    def __init__(self, begin: Callable[[], Iterator[np.ndarray]], channels: int) -> None:
        self._begin = begin
        self._none = np.zeros((0, channels), np.float32)
        self._coming: Iterator[np.ndarray] | None = None
        self._held: list[np.ndarray] = []
        self._start = self._end = 0  # of what is held

    def read(self, start: int, count: int) -> np.ndarray:
        """(count, channels) float32, or fewer rows where the stream ends early."""
        if self._coming is None or start < self._start:
            self._coming, self._held, self._start, self._end = self._begin(), [], 0, 0
        while self._end < start + count and (piece := next(self._coming, None)) is not None:
            self._held.append(piece)
            self._end += len(piece)
            while self._held and self._start + len(self._held[0]) <= start:
                self._start += len(self._held.pop(0))
        return np.concatenate([self._none, *self._held])[max(start - self._start, 0) :][:count]
