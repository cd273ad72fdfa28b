from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from shortvox.errors import ConfigError
from shortvox.frontend.cmn import normaliser


@settings(max_examples=20, deadline=None)
@given(lengths=st.lists(st.integers(1, 30), min_size=1, max_size=5))
def test_a_padded_utterance_is_normalised_as_if_alone(lengths: list[int]) -> None:
    features = torch.randn(len(lengths), max(lengths) + 3, 8, generator=torch.Generator().manual_seed(1))
    together = normaliser["utterance"](features, torch.tensor(lengths))
    for row, length in enumerate(lengths):
        alone = features[row, :length] - features[row, :length].mean(0)
        torch.testing.assert_close(together[row, :length], alone)
        assert not together[row, length:].any()


def test_without_lengths_the_mean_is_zero() -> None:
    features = normaliser["utterance"](5 + torch.randn(3, 40, 8), None)
    torch.testing.assert_close(features.mean(1), torch.zeros(3, 8), atol=1e-5, rtol=0)


def test_none_keeps_the_features() -> None:
    features = torch.randn(2, 4, 3)
    assert normaliser["none"](features, None) is features


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(ConfigError, match="unknown CMN 'utterence'; did you mean 'utterance'"):
        normaliser["utterence"]
