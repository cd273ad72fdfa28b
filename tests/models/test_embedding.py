from __future__ import annotations

import numpy as np
import pytest
import torch

from shortvox.models import embedding
from shortvox.models.embedding import Crop, centre, embed_crops, whole
from shortvox.models.folder import ModelSettings, SpeakerModel
from shortvox.training.data import TrainingData


@pytest.fixture(scope="module")
def model() -> SpeakerModel:
    torch.manual_seed(0)
    return SpeakerModel.fresh(ModelSettings(backbone="ecapa-64"), ("a", "b")).eval()


def test_batches_do_not_change_an_embedding(
    model: SpeakerModel, data: TrainingData, monkeypatch: pytest.MonkeyPatch
) -> None:
    crops = [whole(data.store, 0), centre(data.store, 1, 8000), Crop(2, 100, 160), Crop(3, 5, 40), whole(data.store, 4)]
    finished: list[int] = []
    together = embed_crops(model, data.store, crops, on_batch=finished.append)
    monkeypatch.setattr(embedding, "BATCH_SECONDS", 0.001)
    alone = embed_crops(model, data.store, crops)
    np.testing.assert_allclose(together, alone, atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1.0, atol=1e-5)
    assert sum(finished) == len(crops)


def test_only_the_crop_is_heard(model: SpeakerModel, data: TrainingData) -> None:
    crop = Crop(0, 4000, 8000)
    waveform = torch.from_numpy(data.store.read(0)[4000:12000])[None]
    np.testing.assert_allclose(
        embed_crops(model, data.store, [crop])[0], model.embed(waveform).detach().numpy()[0], atol=1e-5
    )


def test_a_transform_sees_each_waveform(model: SpeakerModel, data: TrainingData) -> None:
    crop = Crop(0, 0, 8000)
    changed = embed_crops(model, data.store, [crop], transform=lambda waveform: waveform[::-1].copy())
    assert np.abs(changed - embed_crops(model, data.store, [crop])).max() > 1e-3


def test_the_mode_of_the_model_is_left_as_it_was(model: SpeakerModel, data: TrainingData) -> None:
    before = {name: tensor.clone() for name, tensor in model.tensors().items()}
    model.backbone.train()
    embed_crops(model, data.store, [whole(data.store, 0)])
    assert model.backbone.training
    model.backbone.eval()
    for name, tensor in model.tensors().items():
        assert torch.equal(tensor, before[name])


def test_centre_takes_the_middle_or_all(data: TrainingData) -> None:
    length = int(data.store.lengths[0])
    assert centre(data.store, 0, 1000) == (0, (length - 1000) // 2, 1000)
    assert centre(data.store, 0, 10**9) == (0, 0, length)
