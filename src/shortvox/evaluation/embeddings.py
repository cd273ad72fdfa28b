"""Embeddings of many crops, computed once per model, crop, way of hearing and change of the audio; kept on disk."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import soxr

from shortvox.corpora.audio import SAMPLE_RATE
from shortvox.corpora.corpus import Corpus
from shortvox.corpora.crop import Crop
from shortvox.corpora.store import AudioStore
from shortvox.encoders.crops import embed_crops as by_encoder
from shortvox.encoders.encoder import Encoder
from shortvox.evaluation.hearing import WHOLE, Hearing
from shortvox.evaluation.listener import Listener, fingerprint_of
from shortvox.models.embedding import Context, embed_crops
from shortvox.models.speaker_model import SpeakerModel
from shortvox.models.vectors import read_vectors, write_vectors
from shortvox.registry import Registry

Change = Callable[[np.ndarray], np.ndarray]
change: Registry[Change] = Registry("audio change")


@change("none")
def unchanged(waveform: np.ndarray) -> np.ndarray:
    return waveform


@change("4khz")
def band_limited(waveform: np.ndarray) -> np.ndarray:
    """What is left of (samples,) at 16 kHz after a telephone's 8 kHz sampling: nothing above 4 kHz."""
    narrow = soxr.resample(waveform, SAMPLE_RATE, SAMPLE_RATE // 2)
    wide = soxr.resample(narrow, SAMPLE_RATE // 2, SAMPLE_RATE)[: len(waveform)]
    return np.pad(wide, (0, len(waveform) - len(wide)))


class Embeddings:
    """Unit-length embeddings by crop."""

    def __init__(self, crops: Iterable[Crop], vectors: np.ndarray) -> None:
        self._row = {crop: row for row, crop in enumerate(crops)}
        self._vectors = vectors

    @property
    def dim(self) -> int:
        return int(self._vectors.shape[1])

    def of(self, crops: Iterable[Crop]) -> np.ndarray:
        """(len(crops), dim)."""
        return self._vectors[[self._row[crop] for crop in crops]]

    def beside(self, other: Embeddings) -> Embeddings:
        """Those of both."""
        return Embeddings([*self._row, *other._row], np.concatenate([self._vectors, other._vectors]))

    def mapped(self, change: Callable[[np.ndarray], np.ndarray]) -> Embeddings:
        """The same crops, with `change` of their vectors (crops, dim)."""
        return Embeddings(self._row, change(self._vectors))


def embed(
    listener: Listener,
    corpus: Corpus,
    store: AudioStore,
    crops: Iterable[Crop],
    *,
    changed: str = "none",
    hearing: Hearing = WHOLE,
    context: Context = "crop",
    cache: Path | None = None,
    on_batch: Callable[[int], None] | None = None,
) -> Embeddings:
    """Embeddings of all different `crops`, by the embedder of `hearing`; from `cache` when computed before.

    `as_asked` has seen to it that an encoder which is no model is not asked for an embedder or a context.
    """
    distinct = sorted(set(crops))
    if isinstance(listener, Encoder) and listener.kept is not None:
        cache = None  # which may hold what the encoder that made them gave
    key = _key(listener, corpus, distinct, changed, hearing, context)
    path = None if cache is None else cache / f"{key}.safetensors"
    if path is not None and (found := read_vectors(path)) is not None:
        return Embeddings(distinct, found)
    transform = None if changed == "none" else change[changed]
    if isinstance(listener, SpeakerModel):
        embedder = hearing.embedder or embed_crops
        vectors = embedder(listener, store, distinct, transform=transform, on_batch=on_batch, context=context)
    else:
        vectors = by_encoder(listener, store, distinct, transform=transform, on_batch=on_batch)
    if path is not None:
        write_vectors(path, vectors)
    return Embeddings(distinct, vectors)


def _key(
    listener: Listener, corpus: Corpus, crops: list[Crop], changed: str, hearing: Hearing, context: Context
) -> str:
    ids = [(corpus.utterances[position].id, start, samples) for position, start, samples in crops]
    parts = [fingerprint_of(listener), corpus.fingerprint(), changed, ids]
    if (hearing.name, context) != (WHOLE.name, "crop"):
        parts += [hearing.name, context]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]
