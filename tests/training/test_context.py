"""Training crops whose front end hears the whole file first, as tests with `context: file` hear them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
import trainings
from safetensors.torch import load_file
from trainings import PLAIN

from shortvox.config import parse
from shortvox.corpora.crop import Crop
from shortvox.corpora.speech import SpeechData
from shortvox.corpora.store import AudioStore
from shortvox.errors import ConfigError
from shortvox.frontend.filterbank import HOP
from shortvox.models.embedding import hear
from shortvox.models.speaker_model import SpeakerModel
from shortvox.training.batches import Batch, TrainingBatches, change_speed, speaker_names
from shortvox.training.branches import TeacherSettings
from shortvox.training.distributed import Placement
from shortvox.training.learner import Learner
from shortvox.training.settings import TrainSettings
from shortvox.training.teachers import Teacher

CPU = Placement(torch.device("cpu"))
QUIET = {"probability": 0.0, "time_frames": 0, "frequency_bands": 0}
FILE: dict[str, Any] = {
    **PLAIN,
    "context": "file",
    "augment": QUIET,
    "model": {"backbone": "ecapa-64", "frontend": {"vad": "sre16-v2", "cmn": "sliding"}},
}


@dataclass(frozen=True)
class Pauses:
    """A store whose speech is silent every other 0.3 s, and quiet in its first second."""

    store: AudioStore

    @property
    def lengths(self) -> np.ndarray:
        return self.store.lengths

    def read(self, position: int, start: int = 0, samples: int | None = None) -> np.ndarray:
        speech = self.store.read(position, start, samples)
        at = np.arange(start, start + len(speech))
        loud = np.where(at < 16000, 0.05, 1.0) * np.where(at // 4800 % 2, 1.0, 1e-5)
        return (speech * loud).astype(np.float32)


@pytest.fixture(scope="module")
def broken(data: SpeechData) -> SpeechData:
    return SpeechData(data.corpus, Pauses(data.store))


def step(data: SpeechData, **values: Any) -> tuple[Learner, Batch, list[int]]:
    """A learner, the first batch, and which utterances it is made of."""
    settings = parse(TrainSettings, {**FILE, **values}, "test")
    names = speaker_names(data.corpus.speakers, settings.augment.speeds)
    torch.manual_seed(0)
    batches = TrainingBatches(data.corpus, data.store, settings, names)
    return Learner(SpeakerModel.fresh(settings.model, names), settings, CPU), batches[0], batches._positions(0)


def features_at_test(learner: Learner, data: SpeechData, crop: Crop) -> torch.Tensor:
    """What a test with `context: file` feeds the network for one crop, (frames, bands)."""
    model = SpeakerModel.fresh(learner.settings.model, ("a", "b"))
    heard = hear(model, data.store, [crop], context="file")
    features, counts = model.frontend(heard.waveforms, heard.lengths, inside=heard.inside)
    assert counts is not None
    return features[0, : counts[0]]


def test_features_are_those_of_a_test_in_the_context_of_the_file(broken: SpeechData) -> None:
    learner, batch, positions = step(broken, crop="70f")
    assert batch.inside is not None
    assert (batch.inside[:, 1] - batch.inside[:, 0] == 70).all()
    features, counts = learner.frontend(batch.waveforms, batch.lengths, inside=batch.inside)
    assert counts is not None
    assert 0 < counts.min() < counts.max() < 70  # pauses are dropped, and crops lie at different places
    learner.eval()
    embeddings = learner.embed(batch, torch.Generator())["crop"]
    for row, position in enumerate(positions):
        crop = Crop(position, int(batch.inside[row, 0]) * HOP, 70 * HOP)
        expected = features_at_test(learner, broken, crop)
        alike = torch.cosine_similarity(embeddings[row], learner.backbone(expected[None])[0], dim=0)
        assert float(alike.detach()) > 0.9999
        torch.testing.assert_close(features[row, : counts[row]], expected, atol=1e-4, rtol=0)
        alone, _ = learner.frontend(torch.from_numpy(broken.store.read(*crop))[None])
        assert alone.shape[1] != len(expected) or not torch.allclose(alone[0], expected, atol=0.1)


def test_segments_are_cut_from_the_file_too(broken: SpeechData) -> None:
    learner, batch, positions = step(broken, crop="70f", segments={"length": "30f"})
    assert batch.inside is not None
    assert batch.segments_inside is not None
    begins = batch.segments_inside[:, :, 0] - batch.inside[:, :1]
    assert (begins == torch.tensor([0, 30, 40])).all()
    assert learner.settings.segments is not None
    features, counts, each = learner._segment_features(batch, learner.settings.segments)
    assert counts is not None
    assert each == 3
    for row, bounds in enumerate(batch.segments_inside.flatten(0, 1).tolist()):
        expected = features_at_test(learner, broken, Crop(positions[row // 3], bounds[0] * HOP, 30 * HOP))
        torch.testing.assert_close(features[row, : counts[row]], expected, atol=1e-4, rtol=0)
    assert batch.seconds == pytest.approx(len(positions) * 0.9)  # three segments of 0.3 s, not the files


@pytest.mark.parametrize("hears", ["crop", "segments"])
def test_a_teacher_hears_the_same_context(broken: SpeechData, hears: Literal["crop", "segments"]) -> None:
    learner, batch, positions = step(broken, crop="70f", segments={"length": "30f"})
    model = SpeakerModel.fresh(learner.settings.model, broken.corpus.speakers)
    answer = Teacher("long", TeacherSettings(hears=hears), model, model)(batch).embeddings
    bounds = batch.inside if hears == "crop" else batch.segments_inside
    assert bounds is not None
    model.backbone.eval()
    for embedding, (first, last), position in zip(
        answer.flatten(0, -2), bounds.flatten(0, -2).tolist(), np.repeat(positions, bounds[0].numel() // 2), strict=True
    ):
        expected = model.backbone(
            features_at_test(learner, broken, Crop(int(position), first * HOP, (last - first) * HOP))[None]
        )
        assert float(torch.cosine_similarity(embedding[None], expected)) > 0.9999


def test_speed_augmentation_and_wrapping_act_on_the_file(data: SpeechData) -> None:
    loud = {**QUIET, "probability": 1.0, "kinds": ["noise"]}
    _, batch, positions = step(data, crop="40f", augment={**loud, "speeds": [1.0, 0.8]}, batch=8)
    assert batch.lengths is not None
    speakers = len(data.corpus.speakers)
    slow = 0
    for row, position in enumerate(positions):
        file = data.store.read(position)
        if batch.labels[row] >= speakers:
            file, slow = change_speed(file, 0.8, None), slow + 1
        assert int(batch.lengths[row]) == len(file)
        noise = batch.waveforms[row, : len(file)].numpy() - file
        parts = [float(np.square(part).mean()) for part in np.array_split(noise, 4)]
        assert 0 < max(parts) < 1.2 * min(parts)  # as loud everywhere, not only in the crop
    assert 0 < slow < len(positions)
    _, batch, positions = step(data, crop="4s")  # no made utterance is longer than three seconds
    assert batch.wrapped == len(positions)
    np.testing.assert_array_equal(batch.waveforms[0].numpy(), np.resize(data.store.read(positions[0]), 64000))


def test_what_it_decides(data: SpeechData, tmp_path: Path) -> None:
    """A training runs with everything on, resumes, and its settings are told apart from those of `context: crop`."""
    values = {
        **FILE,
        "batch": 4,
        "accumulate": 2,
        "crop": "30-50f",
        "checkpoint_every": 2,
        "segments": {"length": "20f", "join": "maps", "loss": {"crop": 1}},
    }
    trainings.run(values, data, tmp_path / "whole")
    weights = load_file(tmp_path / "whole" / "model.safetensors")
    assert all(bool(tensor.isfinite().all()) for tensor in weights.values())
    file, crop = (parse(TrainSettings, {**values, "context": context}, "test") for context in ("file", "crop"))
    assert file.essential() == {**crop.essential(), "context": "file"}
    ours, plain = step(data, **values)[1], step(data, **{**values, "context": "crop"})[1]
    assert ours.split(2)[1].inside is not None
    torch.testing.assert_close(ours.split(2)[1].segments_inside, ours.segments_inside[2:])  # type: ignore[index]
    assert ours.seconds == pytest.approx(plain.seconds)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"crop": "full"}, "context: file needs crops"),
        ({"model": {"frontend": {"cmn": "none"}}}, "needs model.frontend.cmn or model.frontend.vad"),
        ({"segments": {"augment": "segment"}}, "needs segments.augment=crop"),
        ({"segments": {"cmn": "crop"}}, "needs segments.cmn=segment"),
    ],
)
def test_what_has_no_context(values: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        parse(TrainSettings, {"context": "file", **values}, "test")
