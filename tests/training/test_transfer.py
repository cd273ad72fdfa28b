from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import trainings
from trainings import PLAIN

from shortvox.config import parse
from shortvox.corpora.crop import whole
from shortvox.corpora.speech import SpeechData
from shortvox.errors import ConfigError, ModelError, ShortvoxError
from shortvox.models.embedding import embed_crops
from shortvox.models.folder import load_model
from shortvox.models.settings import ModelSettings
from shortvox.models.speaker_model import SpeakerModel
from shortvox.training.batches import change_speed
from shortvox.training.centroids import utterance_centroids
from shortvox.training.parts import TransferSettings
from shortvox.training.settings import TrainSettings
from shortvox.training.transfer import transfer

SETTINGS = ModelSettings(backbone="ecapa-64")


@pytest.fixture(scope="module")
def teacher(data: SpeechData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("teacher")
    trainings.run({**PLAIN, "steps": 2}, data, out)
    return out


def source(head: str = "aam", names: tuple[str, ...] = ("a", "b", "c", "d")) -> SpeakerModel:
    torch.manual_seed(1)
    model = SpeakerModel.fresh(ModelSettings(backbone="ecapa-64", head={"name": head}), names)
    if head == "softmax":
        torch.nn.init.normal_(model.head.bias)
    return model


@pytest.mark.parametrize("head", ["aam", "softmax"])
@pytest.mark.parametrize("absent", ["keep", "drop"])
def test_rows_are_matched_by_name_whatever_the_order(head: str, absent: str) -> None:
    teacher = source(head)
    student = transfer(teacher, teacher.settings, ("d", "b"), TransferSettings(absent=absent))
    assert student.speakers == (("a", "b", "c", "d") if absent == "keep" else ("b", "d"))
    for name, tensor in teacher.head.state_dict().items():
        for speaker in student.speakers:
            assert torch.equal(
                student.head.state_dict()[name][student.speakers.index(speaker)],
                tensor[teacher.speakers.index(speaker)],
            )
    for name, tensor in teacher.backbone.state_dict().items():
        assert torch.equal(student.backbone.state_dict()[name], tensor)
        assert student.backbone.state_dict()[name].data_ptr() != tensor.data_ptr()


def test_the_margin_goes_on_where_the_teacher_s_ended() -> None:
    teacher = source()
    assert teacher.head.margin == 0.2
    for margin, expected in ((0.2, [0.2, 0.2, 0.2, 0.2]), (0.4, [0.2, 0.3, 0.4, 0.4])):
        asked = ModelSettings(backbone="ecapa-64", head={"margin": margin, "margin_warmup": 0.5})
        student = transfer(teacher, asked, ("a", "b"), TransferSettings())
        assert [student.head.margin_at(done) for done in (0.0, 0.25, 0.5, 1.0)] == pytest.approx(expected)
        fresh = SpeakerModel.fresh(asked, ("a", "b"))
        assert fresh.head.margin_at(0.0) == 0.0


def test_a_missing_row_is_refused() -> None:
    with pytest.raises(ModelError, match=r"speaker 'x' has no row .*nor have 1 others.*transfer\.missing=centroid"):
        transfer(source(), SETTINGS, ("a", "x", "y"), TransferSettings())


def test_a_missing_row_is_filled_by_the_centroid(data: SpeechData) -> None:
    names = data.corpus.speakers
    teacher = source(names=names[:4])
    student = transfer(
        teacher, SETTINGS, (*names, f"{names[5]}#0.9"), TransferSettings(missing="centroid"), utterance_centroids(data)
    )
    assert student.speakers == (*names, f"{names[5]}#0.9")
    own = data.corpus.by_speaker()[names[5]]
    centroid = embed_crops(teacher, data.store, [whole(data.store, position) for position in own]).mean(0)
    expected = centroid / np.linalg.norm(centroid) * float(teacher.head.weight.detach().norm(dim=1).mean())
    np.testing.assert_allclose(student.head.weight.detach()[5].numpy(), expected, atol=1e-4)
    slow = embed_crops(
        teacher,
        data.store,
        [whole(data.store, position) for position in own],
        transform=lambda waveform: change_speed(waveform, 0.9, None),
    ).mean(0)
    ours = student.head.weight.detach()[6].numpy()
    np.testing.assert_allclose(ours / np.linalg.norm(ours), slow / np.linalg.norm(slow), atol=1e-4)
    assert torch.equal(student.head.weight[:4], teacher.head.weight)


def test_a_hash_in_a_speakers_own_name_is_no_speed(data: SpeechData) -> None:
    names = data.corpus.speakers
    utterances = tuple(type(u)(u.id, u.speaker.replace("v", "v#"), u.path) for u in data.corpus.utterances)
    renamed = SpeechData(type(data.corpus)("renamed", data.corpus.root, utterances), data.store)
    centroids = utterance_centroids(renamed)(source(), ["v#0", "v#0#1.1"])
    torch.testing.assert_close(centroids[0], utterance_centroids(data)(source(), [names[0]])[0])
    assert not torch.equal(centroids[0], centroids[1])


def test_other_backbones_front_ends_and_heads_are_refused() -> None:
    teacher, how = source(), TransferSettings()
    for other, told in [
        (ModelSettings(backbone="ecapa-128"), r"has backbone ecapa-64.*set model\.backbone"),
        (ModelSettings(backbone="ecapa-64", frontend={"cmn": "none"}), r"has frontend .*set model\.frontend"),
        (ModelSettings(backbone="ecapa-64", head={"name": "softmax"}), "head is aam"),
    ]:
        with pytest.raises(ModelError, match=told) as raised:
            transfer(teacher, other, ("a",), how)
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize("optimiser", ["adamw", "adam", "sgd"])
@pytest.mark.parametrize("freeze_norm", [False, True])
def test_a_frozen_head_stays_bit_for_bit(
    data: SpeechData, teacher: Path, tmp_path: Path, optimiser: str, freeze_norm: bool
) -> None:
    values = {
        **PLAIN,
        "steps": 6,
        "optimiser": {"name": optimiser, "lr": 0.01, "weight_decay": 0.5},
        "average": 0.95,
        "transfer": {"head": "frozen", "freeze_norm": freeze_norm},
    }
    trainings.run(values, data, tmp_path, init=teacher)
    before, after = load_model(teacher).tensors(), load_model(tmp_path).tensors()
    for name, tensor in before.items():
        frozen = name.startswith("head.") or (freeze_norm and name.startswith("backbone.norm."))
        if frozen or tensor.dim() > 1:
            assert torch.equal(after[name], tensor) == frozen, name


def test_a_trained_head_moves(data: SpeechData, teacher: Path, tmp_path: Path) -> None:
    trainings.run({**PLAIN, "steps": 1}, data, tmp_path, init=teacher)
    assert not torch.equal(load_model(tmp_path).head.weight, load_model(teacher).head.weight)


@pytest.mark.parametrize("how", [{"head": "frozen"}, {"freeze_norm": True}, {"rows": "centroids"}])
def test_transfer_needs_a_model_and_a_mistake_leaves_the_folder_free(
    how: dict[str, object], data: SpeechData, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="no model to start from"):
        trainings.run({**PLAIN, "transfer": how}, data, tmp_path)
    trainings.run({**PLAIN, "steps": 1}, data, tmp_path)  # corrected, in the same folder


def test_speed_variants_keep_their_rows(data: SpeechData, tmp_path: Path) -> None:
    fast = {**PLAIN, "steps": 1, "augment": {"speeds": [1.0, 0.9], "probability": 0.0}}
    first = trainings.run(fast, data, tmp_path / "first")
    assert first.speakers == (*data.corpus.speakers, *(f"{name}#0.9" for name in data.corpus.speakers))
    second = trainings.run(
        {**PLAIN, "steps": 1, "transfer": {"head": "frozen"}}, data, tmp_path / "second", init=tmp_path / "first"
    )
    assert second.speakers == first.speakers  # rows of absent variants stay as negatives
    third = trainings.run(
        {**PLAIN, "steps": 1, "transfer": {"absent": "drop"}}, data, tmp_path / "third", init=tmp_path / "first"
    )
    assert third.speakers == data.corpus.speakers


def test_settings_that_do_not_fit_the_data(data: SpeechData, tmp_path: Path) -> None:
    one = data.select(lambda utterance: utterance.speaker == "v0")
    with pytest.raises(ConfigError, match="at least two needed"):
        trainings.run(PLAIN, one, tmp_path / "one")
    with pytest.raises(ConfigError, match="batch: 5 cannot be dealt to 1 ranks in 2 parts"):
        trainings.run({**PLAIN, "batch": 5, "accumulate": 2}, data, tmp_path / "parts")
    for key in ("crop", "batch", "average"):
        with pytest.raises(ConfigError, match=key):
            parse(TrainSettings, {key: -1}, "test")


def test_a_loss_that_is_not_finite_stops_the_training(data: SpeechData, tmp_path: Path) -> None:
    values = {**PLAIN, "steps": 20, "optimiser": {"name": "sgd", "lr": 100, "weight_decay": 10, "clip": None}}
    with pytest.raises(ShortvoxError, match=r"the (loss|gradient) is not finite at step \d; lower optimiser\.lr"):
        trainings.run(values, data, tmp_path)
