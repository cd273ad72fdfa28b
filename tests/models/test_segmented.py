from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from shortvox.corpora.crop import Crop
from shortvox.corpora.speech import SpeechData
from shortvox.models.embedding import embed_crops
from shortvox.models.segmented import Bring, embed_segmented, joined_embedding, mean_embedding
from shortvox.models.settings import ModelSettings
from shortvox.models.speaker_model import SpeakerModel

BOTH = pytest.mark.parametrize("bring", [mean_embedding, joined_embedding])
CROPS = [Crop(0, 100, 16_000), Crop(1, 0, 8_000), Crop(2, 0, 20_123), Crop(3, 7, 4_000), Crop(4, 0, 16_000)]


@pytest.fixture(scope="module")
def model() -> SpeakerModel:
    torch.manual_seed(0)
    return SpeakerModel.fresh(ModelSettings(backbone="ecapa-64"), ("a", "b")).eval()


@BOTH
def test_one_segment_is_the_whole_crop(model: SpeakerModel, data: SpeechData, bring: Bring) -> None:
    found = embed_segmented(model, data.store, CROPS, frames=300, overlap=0.1, bring=bring)
    np.testing.assert_allclose(found, embed_crops(model, data.store, CROPS), atol=1e-6)
    with torch.inference_mode():  # and so it is where segments are brought together
        features, counts = model.frontend(torch.from_numpy(data.store.read(*CROPS[0]))[None])
        alone = functional.normalize(bring(model.backbone, model.backbone.trunk(features, counts), 1)).numpy()
    np.testing.assert_allclose(alone[0], found[0], atol=1e-5)


@BOTH
def test_segments_by_hand(model: SpeakerModel, data: SpeechData, bring: Bring) -> None:
    """Each segment through the front end and the trunk alone, then together; crops of several counts in one call."""
    heard: list[int] = []
    found = embed_segmented(model, data.store, CROPS, frames=50, overlap=0.1, bring=bring, on_batch=heard.append)
    assert sum(heard) == len(CROPS)
    starts = {16_000: (0, 7_200, 8_000), 20_123: (0, 7_200, 12_123), 8_000: (0,), 4_000: (0,)}
    with torch.inference_mode():
        for crop, vector in zip(CROPS, found, strict=True):
            pieces = [
                data.store.read(crop.position, crop.start + start, min(8_000, crop.samples))
                for start in starts[crop.samples]
            ]
            maps = [model.backbone.trunk(*model.frontend(torch.from_numpy(piece)[None])) for piece in pieces]
            if bring is mean_embedding:
                together = torch.cat([model.backbone.pool(scales) for scales in maps]).mean(dim=0, keepdim=True)
            else:
                joined = tuple(
                    one._replace(frames=torch.cat([scales[number].frames for scales in maps], dim=1))
                    for number, one in enumerate(maps[0])
                )
                together = model.backbone.pool(joined)
            np.testing.assert_allclose(functional.normalize(together).numpy()[0], vector, atol=1e-5)


@BOTH
def test_segments_may_hear_the_whole_file(model: SpeakerModel, data: SpeechData, bring: Bring) -> None:
    """A crop that starts and ends with a frame: its segments are then frames of the file's features."""
    crop = Crop(2, 1_600, 16_000)
    (found,) = embed_segmented(model, data.store, [crop], frames=50, overlap=0, bring=bring, context="file")
    with torch.inference_mode():
        features, _ = model.frontend(torch.from_numpy(data.store.read(2))[None])
        pieces = torch.cat([features[:, 10:60], features[:, 60:110]])
        together = functional.normalize(bring(model.backbone, model.backbone.trunk(pieces), 2)).numpy()
    np.testing.assert_allclose(found, together[0], atol=1e-5)


def test_the_audio_is_changed_before_it_is_embedded(model: SpeakerModel, data: SpeechData) -> None:
    def reverse(waveform: np.ndarray) -> np.ndarray:
        return waveform[::-1].copy()

    plain, changed = (
        embed_segmented(model, data.store, CROPS[:1], frames=50, overlap=0, bring=mean_embedding, transform=change)
        for change in (None, reverse)
    )
    assert np.abs(plain - changed).max() > 1e-3
