"""What the processes of one training compute together; with a single process, nothing but the values themselves."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def rank_count() -> int:
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def sum_over_ranks(values: Tensor) -> Tensor:
    """All-reduce of values on the way forth and of gradients on the way back."""
    return values if rank_count() == 1 else _SumOverRanks.apply(values)


def gather_items(values: Tensor) -> Tensor:
    """This rank's items (n, …) -> the items of all ranks (n x ranks, …) in the order of the global batch.

    Items are dealt to ranks in turn. The gradient that comes back is the sum over ranks, so that a loss over all items,
    computed by every rank, has after DDP's averaging the gradient that one process would have.
    """
    ranks = rank_count()
    if ranks == 1:
        return values
    gathered = values.new_zeros(len(values) * ranks, *values.shape[1:])
    gathered[dist.get_rank() :: ranks] = values
    return sum_over_ranks(gathered)


def share_first(values: Tensor) -> None:
    """The first rank's `values`, in place, on all ranks: what each computed may differ in the last bits."""
    if rank_count() > 1:
        dist.broadcast(values, 0)


class _SumOverRanks(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, values: Tensor) -> Tensor:
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        total = gradient.contiguous().clone()
        dist.all_reduce(total)
        return total
