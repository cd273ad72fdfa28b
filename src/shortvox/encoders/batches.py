"""Which waveforms go through a network at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from shortvox.corpora.crop import BATCH_SAMPLES


def of_equal_length(lengths: Sequence[int]) -> list[np.ndarray]:
    """Positions grouped by length: nothing needs padding. No batch exceeds BATCH_SAMPLES, or it has one member."""
    found = []
    for length in sorted(set(lengths)):
        places = np.flatnonzero(np.asarray(lengths) == length)
        size = max(1, BATCH_SAMPLES // max(1, length))
        found += [places[start : start + size] for start in range(0, len(places), size)]
    return found


def one_by_one(lengths: Sequence[int]) -> list[np.ndarray]:
    return [np.array([place]) for place in range(len(lengths))]


def padded(waveforms: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """(batch, samples) float32 with zeros after each, and lengths (batch,) int64."""
    lengths = np.array([len(one) for one in waveforms], dtype=np.int64)
    result = np.zeros((len(waveforms), int(lengths.max())), dtype=np.float32)
    for row, one in enumerate(waveforms):
        result[row, : len(one)] = one
    return result, lengths


def embedded(
    waveforms: Sequence[np.ndarray], batches: Iterable[np.ndarray], run: Callable[[list[np.ndarray]], np.ndarray]
) -> np.ndarray:
    """(n, dim): what `run` gives for each batch, in the order of the waveforms."""
    places, found = [], []
    for batch in batches:
        places.append(batch)
        found.append(run([waveforms[place] for place in batch]))
    stacked = np.concatenate(found)
    result = np.empty_like(stacked)
    result[np.concatenate(places)] = stacked
    return result
