"""Trainings that are counted in epochs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import trainings
from trainings import PLAIN

from shortvox.config import parse
from shortvox.corpora.speech import SpeechData
from shortvox.errors import ConfigError
from shortvox.training.settings import TrainSettings

EPOCHS = {**PLAIN, "steps": None, "epochs": 0.8}


def test_epochs_become_steps_and_both_stand_beside_the_model(data: SpeechData, tmp_path: Path) -> None:
    """0.8 x 24 utterances are 19.2 crops, five steps of four."""
    model = trainings.run(EPOCHS, data, tmp_path)
    history = json.loads((tmp_path / "training.json").read_text())
    assert history["step"] == 5
    assert history["budget"] == {"steps": 5, "epochs": 0.833, "utterances": 24, "crops_per_step": 4}
    assert "- steps: 5 (0.833 epochs);" in (tmp_path / "card.md").read_text()
    again = trainings.run({**PLAIN, "steps": 5}, data, tmp_path, resume=True)  # the same training, counted otherwise
    assert again.fingerprint(with_head=True) == model.fingerprint(with_head=True)


def test_held_out_speakers_are_not_counted(data: SpeechData, tmp_path: Path) -> None:
    trainings.run({**EPOCHS, "epochs": 0.5, "validation": {"speakers": 2, "utterances": 2}}, data, tmp_path)
    assert json.loads((tmp_path / "training.json").read_text())["budget"]["steps"] == 2  # 16 utterances are left


def test_an_epoch_counts_crops() -> None:
    def steps(**values: object) -> int:
        return parse(TrainSettings, {"epochs": 3, "batch": 10, **values}, "test").counted(100).steps

    assert steps() == 30
    assert steps(epochs=0.001) == 1
    assert steps(sampler="speakers") == steps(crop="full") == steps(segments={"length": "1s"}) == 30
    assert steps(augment={"speeds": [1.0, 0.9, 1.1]}) == 30  # the variants share the crops
    assert steps(sampler="balanced", per_speaker=3) == 10


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"epochs": 3, "steps": 100}, "epochs: steps are given too; give one of them"),
        ({"epochs": 0}, "epochs: Input should be greater than 0"),
        ({"epochs": 1e9}, "epochs: Input should be less than or equal to 1000000"),
        ({"steps": 10**12}, "steps: Input should be less than or equal to 1000000000"),
    ],
)
def test_what_is_no_length(values: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        parse(TrainSettings, values, "test")


def test_one_length_may_be_null() -> None:
    assert parse(TrainSettings, {"epochs": 3, "steps": None}, "test").counted(96).steps == 3
    assert parse(TrainSettings, {"epochs": None}, "test").steps == 1000
    assert {"epochs", "context", "begin"}.isdisjoint(TrainSettings().essential())  # models from before keep their keys
