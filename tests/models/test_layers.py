from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from shortvox.models import layers
from shortvox.models.layers import BatchNorm, SqueezeExcitation, TimeDelay, instance_norm, masked_mean, mean_and_sd

LENGTHS = torch.tensor([9, 1, 5])


def frames(channels: int = 6) -> torch.Tensor:
    return torch.randn(3, 9, channels, generator=torch.Generator().manual_seed(0))


def own(values: torch.Tensor) -> torch.Tensor:
    """The frames that are no padding, one after the other."""
    return torch.cat([row[:length] for row, length in zip(values, LENGTHS.tolist(), strict=True)])


def test_batch_norm_leaves_padding_out_of_its_statistics() -> None:
    ours, torchs = BatchNorm(6), nn.BatchNorm1d(6)
    for _ in range(3):
        values = 2 + 3 * torch.randn(3, 9, 6)
        torch.testing.assert_close(own(ours(values, LENGTHS)), torchs(own(values)))
    torch.testing.assert_close(ours.running_mean, torchs.running_mean)
    torch.testing.assert_close(ours.running_var, torchs.running_var)
    ours.eval()
    torchs.eval()
    torch.testing.assert_close(own(ours(values, LENGTHS)), torchs(own(values)))


def test_batch_norm_of_planes_counts_every_band() -> None:
    ours, torchs = BatchNorm(4), nn.BatchNorm1d(4)
    planes = 2 + 3 * torch.randn(3, 9, 5, 4)
    torch.testing.assert_close(own(ours(planes, LENGTHS)).flatten(0, 1), torchs(own(planes).flatten(0, 1)))
    torch.testing.assert_close(ours.running_mean, torchs.running_mean)
    torch.testing.assert_close(ours.running_var, torchs.running_var)


@pytest.mark.parametrize("shape", [(3, 9, 4), (3, 9, 5, 4)])
def test_batch_norm_over_ranks_is_the_one_of_a_rank_that_is_alone(
    shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    values = 2 + 3 * torch.randn(shape, generator=torch.Generator().manual_seed(1))
    alone, together = BatchNorm(4), BatchNorm(4)
    expected = own(alone(values, LENGTHS))
    monkeypatch.setattr(layers, "rank_count", lambda: 2)
    monkeypatch.setattr(layers, "sum_over_ranks", lambda values: values)
    torch.testing.assert_close(own(together(values, LENGTHS)), expected)
    torch.testing.assert_close(together.running_var, alone.running_var)


def test_batch_norm_without_lengths_is_torchs() -> None:
    ours, torchs = BatchNorm(6), nn.BatchNorm1d(6)
    torch.testing.assert_close(ours(frames()), torchs(frames().transpose(1, 2)).transpose(1, 2))
    torch.testing.assert_close(ours.running_var, torchs.running_var)


def test_one_row_has_no_variance_and_is_normalised_by_what_was_learnt() -> None:
    norm = BatchNorm(4)
    norm.running_mean.fill_(2.0)
    values = torch.full((1, 4), 3.0)
    torch.testing.assert_close(norm(values), torch.ones(1, 4), atol=1e-4, rtol=0)
    assert (norm.running_mean == 2.0).all()


def test_a_frozen_batch_norm_survives_train() -> None:
    block = nn.Sequential(nn.Linear(6, 6), BatchNorm(6))
    norm = block[1]
    norm.freeze()
    before = {name: tensor.clone() for name, tensor in norm.state_dict().items()}
    block.train()
    assert norm.training
    block(10 + torch.randn(32, 6)).sum().backward()
    for name, tensor in norm.state_dict().items():
        assert torch.equal(tensor, before[name])
    assert norm.weight.grad is None
    assert norm.bias.grad is None
    values = torch.randn(5, 6)
    torch.testing.assert_close(norm(values), values / (1 + norm.eps) ** 0.5)


@pytest.mark.parametrize(("width", "dilation"), [(1, 1), (3, 1), (3, 4), (5, 1)])
def test_time_delay_is_a_convolution_padded_with_zeros(width: int, dilation: int) -> None:
    layer = TimeDelay(6, 4, width=width, dilation=dilation)
    kernel = layer.linear.weight.reshape(4, width, 6).transpose(1, 2)
    expected = functional.conv1d(
        frames().transpose(1, 2), kernel, layer.linear.bias, padding=dilation * (width // 2), dilation=dilation
    ).transpose(1, 2)
    torch.testing.assert_close(layer(frames()), expected, rtol=1e-4, atol=1e-5)


def test_statistics_are_over_own_frames_with_a_floor() -> None:
    mean, sd = mean_and_sd(frames(), LENGTHS)
    for row, length in enumerate(LENGTHS.tolist()):
        torch.testing.assert_close(mean[row], frames()[row, :length].mean(0))
        expected = frames()[row, :length].std(0, correction=0).clamp_min(0.01)
        torch.testing.assert_close(sd[row], expected)
    assert (sd[1] == 0.01).all()
    torch.testing.assert_close(masked_mean(frames(), LENGTHS), mean)


def test_weighted_statistics() -> None:
    weights = torch.randn(3, 9, 6).softmax(1)
    mean, sd = mean_and_sd(frames(), None, weights)
    torch.testing.assert_close(mean, (weights * frames()).sum(1))
    torch.testing.assert_close(sd.square(), (weights * frames().square()).sum(1) - mean.square(), rtol=1e-3, atol=1e-4)


def test_instance_norm_is_over_own_frames_and_takes_one_frame() -> None:
    normal = instance_norm(frames(), LENGTHS)
    for row, length in ((0, 9), (2, 5)):
        alone = frames()[row, :length]
        torch.testing.assert_close(normal[row, :length], (alone - alone.mean(0)) / alone.std(0, correction=0))
    assert (normal[1, :1] == 0).all()


def test_squeeze_excitation_of_planes_is_that_of_their_average_over_bands() -> None:
    excitation = SqueezeExcitation(4, bottleneck=2)
    planes = torch.randn(3, 9, 5, 4)
    for lengths in (None, LENGTHS):
        gate = excitation(planes, lengths) / planes
        expected = excitation(planes.mean(2), lengths) / planes.mean(2)
        torch.testing.assert_close(gate[:, 0, 0], expected[:, 0], rtol=1e-4, atol=1e-5)
