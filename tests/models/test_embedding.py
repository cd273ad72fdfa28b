from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from shortvox.corpora import crop as crop_module
from shortvox.corpora.crop import Crop, centre, whole
from shortvox.corpora.speech import SpeechData
from shortvox.corpora.store import AudioStore
from shortvox.errors import ShortvoxError
from shortvox.frontend.filterbank import frame_bounds
from shortvox.models.embedding import embed_crops, voiceless
from shortvox.models.segmented import embed_segmented, mean_embedding
from shortvox.models.settings import ModelSettings
from shortvox.models.speaker_model import SpeakerModel


@pytest.fixture(scope="module")
def model() -> SpeakerModel:
    torch.manual_seed(0)
    return SpeakerModel.fresh(ModelSettings(backbone="ecapa-64"), ("a", "b")).eval()


def test_batches_do_not_change_an_embedding(
    model: SpeakerModel, data: SpeechData, monkeypatch: pytest.MonkeyPatch
) -> None:
    crops = [whole(data.store, 0), centre(data.store, 1, 8000), Crop(2, 100, 160), Crop(3, 5, 40), whole(data.store, 4)]
    finished: list[int] = []
    together = embed_crops(model, data.store, crops, on_batch=finished.append)
    monkeypatch.setattr(crop_module, "BATCH_SAMPLES", 16)
    alone = embed_crops(model, data.store, crops)
    np.testing.assert_allclose(together, alone, atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1.0, atol=1e-5)
    assert sum(finished) == len(crops)


def test_only_the_crop_is_heard(model: SpeakerModel, data: SpeechData) -> None:
    crop = Crop(0, 4000, 8000)
    waveform = torch.from_numpy(data.store.read(0)[4000:12000])[None]
    np.testing.assert_allclose(
        embed_crops(model, data.store, [crop])[0], model.embed(waveform).detach().numpy()[0], atol=1e-5
    )


def test_a_transform_sees_each_waveform(model: SpeakerModel, data: SpeechData) -> None:
    crop = Crop(0, 0, 8000)
    changed = embed_crops(model, data.store, [crop], transform=lambda waveform: waveform[::-1].copy())
    assert np.abs(changed - embed_crops(model, data.store, [crop])).max() > 1e-3


def test_the_mode_of_the_model_is_left_as_it_was(model: SpeakerModel, data: SpeechData) -> None:
    before = {name: tensor.clone() for name, tensor in model.tensors().items()}
    model.backbone.train()
    embed_crops(model, data.store, [whole(data.store, 0)])
    assert model.backbone.training
    model.backbone.eval()
    for name, tensor in model.tensors().items():
        assert torch.equal(tensor, before[name])


def test_centre_takes_the_middle_or_all(data: SpeechData) -> None:
    length = int(data.store.lengths[0])
    assert centre(data.store, 0, 1000) == (0, (length - 1000) // 2, 1000)
    assert centre(data.store, 0, 10**9) == (0, 0, length)


@dataclass(frozen=True)
class Silenced:
    """A store in which everything outside `heard` [first, last) is silent, in every utterance."""

    store: AudioStore
    heard: tuple[int, int]

    @property
    def lengths(self) -> np.ndarray:
        return self.store.lengths

    def read(self, position: int, start: int = 0, samples: int | None = None) -> np.ndarray:
        waveform = self.store.read(position)
        at = np.arange(len(waveform))
        waveform = np.where((at >= self.heard[0]) & (at < self.heard[1]), waveform, np.float32(0))
        return waveform[start:] if samples is None else waveform[start : start + samples]


def with_front_end(vad: str, cmn: str = "sliding") -> SpeakerModel:
    torch.manual_seed(0)
    settings = {"backbone": "ecapa-64", "frontend": {"vad": vad, "cmn": cmn}}
    return SpeakerModel.fresh(ModelSettings.model_validate(settings), ("a", "b")).eval()


@pytest.mark.parametrize("vad", ["none", "sre16-v2", "sre16-v1"])
def test_only_the_context_of_the_file_hears_what_is_outside_the_crop(data: SpeechData, vad: str) -> None:
    model, crop = with_front_end(vad), Crop(0, 4000, 8000)
    changed = Silenced(data.store, (4000, 12000))
    np.testing.assert_array_equal(embed_crops(model, changed, [crop]), embed_crops(model, data.store, [crop]))
    inside, outside = (embed_crops(model, store, [crop], context="file") for store in (changed, data.store))
    assert np.abs(inside - outside).max() > 1e-3


@pytest.mark.parametrize("vad", ["none", "sre16-v2"])
def test_a_whole_file_is_the_same_in_either_context(data: SpeechData, vad: str) -> None:
    model, crops = with_front_end(vad), [whole(data.store, position) for position in range(4)]
    np.testing.assert_allclose(
        embed_crops(model, data.store, crops, context="file"), embed_crops(model, data.store, crops), atol=1e-5
    )


def test_the_context_of_the_file_slices_its_features(data: SpeechData, monkeypatch: pytest.MonkeyPatch) -> None:
    model = with_front_end("none", "utterance")
    crops = [Crop(0, 4000, 8000), Crop(1, 0, 40), Crop(2, 1234, 4321), Crop(0, int(data.store.lengths[0]) - 500, 500)]
    expected = []
    for crop in crops:
        waveform = data.store.read(crop.position)
        features, _ = model.frontend(torch.from_numpy(waveform)[None])
        first, last = frame_bounds(crop.start, crop.samples, len(waveform))
        with torch.no_grad():
            expected.append(torch.nn.functional.normalize(model.backbone(features[:, first:last]))[0].numpy())
    np.testing.assert_allclose(embed_crops(model, data.store, crops, context="file"), expected, atol=1e-4)
    monkeypatch.setattr(crop_module, "BATCH_SAMPLES", 16)
    np.testing.assert_allclose(embed_crops(model, data.store, crops, context="file"), expected, atol=1e-4)


def test_crops_without_speech_are_named(data: SpeechData) -> None:
    model, store = with_front_end("sre16-v2"), Silenced(data.store, (0, 6000))
    crops = [Crop(0, 8000, 4000), Crop(0, 0, 4000), Crop(1, 10000, 160)]
    for context in ("crop", "file"):
        assert voiceless(model, store, crops, context=context).tolist() == [True, False, True]
        assert np.isfinite(embed_crops(model, store, crops, context=context)).all()
    assert not voiceless(with_front_end("none"), store, crops).any()


NO_MEMORY = [
    MemoryError(),
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB"),
    RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.\nframe"),
]


@pytest.mark.parametrize("error", NO_MEMORY, ids=lambda error: type(error).__name__)
def test_an_utterance_that_memory_is_too_short_for_is_named(
    model: SpeakerModel, data: SpeechData, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*args: object, **options: object) -> None:
        raise error

    part = data.select(lambda u: u.id != data.corpus.utterances[0].id)
    crops = [whole(part.store, position) for position in range(3)]
    longest = max(range(3), key=lambda position: part.store.lengths[position])
    monkeypatch.setattr(SpeakerModel, "encode", fail)
    with pytest.raises(
        ShortvoxError, match=f"^utterance {part.corpus.utterances[longest].id}: out of memory"
    ) as caught:
        embed_crops(model, part.store, crops)
    assert "\n" not in str(caught.value)
    monkeypatch.setattr(model.backbone, "trunk", fail)
    with pytest.raises(ShortvoxError, match="out of memory"):
        embed_segmented(model, part.store, crops, frames=20, overlap=0.0, bring=mean_embedding)


def test_other_errors_of_a_model_are_bugs(
    model: SpeakerModel, data: SpeechData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SpeakerModel, "encode", lambda *args, **options: torch.zeros(2) @ torch.zeros(3))
    with pytest.raises(RuntimeError, match="size"):
        embed_crops(model, data.store, [Crop(0, 0, 8000)])


def test_a_very_long_utterance_is_named_before_it_is_embedded(
    model: SpeakerModel, data: SpeechData, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    crops = [Crop(1, 0, 8000), Crop(2, 0, 16000)]
    embed_crops(model, data.store, crops)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(crop_module, "LONG", 0.9)
    embed_crops(model, data.store, crops)
    assert capsys.readouterr().err == f"utterance {data.corpus.utterances[2].id}: 1 s are embedded in one piece\n"
