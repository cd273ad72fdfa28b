"""The studies of long teaching short, `adapt` and `pretrain`: each of their systems takes a step as it is written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from shortvox.corpora.speech import SpeechData
from shortvox.models.folder import save_model
from shortvox.models.settings import ModelSettings
from shortvox.models.speaker_model import SpeakerModel
from shortvox.studies.catalogue import load_study
from shortvox.studies.study import Study
from shortvox.training.trainer import train

ENCODERS = {"adapt": ("before",), "pretrain": ("teacher", "second")}
SYSTEMS = [(name, system) for name in ENCODERS for system in load_study(name).order()]
ONE_STEP = {
    "S": 1,
    "train.batch": 2,
    "train.average": 0,
    "train.augment.rooms": 2,
    "train.threads": 1,
    "train.validation.speakers": 0,
    "train.validation.every": 0,
}


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("encoder")
    save_model(folder, SpeakerModel.fresh(ModelSettings(backbone="campplus-64", head=None), ()), card="")
    return folder


def of_one_step(name: str, encoder: Path) -> Study:
    encoders = {f"systems.{system}.encoder": str(encoder) for system in ENCODERS[name]}
    narrow = {"train.model.backbone": "campplus-64", "systems.prefixes.set.prefixes": [16]}
    small = narrow if name == "pretrain" else {}
    return load_study(name, changes={**ONE_STEP, **small, **encoders})


@pytest.fixture(scope="module")
def heard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("heard")


@pytest.mark.parametrize(("name", "system"), SYSTEMS)
def test_every_system_takes_a_step(
    name: str, system: str, data: SpeechData, encoder: Path, heard: Path, tmp_path: Path
) -> None:
    """From where it starts, taught by whom it names; nobody hears an utterance again that was heard for another."""
    study = of_one_step(name, encoder)
    start = encoder if study.settings.systems[system].start else None
    kept = {path.name for path in heard.iterdir()}
    train(study.training(system, 0), data, tmp_path, init=start, cache=heard)
    ((step, loss),) = json.loads((tmp_path / "training.json").read_text())["loss"]
    assert step == 1
    assert -100 < loss < 400  # a likelihood's may be below 0
    new = {path.name for path in heard.iterdir()} - kept
    assert len(new) <= (not kept)
