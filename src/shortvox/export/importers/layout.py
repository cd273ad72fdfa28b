"""Where each tensor of a backbone stands in a published checkpoint, and how it is turned.

Their convolutions over time have weights (out, in, width), ours are linear layers over spliced frames; their planes are
(bands, frames) where ours are (frames, bands), and they flatten channels before bands where we flatten bands first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from shortvox.errors import ModelError
from shortvox.models import Backbone

Turn = Callable[[Tensor], Tensor]


class Source(NamedTuple):
    """A tensor of a checkpoint and what makes ours of it."""

    name: str
    turn: Turn


Pieces = dict[str, Source]  # by the names of the backbone's own tensors


def same(tensor: Tensor) -> Tensor:
    return tensor


def pointwise(weight: Tensor) -> Tensor:
    """(out, in, 1) -> (out, in)."""
    return weight.squeeze(2)


def kernel(weight: Tensor) -> Tensor:
    """(out, in, width) -> (out, width x in)."""
    return weight.permute(0, 2, 1).flatten(1)


def plane(weight: Tensor) -> Tensor:
    """(out, in, bands, frames) -> (out, in, frames, bands)."""
    return weight.permute(0, 1, 3, 2)


def bands_first(channels: int, *, dim: int) -> Turn:
    """Dimension `dim` of channels x bands -> bands x channels."""

    def turn(tensor: Tensor) -> Tensor:
        return tensor.unflatten(dim, (channels, -1)).transpose(dim, dim + 1).flatten(dim, dim + 1)

    return turn


def then(*turns: Turn) -> Turn:
    """One after the other."""

    def turn(tensor: Tensor) -> Tensor:
        for each in turns:
            tensor = each(tensor)
        return tensor

    return turn


def norm(own: str, theirs: str, turn: Turn = same, *, affine: bool = True) -> Pieces:
    """A batch norm."""
    names = ("weight", "bias", "running_mean", "running_var") if affine else ("running_mean", "running_var")
    return {f"{own}.{name}": Source(f"{theirs}.{name}", turn) for name in names}


def layer(own: str, theirs: str, weight: Turn = same, *, bias: Turn | None = same) -> Pieces:
    """A linear layer or a convolution, with how its weight and bias are turned; without bias, None."""
    pieces = {f"{own}.weight": Source(f"{theirs}.weight", weight)}
    return pieces if bias is None else pieces | {f"{own}.bias": Source(f"{theirs}.bias", bias)}


def fitted(network: Backbone, name: str, pieces: Pieces, found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state of `network`, the backbone called `name`, from the tensors `found`; what has no piece stays as it is.

    Raises ModelError for a tensor that is missing, has no place, or another shape.
    """
    missing = list(dict.fromkeys(source.name for source in pieces.values() if source.name not in found))
    if missing:
        raise ModelError(f"{missing[0]} is missing{_others(missing)}, which {name} needs")
    extra = sorted(set(found) - {source.name for source in pieces.values()})
    if extra:
        raise ModelError(f"{extra[0]} has no place in {name}{_others(extra)}")
    state = dict(network.state_dict())
    for own, (theirs, turn) in pieces.items():
        try:
            turned = turn(found[theirs])
        except (RuntimeError, IndexError):  # of another rank
            turned = None
        if turned is None or turned.shape != state[own].shape:
            raise ModelError(f"{theirs} has shape {tuple(found[theirs].shape)}, which is not that of {name}")
        state[own] = turned.to(torch.float32).contiguous()
    return state


def _others(names: list[str]) -> str:
    return f" (and {len(names) - 1} more)" if len(names) > 1 else ""


def size(found: Mapping[str, Tensor], name: str, dim: int = 0) -> int:
    """Of a tensor along a dimension; 0 where it has none."""
    tensor = found.get(name)
    return tensor.shape[dim] if tensor is not None and tensor.dim() > dim else 0
