"""TensorBoard, for those who have it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shortvox.errors import ConfigError


class Tracker:
    """Writes scalars below `out/tensorboard` when enabled, else nothing.

    A training that goes on after step `done` takes back what was written of later steps before it was stopped.
    """

    def __init__(self, out: Path, *, enabled: bool, done: int = 0) -> None:
        self._writer: Any = None
        if enabled:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError:
                raise ConfigError("tensorboard: not installed; pip install 'shortvox[tensorboard]'") from None
            self._writer = SummaryWriter(str(out / "tensorboard"), purge_step=done + 1)

    def write(self, step: int, figures: Mapping[str, float]) -> None:
        if self._writer is not None:
            for name, value in figures.items():
                self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
