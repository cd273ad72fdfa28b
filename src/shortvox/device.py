"""Which device this process computes on, the only one or one of those that torchrun started."""

from __future__ import annotations

import os
import re

import torch

from shortvox.errors import ConfigError

TORCHRUN = "torchrun sets it: start with torchrun, or unset it"


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
    index = int(name.partition(":")[2] or process_number("LOCAL_RANK", 0, least=0))
    if index >= torch.cuda.device_count():
        raise ConfigError(
            f"device: there is no GPU {index}, torch sees {torch.cuda.device_count()} (counted from 0); "
            "choose another device, or start fewer processes"
        )
    device = torch.device("cuda", index)
    torch.cuda.set_device(device)
    return device


def process_number(name: str, otherwise: int, *, least: int) -> int:
    """A number that torchrun puts into the environment; raises ConfigError for what is none."""
    text = os.environ.get(name, "").strip() or str(otherwise)
    if not re.fullmatch(r"[0-9]{1,9}", text, re.ASCII) or int(text) < least:
        raise ConfigError(f"{name}: {text!r} in the environment is no number of processes; {TORCHRUN}")
    return int(text)
