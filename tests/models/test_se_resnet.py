from __future__ import annotations

import torch
from torch.nn import functional

from shortvox.models.se_resnet import SeBlock, SeResNet


def test_a_gain_and_a_level_per_band_change_nothing() -> None:
    """What mean normalisation does and more: the instance norm takes the channel out."""
    torch.manual_seed(0)
    network = SeResNet(width=4, dim=16, attention=8).eval()
    features = 3 * torch.randn(2, 30, 64)
    changed = features * torch.linspace(0.5, 2.0, 64) + torch.linspace(-9.0, 4.0, 64)
    with torch.inference_mode():
        torch.testing.assert_close(network(changed), network(features), rtol=1e-3, atol=1e-4)


def test_a_block_follows_the_published_order() -> None:
    block = SeBlock(4, 8, 2)
    planes = torch.randn(2, 9, 6, 4)
    hidden = block.first_norm(functional.relu(block.first(planes)))
    expected = block.excitation(block.second_norm(block.second(hidden))) + block.shortcut(planes)
    torch.testing.assert_close(block(planes), functional.relu(expected))
