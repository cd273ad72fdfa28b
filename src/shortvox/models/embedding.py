"""Crops of utterances to embeddings, in batches of similar length."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from shortvox.corpora.audio import SAMPLE_RATE
from shortvox.corpora.store import AudioStore
from shortvox.errors import ShortvoxError, lacks_memory
from shortvox.frontend.fbank import frame_bounds
from shortvox.models.speaker_model import SpeakerModel
from shortvox.progress import note

BATCH_SECONDS = 120.0
LONG = 600.0  # seconds; one crop is never cut, and a small network already takes 1 MB for each second

Context = Literal["crop", "file"]


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
    context: Context = "crop",
) -> np.ndarray:
    """Unit-length embeddings (len(crops), dim), float32.

    With the context "crop" only samples inside a crop are read, so nothing can leak in. With "file" the front end hears
    the whole utterance, and the frames of the crop (`fbank.frame_bounds`) are taken from it: windows at the crop's
    edges, mean normalisation and VAD then know what lies outside, as where features are made before files are cut.

    `transform` changes each waveform after it was read, in the context "file" keeping its length; `on_batch` hears how
    many crops each batch finished. Raises ModelError, naming the model, when an embedding is not finite or all zeros,
    and ShortvoxError, naming the utterance, when there is too little memory for it.
    """
    result = np.empty((len(crops), model.backbone.dim), dtype=np.float32)
    training = model.backbone.training
    model.backbone.eval()
    with torch.inference_mode():
        for places, chosen in _batches(store, crops, context):
            with enough_memory(store, chosen, context):
                heard = hear(model, store, chosen, transform=transform, context=context)
                result[places] = model.embed(heard.waveforms, heard.lengths, inside=heard.inside).cpu().numpy()
            if on_batch is not None:
                on_batch(len(places))
    model.backbone.train(training)
    return model.require_unit_length(result)


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
            with enough_memory(store, chosen, context):
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
    heard = _within(store, crops, context)
    waveforms = [store.read(*crop) for crop in heard]
    if transform is not None:
        waveforms = [transform(waveform) for waveform in waveforms]
    lengths = torch.tensor([len(waveform) for waveform in waveforms])
    padded = torch.zeros(len(crops), int(lengths.max()))
    for row, waveform in enumerate(waveforms):
        padded[row, : len(waveform)] = torch.from_numpy(waveform)
    inside = None
    if context == "file":
        bounds = [frame_bounds(crop.start, crop.samples, file.samples) for crop, file in zip(crops, heard, strict=True)]
        inside = torch.tensor(bounds).to(device)
    own = None if bool((lengths == lengths[0]).all()) else lengths.to(device)
    return PaddedAudio(padded.to(device), own, inside)


def _within(store: AudioStore, crops: Sequence[Crop], context: Context) -> Sequence[Crop]:
    """What is read for each crop: itself, or its whole file."""
    return crops if context == "crop" else [whole(store, crop.position) for crop in crops]


@contextmanager
def enough_memory(store: AudioStore, crops: Sequence[Crop], context: Context) -> Iterator[None]:
    """Name the longest of the `crops` that are heard meanwhile: before, when it is very long, for where memory runs out
    the system may end the program without a word; and where it is refused, in a ShortvoxError.
    """
    longest = max(_within(store, crops, context), key=lambda crop: crop.samples)
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


def _batches(store: AudioStore, crops: Sequence[Crop], context: Context) -> Iterator[tuple[np.ndarray, Sequence[Crop]]]:
    """Places in the list of crops, and the crops there: what is heard at once."""
    for places in _of_similar_length(_within(store, crops, context)):
        yield places, [crops[place] for place in places]


def _of_similar_length(crops: Sequence[Crop]) -> list[np.ndarray]:
    """Positions of `crops` sorted by length and cut so that no padded batch exceeds BATCH_SECONDS."""
    order = sorted(range(len(crops)), key=lambda place: crops[place].samples)
    batches: list[list[int]] = [[]]
    for place in order:
        if crops[place].samples * (len(batches[-1]) + 1) > BATCH_SECONDS * SAMPLE_RATE and batches[-1]:
            batches.append([])
        batches[-1].append(place)
    return [np.array(batch, dtype=np.int64) for batch in batches if batch]
