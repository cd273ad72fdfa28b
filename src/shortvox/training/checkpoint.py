"""Checkpoints: everything a bit-exact resume needs, in one safetensors file that is whole or absent."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from shortvox.errors import ModelError
from shortvox.files import write_bytes
from shortvox.progress import note

KEPT = 2


@dataclass(frozen=True)
class Checkpoint:
    """Tensors by dotted name, and the JSON state beside them."""

    tensors: dict[str, Tensor]
    state: dict[str, Any]

    def part(self, name: str) -> dict[str, Tensor]:
        """The tensors below `name.`, without that prefix."""
        return {key.removeprefix(f"{name}."): t for key, t in self.tensors.items() if key.startswith(f"{name}.")}


def save_checkpoint(folder: Path, step: int, checkpoint: Checkpoint) -> None:
    """Write `step-….safetensors` durably, then drop all but the last two."""
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in checkpoint.tensors.items()}
    metadata = {"state": json.dumps(checkpoint.state)}
    write_bytes(folder / f"step-{step:08d}.safetensors", save(tensors, metadata))
    for old in _files(folder)[:-KEPT]:
        old.unlink(missing_ok=True)


def load_latest(folder: Path) -> Checkpoint | None:
    """The newest readable checkpoint; a damaged one is named and the one before it is taken. None if there is none.

    Raises ModelError when there are checkpoints and all of them are damaged.
    """
    files = _files(folder)
    for path in reversed(files):
        try:
            with safe_open(path, framework="pt") as handle:
                state = json.loads(handle.metadata()["state"])
                return Checkpoint({name: handle.get_tensor(name) for name in handle.keys()}, state)  # noqa: SIM118
        except (SafetensorError, OSError, ValueError, KeyError, TypeError):
            note(f"{path}: damaged checkpoint (disk full?); falling back to the one before it")
    if files:
        raise ModelError(f"{folder}: every checkpoint is damaged; delete the folder to start the training afresh")
    return None


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*.safetensors"))


def optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Optimiser state as `INDEX.KEY` tensors, in the optimiser's own parameter order."""
    state = optimiser.state_dict()["state"]
    return {
        f"{index}.{key}": torch.as_tensor(value)
        for index, values in state.items()
        for key, value in values.items()
        if value is not None
    }


def load_optimiser(optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Inverse of `optimiser_tensors` on an optimiser built over the same parameters."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, _, key = name.partition(".")
        state.setdefault(int(index), {})[key] = tensor
    optimiser.load_state_dict({**optimiser.state_dict(), "state": state})
