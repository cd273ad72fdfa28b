"""Full-length speaker centroids as rows of W: where they start, and how a frozen W follows the student.

W_k = norm(mean_u norm(e(u))) over a speaker's whole utterances u, the research notes' own question.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Sequence
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import normalize

from shortvox.corpora.crop import whole
from shortvox.corpora.speech import SpeechData
from shortvox.models.embedding import embed_crops
from shortvox.models.speaker_model import SpeakerModel
from shortvox.ranks import gather_items, share_first
from shortvox.training.batches import change_speed, speaker_names
from shortvox.training.settings import TrainSettings

Centroids = Callable[[SpeakerModel, Sequence[str]], Tensor]


def utterance_centroids(data: SpeechData, *, most: int = 10) -> Centroids:
    """Mean embedding of at most `most` whole utterances of each named speaker, a speed variant's at its speed."""

    def centroids(model: SpeakerModel, names: Sequence[str]) -> Tensor:
        positions = dict(zip(data.corpus.speakers, data.corpus.spread(most), strict=True))
        rows: dict[str, Tensor] = {}
        voices = {name: _voice(name, positions) for name in names}
        for speed in dict.fromkeys(speed for _, speed in voices.values()):
            group = {name: positions[speaker] for name, (speaker, own) in voices.items() if own == speed}
            crops = [whole(data.store, position) for chosen in group.values() for position in chosen]
            transform = None if speed == 1.0 else partial(change_speed, speed=speed, samples=None)
            embeddings = torch.from_numpy(embed_crops(model, data.store, crops, transform=transform))
            parts = embeddings.split([len(chosen) for chosen in group.values()])
            rows |= {name: part.mean(0) for name, part in zip(group, parts, strict=True)}
        return torch.stack([rows[name] for name in names])

    return centroids


def _voice(name: str, speakers: Container[str]) -> tuple[str, float]:
    """The speaker and the speed of a row of W; a `#` may also belong to a speaker's own name."""
    if name in speakers:
        return name, 1.0
    speaker, _, speed = name.rpartition("#")
    return speaker, float(speed)


class FollowingRows:
    """A W that does not follow."""

    def __init__(self, model: SpeakerModel, data: SpeechData, settings: TrainSettings) -> None:
        self.model = model

    def before_step(self, step: int) -> None:
        """Called before every step, with its number from 0."""

    def after_step(self, embeddings: Tensor, labels: Tensor) -> None:
        """Called after every step with this rank's embeddings (items, dim) and head rows (items,)."""


class EpochRows(FollowingRows):
    """Centroids under the student as it is, once per pass over the training utterances."""

    def __init__(self, model: SpeakerModel, data: SpeechData, settings: TrainSettings) -> None:
        super().__init__(model, data, settings)
        self.names = speaker_names(data.corpus.speakers, settings.augment.speeds)
        self.every = math.ceil(len(data.corpus) / settings.items)
        self.centroids = utterance_centroids(data, most=settings.transfer.utterances)

    def before_step(self, step: int) -> None:
        if step and step % self.every == 0:
            centroids = normalize(self.centroids(self.model, self.names))
            place_rows(self.model, self.names, self.model.head.scale_rows(centroids))
            share_first(self.model.head.weight.data)


class EmaRows(FollowingRows):
    """Each step moves the rows of its speakers a little towards their mean embedding in the batch."""

    def __init__(self, model: SpeakerModel, data: SpeechData, settings: TrainSettings) -> None:
        super().__init__(model, data, settings)
        self.momentum = settings.transfer.momentum

    @torch.no_grad()
    def after_step(self, embeddings: Tensor, labels: Tensor) -> None:
        embeddings, labels = gather_items(embeddings), gather_items(labels)
        weight = self.model.head.weight
        heard = normalize(torch.zeros_like(weight).index_add_(0, labels, normalize(embeddings)))
        moved = normalize(self.momentum * normalize(weight) + (1 - self.momentum) * heard)
        spoke = torch.unique(labels)
        weight[spoke] = (moved * weight.norm(dim=1, keepdim=True))[spoke]
        share_first(weight.data)


FOLLOWING: dict[str, type[FollowingRows]] = {"never": FollowingRows, "epoch": EpochRows, "ema": EmaRows}


@torch.no_grad()
def place_rows(model: SpeakerModel, names: Sequence[str], rows: Tensor) -> None:
    """Set the named speakers' rows of W to `rows` (names, dim)."""
    number = {name: at for at, name in enumerate(model.speakers)}
    weight = model.head.weight
    weight[[number[name] for name in names]] = rows.to(weight)
