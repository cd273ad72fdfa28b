"""`calibration.json`: affine maps of scores for each protocol and length of speech, and which of them fits a trial."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from shortvox.jsonfile import Content, read_json
from shortvox.scoring.calibration import P_TARGET, Calibration

CALIBRATION = "calibration.json"
FULL = "full"
FULL_SECONDS = 60.0  # what a whole utterance counts as, beside a length in seconds


def _length(name: str) -> str:
    """`full` or seconds, as a test names its lengths."""
    if name != FULL and not 0 < float(name) < math.inf:
        raise ValueError("a length is 'full' or a number of seconds above 0")
    return name


Length = Annotated[str, AfterValidator(_length)]
Coefficient = Annotated[float, Field(ge=-1e12, le=1e12)]  # a score's log likelihood ratio stays finite


class _Fit(Content):
    scale: Coefficient
    offset: Coefficient
    p_target: float = Field(P_TARGET, gt=0, lt=1)


class _Calibration(Content):
    """For each protocol and length, an affine map of scores; `scoring` names the way of scoring it was fitted for."""

    protocols: dict[str, dict[Length, _Fit]]
    scoring: str = ""


def read_calibration(path: Path) -> dict[str, Any] | None:
    """The content of a `calibration.json`, None where there is none; raises ModelError for anything else."""
    found = read_json(path, _Calibration, "a calibration of this version")
    return None if found is None else found[1]


def nearest_fit(
    content: Mapping[str, Any] | None, protocol: str, length: str, variant: str = ""
) -> tuple[str, Calibration] | None:
    """The length nearest to `length` that was fitted for a protocol, and its map.

    None without any, and where it was fitted for another way of scoring than `variant`.
    """
    fitted = (content or {}).get("protocols", {}).get(protocol)
    if content is None or not fitted or content.get("scoring", "") != variant:
        return None
    nearest = min(fitted, key=lambda name: abs(_log_seconds(name) - _log_seconds(length)))
    return nearest, Calibration.from_json(fitted[nearest], CALIBRATION)


def _log_seconds(length: str) -> float:
    return math.log(FULL_SECONDS if length == FULL else float(length))
