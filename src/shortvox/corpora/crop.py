"""Crops: pieces of utterances, in batches of similar length, and whether there is memory to hear them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np

from shortvox.corpora.audio import SAMPLE_RATE
from shortvox.corpora.store import AudioStore
from shortvox.errors import ShortvoxError, lacks_memory
from shortvox.progress import note

BATCH_SAMPLES = 120 * SAMPLE_RATE
LONG = 600.0  # seconds; one crop is never cut, and a small network already takes 1 MB for each second


class Crop(NamedTuple):
    """`samples` samples of the utterance at `position` of the store, from sample `start`."""

    position: int
    start: int
    samples: int


def whole(store: AudioStore, position: int) -> Crop:
    return Crop(position, 0, int(store.lengths[position]))


def centre(store: AudioStore, position: int, samples: int) -> Crop:
    """The middle `samples` samples, or the whole utterance where it is shorter."""
    available = int(store.lengths[position])
    taken = min(samples, available)
    return Crop(position, (available - taken) // 2, taken)


def of_similar_length(lengths: Sequence[int]) -> list[np.ndarray]:
    """Places sorted by length in samples, cut so that no padded batch exceeds BATCH_SAMPLES, or it has one member."""
    batches: list[list[int]] = [[]]
    for place in sorted(range(len(lengths)), key=lambda place: lengths[place]):
        if lengths[place] * (len(batches[-1]) + 1) > BATCH_SAMPLES and batches[-1]:
            batches.append([])
        batches[-1].append(place)
    return [np.array(batch, dtype=np.int64) for batch in batches if batch]


@contextmanager
def enough_memory(store: AudioStore, heard: Sequence[Crop]) -> Iterator[None]:
    """Name the longest of the crops that are heard meanwhile: before, when it is very long, for where memory runs out
    the system may end the program without a word; and where it is refused, in a ShortvoxError.
    """
    longest = max(heard, key=lambda crop: crop.samples)
    seconds = longest.samples / SAMPLE_RATE
    if seconds > LONG:
        note(f"utterance {store.name(longest.position)}: {seconds:.0f} s are embedded in one piece")
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not lacks_memory(error):
            raise
        reason = str(error).strip().partition("\n")[0] or "no more to be had"
        raise ShortvoxError(
            f"utterance {store.name(longest.position)}: out of memory with {seconds:.0f} s in one piece ({reason}); "
            "cut it with start and duration in the manifest, or test shorter lengths"
        ) from None
