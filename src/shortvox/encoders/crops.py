"""Crops of a corpus to embeddings, by any encoder."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from shortvox.corpora.audio import SAMPLE_RATE
from shortvox.corpora.crop import Crop, enough_memory, of_similar_length
from shortvox.corpora.store import AudioStore
from shortvox.encoders.encoder import Encoder, seconds
from shortvox.errors import EncoderError


def embed_crops(
    encoder: Encoder,
    store: AudioStore,
    crops: Sequence[Crop],
    *,
    transform: Callable[[np.ndarray], np.ndarray] | None = None,
    on_batch: Callable[[int], None] | None = None,
) -> np.ndarray:
    """Unit-length embeddings (len(crops), dim) float32; only samples inside a crop are read.

    `transform` changes each waveform after it was read; `on_batch` hears how many crops each batch finished. Raises
    EncoderError, naming the utterance, for a crop that is shorter than the encoder takes, and what `Encoder.embed`
    raises.
    """
    short = next((crop for crop in crops if crop.samples < encoder.shortest), None)
    if short is not None:
        raise EncoderError(
            f"utterance {store.name(short.position)}: {short.samples / SAMPLE_RATE:.4g} s is shorter than the "
            f"{seconds(encoder.shortest)} that {encoder.source} takes; test longer speech, leave the utterance out, or "
            "set scoring.short_files=repeat"
        )
    result = np.empty((len(crops), encoder.dim), dtype=np.float32)
    for places in of_similar_length([crop.samples for crop in crops]):
        chosen = [crops[place] for place in places]
        with enough_memory(store, chosen):
            waveforms = [store.read(*crop) for crop in chosen]
            result[places] = encoder.embed(waveforms if transform is None else [transform(one) for one in waveforms])
        if on_batch is not None:
            on_batch(len(places))
    return result
