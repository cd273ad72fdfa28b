from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from shortvox.models.isk import IskBlock, IskConvNet, SelectiveKernel


def planes(channels: int = 8) -> Tensor:
    return torch.randn(3, 14, 6, channels, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("deviation", [True, False])
def test_the_shares_of_the_branches_sum_to_one(deviation: bool) -> None:
    kernel = SelectiveKernel(8, deviation=deviation)
    shares = kernel.shares(planes().mean(2), torch.tensor([14, 1, 5]))
    assert shares.shape == (3, 2, 8)
    assert (shares > 0).all()
    torch.testing.assert_close(shares.sum(1), torch.ones(3, 8))
    assert shares.std(0).min() > 0  # each utterance has its own


@pytest.mark.parametrize(("inputs", "stride"), [(8, 1), (4, 2)])
def test_with_the_short_branch_alone_a_block_is_a_plain_block(inputs: int, stride: int) -> None:
    block = IskBlock(inputs, 8, stride).eval()
    with torch.no_grad():
        block.second.select.weight.zero_()
        block.second.select.bias.copy_(torch.tensor([1e4, 0.0]).repeat_interleave(8))
    actual = block(planes(inputs))
    hidden = functional.relu(block.first_norm(block.first(planes(inputs))))
    plain = block.second.short_norm(block.second.short(hidden)) + block.shortcut(planes(inputs))
    torch.testing.assert_close(actual, functional.relu(plain))


def test_the_long_branch_reaches_two_frames_away_and_the_short_one_does_not() -> None:
    kernel = SelectiveKernel(8)
    changed = planes()
    changed[:, 7] += 1.0
    for branch, reached in ((kernel.short, [6, 7, 8]), (kernel.long, [5, 7, 9])):
        difference = (branch(changed) - branch(planes())).abs().amax((0, 2, 3))
        assert (difference > 1e-3).nonzero().flatten().tolist() == reached


def test_only_the_deviation_hears_how_much_an_utterance_varies() -> None:
    frames = planes().mean(2)
    calmer = frames.mean(1, keepdim=True) + 0.1 * (frames - frames.mean(1, keepdim=True))
    for deviation in (True, False):
        kernel = SelectiveKernel(8, deviation=deviation).eval()
        same = torch.allclose(kernel.shares(frames), kernel.shares(calmer), atol=1e-6)
        assert same is not deviation


def test_concat_pools_four_resolutions_and_vanilla_the_last() -> None:
    features, lengths = torch.randn(2, 21, 64), torch.tensor([21, 2])
    torch.manual_seed(0)
    concat = IskConvNet(width=4, dim=16, concat=True).eval()
    torch.manual_seed(0)
    vanilla = IskConvNet(width=4, dim=16).eval()
    with torch.inference_mode():
        scales = concat.trunk(features, lengths)
        (last,) = vanilla.trunk(features, lengths)
    assert [maps.frames.shape[1] for maps in scales] == [21, 11, 6, 3]
    assert [maps.lengths.tolist() for maps in scales] == [[21, 2], [11, 1], [6, 1], [3, 1]]
    assert torch.equal(scales[-1].frames, last.frames)
    assert concat.embedding.in_features == 4 * vanilla.embedding.in_features
