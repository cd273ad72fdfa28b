"""Forward and backward of time-delay layers against torch.nn.Conv1d of the same shape, one CPU thread, 96 x 2 s."""

from __future__ import annotations

import torch
from timing import ratio
from torch import nn

from shortvox.memory import tune_memory
from shortvox.models.layers import TimeDelay

SHAPES = {
    "stem 80 -> 128, width 5": (80, 128, 5, 1),
    "1x1 128 -> 128": (128, 128, 1, 1),
    "Res2 16 -> 16, width 3, dilation 2": (16, 16, 3, 2),
    "1x1 384 -> 256": (384, 256, 1, 1),
}


def main() -> None:
    tune_memory()
    torch.set_num_threads(1)
    for name, (inputs, outputs, width, dilation) in SHAPES.items():
        ours = TimeDelay(inputs, outputs, width=width, dilation=dilation)
        peer = nn.Conv1d(inputs, outputs, width, dilation=dilation, padding=dilation * (width // 2))
        frames = torch.randn(96, 200, inputs, requires_grad=True)
        channels_first = frames.detach().transpose(1, 2).contiguous().requires_grad_()

        def step(layer: nn.Module, values: torch.Tensor) -> None:
            layer(values).square().sum().backward()

        faster = ratio(lambda: step(ours, frames), lambda: step(peer, channels_first))  # noqa: B023
        print(f"{name}: {faster:.2f} x the speed of Conv1d")


if __name__ == "__main__":
    main()
