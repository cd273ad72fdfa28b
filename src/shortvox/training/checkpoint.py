"""Checkpoints: everything that an exact resume needs, in one safetensors file that is whole or absent."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Mapping
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
    """Tensors by dotted name, and the JSON state beside them. `run` says which training it is of."""

    tensors: dict[str, Tensor]
    state: dict[str, Any]
    run: str

    def part(self, name: str) -> dict[str, Tensor]:
        """The tensors below `name.`, without that prefix."""
        return {key.removeprefix(f"{name}."): t for key, t in self.tensors.items() if key.startswith(f"{name}.")}


def save_checkpoint(folder: Path, step: int, checkpoint: Checkpoint) -> None:
    """Write `step-….safetensors` durably, then drop all but the last two up to it."""
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in checkpoint.tensors.items()}
    state = json.dumps(checkpoint.state)
    path = folder / f"step-{step:08d}.safetensors"
    write_bytes(
        path,
        save(tensors, {"run": checkpoint.run, "state": state, "checksum": _checksum(tensors, checkpoint.run, state)}),
    )
    for old in [file for file in checkpoint_files(folder) if file <= path][:-KEPT]:
        with contextlib.suppress(OSError):
            old.unlink()


def load_latest(
    folder: Path, run: str | None, require_fit: Callable[[Checkpoint], None] = lambda found: None
) -> Checkpoint | None:
    """The newest whole checkpoint that fits; others are named and the one before is taken. None if there is none.

    `require_fit` raises ValueError for one that does not fit. Raises ModelError when there are checkpoints and all of
    them are damaged, and for one that is not of the training `run` (None: of whichever).
    """
    files = checkpoint_files(folder)
    for path in reversed(files):
        try:
            found = _read(path)
            if run in (None, found.run):
                require_fit(found)
                return found
        except (SafetensorError, OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
            reason = str(error).partition("\n")[0] or "unreadable"
            note(f"{path}: damaged checkpoint ({reason}); falling back to the one before it")
        else:
            raise ModelError(f"{path}: a checkpoint of another training; remove it or choose another --out")
    if files:
        raise ModelError(f"{folder}: every checkpoint is damaged; delete the folder to start the training afresh")
    return None


def _read(path: Path) -> Checkpoint:
    if not path.is_file():  # opening a named pipe would wait for ever
        raise ValueError("not a file")
    with safe_open(path, framework="pt") as handle:
        kept = handle.metadata() or {}
        tensors = {name: handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118
    if not {"run", "state", "checksum"} <= kept.keys():
        raise ValueError("written by another version")
    if kept["checksum"] != _checksum(tensors, kept["run"], kept["state"]):
        raise ValueError("not what was written; disk full?")
    return Checkpoint(tensors, json.loads(kept["state"]), kept["run"])


def _checksum(tensors: Mapping[str, Tensor], run: str, state: str) -> str:
    digest = hashlib.sha256(f"{run} {state}".encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def checkpoint_files(folder: Path) -> list[Path]:
    """The checkpoints in a folder, the oldest first."""
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
