"""Whole utterances of a corpus through an encoder, a few minutes of speech at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from shortvox.corpora.audio import SAMPLE_RATE
from shortvox.corpora.speech import SpeechData
from shortvox.encoders.encoder import Encoder, seconds
from shortvox.errors import EncoderError, ShortvoxError, lacks_memory
from shortvox.progress import note

AT_ONCE = 300 * SAMPLE_RATE  # samples that are held
LONG = 600 * SAMPLE_RATE  # an utterance is never cut, and a small network takes 1 MB for each second of it


def embed_utterances(
    encoder: Encoder, data: SpeechData, *, on_batch: Callable[[int], object] = lambda done: None
) -> Iterator[np.ndarray]:
    """Unit-length embeddings (n, dim) float32 of every utterance, in the order of the corpus, some at a time.

    `on_batch` hears how many each time. Raises EncoderError, before any work, for an utterance that is too short for
    the encoder, and ShortvoxError, naming the utterance, when there is too little memory for it.
    """
    _refuse_short(encoder, data)
    for start, end in _stretches(data.store.lengths):
        longest = start + int(np.argmax(data.store.lengths[start:end]))
        name, samples = data.corpus.utterances[longest].id, int(data.store.lengths[longest])
        if samples > LONG:
            note(f"utterance {name}: {seconds(samples)} are embedded in one piece")
        try:
            yield encoder.embed([data.store.read(position) for position in range(start, end)])
        except (MemoryError, RuntimeError) as error:
            if not lacks_memory(error):
                raise
            raise ShortvoxError(
                f"utterance {name}: out of memory with {seconds(samples)} in one piece; cut it with start and duration "
                "in the manifest"
            ) from None
        on_batch(end - start)


def _stretches(lengths: np.ndarray) -> Iterator[tuple[int, int]]:
    """First and last position, the latter exclusive, of utterances in a row that are held at once."""
    start, held = 0, 0
    for position, samples in enumerate(lengths.tolist()):
        if held + samples > AT_ONCE and position > start:
            yield start, position
            start, held = position, 0
        held += samples
    yield start, len(lengths)


def _refuse_short(encoder: Encoder, data: SpeechData) -> None:
    (short,) = np.nonzero(data.store.lengths < encoder.shortest)
    if len(short):
        first, more = int(short[0]), len(short) - 1
        others = f" (and {more} {'other is' if more == 1 else 'others are'} too short)" if more else ""
        raise EncoderError(
            f"utterance {data.corpus.utterances[first].id}: its {seconds(int(data.store.lengths[first]))} are shorter "
            f"than the {seconds(encoder.shortest)} that {encoder.source} takes{others}; leave it out"
        )
