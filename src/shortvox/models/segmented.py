"""Embeddings of long crops by segments: each goes through the trunk alone, then they are brought together.

They come together either as embeddings, whose mean is taken, or as frame-level maps, which are joined in time and
pooled once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from shortvox.corpora.store import AudioStore
from shortvox.frontend.fbank import HOP, SAMPLE_RATE
from shortvox.models.backbone import Backbone
from shortvox.models.embedding import BATCH_SECONDS, Crop, embed_crops
from shortvox.models.folder import SpeakerModel
from shortvox.models.maps import Scales, join_segments
from shortvox.models.segments import segment_starts

Bring = Callable[[Backbone, Scales, int], Tensor]


def mean_embedding(backbone: Backbone, scales: Scales, segments: int) -> Tensor:
    """Maps of batch x `segments` rows -> mean of the segments' embeddings (batch, dim), before any is normalised."""
    embeddings = backbone.pool(scales)
    return embeddings.reshape(-1, segments, embeddings.shape[1]).mean(dim=1)


def joined_embedding(backbone: Backbone, scales: Scales, segments: int) -> Tensor:
    """Maps of batch x `segments` rows -> embeddings (batch, dim) of the maps joined in time."""
    return backbone.pool(join_segments(scales, segments))


def embed_segmented(
    model: SpeakerModel,
    store: AudioStore,
    crops: Sequence[Crop],
    *,
    frames: int,
    overlap: float,
    bring: Bring,
    transform: Callable[[np.ndarray], np.ndarray] | None = None,
    on_batch: Callable[[int], None] | None = None,
) -> np.ndarray:
    """Unit-length embeddings (len(crops), dim) of crops cut into segments of `frames` frames; see `segment_starts`.

    A crop no longer than a segment is embedded whole. The front end hears each segment alone, as it hears a short test.
    """
    segment = frames * HOP
    result = np.empty((len(crops), model.backbone.dim), dtype=np.float32)
    starts = [segment_starts(crop.samples, segment, overlap) for crop in crops]
    alone = [place for place, own in enumerate(starts) if len(own) == 1]
    result[alone] = embed_crops(
        model, store, [crops[place] for place in alone], transform=transform, on_batch=on_batch
    )
    training = model.backbone.training
    model.backbone.eval()
    device = next(model.backbone.parameters()).device
    with torch.inference_mode():
        for places in _equally_many(starts, segment):
            pieces = [
                store.read(crops[place].position, crops[place].start + start, segment)
                for place in places for start in starts[place]
            ]
            if transform is not None:
                pieces = [transform(piece) for piece in pieces]
            features, counts = model.frontend(torch.from_numpy(np.stack(pieces)).to(device))
            together = bring(model.backbone, model.backbone.trunk(features, counts), len(starts[places[0]]))
            result[places] = functional.normalize(together).cpu().numpy()
            if on_batch is not None:
                on_batch(len(places))
    model.backbone.train(training)
    return result


def _equally_many(starts: Sequence[tuple[int, ...]], segment: int) -> Iterator[list[int]]:
    """Batches of places with equally many segments, two or more, none of more than BATCH_SECONDS of speech."""
    by_count: dict[int, list[int]] = {}
    for place, own in enumerate(starts):
        by_count.setdefault(len(own), []).append(place)
    by_count.pop(1, None)
    for count, places in by_count.items():
        size = max(1, int(BATCH_SECONDS * SAMPLE_RATE) // (count * segment))
        for first in range(0, len(places), size):
            yield places[first : first + size]
