"""What a result was computed on: processors round differently, and a library's fault may belong to one of them only."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from shortvox import __version__

if TYPE_CHECKING:
    import torch

Environment = dict[str, str | int | None]
Record = TypeVar("Record", bound=Mapping[str, Any])


def environment(device: torch.device | None = None) -> Environment:
    """CPU model, instruction set that torch uses, thread count, GPU or None, versions; JSON-safe.

    The GPU is the `device`, or, where none is named, the first that torch sees.
    """
    import torch  # slow to import, and not every caller has needed it yet

    on_gpu = torch.cuda.is_available() if device is None else device.type == "cuda"
    instructions = torch.backends.cpu.get_cpu_capability()
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA")  # torch's own kernels do not heed it, its convolutions do
    return {
        "cpu": _cpu_model(),
        "instruction_set": f"{instructions}, oneDNN at most {limit}" if limit else instructions,
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name(device) if on_gpu else None,
        "torch": torch.__version__,
        "shortvox": __version__,
    }


def in_words(record: Environment) -> str:
    """Part of a line: what `environment` gave."""
    threads = f"{record['threads']} thread{'s' if record['threads'] != 1 else ''}"
    gpu = f", {record['gpu']}" if record["gpu"] else ""
    processors = f"{record['cpu']} ({record['instruction_set']}), {threads}{gpu}"
    return f"{processors}, torch {record['torch']}, shortvox {record['shortvox']}"


def where_it_ran(earlier: Iterable[tuple[int, Environment]], last: Environment) -> str:
    """Part of a line: what a training was computed on, and up to which steps on what `earlier`."""
    return ", then ".join([*(f"{in_words(left)} to step {step}" for step, left in earlier), in_words(last)])


def each_once(records: Iterable[Record]) -> list[Record]:
    """The different ones, in their order."""
    found: list[Record] = []
    for record in records:
        if record not in found:
            found.append(record)
    return found


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # not Linux
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()
