"""Crops of a corpus to embeddings, by any encoder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from shortvox.corpora.audio import SAMPLE_RATE
from shortvox.corpora.crop import Crop, enough_memory, of_similar_length, whole
from shortvox.corpora.store import AudioStore
from shortvox.encoders.encoder import Encoder, seconds
from shortvox.errors import EncoderError

HELD_SAMPLES = 300 * SAMPLE_RATE  # what `embed_whole` sorts by length and holds; one utterance may be longer


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
    if encoder.kept is not None:
        return _looked_up(encoder, encoder.kept, store, crops, transform is not None)
    refuse_short(encoder, store, crops)
    result = np.empty((len(crops), encoder.dim), dtype=np.float32)
    for places in of_similar_length([crop.samples for crop in crops]):
        chosen = [crops[place] for place in places]
        with enough_memory(store, chosen):
            waveforms = [store.read(*crop) for crop in chosen]
            result[places] = encoder.embed(waveforms if transform is None else [transform(one) for one in waveforms])
        if on_batch is not None:
            on_batch(len(places))
    return result


def embed_whole(
    encoder: Encoder, store: AudioStore, *, on_batch: Callable[[int], None] | None = None
) -> Iterator[np.ndarray]:
    """Unit-length embeddings (n, dim) float32 of every utterance, whole, in their order, some at a time.

    Little speech is held at once. Raises what `embed_crops` raises, for an utterance that is too short before any work.
    """
    crops = [whole(store, position) for position in range(len(store.lengths))]
    refuse_short(encoder, store, crops)
    start, held = 0, 0
    for place, crop in enumerate(crops):
        if held + crop.samples > HELD_SAMPLES and place > start:
            yield embed_crops(encoder, store, crops[start:place], on_batch=on_batch)
            start, held = place, 0
        held += crop.samples
    yield embed_crops(encoder, store, crops[start:], on_batch=on_batch)


def _looked_up(
    encoder: Encoder, kept: Mapping[str, np.ndarray], store: AudioStore, crops: Sequence[Crop], changed: bool
) -> np.ndarray:
    """Embeddings that were kept; raises EncoderError for one of a part of an utterance, and for one that is missing."""
    for crop in crops:
        if changed or crop != whole(store, crop.position):
            raise EncoderError(
                f"{encoder.source}: holds embeddings of whole utterances only; test with --lengths full, or name "
                "the encoder that made them"
            )
    names = [store.name(crop.position) for crop in crops]
    missing = [name for name in names if name not in kept]
    if missing:
        raise EncoderError(
            f"{encoder.source}: no embedding of utterance '{missing[0]}' ({len(missing)} of {len(names)} are missing); "
            "embed the same --corpus folders again"
        )
    return np.stack([kept[name] for name in names])


def refuse_short(encoder: Encoder, store: AudioStore, crops: Sequence[Crop]) -> None:
    """Raises EncoderError, naming the utterance and counting the others, for crops shorter than the encoder takes."""
    short = [crop for crop in crops if crop.samples < encoder.shortest]
    if short:
        name, others = store.name(short[0].position), f" (and {len(short) - 1} more)" if len(short) > 1 else ""
        raise EncoderError(
            f"utterance {name}{others}: {short[0].samples / SAMPLE_RATE:.4g} s is shorter than the "
            f"{seconds(encoder.shortest)} that {encoder.source} takes; leave the utterance out, test longer speech, or "
            "set scoring.short_files=repeat"
        )
