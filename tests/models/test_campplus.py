from __future__ import annotations

import pytest
import torch

from shortvox.models import blueprint, parameter_count
from shortvox.models.campplus import CamPlusPlus, ContextMask, DenseLayer
from shortvox.models.maps import Maps


@pytest.mark.parametrize(("name", "parameters"), [("campplus-192", 6_848_544), ("campplus-512", 7_176_224)])
def test_parameter_counts_are_those_of_the_published_networks(name: str, parameters: int) -> None:
    assert parameter_count(blueprint(name)) == parameters


@pytest.mark.parametrize("frames", [1, 99, 100, 101, 250])
def test_a_mask_comes_from_the_mean_of_its_segment_and_of_the_utterance(frames: int) -> None:
    mask = ContextMask(6, 4)
    hidden = torch.randn(2, frames, 6)
    with torch.inference_mode():
        found = mask(hidden)
        for at in range(frames):
            segment = hidden[:, at // 100 * 100 : at // 100 * 100 + 100]
            context = hidden.mean(1) + segment.mean(1)
            expected = mask.excite(mask.squeeze(context).relu()).sigmoid()
            torch.testing.assert_close(found[:, at], expected)


def test_padding_is_in_no_mean_of_a_mask() -> None:
    mask = ContextMask(6, 4)
    hidden = torch.randn(1, 130, 6)
    padded = torch.nn.functional.pad(hidden, (0, 0, 0, 190))
    with torch.inference_mode():
        found = mask(padded, torch.tensor([130]))
        torch.testing.assert_close(found[:, :130], mask(hidden))
        assert torch.isfinite(found).all()


def test_a_layer_follows_the_published_order() -> None:
    layer = DenseLayer(8, growth=3, bottleneck=5, dilation=2).eval()
    frames = torch.randn(2, 11, 8)
    hidden = layer.reduced_norm(layer.reduce(layer.norm(frames).relu())).relu()
    weight = layer.local.linear.weight.reshape(3, 3, 5).movedim(1, 2)
    local = torch.nn.functional.conv1d(hidden.movedim(1, 2), weight, padding=2, dilation=2).movedim(1, 2)
    torch.testing.assert_close(layer(frames), local * layer.mask(hidden))


def test_the_pooled_deviation_is_that_of_a_sample() -> None:
    network = CamPlusPlus(dim=8, width=2, channels=8, growth=4, bottleneck=4, depths=(1, 1, 1)).eval()
    channels = network.last_norm.running_mean.numel()
    frames = torch.randn(2, 7, channels)
    pooled = torch.cat([frames.mean(1), frames.std(1, correction=1)], dim=1)
    torch.testing.assert_close(network.pool((Maps(frames),)), network.norm(network.embedding(pooled)))
    of_one = torch.cat([frames[:, 0], torch.full((2, channels), 0.01)], dim=1)
    torch.testing.assert_close(network.pool((Maps(frames[:, :1]),)), network.norm(network.embedding(of_one)))
