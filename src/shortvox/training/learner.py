"""One training step as one sentence: hear the crop or its segments, embed, score, add what teachers say."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from shortvox.frontend.filterbank import frame_count
from shortvox.frontend.specaugment import spec_augment
from shortvox.heads import Head
from shortvox.models.maps import Scales, join_segments
from shortvox.models.speaker_model import SpeakerModel
from shortvox.training.batches import Batch
from shortvox.training.branches import Branch, SegmentSettings
from shortvox.training.distributed import Placement
from shortvox.training.settings import TrainSettings
from shortvox.training.teachers import Teacher
from shortvox.training.terms import Heard, make_terms, prefix_of


class Learner(nn.Module):
    """A batch to its loss, as one module, so that distributed training wraps it whole.

    `extras` are what learns beside the model and is not kept with it: a second head for segments, projections to
    teachers' spaces, and how far off there to expect a crop.
    """

    def __init__(
        self,
        model: SpeakerModel,
        settings: TrainSettings,
        place: Placement,
        teachers: Mapping[str, SpeakerModel] | None = None,
        targets: Mapping[str, Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.frontend = model.frontend
        self.backbone = model.backbone
        self.head = model.head
        self.settings = settings
        self.place = place
        self.branches = settings.branches()
        self.said: list[tuple[Tensor, Tensor]] = []
        self.extras = nn.ModuleDict()
        self.told = {
            name: Teacher(name, settings.teachers[name], teacher, model, (targets or {}).get(name))
            for name, teacher in (teachers or {}).items()
        }
        self.teachers = nn.ModuleDict(self.told)
        for name, teacher in self.told.items():
            self.extras[f"projection-{name}"] = teacher.project
            if teacher.uncertainty is not None:
                self.extras[f"uncertainty-{name}"] = teacher.uncertainty
        self.terms = make_terms(settings, self._heads(), self.told)
        self.to(place.device)

    def spoken(self) -> tuple[Tensor, Tensor]:
        """What the last step heard: embeddings (items, dim) and head rows (items,), for rows of W that follow."""
        embeddings, labels = zip(*self.said, strict=True)
        self.said.clear()
        return torch.cat(embeddings), torch.cat(labels)

    def _heads(self) -> dict[Branch, Head]:
        """The head that each branch is scored against; a second head starts as a copy of the first."""
        heads: dict[Branch, Head] = dict.fromkeys(self.branches, self.head)
        segments = self.settings.segments
        if segments is not None and segments.heads == "separate":
            heads["segments"] = copy.deepcopy(self.head)
            self.extras["segment-head"] = heads["segments"]
        return heads

    def forward(self, batch: Batch, generator: torch.Generator, progress: float) -> Tensor:
        batch = batch.to(self.place.device)
        answers = {name: teacher(batch) for name, teacher in self.teachers.items()}
        heard = Heard(self.embed(batch, generator), batch.labels, progress, answers)
        self.said.append((heard.longest().detach(), batch.labels))
        views = [heard, *(prefix_of(heard, numbers, self.told) for numbers in self.settings.prefixes)]
        losses = [term.weight * term.loss(view) for view in views for term in self.terms]
        return torch.stack(losses).sum() / len(views)

    def embed(self, batch: Batch, generator: torch.Generator) -> dict[Branch, Tensor]:
        """The student's embeddings, float32, of the branches that a term needs and of no others."""
        embeddings: dict[Branch, Tensor] = {}
        if "crop" in self.branches:
            features, lengths = self.frontend(batch.waveforms, batch.lengths, inside=batch.inside)
            embeddings["crop"] = self._pool(self._trunk(features, lengths, generator))
        segments = self.settings.segments
        if segments is not None and self.branches & {"segments", "aggregate"}:
            features, lengths, count = self._segment_features(batch, segments)
            scales = self._trunk(features, lengths, generator, each=count, alike=segments.augment == "crop")
            if "segments" in self.branches or segments.join == "embeddings":
                embeddings["segments"] = self._pool(scales).unflatten(0, (-1, count))
            if "aggregate" in self.branches:
                joined = segments.join == "maps"
                embeddings["aggregate"] = (
                    self._pool(join_segments(scales, count)) if joined else embeddings["segments"].mean(dim=1)
                )
        return embeddings

    def _segment_features(self, batch: Batch, segments: SegmentSettings) -> tuple[Tensor, Tensor | None, int]:
        """(batch x segments, frames, bands), the segments of a crop side by side, their lengths, and how many."""
        if batch.segments_inside is not None:
            inside = batch.segments_inside
            return (*self.frontend(batch.waveforms, batch.lengths, inside=inside.flatten(0, 1)), inside.shape[1])
        assert batch.segments is not None  # the settings see to it
        assert batch.starts is not None
        count = batch.segments.shape[1]
        if segments.cmn == "segment":
            return (*self.frontend(batch.segments.flatten(0, 1)), count)
        features, _ = self.frontend(batch.waveforms)
        frames = frame_count(batch.segments.shape[2], self.settings.model.frontend.framing)
        inside = batch.starts[:, :, None] + torch.arange(frames, device=features.device)
        rows = torch.arange(len(features), device=features.device)[:, None, None]
        return features[rows, inside].flatten(0, 1), None, count

    def _trunk(
        self,
        features: Tensor,
        lengths: Tensor | None,
        generator: torch.Generator,
        *,
        each: int = 1,
        alike: bool = False,
    ) -> Scales:
        features = spec_augment(
            features,
            lengths,
            generator=generator,
            time_frames=self.settings.augment.time_frames,
            frequency_bands=self.settings.augment.frequency_bands,
            each=each,
            alike=alike,
            rank=self.place.rank,
            ranks=self.place.ranks,
        )
        with self._autocast():
            return self.backbone.trunk(features, lengths)

    def _pool(self, scales: Scales) -> Tensor:
        with self._autocast():
            return self.backbone.pool(scales).float()

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.place.device.type, torch.bfloat16, enabled=self.settings.precision == "bf16")
