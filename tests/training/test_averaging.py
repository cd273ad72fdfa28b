"""The mean of the last weights, and batch-norm statistics that belong to it."""

from __future__ import annotations

import copy
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import torch
import trainings
from torch import Tensor
from trainings import PLAIN

from shortvox.config import parse
from shortvox.corpora.speech import SpeechData
from shortvox.errors import ConfigError
from shortvox.models.folder import load_model
from shortvox.models.layers import BatchNorm
from shortvox.models.speaker_model import SpeakerModel
from shortvox.training.averaging import averaged_steps
from shortvox.training.batches import TrainingBatches
from shortvox.training.distributed import Placement
from shortvox.training.learner import Learner
from shortvox.training.settings import TrainSettings

pytestmark = pytest.mark.usefixtures("one_thread")

# At a constant rate the first steps of a long training are a short one, whose model shows the weights in between.
AVERAGED: dict[str, Any] = {
    **PLAIN,
    "steps": 14,
    "average": 0.9,
    "accumulate": 2,
    "schedule": {"name": "constant", "warmup": 0},
    "augment": {"probability": 0, "time_frames": 0, "frequency_bands": 0},
}


@pytest.fixture(scope="module")
def averaged(data: SpeechData, tmp_path_factory: pytest.TempPathFactory) -> SpeakerModel:
    return trainings.run(AVERAGED, data, tmp_path_factory.mktemp("averaged"))


def test_the_model_is_the_mean_of_every_fifth_of_the_last_weights(
    data: SpeechData, averaged: SpeakerModel, tmp_path: Path
) -> None:
    between = [
        trainings.run({**AVERAGED, "steps": steps, "average": 0}, data, tmp_path / str(steps)).tensors()
        for steps in (4, 9, 14)
    ]
    for name, tensor in averaged.tensors().items():
        if "running" not in name:
            mean = torch.stack([tensors[name] for tensors in between]).mean(0)
            torch.testing.assert_close(tensor, mean, rtol=1e-5, atol=1e-7)
            assert not torch.allclose(mean, between[-1][name], rtol=1e-4, atol=1e-6), name


def test_norm_statistics_are_those_of_the_mean(data: SpeechData, averaged: SpeakerModel) -> None:
    """By hand: mean and variance of what each batch norm gets, batch by batch, under the averaged weights."""
    settings, averaged = parse(TrainSettings, AVERAGED, "test"), copy.deepcopy(averaged)
    learner = Learner(averaged, settings, Placement(torch.device("cpu")))
    norms = {name: module for name, module in averaged.backbone.named_modules() if isinstance(module, BatchNorm)}
    kept = {name: (norm.running_mean.clone(), norm.running_var.clone()) for name, norm in norms.items()}
    got: dict[str, list[tuple[Tensor, Tensor]]] = defaultdict(list)

    def listen(name: str) -> Any:
        def hear(norm: BatchNorm, inputs: tuple[Tensor, ...]) -> None:
            rows = inputs[0].detach().flatten(0, -2).double()
            got[name].append((rows.mean(0), rows.var(0)))

        return hear

    for name, norm in norms.items():
        norm.register_forward_pre_hook(listen(name))
    learner.train()
    batches = TrainingBatches(data.corpus, data.store, settings, averaged.speakers)
    for step in range(settings.steps):
        for part in batches[step].split(settings.accumulate):
            learner.embed(part, torch.Generator())
    for name, (mean, variance) in kept.items():
        assert len(got[name]) == 2 * settings.steps
        means, variances = (torch.stack(values).mean(0).float() for values in zip(*got[name], strict=True))
        torch.testing.assert_close(mean, means, rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(variance, variances, rtol=1e-3, atol=1e-5)


def test_a_frozen_norm_keeps_its_statistics(data: SpeechData, tmp_path: Path) -> None:
    trainings.run({**PLAIN, "steps": 1}, data, tmp_path / "first")
    values = {**PLAIN, "average": 0.95, "transfer": {"freeze_norm": True}}
    student = trainings.run(values, data, tmp_path / "student", init=tmp_path / "first")
    before = load_model(tmp_path / "first").tensors()
    for name, tensor in student.tensors().items():
        if "running" in name:
            assert tensor.equal(before[name]) == name.startswith("backbone.norm."), name


@pytest.mark.parametrize(
    ("steps", "average", "taken"),
    [
        (14, 0.9, [14, 9, 4]),
        (20, 0.3, [20, 15]),
        (7, 0.86, [7, 2]),
        (1000, 0.006, [1000, 995]),
        (1000, 0.01, [1000, 995]),
        (1000, 0.011, [1000, 995, 990]),
        (6, 0.95, [6, 1]),
        (10, 0.0, []),
    ],
)
def test_which_steps_are_taken(steps: int, average: float, taken: list[int]) -> None:
    assert list(averaged_steps(TrainSettings(steps=steps, average=average))) == taken


@pytest.mark.parametrize(("steps", "average", "count"), [(1000, 0.0004, 0), (1000, 0.005, 1), (5, 0.99, 1)])
def test_a_mean_of_fewer_than_two_is_refused(
    data: SpeechData, tmp_path: Path, steps: int, average: float, count: int
) -> None:
    with pytest.raises(ConfigError, match=rf"^average: the weights of {count} step.*in the last {average} of {steps} "):
        trainings.run({**PLAIN, "steps": steps, "average": average}, data, tmp_path)
    trainings.run({**PLAIN, "steps": 1}, data, tmp_path)  # corrected, in the same folder
