"""The plan of a comparison: `plan.yaml` and what --set changes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from shortvox.config import Settings, override_all, parse, parse_assignments, read_yaml

PLAN = Path(__file__).with_name("plan.yaml")


class Clean(Settings):
    lengths: tuple[str | float, ...]
    protocols: tuple[str, ...]
    crop_seeds: int = Field(ge=1, le=100)


class Degraded(Settings):
    tests: tuple[str, ...]
    kinds: tuple[str, ...]
    noise: str
    lengths: tuple[str | float, ...]


class Groups(Settings):
    columns: tuple[str, ...]
    lengths: tuple[str | float, ...]
    languages: dict[str, tuple[str, ...]]


class Speed(Settings):
    rounds: int = Field(ge=1, le=10_000)


class Plan(Settings):
    """Encoders by name as `--model` takes them, test corpora, and what is measured on them."""

    ours: dict[str, str]
    peers: dict[str, str]
    half_of: str
    third_of: str
    tests: tuple[str, ...]
    clean: Clean
    degraded: Degraded
    groups: Groups
    speed: Speed
    draws: int = Field(ge=100, le=100_000)

    @property
    def encoders(self) -> dict[str, str]:
        return {**self.ours, **self.peers}

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Each of ours against each peer."""
        return [(own, peer) for own in self.ours for peer in self.peers]


Part = Literal["clean", "degraded", "groups", "speed"]
PARTS: tuple[Part, ...] = ("clean", "degraded", "groups", "speed")


def read_plan(assignments: list[str]) -> Plan:
    """Raises ConfigError for a key that is not in the plan. `--set ours.tiny=null` leaves an encoder out."""
    values: dict[str, Any] = override_all(read_yaml(PLAN), parse_assignments(assignments))
    for side in ("ours", "peers"):
        values[side] = {name: str(spec) for name, spec in (values.get(side) or {}).items() if spec is not None}
    return parse(Plan, values, "plan")
