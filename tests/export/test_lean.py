"""The lean form of a module gives what the module gives, under the same names."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from shortvox.export.graph import _plain
from shortvox.export.lean import make_lean
from shortvox.frontend.fbank import Fbank
from shortvox.models.campplus import SEGMENT, DenseBlock
from shortvox.models.layers import BatchNorm


@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("count", [1, 2, SEGMENT - 1, SEGMENT, SEGMENT + 1, 350])
def test_the_lean_dense_block_gives_what_the_module_gives(count: int, dilation: int) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(DenseBlock(6, depth=2, growth=4, bottleneck=8, dilation=dilation)).eval()
    for module in network.modules():
        if isinstance(module, BatchNorm):
            for values in module.state_dict().values():
                values.uniform_(0.2, 2.0)
    lengths = torch.tensor([count, (count + 1) // 2, 1])
    frames = torch.randn(3, count, 6)
    lean = _plain(network)
    assert not any(isinstance(module, DenseBlock | BatchNorm) for module in lean.modules())
    with torch.no_grad():
        before = [network[0](frames, lengths), network[0](frames)]
        after = [lean[0](frames, lengths), lean[0](frames)]
    own = torch.arange(count) < lengths[:, None]
    torch.testing.assert_close(after[0][own], before[0][own], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(after[1], before[1], rtol=1e-5, atol=1e-5)
    assert {name for name, _ in lean.named_parameters() if "norm" not in name} == {
        name for name, _ in network.named_parameters() if "norm" not in name
    }


@pytest.mark.parametrize("window", ["povey", "hamming"])
def test_the_lean_filter_bank_gives_what_the_module_gives(window: str) -> None:
    bank = nn.Sequential(Fbank(bands=24, window=window, edges="snip", scale=1.0))
    signal, _ = bank[0].signal(0.1 * torch.randn(2, 8321, generator=torch.Generator().manual_seed(0)), None)
    before = bank[0].log_mel(signal)
    make_lean(bank)
    assert type(bank[0]) is not Fbank
    torch.testing.assert_close(bank[0].log_mel(signal), before, rtol=1e-5, atol=1e-4)
