"""Training settings that a study gives to each training itself, and what to set in their place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shortvox.effect import dotted_keys

OF_EACH_SYSTEM = "each system has its own; set systems.NAME.{} instead"
LENGTH = OF_EACH_SYSTEM.format("steps or .epochs") + ", or a name of the budget such as T"
GIVEN = {
    "steps": LENGTH,
    "epochs": LENGTH,
    "crop": OF_EACH_SYSTEM.format("crop"),
    "transfer.head": OF_EACH_SYSTEM.format("head"),
    "seed": "trainings have the seeds 0, 1, 2 …; set how many with `seeds` (--seeds)",
    "begin": "a training goes on where that of the system it starts from ended; it cannot be set",
}
OF_ALL_SYSTEMS = {"validation.speakers": "all systems have the same; set train.validation.speakers instead"}


def refuse_given(values: Mapping[str, Any], refused: Mapping[str, str] = GIVEN) -> None:
    """Raise ValueError for the first of the `refused` among `values`, whose keys may be dotted or nested."""
    for key in dotted_keys(values):
        if key in refused:
            raise ValueError(f"{key}: {refused[key]}")


def without_given(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested `values` less what a study gives."""
    return {
        key: without_given(value, f"{prefix}{key}.") if isinstance(value, dict) else value
        for key, value in values.items()
        if f"{prefix}{key}" not in GIVEN
    }
