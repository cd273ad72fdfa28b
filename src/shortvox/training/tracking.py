"""TensorBoard, for those who have it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shortvox.errors import ConfigError


class Tracker:
    """Writes scalars below `out/tensorboard` when enabled, else nothing."""

    def __init__(self, out: Path, *, enabled: bool) -> None:
        self._writer: Any = None
        if enabled:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError:
                raise ConfigError("tensorboard: not installed; pip install 'shortvox[tensorboard]'") from None
            self._writer = SummaryWriter(str(out / "tensorboard"))

    def write(self, step: int, figures: Mapping[str, float]) -> None:
        if self._writer is not None:
            for name, value in figures.items():
                self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
