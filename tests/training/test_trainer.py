"""The loop does what its settings say: rates, margins, parts of a step, precision."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import trainings
from torch import Tensor
from torch.optim.optimizer import register_optimizer_step_pre_hook
from trainings import PLAIN

from shortvox.corpora.speech import SpeechData
from shortvox.models.layers import BatchNorm
from shortvox.training.optim import learning_rate
from shortvox.training.parts import ScheduleSettings

pytestmark = pytest.mark.usefixtures("one_thread")

QUIET = {"probability": 0, "time_frames": 0, "frequency_bands": 0}
STILL = {"lr": 1e-12}  # a training that shows its losses and moves nothing
PLAIN_SGD = {"name": "sgd", "lr": 0.01, "momentum": 0, "weight_decay": 0, "clip": None}


def loss_of(out: Path) -> float:
    """The mean loss of all steps, of a training of at most ten."""
    ((_, loss),) = json.loads((out / "training.json").read_text())["loss"]
    return loss


@pytest.mark.parametrize("name", ["cosine", "step"])
def test_every_step_is_made_at_its_scheduled_rate(data: SpeechData, tmp_path: Path, name: str) -> None:
    applied: list[set[float]] = []
    hook = register_optimizer_step_pre_hook(
        lambda optimiser, *_: applied.append({group["lr"] for group in optimiser.param_groups})
    )
    schedule = {"name": name, "warmup": 0.4, "every": 0.25}
    trainings.run({**PLAIN, "steps": 5, "schedule": schedule}, data, tmp_path)
    hook.remove()
    expected = [learning_rate(step, 5, 1e-3, ScheduleSettings(**schedule)) for step in range(5)]
    assert len(set(expected)) >= 4
    assert applied == [{rate} for rate in expected]


def test_a_rate_of_nothing_moves_nothing(data: SpeechData, tmp_path: Path) -> None:
    """A schedule that drops to a millionth of a millionth after half of the steps leaves the weights as they are."""
    dropping = {"name": "step", "warmup": 0, "factor": 1e-12, "every": 0.5}
    whole = trainings.run(
        {**PLAIN, "steps": 4, "optimiser": PLAIN_SGD, "schedule": dropping}, data, tmp_path / "whole"
    ).tensors()
    constant = {"name": "constant", "warmup": 0}
    half = trainings.run(
        {**PLAIN, "steps": 2, "optimiser": PLAIN_SGD, "schedule": constant}, data, tmp_path / "half"
    ).tensors()
    for name, tensor in half.items():
        if "running" not in name:
            torch.testing.assert_close(whole[name], tensor, rtol=0, atol=1e-10)


def test_the_margin_grows_as_the_training_goes_on(data: SpeechData, tmp_path: Path) -> None:
    """Four steps at margins 0, 0.15, 0.3 and 0.3, each as in a training of its own at that margin."""

    def head(margin: float, warmup: float = 0.0) -> dict[str, Any]:
        named = {"name": "aam", "margin": margin, "margin_warmup": warmup}
        return {**PLAIN, "optimiser": STILL, "model": {"backbone": "ecapa-64", "head": named}}

    trainings.run({**head(0.3, 0.5), "steps": 4}, data, tmp_path / "growing")
    losses = []
    for number, margin in enumerate((0.0, 0.15, 0.3, 0.3)):
        trainings.run({**head(margin), "steps": 1, "begin": number}, data, tmp_path / str(number))
        losses.append(loss_of(tmp_path / str(number)))
    assert loss_of(tmp_path / "growing") == pytest.approx(sum(losses) / 4, abs=2e-4)
    trainings.run({**head(0.3), "steps": 4}, data, tmp_path / "constant")
    assert abs(loss_of(tmp_path / "constant") - loss_of(tmp_path / "growing")) > 0.1


@pytest.mark.parametrize("name", ["aam", "softmax"])
def test_parts_of_a_step_add_up_to_it(
    data: SpeechData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Without batch statistics, which each part has of its own, a step in two or four parts is the step in one."""

    def as_learnt(norm: BatchNorm, values: Tensor, lengths: Tensor | None = None) -> Tensor:
        return norm._normalise(values, learning=False)

    monkeypatch.setattr(BatchNorm, "forward", as_learnt)
    values = {
        **PLAIN,
        "steps": 3,
        "batch": 8,
        "optimiser": PLAIN_SGD,
        "augment": QUIET,
        "model": {"backbone": "ecapa-64", "head": {"name": name}},
    }
    one = trainings.run(values, data, tmp_path / "1").tensors()
    for parts in (2, 4):
        out = tmp_path / str(parts)
        cut = trainings.run({**values, "accumulate": parts}, data, out).tensors()
        assert loss_of(out) == pytest.approx(loss_of(tmp_path / "1"), abs=2e-5)
        for key, tensor in one.items():
            torch.testing.assert_close(cut[key], tensor, rtol=1e-4, atol=1e-6)
    started = trainings.run({**values, "steps": 1, "optimiser": {**PLAIN_SGD, "lr": 1e-12}}, data, tmp_path / "0")
    assert not torch.allclose(one["head.weight"], started.head.weight, rtol=1e-3, atol=1e-4)  # so that it can be seen


def test_bf16_is_another_precision(data: SpeechData, tmp_path: Path) -> None:
    """Close to float32 and not the same; what is kept is float32."""
    values = {**PLAIN, "steps": 1, "batch": 16, "augment": QUIET}
    trainings.run(values, data, tmp_path / "fp32")
    half = trainings.run({**values, "precision": "bf16"}, data, tmp_path / "bf16")
    ours, theirs = loss_of(tmp_path / "bf16"), loss_of(tmp_path / "fp32")
    assert ours == pytest.approx(theirs, rel=5e-3)
    assert ours != theirs
    for tensor in half.tensors().values():
        assert tensor.dtype == torch.float32
        assert tensor.isfinite().all()
