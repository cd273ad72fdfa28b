"""Softmax: cross entropy over a linear layer with bias."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from shortvox.heads.head import Head, head


@head("softmax")
class Softmax(Head):
    rows = ("weight", "bias")

    def __init__(self, *, dim: int, speakers: int) -> None:
        super().__init__(dim=dim, speakers=speakers)
        self.weight = nn.Parameter(torch.empty(speakers, dim))
        self.bias = nn.Parameter(torch.zeros(speakers))
        nn.init.xavier_normal_(self.weight)

    def logits(self, embeddings: Tensor) -> Tensor:
        return functional.linear(embeddings.float(), self.columns(embeddings), self.bias)

    def forward(self, embeddings: Tensor, labels: Tensor, *, progress: float = 1.0) -> Tensor:
        return functional.cross_entropy(self.logits(embeddings), labels)
