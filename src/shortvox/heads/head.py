"""What every loss over embeddings is: most are classifiers with a row of W for each training speaker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Self

import torch
from pydantic import Field
from torch import Tensor, nn

from shortvox.config import Need, Settings
from shortvox.registry import Registry


class HeadSettings(Settings):
    """`margin` and `scale` matter to margin heads only.

    The margin grows over `margin_warmup` of the training, from zero or from that of the model which it starts from.
    """

    name: str = "aam"
    margin: float = Field(0.2, ge=0.0, lt=1.57)
    scale: float = Field(30.0, gt=0.0, le=1000.0)
    margin_warmup: float = Field(0.0, ge=0.0, le=1.0)
    needs_of_keys: ClassVar[Mapping[str, Need]] = {
        "margin": Need("name=aam, or another head with a margin", lambda own: "margin" in head[own.name].uses),
        "scale": Need("name=aam, or another head with a scale", lambda own: "scale" in head[own.name].uses),
        "margin_warmup": Need(
            "margin above 0 and a head with a margin", lambda own: own.margin > 0 and "margin" in head[own.name].uses
        ),
    }


class Head(nn.Module):
    """Embeddings (batch, dim) and labels (batch,) -> loss. `weight` is W, (speakers, dim): the speakers' prototypes.

    Of embeddings, the first so many numbers may be given alone; they are compared with the first columns of W.
    `rows` names the parameters with one row per speaker, W first; a loss that compares utterances with each other
    instead of with prototypes has none. `pairs` says that a batch must hold several utterances of each speaker, `uses`
    which of the settings beside its name a head has.
    """

    weight: nn.Parameter
    rows: ClassVar[tuple[str, ...]] = ("weight",)
    pairs: ClassVar[bool] = False
    uses: ClassVar[tuple[str, ...]] = ()

    def __init__(self, *, dim: int, speakers: int) -> None:
        super().__init__()

    @classmethod
    def make(cls, settings: HeadSettings, *, dim: int, speakers: int) -> Self:
        return cls(dim=dim, speakers=speakers)

    def columns(self, embeddings: Tensor) -> Tensor:
        """W, as wide as the embeddings."""
        return self.weight[:, : embeddings.shape[-1]]

    def logits(self, embeddings: Tensor) -> Tensor:
        """(batch, dim) -> (batch, speakers), free of margin: the posteriors' logits."""
        raise NotImplementedError

    def forward(self, embeddings: Tensor, labels: Tensor, *, progress: float = 1.0) -> Tensor:
        """Mean loss over the batch; `progress` in [0, 1] is the share of training that is done."""
        raise NotImplementedError

    def go_on_from(self, trained: Head) -> None:
        """Take over what a schedule of `trained`, a head of the same kind whose training is done, has come to."""

    def scale_rows(self, rows: Tensor) -> Tensor:
        """Unit rows (n, dim) at the length that this head's own rows have."""
        return rows.to(self.weight) * self.weight.detach().norm(dim=1).mean()


head: Registry[type[Head]] = Registry("head")


def prototype_angles(first: Tensor, second: Tensor) -> Tensor:
    """Angle in degrees between matching rows of two (speakers, dim) matrices -> (speakers,)."""
    a = torch.nn.functional.normalize(first.double(), dim=1)
    b = torch.nn.functional.normalize(second.double(), dim=1)
    # atan2 of the chords is exact near zero, where acos of a rounded cosine is not.
    return torch.rad2deg(2 * torch.atan2((a - b).norm(dim=1), (a + b).norm(dim=1)))
