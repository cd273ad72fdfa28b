"""A model without a head, as an imported one is: adapted with a new head, with centroids as head, and as a teacher."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
import trainings
from trainings import PLAIN

from shortvox.config import parse
from shortvox.corpora.speech import SpeechData
from shortvox.errors import ConfigError, ModelError
from shortvox.models.folder import load_model, save_model
from shortvox.models.settings import ModelSettings
from shortvox.models.speaker_model import SpeakerModel
from shortvox.training.centroids import utterance_centroids
from shortvox.training.parts import TransferSettings
from shortvox.training.settings import TrainSettings
from shortvox.training.transfer import transfer

FRONT_END: dict[str, Any] = {"edges": "snip", "scale": 1.0}
MODEL: dict[str, Any] = {"backbone": "campplus-64", "frontend": FRONT_END}
TWO_STEPS: dict[str, Any] = {**PLAIN, "steps": 2, "model": MODEL}


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("encoder")
    save_model(folder, SpeakerModel.fresh(parse(ModelSettings, {**MODEL, "head": None}, "here"), ()), card="")
    return folder


def moved(encoder: Path, trained: SpeakerModel) -> float:
    before = load_model(encoder).backbone.embedding.weight
    after = trained.backbone.embedding.weight
    assert torch.isfinite(after).all()
    return (after - before).norm().item()


def test_it_gets_a_new_head(encoder: Path, data: SpeechData, tmp_path: Path) -> None:
    trained = trainings.run({**TWO_STEPS, "optimiser": {"lr": 1e-4}}, data, tmp_path, init=encoder)
    assert set(trained.speakers) == set(data.corpus.speakers)
    assert 0 < moved(encoder, trained) < 0.1
    assert load_model(tmp_path).settings.head is not None


@pytest.mark.parametrize("refresh", ["never", "epoch", "ema"])
def test_centroids_are_its_head(encoder: Path, data: SpeechData, tmp_path: Path, refresh: str) -> None:
    how = {"head": "frozen", "rows": "centroids", "freeze_norm": True, "refresh": refresh}
    trained = trainings.run({**TWO_STEPS, "transfer": how}, data, tmp_path, init=encoder)
    assert moved(encoder, trained) > 0
    expected = utterance_centroids(data)(load_model(encoder), trained.speakers)
    cosines = torch.nn.functional.cosine_similarity(trained.head.weight, expected)
    assert cosines.min() > (0.9999 if refresh == "never" else 0.9)


@pytest.mark.parametrize("frozen", [True, False])
def test_rows_that_are_missing_can_be_centroids(encoder: Path, data: SpeechData, frozen: bool) -> None:
    source = load_model(encoder)
    settings = source.settings.model_copy(update={"head": ModelSettings().head})
    how = TransferSettings(missing="centroid", head="frozen" if frozen else "trained")
    student = transfer(source, settings, data.corpus.speakers, how, utterance_centroids(data))
    expected = utterance_centroids(data)(source, data.corpus.speakers)
    assert torch.nn.functional.cosine_similarity(student.head.weight, expected).min() > 0.9999


def test_a_head_that_it_has_not_cannot_be_frozen(encoder: Path, data: SpeechData) -> None:
    source = load_model(encoder)
    settings = source.settings.model_copy(update={"head": ModelSettings().head})
    with pytest.raises(ModelError, match=r"no head to freeze; set transfer\.rows=centroids"):
        transfer(source, settings, data.corpus.speakers, TransferSettings(head="frozen"))


@pytest.mark.parametrize(
    ("how", "remedy"),
    [
        ({}, {"rows": "new"}),
        ({"head": "frozen"}, {"rows": "new", "head": "trained"}),
        ({"rows": "centroids"}, {"rows": "new", "missing": "centroid"}),
        ({"rows": "centroids", "head": "frozen"}, {"rows": "new", "missing": "centroid", "head": "trained"}),
    ],
)
def test_another_head_is_refused_with_a_remedy_that_works(
    data: SpeechData, how: dict[str, Any], remedy: dict[str, Any]
) -> None:
    torch.manual_seed(0)
    source = SpeakerModel.fresh(parse(ModelSettings, MODEL, "here"), ("somebody", "else"))
    settings = parse(ModelSettings, {**MODEL, "head": {"name": "softmax"}}, "here")
    names, heard = data.corpus.speakers, utterance_centroids(data)
    said = ", ".join(f"transfer.{key}={value}" for key, value in remedy.items())
    with pytest.raises(ModelError, match=re.escape(f"softmax; set {said} for another head, or model.head.name=aam")):
        transfer(source, settings, names, TransferSettings(**how), heard)
    student = transfer(source, settings, names, TransferSettings(**{**how, **remedy}), heard)
    assert student.speakers == names
    cosines = torch.nn.functional.cosine_similarity(student.head.weight, heard(source, names))
    assert (cosines.min() > 0.9999) == ("missing" in remedy)


@pytest.mark.parametrize("hears", ["crop", "utterance"])
def test_it_teaches_by_its_embeddings(encoder: Path, data: SpeechData, tmp_path: Path, hears: str) -> None:
    teacher = {"model": str(encoder), "posterior": 0, "embedding": 1, "hears": hears, "teaches": ["crop"]}
    trained = trainings.run({**PLAIN, "steps": 2, "teachers": {"published": teacher}}, data, tmp_path)
    assert load_model(tmp_path).fingerprint() == trained.fingerprint()


def test_it_has_no_posteriors_to_teach(encoder: Path, data: SpeechData, tmp_path: Path) -> None:
    teacher = {"model": str(encoder), "posterior": 1, "hears": "crop", "teaches": ["crop"]}
    with pytest.raises(ModelError, match="its head knows 0 of the training speakers"):
        trainings.run({**PLAIN, "steps": 2, "teachers": {"published": teacher}}, data, tmp_path)


TAUGHT: dict[str, Any] = {"posterior": 0, "hears": "utterance", "teaches": ["crop"]}


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({}, r"model\.head: null has no loss to learn from"),
        ({"teachers": {"t": {**TAUGHT, "embedding": 0}}}, r"model\.head: null has no loss to learn from"),
        ({"teachers": {"t": TAUGHT}, "segments": {"length": "1s"}}, "segments: are scored by a head"),
        ({"teachers": {"t": {"teaches": ["crop"]}}}, r"teachers\.t\.posterior: the loss of no head has no row"),
        ({"teachers": {"t": TAUGHT}, "transfer": {"head": "frozen"}}, r"transfer\.head: the loss of no head"),
    ],
)
def test_a_training_needs_a_head_or_a_teacher(values: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        parse(TrainSettings, {"model": {"head": None}, **values}, "c.yaml")


@pytest.mark.parametrize("started", ["afresh", "from an encoder", "from a model with a head"])
def test_teachers_alone_teach_a_model_without_a_head(
    encoder: Path, data: SpeechData, tmp_path: Path, started: str
) -> None:
    """The loss is the teacher's alone, of which the crops know their speakers; what is kept is an encoder."""
    init = None if started == "afresh" else encoder
    if started == "from a model with a head":
        init = tmp_path / "start"
        save_model(init, SpeakerModel.fresh(parse(ModelSettings, MODEL, "here"), ("somebody", "else")), card="")
    teacher = {**TAUGHT, "model": str(encoder), "contrast": 1}
    settings = {**TWO_STEPS, "model": {**MODEL, "head": None}, "teachers": {"long": teacher}}
    told: list[str] = []
    trained = trainings.run(settings, data, tmp_path / "out", init=init, on_step=lambda *said: told.append(said[2]))
    kept = load_model(tmp_path / "out")
    assert kept.settings.head is None
    assert kept.speakers == ()
    assert kept.fingerprint() == trained.fingerprint()
    assert moved(encoder, trained) > 0
    assert all(0 < float(line.removeprefix("loss ")) < 6 for line in told if line.startswith("loss"))  # no AAM in it


def test_another_head_may_take_the_place_of_the_one_it_has(data: SpeechData, tmp_path: Path) -> None:
    """Head, rows and speakers are the training's; a new one cannot be frozen."""
    torch.manual_seed(0)
    source = SpeakerModel.fresh(parse(ModelSettings, MODEL, "here"), ("somebody", "else"))
    save_model(tmp_path / "start", source, card="")
    settings = {**TWO_STEPS, "model": {**MODEL, "head": {"name": "softmax"}}, "optimiser": {"lr": 1e-4}}
    with pytest.raises(ModelError, match="the model's head is aam, the training asks for softmax"):
        trainings.run(settings, data, tmp_path / "refused", init=tmp_path / "start")
    trained = trainings.run({**settings, "transfer": {"rows": "new"}}, data, tmp_path / "out", init=tmp_path / "start")
    assert trained.speakers == data.corpus.speakers
    assert 0 < moved(tmp_path / "start", trained) < 0.1
    with pytest.raises(ConfigError, match="rows: new needs head: trained"):
        parse(TrainSettings, {"transfer": {"rows": "new", "head": "frozen"}}, "here")
