from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from shortvox.training.optim import decay, learning_rate, make_optimiser
from shortvox.training.settings import OptimiserSettings, ScheduleSettings

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
    optimiser = make_optimiser([body, head], OptimiserSettings(name=name, weight_decay=0.1, lr=0.1))
    decayed = {id(p): group["weight_decay"] for group in optimiser.param_groups for p in group["params"]}
    expected = {id(p): 0.1 if p.dim() > 1 else 0.0 for p in body.parameters()}
    assert decayed == expected
    assert all(group["lr"] == 0.1 for group in optimiser.param_groups)


def test_one_step_of_sgd() -> None:
    layer = nn.Linear(2, 2, bias=False)
    before = layer.weight.detach().clone()
    optimiser = make_optimiser([layer], OptimiserSettings(name="sgd", lr=0.1, weight_decay=0.5))
    layer(torch.ones(1, 2)).sum().backward()
    optimiser.step()
    torch.testing.assert_close(layer.weight.detach(), before - 0.1 * (1 + 0.5 * before))
