"""What every backbone is: a trunk that makes frame-level maps and a pooling that makes one vector of them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from shortvox.models.layers import BatchNorm
from shortvox.models.maps import Scales
from shortvox.registry import Registry


class Backbone(nn.Module):
    """(batch, frames, bands), lengths (batch,) -> (batch, dim).

    Trunk and pooling are separate, so that the maps of several segments can be joined in time and pooled once.
    `lengths` counts each row's own frames; None says that every row is whole. Any length from one frame up works.
    """

    bands: int
    dim: int
    embedding: nn.Linear  # the last linear layer; `embedding_norm` comes after it
    normalises = False  # whether it brings what it hears to mean 0 itself

    def trunk(self, features: Tensor, lengths: Tensor | None = None) -> Scales:
        """(batch, frames, bands) -> frame-level maps (batch, frames', channels), one for each time resolution."""
        raise NotImplementedError

    def pool(self, scales: Scales) -> Tensor:
        """What `trunk` makes -> embeddings (batch, dim), not normalised."""
        raise NotImplementedError

    def forward(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        return self.pool(self.trunk(features, lengths))

    def blocks_in_order(self) -> tuple[tuple[str, ...], ...]:
        """The names of the modules of each block, from the input to the embedding; every parameter is in one."""
        raise NotImplementedError

    def embedding_norm(self) -> BatchNorm:
        """The normalisation layer after the embedding, which a frozen head may freeze with it."""
        raise NotImplementedError


backbone: Registry[Callable[[], Backbone]] = Registry("backbone")


def blueprint(name: str) -> Backbone:
    """The network without its numbers: what it says of itself, in milliseconds."""
    with torch.device("meta"):
        return backbone[name]()


def parameter_count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
