"""One process, or one of many started by torchrun; the rest of the code asks here and nowhere else."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from shortvox.errors import ConfigError

_REMEDY = "torchrun sets it: start with torchrun, or unset it"


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
    ranks = _number("WORLD_SIZE", 1, least=1)
    rank = _number("RANK", 0, least=0)
    if rank >= ranks:
        raise ConfigError(f"RANK: {rank}, but WORLD_SIZE is {ranks}; {_REMEDY}")
    return rank, ranks


def _number(name: str, otherwise: int, *, least: int) -> int:
    text = os.environ.get(name, "").strip() or str(otherwise)
    if not re.fullmatch(r"[0-9]{1,9}", text, re.ASCII) or int(text) < least:
        raise ConfigError(f"{name}: {text!r} in the environment is no number of processes; {_REMEDY}")
    return int(text)


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
        raise ConfigError(f"WORLD_SIZE: {ranks}, but the processes cannot meet ({error}); {_REMEDY}") from None
    try:
        yield Placement(chosen, dist.get_rank(), dist.get_world_size())
        dist.barrier()  # no rank takes the group apart while another still needs it
    finally:
        dist.destroy_process_group()


def chosen_device(name: str) -> torch.device:
    """`auto`, `cpu`, `cuda` or `cuda:N` as a device; raises ConfigError where there is no such thing.

    `cuda` is the GPU that torchrun's LOCAL_RANK numbers, or the first.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cpu":
        return torch.device("cpu")
    if not re.fullmatch(r"cuda(:\d+)?", name):
        raise ConfigError(f"device: '{name}' is none of auto, cpu, cuda, cuda:N")
    if not torch.cuda.is_available():
        raise ConfigError("device: cuda asked for, but torch sees no GPU; set device=cpu")
    index = int(name.partition(":")[2] or _number("LOCAL_RANK", 0, least=0))
    if index >= torch.cuda.device_count():
        raise ConfigError(
            f"device: there is no GPU {index}, torch sees {torch.cuda.device_count()} (counted from 0); "
            "choose another device, or start fewer processes"
        )
    device = torch.device("cuda", index)
    torch.cuda.set_device(device)
    return device
