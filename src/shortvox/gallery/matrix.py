"""Unit-length vectors in memory, searched exactly, block by block."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

ROWS = 2**15  # of a block: 25 MB of 192 dimensions


class Matrix:
    """Rows (dim,) float32, each with an id. More can be added; nothing that is there moves."""

    def __init__(self) -> None:
        self.count = 0
        self._blocks: list[np.ndarray] = []
        self._ids: list[np.ndarray] = []

    def add(self, rows: Iterable[tuple[int, bytes]]) -> None:
        """Append rows given as (id, float32 bytes); all of them have one dimension."""
        for number, content in rows:
            at = self.count % ROWS
            if at == 0:
                self._blocks.append(np.empty((ROWS, len(content) // 4), np.float32))
                self._ids.append(np.empty(ROWS, np.int64))
            self._blocks[-1][at] = np.frombuffer(content, np.float32)
            self._ids[-1][at] = number
            self.count += 1

    def nearest(self, query: np.ndarray, most: int) -> np.ndarray:
        """Ids (k,) of the rows with the highest inner product with `query` (dim,), highest first."""
        ids, scores = np.empty(0, np.int64), np.empty(0, np.float32)
        for at, (block, own) in enumerate(zip(self._blocks, self._ids, strict=True)):
            rows = min(self.count - at * ROWS, ROWS)
            found = np.matmul(block[:rows], query)
            if rows > most:
                best = np.argpartition(found, rows - most)[rows - most :]
                found, own = found[best], own[best]
            else:
                own = own[:rows]
            ids, scores = np.concatenate([ids, own]), np.concatenate([scores, found])
        return ids[np.argsort(-scores, kind="stable")[:most]]
