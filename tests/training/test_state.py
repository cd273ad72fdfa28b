"""What a checkpoint must be to be taken over."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from shortvox.environment import environment
from shortvox.models.layers import BatchNorm
from shortvox.models.speaker_model import tensors_of
from shortvox.training.averaging import accumulate
from shortvox.training.checkpoint import Checkpoint
from shortvox.training.state import Progress, require_fit, restore, snapshot

HERE = environment()
Learning = tuple[dict[str, nn.Module], torch.optim.Optimizer]


def learning() -> Learning:
    modules: dict[str, nn.Module] = {
        "backbone": nn.Sequential(nn.Linear(3, 4), BatchNorm(4)),
        "head": nn.Linear(4, 2),
    }
    optimiser = torch.optim.AdamW(p for module in modules.values() for p in module.parameters())
    return modules, optimiser


@pytest.fixture
def found() -> Checkpoint:
    """Of a training at its third of five steps."""
    modules, optimiser = learning()
    average: dict[str, Tensor] = {}
    done = Progress.start()
    for step in range(3):
        modules["head"](modules["backbone"](torch.rand(5, 3))).sum().backward()
        optimiser.step()
        done.step = step + 1
        done.loss.append((done.step, 1.5))
        accumulate(average, tensors_of(modules), done)
    return snapshot(modules, optimiser, average, done, "this training", dict(HERE))


def test_one_of_this_training_fits(found: Checkpoint) -> None:
    modules, optimiser = learning()
    require_fit(found, modules, optimiser, 5)
    average: dict[str, Tensor] = {}
    done = restore(found, modules, optimiser, average, HERE)
    again = snapshot(modules, optimiser, average, done, "this training", HERE)
    assert again.state == found.state
    assert again.tensors.keys() == found.tensors.keys()
    assert all(torch.equal(tensor, found.tensors[name]) for name, tensor in again.tensors.items())


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda found: found.state["progress"].update(step=6), "at step 6 of 5"),
        (lambda found: found.state["progress"].update(step=-3), "step: .*greater than or equal to 0"),
        (lambda found: found.state["progress"].update(step="3"), "step: .*integer"),
        (lambda found: found.state["progress"].update(loss=[[3, float("nan")]]), "loss.0.1: .*finite"),
        (lambda found: found.state["progress"].update(new=1), "new: Unexpected"),
        (lambda found: found.state["progress"].pop("wrapped"), "wrapped: .*required"),
        (lambda found: found.state.update(progress=[]), "should be an object"),
        (lambda found: found.state.pop("progress"), "progress"),
        (lambda found: found.state["progress"].update(earlier=[[3, {"cpu": []}]]), r"earlier\.0\.1\.cpu"),
        (lambda found: found.state["environment"].pop("gpu"), "gpu"),
        (lambda found: found.state["environment"].update(threads=[1]), "threads"),
        (lambda found: found.state.pop("threads"), "threads"),
        (lambda found: found.state.update(threads="1"), "threads: not a number"),
        (lambda found: found.tensors.pop("model.head.weight"), r"model: head\.weight is missing"),
        (lambda found: found.tensors.update({"model.x": torch.zeros(1)}), "model: x has no place"),
        (lambda found: found.tensors.update({"model.head.bias": torch.zeros(1)}), r"head\.bias has shape \(1,\), not"),
        (lambda found: found.tensors.update({"model.head.bias": torch.zeros(2).half()}), "float16, not float32"),
        (lambda found: found.tensors.pop("average.head.weight"), r"average: head\.weight is missing"),
        (lambda found: found.state["progress"].update(averaged=0), "average: .* has no place"),
        (lambda found: found.tensors.update({"optimiser.0.exp_avg": torch.zeros(1)}), r"optimiser: 0\.exp_avg"),
        (lambda found: found.tensors.update({"optimiser.6.step": torch.zeros(())}), r"optimiser: 6\.step"),
        (lambda found: found.tensors.update({"optimiser.x.step": torch.zeros(())}), "int"),
    ],
)
def test_one_that_does_not_fit_is_told_before_anything_is_taken_over(
    change: Callable[[Checkpoint], object], reason: str, found: Checkpoint
) -> None:
    change(found)
    modules, optimiser = learning()
    with pytest.raises((ValueError, KeyError), match=reason):
        require_fit(found, modules, optimiser, 5)


def test_one_without_a_word_of_where_it_ran_fits_too(found: Checkpoint) -> None:
    del found.state["environment"], found.state["progress"]["earlier"]
    modules, optimiser = learning()
    require_fit(found, modules, optimiser, 5)
    assert restore(found, modules, optimiser, {}, HERE).earlier == []
