"""JSON files beside models, whose content is checked before anything relies on it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from shortvox.config import first_problem
from shortvox.errors import ModelError
from shortvox.textfiles import read_content

MOST_BYTES = 2**26  # a loss for every tenth of 20 million steps


class Content(BaseModel):
    """Keys that this version does not know are let be; what it knows has the right type, and numbers are finite."""

    model_config = ConfigDict(strict=True, frozen=True, allow_inf_nan=False)


Kind = TypeVar("Kind", bound=Content)


def read_json(path: Path, kind: type[Kind], what: str) -> tuple[Kind, dict[str, Any]] | None:
    """The JSON object in a file, checked and as it is; None where there is no file.

    Raises ModelError, which says `what` was expected, for anything else.
    """
    if not os.path.lexists(path):
        return None
    remedy = "delete it to work without"
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
