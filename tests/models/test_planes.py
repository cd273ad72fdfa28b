from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from shortvox.models.planes import PlaneConv, ResidualStages, Shortcut, shortened

LENGTHS = torch.tensor([13, 1, 6])


def planes(channels: int = 4) -> Tensor:
    return torch.randn(3, 13, 10, channels, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("width", "stride", "dilation"), [(3, 1, 1), (3, 2, 1), (3, 1, 2), (1, 2, 1)])
def test_convolution_sees_zeros_outside_the_utterance(width: int, stride: int, dilation: int) -> None:
    layer = PlaneConv(4, 6, width=width, stride=stride, dilation=dilation, bias=True)
    weight, bias = layer.convolution.weight, layer.convolution.bias
    together = layer(planes(), LENGTHS)
    shorter = shortened(LENGTHS, stride)
    assert shorter is not None
    for row, (length, count) in enumerate(zip(LENGTHS.tolist(), shorter.tolist(), strict=True)):
        alone = planes()[row : row + 1, :length].permute(0, 3, 1, 2)
        expected = functional.conv2d(
            alone, weight, bias, stride, padding=(dilation * (width // 2), width // 2), dilation=(dilation, 1)
        ).permute(0, 2, 3, 1)
        assert expected.shape[1] == count
        torch.testing.assert_close(together[row, :count], expected[0], rtol=1e-4, atol=1e-5)


def test_convolution_leaves_channels_last_in_memory() -> None:
    """Batch norm and flattening to frames are then views."""
    assert PlaneConv(4, 6)(planes()).is_contiguous()
    assert PlaneConv(1, 6)(planes(1)).is_contiguous()


def test_lengths_are_rounded_up() -> None:
    assert shortened(torch.tensor([1, 2, 3, 8, 9]), 2).tolist() == [1, 1, 2, 4, 5]
    assert shortened(None, 2) is None


def test_a_shortcut_is_nothing_where_the_shape_stays() -> None:
    assert not list(Shortcut(4, 4, stride=1).parameters())
    assert torch.equal(Shortcut(4, 4, stride=1)(planes()), planes())
    assert Shortcut(4, 8, stride=2)(planes()).shape == (3, 7, 5, 8)


def test_stages_halve_time_and_bands_and_double_channels() -> None:
    made: list[tuple[int, int, int]] = []

    def block(inputs: int, outputs: int, stride: int) -> nn.Module:
        made.append((inputs, outputs, stride))
        return Shortcut(inputs, outputs, stride=stride)

    scales = ResidualStages(4, block)(planes(), LENGTHS)
    assert len(made) == 16
    assert [made[index] for index in (0, 3, 4, 7, 13)] == [(4, 4, 1), (4, 8, 2), (8, 8, 1), (8, 16, 2), (16, 32, 2)]
    assert [tuple(maps.frames.shape) for maps in scales] == [(3, 13, 40), (3, 7, 40), (3, 4, 48), (3, 2, 64)]
    assert ResidualStages.channels(4, 10) == (40, 40, 48, 64)
    assert [maps.lengths.tolist() for maps in scales] == [[13, 1, 6], [7, 1, 3], [4, 1, 2], [2, 1, 1]]
