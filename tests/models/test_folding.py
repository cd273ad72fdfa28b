"""A linear map of the embedding inside the network: the same numbers, at no cost."""

from __future__ import annotations

import copy

import pytest
import torch
from test_backbones import narrow, speech, used

from shortvox.errors import ModelError
from shortvox.models.folding import fold


@pytest.mark.parametrize("mapped", [False, True])
@pytest.mark.parametrize("name", narrow())
def test_the_backbone_gives_the_mapped_embedding(name: str, mapped: bool) -> None:
    network = used(name)
    with torch.no_grad():
        for norm in (network.embedding_norm(),):
            if norm.weight is not None and norm.bias is not None:
                norm.weight.uniform_(0.5, 2)
                norm.bias.normal_()
    folded = copy.deepcopy(network)
    generator = torch.Generator().manual_seed(1)
    offset = torch.randn(network.dim, generator=generator)
    matrix = torch.randn(network.dim, network.dim, generator=generator) if mapped else None
    fold(folded, offset, matrix)
    heard = speech(40, network.bands, 3)
    with torch.inference_mode():
        wanted = network(heard).double() - offset
        if matrix is not None:
            wanted = wanted @ matrix.double().T
        given = folded(heard).double()
    torch.testing.assert_close(given, wanted, rtol=1e-4, atol=1e-4 * float(wanted.abs().max()))


def test_a_map_that_is_not_finite_is_refused() -> None:
    network = used(narrow()[0])
    before = copy.deepcopy(network.state_dict())
    with pytest.raises(ModelError, match="not finite"):
        fold(network, torch.full((network.dim,), torch.nan))
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
