"""The mean of the last weights of a training as its result (checkpoint averaging).

The running statistics of batch norm belong to the weights they were collected under; their mean is not what the mean of
the weights gives. So they are estimated again, as torch.optim.swa_utils.update_bn does.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from shortvox.errors import ConfigError
from shortvox.models.layers import BatchNorm
from shortvox.training.batches import Batch
from shortvox.training.learner import Learner
from shortvox.training.settings import TrainSettings
from shortvox.training.state import Progress

EVERY = 5  # steps between the weights that are taken
NORM_BATCHES = 32  # the last batches, over which batch norm's statistics are estimated again


def averaged_steps(settings: TrainSettings) -> range:
    """After how many steps weights go into the mean, last first; none where nothing is averaged.

    Raises ConfigError for a share of the steps that holds fewer than two.
    """
    taken = range(settings.steps, settings.steps - round(settings.average * settings.steps), -EVERY)
    if settings.average and len(taken) < 2:
        enough = (EVERY + 1) / settings.steps  # the share whose steps hold two that are taken
        more = f"raise average to {math.ceil(100 * enough) / 100:g}, " if enough < 1 else ""
        raise ConfigError(
            f"average: the weights of {len(taken)} step(s) lie in the last {settings.average:g} of {settings.steps} "
            f"(every {EVERY}th is taken), and a mean needs two; {more}take more steps, or set average=0"
        )
    return taken


def accumulate(average: dict[str, Tensor], tensors: dict[str, Tensor], done: Progress) -> None:
    """Running mean of the weights."""
    done.averaged += 1
    for name, tensor in tensors.items():
        if name not in average:
            average[name] = tensor.clone()
        else:
            average[name].lerp_(tensor, 1 / done.averaged)


@torch.no_grad()
def estimate_norms(learner: Learner, heard: Iterable[tuple[Batch, torch.Generator]]) -> None:
    """Set the running statistics of every batch norm that learns to their mean over `heard`, batch by batch."""
    learner.train()
    norms = [module for module in learner.backbone.modules() if isinstance(module, BatchNorm)]
    for norm in norms:
        norm.passes = 0
    for batch, generator in heard:
        learner.embed(batch.to(learner.place.device), generator)
    for norm in norms:
        norm.passes = None
