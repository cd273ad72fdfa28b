"""What teachers say of whole clean utterances: heard once before the first step, and kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from shortvox.corpora.crop import whole
from shortvox.corpora.speech import SpeechData
from shortvox.models.embedding import embed_crops
from shortvox.models.speaker_model import SpeakerModel
from shortvox.models.vectors import read_vectors, write_vectors
from shortvox.training.batches import change_speed, recording
from shortvox.training.branches import TeacherSettings
from shortvox.training.domains import domain_means

AT_ONCE = 256  # utterances whose embeddings are written together: what a kill loses at most


def utterance_targets(
    model: SpeakerModel,
    settings: TeacherSettings,
    data: SpeechData,
    speeds: tuple[float, ...],
    *,
    cache: Path | None = None,
    on_heard: Callable[[int, int], None] | None = None,
    domains: Sequence[str] = (),
) -> Tensor:
    """Unit-length targets (recordings, dim): one for each utterance at each speed, in the order of `recording`.

    By `settings` it is the embedding of the whole utterance, the mean of its speaker's at that speed or the middle of
    the two, and less the mean of all, or of those in its domain, which `domains` has for every
    utterance. `cache` keeps what was heard; `on_heard(done, all)` follows it.
    """
    known = (model.fingerprint(), data.corpus.fingerprint())
    heard = np.empty((len(data.corpus) * len(speeds), model.backbone.dim), dtype=np.float32)
    speaker = np.empty(len(heard), dtype=np.int64)
    number = {name: at for at, name in enumerate(data.corpus.speakers)}
    for at, speed in enumerate(speeds):
        places = [recording(position, at, len(speeds)) for position in range(len(data.corpus))]
        speaker[places] = [number[u.speaker] * len(speeds) + at for u in data.corpus.utterances]
        for first in range(0, len(places), AT_ONCE):
            positions = range(first, min(first + AT_ONCE, len(places)))
            heard[places[first : first + AT_ONCE]] = _heard(model, data, positions, speed, known, cache)
            if on_heard is not None:
                on_heard(at * len(places) + positions[-1] + 1, len(heard))
    targets = torch.from_numpy(heard)
    if settings.target != "utterance":
        own = torch.from_numpy(speaker)
        sums = torch.zeros(int(own.max()) + 1, targets.shape[1]).index_add_(0, own, targets)
        means = normalize(sums)[own]
        targets = means if settings.target == "speaker" else normalize(targets + means)
    if settings.centred == "domain":
        own = torch.from_numpy(np.unique(domains, return_inverse=True)[1]).repeat_interleave(len(speeds))
        targets = normalize(targets - domain_means(targets, torch.from_numpy(speaker), own)[own])
    elif settings.centred:
        targets = normalize(targets - targets.mean(dim=0))
    return targets


def _heard(
    model: SpeakerModel,
    data: SpeechData,
    positions: range,
    speed: float,
    known: tuple[str, str],
    cache: Path | None,
) -> np.ndarray:
    """Unit-length embeddings of some whole utterances at one speed, from `cache` when heard before.

    Model and corpus are `known` by their fingerprints.
    """
    path = None
    if cache is not None:
        ids = [data.corpus.utterances[position].id for position in positions]
        parts = [*known, speed, ids]
        path = cache / f"{hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]}.safetensors"
        if (found := read_vectors(path)) is not None:
            return found
    crops = [whole(data.store, position) for position in positions]
    transform = None if speed == 1.0 else partial(change_speed, speed=speed, samples=None)
    vectors = embed_crops(model, data.store, crops, transform=transform)
    if path is not None:
        write_vectors(path, vectors)
    return vectors
