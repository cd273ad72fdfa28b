"""Reading a published checkpoint: the one place where a pickle is opened, and nothing but tensors is taken from it."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from shortvox.errors import ModelError
from shortvox.files import refuse_folder

WRAPPERS = ("state_dict", "model_state_dict", "model")  # keys under which trainers keep the weights
PARALLEL = "module."  # what torch's wrappers for several devices put before each name


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """The named floating-point tensors in a file of torch.save.

    Raises ModelError for a file that is damaged, needs more than tensors, or holds no weights.
    """
    refuse_folder(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a TorchScript program, which is refused
            content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ModelError(f"{path}: no such file") from None
    except (OSError, MemoryError):
        raise
    except Exception as error:  # the unpickler may stumble over damaged bytes anywhere
        raise ModelError(f"{path}: {_reason(str(error))}") from None
    tensors = named_weights(content)
    if not tensors:
        raise ModelError(f"{path}: holds no weights by name; expected the state dict of a network")
    for name, tensor in tensors.items():
        if not tensor.is_floating_point() or tensor.layout != torch.strided:
            kind = str(tensor.dtype if tensor.layout == torch.strided else tensor.layout).removeprefix("torch.")
            raise ModelError(f"{path}: {name} is stored as {kind}; expected a checkpoint of floating-point weights")
        if not bool(torch.isfinite(tensor).all()):
            raise ModelError(f"{path}: {name} holds values that are not finite")
        if name.endswith("running_var") and bool((tensor < 0).any()):
            raise ModelError(f"{path}: {name} holds a negative variance")
    return tensors


def _reason(told: str) -> str:
    """Why torch does not open a file, in one line."""
    needs = re.search(r"GLOBAL ([\w.]+)", told)
    if needs is not None:
        return (
            f"needs more than weights ({needs[1]}), which could run any code; "
            "save network.state_dict() with torch where you trust the file, and import that"
        )
    if "TorchScript" in told:
        return "a TorchScript program, not weights; import the checkpoint it was made of"
    return "no checkpoint of torch.save, or a damaged one; copy it again"


def named_weights(content: Any) -> dict[str, Tensor]:
    """The tensors by name in what was read, without counters of batches; none where it is anything else."""
    for wrapper in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    if not isinstance(content, Mapping):
        return {}
    if not all(isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in content.items()):
        return {}
    names = [name for name in content if not name.endswith("num_batches_tracked")]
    strip = all(name.startswith(PARALLEL) for name in names)
    return {name.removeprefix(PARALLEL) if strip else name: content[name] for name in names}
