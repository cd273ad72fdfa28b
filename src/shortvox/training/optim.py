"""Optimisers and learning-rate schedules."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch
from torch import nn

from shortvox.registry import Registry
from shortvox.training.settings import OptimiserSettings, ScheduleSettings

Decay = Callable[[float, ScheduleSettings], float]
decay: Registry[Decay] = Registry("schedule")


@decay("constant")
def constant(done: float, settings: ScheduleSettings) -> float:
    return 1.0


@decay("cosine")
def cosine(done: float, settings: ScheduleSettings) -> float:
    return settings.final + (1 - settings.final) * 0.5 * (1 + math.cos(math.pi * done))


@decay("exponential")
def exponential(done: float, settings: ScheduleSettings) -> float:
    return max(settings.final, 1e-9) ** done


@decay("step")
def stepwise(done: float, settings: ScheduleSettings) -> float:
    return settings.factor ** math.floor(done / settings.every + 1e-9)


def learning_rate(step: int, steps: int, peak: float, settings: ScheduleSettings) -> float:
    """Rate of step number `step` (from 0) of `steps`: linear warm-up to `peak`, then the named decay."""
    warmup = round(settings.warmup * steps)
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * decay[settings.name]((step - warmup) / max(1, steps - warmup), settings)


def make_optimiser(modules: Iterable[nn.Module], settings: OptimiserSettings) -> torch.optim.Optimizer:
    """Over the parameters that learn; vectors (biases, batch norm) are not decayed. Frozen ones are not in it."""
    learning = [p for module in modules for p in module.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in learning if p.dim() > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in learning if p.dim() <= 1], "weight_decay": 0.0},
    ]
    return _OPTIMISERS[settings.name]([group for group in groups if group["params"]], settings)


_OPTIMISERS: dict[str, Callable[[list[dict], OptimiserSettings], torch.optim.Optimizer]] = {
    "adamw": lambda groups, s: torch.optim.AdamW(groups, lr=s.lr),
    "adam": lambda groups, s: torch.optim.Adam(groups, lr=s.lr),
    "sgd": lambda groups, s: torch.optim.SGD(groups, lr=s.lr, momentum=s.momentum),
}
