"""One process, or one of many started by torchrun; the rest of the code asks here and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from shortvox.device import TORCHRUN, chosen_device, process_number
from shortvox.errors import ConfigError


@dataclass(frozen=True)
class Placement:
    """Where this process runs and which share of each batch is its own."""

    device: torch.device
    rank: int = 0
    ranks: int = 1

    @property
    def leads(self) -> bool:
        """Whether this rank writes checkpoints, models and messages."""
        return self.rank == 0

    def wrap(self, module: nn.Module) -> nn.Module:
        """`module` as it learns here: on several ranks, its gradients are the mean over them."""
        if self.ranks == 1:
            return module
        for parameter in module.parameters():
            if parameter.requires_grad:
                parameter.register_hook(_contiguous)
        return DistributedDataParallel(module)

    def total(self, *figures: float) -> list[float]:
        """Each figure summed over all ranks."""
        if self.ranks == 1:
            return list(figures)
        sums = torch.tensor(figures, dtype=torch.float64, device=self.device)
        dist.all_reduce(sums)
        return sums.tolist()


def _contiguous(gradient: Tensor) -> Tensor:
    """`gradient` with the strides of its shape: where a size is 1, a backend may give any, and DDP warns of others."""
    return gradient.flatten().view(gradient.shape)


def leads() -> bool:
    """Whether this process is the first of those that torchrun started, or the only one."""
    return _rank_and_ranks()[0] == 0


def _rank_and_ranks() -> tuple[int, int]:
    """This process's number among those that torchrun started, and how many there are; (0, 1) without torchrun."""
    ranks = process_number("WORLD_SIZE", 1, least=1)
    rank = process_number("RANK", 0, least=0)
    if rank >= ranks:
        raise ConfigError(f"RANK: {rank}, but WORLD_SIZE is {ranks}; {TORCHRUN}")
    return rank, ranks


@contextmanager
def placement(device: str) -> Iterator[Placement]:
    """This process's placement; joins the process group when torchrun started it (WORLD_SIZE > 1)."""
    _, ranks = _rank_and_ranks()
    chosen = chosen_device(device)
    if ranks == 1:
        yield Placement(chosen)
        return
    if device.startswith("cuda:"):
        raise ConfigError(
            f"device: '{device}' is one GPU for {ranks} processes; with torchrun set device=cuda, and "
            "each takes its own"
        )
    try:
        if chosen.type == "cuda":
            dist.init_process_group("nccl", device_id=chosen)
        else:
            dist.init_process_group("gloo")
    except ValueError as error:  # MASTER_ADDR and the like are missing
        raise ConfigError(f"WORLD_SIZE: {ranks}, but the processes cannot meet ({error}); {TORCHRUN}") from None
    try:
        yield Placement(chosen, dist.get_rank(), dist.get_world_size())
        dist.barrier()  # no rank takes the group apart while another still needs it
    finally:
        dist.destroy_process_group()
