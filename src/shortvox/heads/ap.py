"""Angular prototypical loss, alone and beside softmax (Chung et al., "In defence of metric learning", 2020).

A batch holds N speakers with M utterances each, no speaker twice. The first utterance of each speaker is the query, the
mean of the others the prototype; the query must be nearest to its own prototype among all N.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from shortvox.heads.head import Head, head
from shortvox.heads.softmax import Softmax
from shortvox.ranks import gather_items

SMALLEST_SCALE = 1e-6


class Prototypical(nn.Module):
    """Cross entropy of `w * cos(query, prototype) + b`; w starts at 10 and stays above zero, b at -5.

    Below the floor the parameter still gets the gradient that w has there, so that w can rise again. (Softmax does not
    notice b: it is kept because the method has it, and gets no gradient.)
    """

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(10.0))
        self.offset = nn.Parameter(torch.tensor(-5.0))

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """(items, dim), labels (items,) of this rank -> mean loss over the speakers of all ranks' items.

        Raises ValueError where the items are not M >= 2 of every speaker.
        """
        embeddings, labels = gather_items(embeddings.float()), gather_items(labels)
        order = torch.argsort(labels, stable=True)
        speakers, counts = torch.unique(labels, return_counts=True)
        each = int(counts[0])
        if each < 2 or bool((counts != each).any()):
            raise ValueError(
                "the angular prototypical loss needs the same number of utterances, two or more, of every "
                "speaker in a batch; set sampler=balanced"
            )
        grouped = embeddings[order].unflatten(0, (len(speakers), each))
        queries, prototypes = (functional.normalize(part) for part in (grouped[:, 0], grouped[:, 1:].mean(dim=1)))
        logits = self.positive_scale() * queries @ prototypes.T + self.offset
        return functional.cross_entropy(logits, torch.arange(len(speakers), device=logits.device))

    def positive_scale(self) -> Tensor:
        """w: the parameter or the floor, with gradient 1 either way."""
        return self.scale.detach().clamp_min(SMALLEST_SCALE) + (self.scale - self.scale.detach())


@head("ap")
class AngularPrototypical(Head):
    rows = ()
    pairs = True

    def __init__(self, *, dim: int, speakers: int) -> None:
        super().__init__(dim=dim, speakers=speakers)
        self.prototypical = Prototypical()

    def forward(self, embeddings: Tensor, labels: Tensor, *, progress: float = 1.0) -> Tensor:
        return self.prototypical(embeddings, labels)


@head("softmax-ap")
class SoftmaxAp(Softmax):
    """The sum of both losses, weights 1:1."""

    pairs = True

    def __init__(self, *, dim: int, speakers: int) -> None:
        super().__init__(dim=dim, speakers=speakers)
        self.prototypical = Prototypical()

    def forward(self, embeddings: Tensor, labels: Tensor, *, progress: float = 1.0) -> Tensor:
        return super().forward(embeddings, labels) + self.prototypical(embeddings, labels)
