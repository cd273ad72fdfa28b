from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
import trainings
from torch import nn
from trainings import PLAIN

from shortvox.corpora.speech import SpeechData
from shortvox.models import backbone, blueprint
from shortvox.training.optim import decay, learning_rate, make_optimiser
from shortvox.training.parts import OptimiserSettings, ScheduleSettings

STEPS, PEAK, WARMUP = 200, 0.01, 20


def closed_form(name: str, step: int) -> float:
    if step < WARMUP:
        return PEAK * (step + 1) / WARMUP
    done = (step - WARMUP) / (STEPS - WARMUP)
    return (
        PEAK
        * {
            "constant": 1.0,
            "cosine": 0.05 + 0.95 * (1 + math.cos(math.pi * done)) / 2,
            "exponential": 0.05**done,
            "step": 0.5 ** int(done / 0.25 + 1e-9),
        }[name]
    )


@pytest.mark.parametrize("name", list(decay))
def test_schedules(name: str) -> None:
    settings = ScheduleSettings(name=name, warmup=0.1, final=0.05, factor=0.5, every=0.25)
    rates = [learning_rate(step, STEPS, PEAK, settings) for step in range(STEPS)]
    assert rates == pytest.approx([closed_form(name, step) for step in range(STEPS)])
    assert max(rates) == pytest.approx(PEAK)
    assert min(rates) > 0


def test_no_warm_up_starts_at_the_peak() -> None:
    assert learning_rate(0, 10, PEAK, ScheduleSettings(warmup=0.0)) == PEAK


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd"])
def test_only_matrices_decay_and_frozen_parameters_are_not_in_it(name: str) -> None:
    body, head = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)), nn.Linear(4, 5)
    head.requires_grad_(False)
    optimiser = make_optimiser({"body": body, "head": head}, OptimiserSettings(name=name, weight_decay=0.1, lr=0.1))
    decayed = {id(p): group["weight_decay"] for group in optimiser.param_groups for p in group["params"]}
    expected = {id(p): 0.1 if p.dim() > 1 else 0.0 for p in body.parameters()}
    assert decayed == expected
    assert all(group["lr"] == 0.1 for group in optimiser.param_groups)


@pytest.mark.parametrize("name", list(backbone))
def test_a_rate_for_each_block_of_every_backbone(name: str) -> None:
    """Each parameter in one group; the embedding learns at the full rate, every block before at less by the factor."""
    network, head = blueprint(name), nn.Linear(2, 2)
    blocks = network.blocks_in_order()
    optimiser = make_optimiser({"backbone": network, "head": head}, OptimiserSettings(layer_decay=0.5))
    share = {id(p): group["share"] for group in optimiser.param_groups for p in group["params"]}
    assert len(share) == sum(1 for module in (network, head) for _ in module.parameters())
    found = {parameter: share[id(tensor)] for parameter, tensor in network.named_parameters()}
    assert found["embedding.weight"] == share[id(head.weight)] == 1.0
    first = next(iter(found))  # registered first, and next to the input
    assert found[first] == 0.5 ** (len(blocks) - 1)
    assert set(found.values()) == {0.5**depth for depth in range(len(blocks))}


@pytest.mark.parametrize("name", ["campplus-64", "ecapa-64", "se-resnet34-8", "isk34-8"])
def test_blocks_are_in_the_order_in_which_they_are_heard(name: str) -> None:
    network = backbone[name]().eval()
    heard = []
    for at, block in enumerate(network.blocks_in_order()):
        for part, module in network.named_modules():
            if any(f"{part}.".startswith(f"{own}.") for own in block):
                module.register_forward_pre_hook(lambda *_, at=at: heard.append(at))
    network(torch.randn(2, 30, network.bands))
    assert heard == sorted(heard)
    assert set(heard) == set(range(len(network.blocks_in_order())))


def test_one_step_of_sgd() -> None:
    layer = nn.Linear(2, 2, bias=False)
    before = layer.weight.detach().clone()
    optimiser = make_optimiser({"layer": layer}, OptimiserSettings(name="sgd", lr=0.1, weight_decay=0.5))
    layer(torch.ones(1, 2)).sum().backward()
    optimiser.step()
    torch.testing.assert_close(layer.weight.detach(), before - 0.1 * (1 + 0.5 * before))


def test_early_blocks_move_less(data: SpeechData, tmp_path: Path) -> None:
    """A step of plain gradient descent is shorter by the share of its block, in a training as in the optimiser."""
    moved = {}
    for share in (1.0, 0.5):
        rate = {"name": "sgd", "momentum": 0.0, "lr": 0.01, "weight_decay": 0, "clip": None, "layer_decay": share}
        values = {**PLAIN, "steps": 1, "optimiser": rate, "schedule": {"name": "constant", "warmup": 0}}
        trained = trainings.run(values, data, tmp_path / f"{share}").backbone
        torch.manual_seed(0)
        start = backbone["ecapa-64"]()
        moved[share] = {
            name: parameter.detach() - start.get_parameter(name) for name, parameter in trained.named_parameters()
        }
    for name, depth in (("embedding.weight", 0), ("blocks.1.reduce.delay.linear.weight", 3), ("stem.norm.bias", 5)):
        assert moved[1.0][name].norm() > 1e-5
        torch.testing.assert_close(moved[0.5][name], 0.5**depth * moved[1.0][name], rtol=1e-2, atol=1e-7)
