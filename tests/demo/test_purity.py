from __future__ import annotations

import numpy as np
import pytest
from sources import word

from shortvox.demo import purity

VOICES = {"low": (110, 0.95), "high": (220, 1.12), "middle": (160, 1.0), "child": (290, 1.2)}


@pytest.fixture(scope="module")
def features() -> dict[str, np.ndarray]:
    found = {}
    for number, (name, (pitch, tract)) in enumerate(VOICES.items()):
        rng = np.random.default_rng(number)
        described = [purity.describe(word(rng, pitch, tract)) for _ in range(30)]
        found[name] = np.array([d for d in described if d is not None])
    return found


def test_pitch_is_measured(features: dict[str, np.ndarray]) -> None:
    for name, (pitch, _) in VOICES.items():
        assert 2 ** np.median(features[name][:, -1]) == pytest.approx(pitch, rel=0.06)


def test_one_voice_passes(features: dict[str, np.ndarray]) -> None:
    projection = purity.discriminant(features)
    for own in features.values():
        verdict = purity.judge(own, projection)
        assert verdict.passed, verdict.figures


def test_two_voices_are_found_and_the_smaller_part_is_dropped(features: dict[str, np.ndarray]) -> None:
    projection = purity.discriminant(features)
    verdict = purity.judge(np.concatenate([features["low"], features["high"][:15]]), projection)
    assert not verdict.passed
    assert verdict.keep[:30].mean() > 0.9 and verdict.keep[30:].mean() < 0.1
    assert "D " in verdict.figures


def test_two_voices_of_few_clips_are_dropped(features: dict[str, np.ndarray]) -> None:
    projection = purity.discriminant(features)
    mixed = np.concatenate([features["low"][:15], features["child"][:15]])
    assert not purity.judge(mixed, projection).keep.any()
    assert not purity.judge(features["low"][:10], projection).keep.any()


def test_noise_and_short_clips_have_no_description() -> None:
    rng = np.random.default_rng(0)
    assert purity.describe(0.1 * rng.standard_normal(16000)) is None
    assert purity.describe(np.zeros(500)) is None
