"""What stands beside the weights in a model folder: names of the head's rows, history of the training, calibration."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from shortvox.config import first_problem
from shortvox.errors import ModelError
from shortvox.scoring.calibration import P_TARGET
from shortvox.textfiles import read_content, read_lines

MOST_BYTES = 2**26  # a loss for every tenth of 20 million steps


def _length(name: str) -> str:
    """`full` or seconds, as a test names its lengths."""
    if name != "full" and not 0 < float(name) < math.inf:
        raise ValueError("a length is 'full' or a number of seconds above 0")
    return name


Length = Annotated[str, AfterValidator(_length)]
Count = Annotated[int, Field(ge=0, le=10**15)]
Figure = Annotated[float, Field(ge=-1e30, le=1e30)]
Number = Annotated[int | float, Field(ge=-1e30, le=1e30)]
Coefficient = Annotated[float, Field(ge=-1e12, le=1e12)]  # a score's log likelihood ratio stays finite


class _Content(BaseModel):
    """Keys that this version does not know are let be; what it knows has the right type, and numbers are finite."""

    model_config = ConfigDict(strict=True, frozen=True, allow_inf_nan=False)


class History(_Content):
    """What `training.json` says of the training that made the model; None or nothing for a model without it."""

    step: Count | None = None
    seconds_heard: Figure | None = None
    wall_seconds: Figure | None = None
    wrapped: Count | None = None
    loss: tuple[tuple[Count, Figure], ...] = ()
    validation: tuple[dict[str, Number], ...] = ()
    environment: dict[str, str | Number | None] | None = None


class _Fit(_Content):
    scale: Coefficient
    offset: Coefficient
    p_target: float = Field(P_TARGET, gt=0, lt=1)


class _Calibration(_Content):
    """For each protocol and length, an affine map of scores; `scoring` names the way of scoring it was fitted for."""

    protocols: dict[str, dict[Length, _Fit]]
    scoring: str = ""


Kind = TypeVar("Kind", bound=_Content)


def read_history(folder: Path) -> History:
    """The history in a model folder; raises ModelError naming `training.json` for what is none."""
    found = _read(folder / "training.json", History, "a training's history", "delete it to work without")
    return History() if found is None else found[0]


def read_calibration(path: Path) -> dict[str, Any] | None:
    """The content of a `calibration.json`, None where there is none; raises ModelError for anything else."""
    found = _read(path, _Calibration, "a calibration of this version", "delete it to work without")
    return None if found is None else found[1]


def _read(path: Path, kind: type[Kind], what: str, remedy: str) -> tuple[Kind, dict[str, Any]] | None:
    """The JSON object in a file, checked and as it is; None where there is no file."""
    if not os.path.lexists(path):
        return None
    raw = read_content(path, ModelError, f"{what}; {remedy}", most=MOST_BYTES)
    try:
        content = json.loads(text := raw.decode("utf-8"), parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise ModelError(f"{path}: not valid JSON; {remedy}") from None
    try:
        return kind.model_validate_json(text), content
    except ValidationError as error:
        raise ModelError(f"{path}: not {what} ({first_problem(error)}); {remedy}") from None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def read_names(path: Path) -> tuple[str, ...]:
    """The names of the head's rows, in order: one a line. Raises ModelError for an empty name and for one twice."""
    names = read_lines(path, ModelError, "the names of the head's rows; copy the model again", most=MOST_BYTES)
    if (problem := unfit_names(names)) is not None:
        raise ModelError(f"{path}: {problem}; copy the model again")
    return tuple(names)


def unfit_names(names: Sequence[str]) -> str | None:
    """What is wrong with the names of rows, if anything: each must be another, and none may be empty."""
    rows: dict[str, int] = {}
    for row, name in enumerate(names, start=1):
        if not name.strip():
            return f"row {row} has no name"
        if name in rows:
            return f"{name!r} is the name of row {rows[name]} and of row {row}"
        rows[name] = row
    return None
