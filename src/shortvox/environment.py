"""What a result was computed on: processors round differently, and a library's fault may belong to one of them only."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from shortvox import __version__

Environment = dict[str, str | int | None]


def environment() -> Environment:
    """CPU model, instruction set that torch uses, thread count, GPU or None, versions; JSON-safe."""
    import torch  # slow to import, and not every caller has needed it yet

    instructions = torch.backends.cpu.get_cpu_capability()
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA")  # torch's own kernels do not heed it, its convolutions do
    return {
        "cpu": _cpu_model(),
        "instruction_set": f"{instructions}, oneDNN at most {limit}" if limit else instructions,
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "torch": torch.__version__,
        "shortvox": __version__,
    }


def in_words(record: Mapping[str, Any]) -> str:
    """Part of a line: what `environment` gave."""
    threads = f"{record['threads']} thread{'s' if record['threads'] != 1 else ''}"
    parts = [f"{record['cpu']} ({record['instruction_set']})", threads, *filter(None, [record["gpu"]])]
    return ", ".join([*parts, f"torch {record['torch']}", f"shortvox {record['shortvox']}"])


def all_in_words(earlier: Sequence[Mapping[str, Any]], last: Mapping[str, Any]) -> str:
    """The same of a training that was resumed elsewhere: `earlier` environments each know the step `until` then."""
    return ", then ".join([*(f"{in_words(one)} to step {one['until']}" for one in earlier), in_words(last)])


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # not Linux
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()
