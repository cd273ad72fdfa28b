"""What a training has done so far, and how it goes into a checkpoint and comes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from shortvox.models.speaker_model import load_tensors, tensors_of
from shortvox.progress import note
from shortvox.training.checkpoint import Checkpoint, load_optimiser, optimiser_tensors


@dataclass
class Progress:
    """What a training has done so far; goes into every checkpoint as JSON."""

    step: int
    seconds_heard: float
    wall_seconds: float
    wrapped: int
    averaged: int
    recent: list[float]
    loss: list[tuple[int, float]]
    validation: list[dict[str, float]]

    @classmethod
    def start(cls) -> Progress:
        return cls(0, 0.0, 0.0, 0, 0, [], [], [])


def snapshot(
    learning: Mapping[str, nn.Module],
    optimiser: torch.optim.Optimizer,
    average: dict[str, Tensor],
    done: Progress,
) -> Checkpoint:
    """Everything that `restore` needs to go on from here, bit for bit."""
    tensors = {f"model.{name}": tensor for name, tensor in tensors_of(learning).items()}
    tensors |= {f"average.{name}": tensor for name, tensor in average.items()}
    tensors |= {f"optimiser.{name}": tensor for name, tensor in optimiser_tensors(optimiser).items()}
    return Checkpoint(tensors, {"progress": vars(done), "threads": torch.get_num_threads()})


def restore(
    latest: Checkpoint,
    learning: Mapping[str, nn.Module],
    optimiser: torch.optim.Optimizer,
    average: dict[str, Tensor],
) -> Progress:
    """Put a checkpoint's tensors into the modules, the optimiser and the average; returns what had been done."""
    load_tensors(learning, latest.part("model"))
    load_optimiser(optimiser, latest.part("optimiser"))
    here = tensors_of(learning)
    average.update({name: tensor.to(here[name].device) for name, tensor in latest.part("average").items()})
    threads = latest.state["threads"]
    if threads != torch.get_num_threads():
        note(
            f"resuming with {torch.get_num_threads()} threads a training begun with {threads}: the result will be "
            "as good, but not the same bit for bit"
        )
    return Progress(**latest.state["progress"])
