"""Teachers: trained models that hear what the student hears, or the longer crop it was cut from, and learn nothing.

One that hears whole utterances has heard them all, clean, before the first step (targets.py).
"""

from __future__ import annotations

import math
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from shortvox.errors import ModelError
from shortvox.models.speaker_model import SpeakerModel
from shortvox.training.batches import Batch
from shortvox.training.branches import TeacherSettings


class Answer(NamedTuple):
    """What a teacher says: embeddings (batch, dim) and margin-free logits (batch, shared speakers).

    A teacher that hears segments says it of each: (batch, segments, …). Nobody asked for logits: none.
    """

    embeddings: Tensor
    logits: Tensor


class Projection(nn.Linear):
    """A linear map to a teacher's space, without bias; of an embedding's first numbers by the first of its columns."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, bias=False)

    def forward(self, embeddings: Tensor) -> Tensor:
        return functional.linear(embeddings, self.weight[:, : embeddings.shape[-1]])


class Uncertainty(nn.Linear):
    """How far from its target a crop is expected to lie, as 1 - cos, by its raw embedding (..., dim) -> (...).

    One number, linear before it is squashed into FLOOR to 2, the range of 1 - cos: no pull becomes infinite. It starts
    as START for every crop; of an embedding's first numbers it is told by the first of its weights.
    """

    FLOOR, START, MOST = 0.05, 0.4, 2.0

    def __init__(self, inputs: int) -> None:
        super().__init__(inputs, 1)
        nn.init.zeros_(self.weight)
        nn.init.constant_(self.bias, math.log((self.START - self.FLOOR) / (self.MOST - self.START)))

    def forward(self, embeddings: Tensor) -> Tensor:
        logits = functional.linear(embeddings, self.weight[:, : embeddings.shape[-1]], self.bias)
        return self.FLOOR + (self.MOST - self.FLOOR) * logits.squeeze(-1).sigmoid()


class Teacher(nn.Module):
    """Always in evaluation mode and without gradient, whatever `train()` is called on the module around it.

    Any backbone, width, dimension and front end will do. Speakers are matched by name: posteriors are compared over
    those that both heads have a row for. The projection to the teacher's space, and how far off to expect a crop there,
    are the student's to learn.
    """

    targets: Tensor | None
    student_rows: Tensor
    teacher_rows: Tensor

    def __init__(
        self,
        name: str,
        settings: TeacherSettings,
        model: SpeakerModel,
        student: SpeakerModel,
        targets: Tensor | None = None,
    ) -> None:
        """`targets` (recordings, dim) is what it says of whole utterances, by their numbers, if it hears these.

        Raises ModelError when a posterior is asked for and the heads share fewer than two speakers or have none."""
        super().__init__()
        self.settings = settings
        self.frontend, self.backbone, self.head = model.frontend, model.backbone, model.head
        self.requires_grad_(False)
        row = {speaker: number for number, speaker in enumerate(model.speakers)} if model.head.rows else {}
        shared = [(number, row[speaker]) for number, speaker in enumerate(student.speakers) if speaker in row]
        if settings.posterior and len(shared) < 2:
            raise ModelError(
                f"teachers.{name}: its head knows {len(shared)} of the training speakers; a posterior "
                f"needs two; set teachers.{name}.posterior=0 or choose another teacher"
            )
        self.register_buffer("targets", targets)
        self.register_buffer("student_rows", torch.tensor([mine for mine, _ in shared], dtype=torch.long))
        self.register_buffer("teacher_rows", torch.tensor([its for _, its in shared], dtype=torch.long))
        differ = model.backbone.dim != student.backbone.dim
        self.project: nn.Module = nn.Identity()
        if settings.pulls and (settings.projection or differ):
            self.project = Projection(student.backbone.dim, model.backbone.dim)
        self.uncertainty = Uncertainty(student.backbone.dim) if settings.uncertainty else None
        self.train(False)

    @property
    def maps(self) -> bool:
        """Whether a learned map leads to its space."""
        return isinstance(self.project, Projection)

    def train(self, mode: bool = True) -> Self:
        return super().train(False)

    @torch.no_grad()
    def forward(self, batch: Batch) -> Answer:
        if self.targets is not None:
            said = self.targets[batch.recordings]
            return Answer(said, said.new_zeros(len(said), 0))
        heard, lengths, inside, shape = batch.waveforms, batch.lengths, batch.inside, batch.waveforms.shape[:1]
        if self.settings.hears == "segments" and batch.segments_inside is not None:
            inside, shape = batch.segments_inside.flatten(0, 1), batch.segments_inside.shape[:2]
        elif self.settings.hears == "segments":
            assert batch.segments is not None  # the settings see to it
            heard, lengths, shape = batch.segments.flatten(0, 1), None, batch.segments.shape[:2]
        embeddings = self.backbone(*self.frontend(heard, lengths, inside=inside))
        logits = embeddings.new_zeros(len(embeddings), 0)
        if self.settings.posterior:
            logits = self.head.logits(embeddings)[:, self.teacher_rows]
        return Answer(embeddings.unflatten(0, shape), logits.unflatten(0, shape))
