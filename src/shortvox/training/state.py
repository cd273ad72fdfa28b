"""What a training has done so far, and how it goes into a checkpoint and comes back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, TypeVar

import torch
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from torch import Tensor, nn

from shortvox.config import first_problem
from shortvox.environment import Environment, in_words
from shortvox.models.speaker_model import load_tensors, misfit, tensors_of
from shortvox.progress import note
from shortvox.training.checkpoint import Checkpoint, load_optimiser, optimiser_tensors

Kind = TypeVar("Kind")


@dataclass
class Progress:
    """What a training has done so far; goes into every checkpoint as JSON."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    step: Annotated[int, Field(ge=0)]
    seconds_heard: float
    wall_seconds: float
    wrapped: int
    averaged: int
    recent: list[float]
    loss: list[tuple[int, float]]
    validation: list[dict[str, float]]
    earlier: list[tuple[int, Environment]] = field(default_factory=list)  # up to which step it ran elsewhere

    @classmethod
    def start(cls) -> Progress:
        return cls(0, 0.0, 0.0, 0, 0, [], [], [])


def snapshot(
    learning: Mapping[str, nn.Module],
    optimiser: torch.optim.Optimizer,
    average: dict[str, Tensor],
    done: Progress,
    run: str,
    here: Environment,
) -> Checkpoint:
    """Everything that `restore` needs to go on from here, bit for bit."""
    tensors = {f"model.{name}": tensor for name, tensor in tensors_of(learning).items()}
    tensors |= {f"average.{name}": tensor for name, tensor in average.items()}
    tensors |= {f"optimiser.{name}": tensor for name, tensor in optimiser_tensors(optimiser).items()}
    return Checkpoint(tensors, {"progress": vars(done), "threads": here["threads"], "environment": here}, run)


def require_fit(
    found: Checkpoint, learning: Mapping[str, nn.Module], optimiser: torch.optim.Optimizer, steps: int
) -> None:
    """Raises ValueError for a checkpoint that `restore` could not take over whole, or that is not on the way."""
    done = _progress(found)
    if done.step > steps:
        raise ValueError(f"at step {done.step} of {steps}")
    if type(found.state["threads"]) is not int:
        raise ValueError("threads: not a number")
    _ran_on(found)
    here = tensors_of(learning)
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    for part, expected in (("model", here), ("average", here if done.averaged else {})):
        if (problem := misfit(found.part(part), expected)) is not None:
            raise ValueError(f"{part}: {problem}")
    for name, tensor in found.part("optimiser").items():
        index = int(name.partition(".")[0])
        if not 0 <= index < len(parameters) or tensor.shape not in (parameters[index].shape, ()):
            raise ValueError(f"optimiser: {name} has no place")


def _progress(found: Checkpoint) -> Progress:
    return _valid(TypeAdapter(Progress), found.state["progress"])


def _ran_on(found: Checkpoint) -> Environment | None:
    """None in a checkpoint that was written before they kept it."""
    if (left := _valid(TypeAdapter(Environment | None), found.state.get("environment"))) is not None:
        in_words(left)  # a KeyError says what it lacks
    return left


def _valid(kind: TypeAdapter[Kind], part: object) -> Kind:
    try:
        return kind.validate_json(json.dumps(part), strict=True)
    except ValidationError as error:
        raise ValueError(first_problem(error)) from None


def restore(
    latest: Checkpoint,
    learning: Mapping[str, nn.Module],
    optimiser: torch.optim.Optimizer,
    average: dict[str, Tensor],
    here: Environment,
) -> Progress:
    """Put a checkpoint's tensors into the modules, the optimiser and the average; returns what had been done.

    For a checkpoint that fits: see `require_fit`. If it was not written `here`, that is told and goes into `earlier`.
    """
    load_tensors(learning, latest.part("model"))
    load_optimiser(optimiser, latest.part("optimiser"))
    own = tensors_of(learning)
    average.update({name: tensor.to(own[name].device) for name, tensor in latest.part("average").items()})
    done, left = _progress(latest), _ran_on(latest)
    if left is not None and left != here:
        done.earlier.append((done.step, left))
        note(
            f"resuming on {in_words(here)} a training that ran on {in_words(left)}: the result will be as good, but "
            "not the same bit for bit"
        )
    return done
