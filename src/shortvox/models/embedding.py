"""Crops of utterances to embeddings, in batches of similar length."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch

from shortvox.corpora.audio import SAMPLE_RATE
from shortvox.corpora.store import AudioStore
from shortvox.models.folder import SpeakerModel

BATCH_SECONDS = 120.0


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


def embed_crops(
    model: SpeakerModel,
    store: AudioStore,
    crops: Sequence[Crop],
    *,
    transform: Callable[[np.ndarray], np.ndarray] | None = None,
    on_batch: Callable[[int], None] | None = None,
) -> np.ndarray:
    """Unit-length embeddings (len(crops), dim), float32. Only samples inside a crop are read, so none can leak in.

    `transform` changes each waveform after it was cut; `on_batch` hears how many crops each batch finished.
    """
    device = next(model.backbone.parameters()).device
    result = np.empty((len(crops), model.backbone.dim), dtype=np.float32)
    training = model.backbone.training
    model.backbone.eval()
    with torch.inference_mode():
        for batch in _batches(crops):
            waveforms = [store.read(*crops[place]) for place in batch]
            if transform is not None:
                waveforms = [transform(waveform) for waveform in waveforms]
            lengths = torch.tensor([len(waveform) for waveform in waveforms])
            padded = torch.zeros(len(batch), int(lengths.max()))
            for row, waveform in enumerate(waveforms):
                padded[row, : len(waveform)] = torch.from_numpy(waveform)
            own = None if bool((lengths == lengths[0]).all()) else lengths.to(device)
            result[batch] = model.embed(padded.to(device), own).cpu().numpy()
            if on_batch is not None:
                on_batch(len(batch))
    model.backbone.train(training)
    return result


def _batches(crops: Sequence[Crop]) -> list[np.ndarray]:
    """Positions of `crops` sorted by length and cut so that no padded batch exceeds BATCH_SECONDS."""
    order = sorted(range(len(crops)), key=lambda place: crops[place].samples)
    batches: list[list[int]] = [[]]
    for place in order:
        if crops[place].samples * (len(batches[-1]) + 1) > BATCH_SECONDS * SAMPLE_RATE and batches[-1]:
            batches.append([])
        batches[-1].append(place)
    return [np.array(batch, dtype=np.int64) for batch in batches if batch]
