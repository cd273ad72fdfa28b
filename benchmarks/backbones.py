"""What a training step of each narrow backbone costs beside one of ecapa-64: 16 crops of 2 s, one CPU thread."""

from __future__ import annotations

from functools import partial

import torch
from timing import ratio

from shortvox.memory import tune_memory
from shortvox.models import backbone
from shortvox.models.backbone import Backbone

PEER = "ecapa-64"
NAMES = (
    "ecapa-128",
    "ecapa-256",
    "campplus-64",
    "se-resnet34-8",
    "se-resnet34-16",
    "isk34-8",
    "isk34-8-concat",
    "isk34-16",
)


def step(network: Backbone, features: torch.Tensor) -> None:
    network(features).square().sum().backward()


def main() -> None:
    tune_memory()
    torch.set_num_threads(1)
    peer = backbone[PEER]()
    heard = partial(step, peer, torch.randn(16, 200, peer.bands))
    for name in NAMES:
        network = backbone[name]()
        slower = ratio(heard, partial(step, network, torch.randn(16, 200, network.bands)), rounds=5)
        print(f"{name}, {network.bands} bands: {slower:.1f} x the time of {PEER}", flush=True)


if __name__ == "__main__":
    main()
