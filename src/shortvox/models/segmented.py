"""Embeddings of long crops by segments: each goes through the trunk alone, then they are brought together.

They come together either as embeddings, whose mean is taken, or as frame-level maps, which are joined in time and
pooled once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import floor

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from shortvox.corpora.crop import BATCH_SAMPLES, Crop, enough_memory
from shortvox.corpora.store import AudioStore
from shortvox.frontend.filterbank import HOP
from shortvox.models.backbone import Backbone
from shortvox.models.embedding import Context, embed_crops, hear, within
from shortvox.models.maps import Scales, join_segments
from shortvox.models.segments import segment_starts
from shortvox.models.speaker_model import SpeakerModel

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
    context: Context = "crop",
) -> np.ndarray:
    """Unit-length embeddings (len(crops), dim) of crops cut into segments of `frames` frames; see `segment_starts`.

    A crop no longer than a segment is embedded whole. The front end hears each segment alone, as it hears a short test,
    or, with the context "file", the whole file. Otherwise as `embed_crops`.
    """
    result = np.empty((len(crops), model.backbone.dim), dtype=np.float32)
    segments = [crop_segments(crop, frames=frames, overlap=overlap) for crop in crops]
    alone = [place for place, own in enumerate(segments) if len(own) == 1]
    single = [crops[place] for place in alone]
    result[alone] = embed_crops(model, store, single, transform=transform, on_batch=on_batch, context=context)
    training = model.backbone.training
    model.backbone.eval()
    with torch.inference_mode():
        for places in _equally_many(segments, store, context):
            pieces = [piece for place in places for piece in segments[place]]
            with enough_memory(store, within(store, [crops[place] for place in places], context)):
                heard = hear(model, store, pieces, transform=transform, context=context)
                features, counts = model.frontend(heard.waveforms, heard.lengths, inside=heard.inside)
                together = bring(model.backbone, model.backbone.trunk(features, counts), len(segments[places[0]]))
                result[places] = functional.normalize(together).cpu().numpy()
            if on_batch is not None:
                on_batch(len(places))
    model.backbone.train(training)
    return model.require_unit_length(result)


def crop_segments(crop: Crop, *, frames: int, overlap: float) -> list[Crop]:
    """The segments of `frames` frames that cover a crop; the crop itself where it is no longer than one."""
    samples = frames * HOP
    shared = floor(overlap * frames + 1e-9) / frames  # in whole frames, as in training
    starts = segment_starts(crop.samples, samples, shared)
    return [Crop(crop.position, crop.start + start, min(samples, crop.samples)) for start in starts]


def _equally_many(segments: Sequence[list[Crop]], store: AudioStore, context: Context) -> Iterator[list[int]]:
    """Batches of places with equally many segments, two or more, that read at most BATCH_SAMPLES or one."""
    batch: list[int] = []
    read = 0
    for place in sorted(range(len(segments)), key=lambda place: len(segments[place])):
        own = segments[place]
        if len(own) == 1:
            continue
        cost = len(own) * (own[0].samples if context == "crop" else int(store.lengths[own[0].position]))
        if batch and (len(own) != len(segments[batch[0]]) or read + cost > BATCH_SAMPLES):
            yield batch
            batch, read = [], 0
        batch.append(place)
        read += cost
    if batch:
        yield batch
