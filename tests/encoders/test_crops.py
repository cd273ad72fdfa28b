from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from shortvox.corpora import crop as crop_module
from shortvox.corpora.crop import Crop
from shortvox.corpora.speech import SpeechData
from shortvox.encoders.crops import embed_crops
from shortvox.encoders.encoder import Encoder
from shortvox.encoders.opening import open_encoder
from shortvox.errors import EncoderError
from shortvox.models import embedding
from shortvox.models.folder import load_model

CROPS = [Crop(0, 1000, 8000), Crop(1, 0, 16_000), Crop(2, 5, 4000), Crop(3, 0, 8000)]


@pytest.fixture(scope="module")
def encoder(model_folder: Path) -> Encoder:
    return open_encoder(model_folder)


def test_crops_give_what_the_model_gives_of_them(
    encoder: Encoder, model_folder: Path, data: SpeechData, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = embedding.embed_crops(load_model(model_folder), data.store, CROPS)
    np.testing.assert_allclose(embed_crops(encoder, data.store, CROPS), expected, atol=1e-5)
    monkeypatch.setattr(crop_module, "BATCH_SAMPLES", 16_000)
    heard: list[int] = []
    np.testing.assert_allclose(embed_crops(encoder, data.store, CROPS, on_batch=heard.append), expected, atol=1e-5)
    assert heard == [2, 1, 1]
    changed = embed_crops(encoder, data.store, CROPS, transform=lambda waveform: waveform[::-1].copy())
    assert np.abs(changed - expected).max() > 1e-3


def test_an_utterance_too_short_for_an_encoder_is_named(encoder: Encoder, data: SpeechData) -> None:
    choosy = replace(encoder, shortest=4001)
    told = f"^utterance {data.corpus.utterances[2].id}: 0.25 s is shorter than the 0.2501 s that .* takes"
    with pytest.raises(EncoderError, match=told):
        embed_crops(choosy, data.store, CROPS)
