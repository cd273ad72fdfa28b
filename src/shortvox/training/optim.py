"""Optimisers and learning-rate schedules."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import nn

from shortvox.models import Backbone
from shortvox.registry import Registry
from shortvox.training.parts import OptimiserSettings, ScheduleSettings

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


def make_optimiser(modules: Mapping[str, nn.Module], settings: OptimiserSettings) -> torch.optim.Optimizer:
    """Over the parameters that learn; vectors (biases, batch norm) are not decayed. Frozen ones are not in it.

    `share` of a group is what its rate is of the rate: 1, and by `layer_decay` less for a backbone's earlier blocks.
    """
    by_share: dict[float, list[nn.Parameter]] = {}
    for module in modules.values():
        for name, parameter in module.named_parameters():
            depth = depth_of(module, name) if settings.layer_decay < 1 else 0
            if parameter.requires_grad:
                by_share.setdefault(settings.layer_decay**depth, []).append(parameter)
    groups = [
        {"params": chosen, "weight_decay": decays, "share": share}
        for share, learning in by_share.items()
        for chosen, decays in (
            ([p for p in learning if p.dim() > 1], settings.weight_decay),
            ([p for p in learning if p.dim() <= 1], 0.0),
        )
        if chosen
    ]
    return _OPTIMISERS[settings.name](groups, settings)


def depth_of(module: nn.Module, name: str) -> int:
    """How many blocks of a backbone come after that of the parameter `name`; 0 in any other module."""
    if not isinstance(module, Backbone):
        return 0
    blocks = module.blocks_in_order()
    place = max(at for at, block in enumerate(blocks) if any(f"{name}.".startswith(f"{part}.") for part in block))
    return len(blocks) - 1 - place


_OPTIMISERS: dict[str, Callable[[list[dict], OptimiserSettings], torch.optim.Optimizer]] = {
    "adamw": lambda groups, s: torch.optim.AdamW(groups, lr=s.lr),
    "adam": lambda groups, s: torch.optim.Adam(groups, lr=s.lr),
    "sgd": lambda groups, s: torch.optim.SGD(groups, lr=s.lr, momentum=s.momentum),
}
