"""AAM-softmax: additive angular margin (Deng et al., 2019)."""

from __future__ import annotations

import math
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from shortvox.heads.head import Head, HeadSettings, head


@head("aam")
class AamSoftmax(Head):
    """Cross entropy of `scale * cos(angle + margin at the true speaker)`; angles between embedding and rows of W.

    Where angle + margin would pass pi, the cosine falls on linearly instead of rising again.
    """

    uses = ("margin", "scale", "margin_warmup")

    def __init__(
        self, *, dim: int, speakers: int, margin: float = 0.2, scale: float = 30.0, margin_warmup: float = 0.0
    ) -> None:
        super().__init__(dim=dim, speakers=speakers)
        self.margin = margin
        self.first_margin = 0.0
        self.scale = scale
        self.margin_warmup = margin_warmup
        self.weight = nn.Parameter(torch.empty(speakers, dim))
        nn.init.xavier_normal_(self.weight)

    @classmethod
    def make(cls, settings: HeadSettings, *, dim: int, speakers: int) -> Self:
        return cls(
            dim=dim,
            speakers=speakers,
            margin=settings.margin,
            scale=settings.scale,
            margin_warmup=settings.margin_warmup,
        )

    def cosines(self, embeddings: Tensor) -> Tensor:
        return functional.linear(
            functional.normalize(embeddings.float()), functional.normalize(self.columns(embeddings))
        )

    def logits(self, embeddings: Tensor) -> Tensor:
        return self.scale * self.cosines(embeddings)

    def forward(self, embeddings: Tensor, labels: Tensor, *, progress: float = 1.0) -> Tensor:
        margin = self.margin_at(progress)
        cosines = self.cosines(embeddings)
        true = cosines.gather(1, labels[:, None])
        sine = (1.0 - true.square()).clamp_min(1e-9).sqrt()
        shifted = true * math.cos(margin) - sine * math.sin(margin)
        beyond = true - math.sin(margin) * margin
        shifted = torch.where(true > math.cos(math.pi - margin), shifted, beyond)
        return functional.cross_entropy(self.scale * cosines.scatter(1, labels[:, None], shifted), labels)

    def margin_at(self, progress: float) -> float:
        """The margin when a share `progress` of training is done."""
        grown = min(1.0, progress / self.margin_warmup) if self.margin_warmup else 1.0
        return self.first_margin + (self.margin - self.first_margin) * grown

    def go_on_from(self, trained: Head) -> None:
        """A warm-up that began again at zero would undo the margins that W and the embeddings have learnt."""
        assert isinstance(trained, AamSoftmax)
        self.first_margin = trained.margin
