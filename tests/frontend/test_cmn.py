from __future__ import annotations

import numpy as np
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


def plain_loop(features: np.ndarray, window: int = 300) -> np.ndarray:
    """Sliding CMN by its definition, frame by frame."""
    frames = len(features)
    normalised = np.empty_like(features)
    for t in range(frames):
        first, last = t - window // 2, t + window // 2
        if first < 0:
            first, last = 0, window
        if last > frames:
            first, last = max(0, frames - window), frames
        normalised[t] = features[t] - features[first:last].mean(axis=0)
    return normalised


@pytest.mark.parametrize("frames", [1, 2, 149, 150, 299, 300, 301, 449, 450, 451, 600, 1234])
def test_sliding_agrees_with_the_plain_loop(frames: int) -> None:
    features = 8 + 3 * torch.randn(1, frames, 4, generator=torch.Generator().manual_seed(frames))
    found = normaliser["sliding"](features, None)[0]
    np.testing.assert_allclose(found.numpy(), plain_loop(features[0].double().numpy()), atol=1e-5)
    if frames <= 300:
        torch.testing.assert_close(found, normaliser["utterance"](features, None)[0], atol=1e-5, rtol=0)


@settings(max_examples=20, deadline=None)
@given(lengths=st.lists(st.integers(1, 700), min_size=1, max_size=4))
def test_sliding_normalises_a_padded_utterance_as_if_alone(lengths: list[int]) -> None:
    features = 8 + torch.randn(len(lengths), max(lengths) + 3, 2, generator=torch.Generator().manual_seed(2))
    for row, length in enumerate(lengths):
        features[row, length:] = torch.nan  # what lies past the end must not matter
    together = normaliser["sliding"](features, torch.tensor(lengths))
    for row, length in enumerate(lengths):
        alone = plain_loop(features[row, :length].double().numpy())
        np.testing.assert_allclose(together[row, :length].numpy(), alone, atol=1e-5)
        assert not together[row, length:].any()


def test_sliding_stays_exact_in_an_hour_of_speech() -> None:
    features = torch.full((1, 360_000, 1), 20.1)
    features[0, -1000:] = -15.9
    found = normaliser["sliding"](features, None)[0, :, 0]
    assert found[:350_000].abs().max() < 1e-5
    assert found[-800:].abs().max() < 1e-5
