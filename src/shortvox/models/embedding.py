"""Crops of utterances to embeddings, in batches of similar length."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from shortvox.corpora.crop import Crop, enough_memory, of_similar_length, whole
from shortvox.corpora.store import AudioStore
from shortvox.frontend.filterbank import frame_bounds
from shortvox.memory import release_memory
from shortvox.models.speaker_model import SpeakerModel

Context = Literal["crop", "file"]

RELEASED_EVERY = 10  # batches


def embed_crops(
    model: SpeakerModel,
    store: AudioStore,
    crops: Sequence[Crop],
    *,
    transform: Callable[[np.ndarray], np.ndarray] | None = None,
    on_batch: Callable[[int], None] | None = None,
    context: Context = "crop",
    unit: bool = True,
) -> np.ndarray:
    """Embeddings (len(crops), dim), float32, of unit length; without `unit`, of the length that the backbone gives.

    With the context "crop" only samples inside a crop are read, so nothing can leak in. With "file" the front end hears
    the whole utterance, and the frames of the crop (`filterbank.frame_bounds`) are taken from it: windows at the crop's
    edges, mean normalisation and VAD then know what lies outside, as where features are made before files are cut.

    `transform` changes each waveform after it was read, in the context "file" keeping its length; `on_batch` hears how
    many crops each batch finished. Raises ModelError, naming the model, when an embedding is not finite or all zeros,
    and ShortvoxError, naming the utterance, when there is too little memory for it.
    """
    result = np.empty((len(crops), model.backbone.dim), dtype=np.float32)
    training = model.backbone.training
    model.backbone.eval()
    with torch.inference_mode():
        for number, (places, chosen) in enumerate(_batches(store, crops, context), start=1):
            with enough_memory(store, within(store, chosen, context)):
                heard = hear(model, store, chosen, transform=transform, context=context)
                vectors = model.encode(heard.waveforms, heard.lengths, inside=heard.inside)
                result[places] = (normalize(vectors) if unit else vectors).cpu().numpy()
            if on_batch is not None:
                on_batch(len(places))
            if number % RELEASED_EVERY == 0:
                release_memory()
    release_memory()
    model.backbone.train(training)
    return model.require_unit_length(result) if unit else model.require_finite(result)


def voiceless(
    model: SpeakerModel,
    store: AudioStore,
    crops: Sequence[Crop],
    *,
    transform: Callable[[np.ndarray], np.ndarray] | None = None,
    context: Context = "crop",
) -> np.ndarray:
    """Bool (len(crops),): crops in which the model's VAD finds no speech. `embed_crops` embeds all their frames.

    Reads the audio again, but only for a model with a VAD.
    """
    result = np.zeros(len(crops), dtype=np.bool_)
    if model.settings.frontend.vad != "none":
        for places, chosen in _batches(store, crops, context):
            with enough_memory(store, within(store, chosen, context)):
                heard = hear(model, store, chosen, transform=transform, context=context)
                voiced = model.frontend.voiced(heard.waveforms, heard.lengths, inside=heard.inside)
            result[places] = ~voiced.any(dim=1).cpu().numpy()
    return result


class PaddedAudio(NamedTuple):
    """What the front end takes."""

    waveforms: Tensor
    lengths: Tensor | None
    inside: Tensor | None


def hear(
    model: SpeakerModel,
    store: AudioStore,
    crops: Sequence[Crop],
    *,
    transform: Callable[[np.ndarray], np.ndarray] | None = None,
    context: Context = "crop",
) -> PaddedAudio:
    """The crops as one padded batch for the model's front end, on the model's device."""
    device = next(model.backbone.parameters()).device
    heard = within(store, crops, context)
    waveforms = [store.read(*crop) for crop in heard]
    if transform is not None:
        waveforms = [transform(waveform) for waveform in waveforms]
    lengths = torch.tensor([len(waveform) for waveform in waveforms])
    padded = torch.zeros(len(crops), int(lengths.max()))
    for row, waveform in enumerate(waveforms):
        padded[row, : len(waveform)] = torch.from_numpy(waveform)
    inside = None
    if context == "file":
        edges = model.settings.frontend.framing
        bounds = [
            frame_bounds(crop.start, crop.samples, file.samples, edges) for crop, file in zip(crops, heard, strict=True)
        ]
        inside = torch.tensor(bounds).to(device)
    own = None if bool((lengths == lengths[0]).all()) else lengths.to(device)
    return PaddedAudio(padded.to(device), own, inside)


def within(store: AudioStore, crops: Sequence[Crop], context: Context) -> Sequence[Crop]:
    """What is read for each crop: itself, or its whole file."""
    return crops if context == "crop" else [whole(store, crop.position) for crop in crops]


def _batches(store: AudioStore, crops: Sequence[Crop], context: Context) -> Iterator[tuple[np.ndarray, Sequence[Crop]]]:
    """Places in the list of crops, and the crops there: what is heard at once."""
    for places in of_similar_length([crop.samples for crop in within(store, crops, context)]):
        yield places, [crops[place] for place in places]
