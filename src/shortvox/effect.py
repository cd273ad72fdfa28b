"""Settings that take effect only beside others, and the refusal of one that would have none.

A class says so in `needs_of_keys`; nothing else has to be done for a new setting. What is as its default was not asked
for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from shortvox.config import Settings
from shortvox.errors import ConfigError


def idle(settings: Settings, prefix: str = "") -> dict[str, str]:
    """Dotted keys whose value differs from the default without effect, and what each needs."""
    found = {}
    for key, need in settings.needs_of_keys.items():
        if _is_changed(settings, key) and not need.met(settings):
            found[f"{prefix}{key}"] = f"{prefix}{need.told}"
    for name, inner in _nested(settings):
        found |= idle(inner, f"{prefix}{name}.")
    return found


def refuse_idle(found: Mapping[str, str], where: str) -> None:
    """Raises ConfigError for the first of what `idle` has found."""
    for key, needed in found.items():
        raise ConfigError(f"{where}: {key}: has no effect here, because it needs {needed}; set that or leave it out")


def refuse_idle_in_systems(
    found: Mapping[str, Mapping[str, str]], own: Mapping[str, Mapping[str, Any]], where: str, shared: str, part: str
) -> None:
    """Raises ConfigError for a system's `own` setting without effect in it, and for a shared one without in any.

    `found` is what `idle` has found in each system; `shared` and `part` are where the settings stand in the study.
    """
    others = []
    for system, keys in found.items():
        mine = set(dotted_keys(own[system]))
        refuse_idle({key: need for key, need in keys.items() if key in mine}, f"{where}: systems.{system}.{part}")
        others.append({key: need for key, need in keys.items() if key not in mine})
    everywhere = set.intersection(*map(set, others)) if others else set()
    refuse_idle({key: need for key, need in (others or [{}])[0].items() if key in everywhere}, f"{where}: {shared}")


def dotted_keys(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Every key of nested `values`, dotted, at every depth."""
    for key, value in values.items():
        yield f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from dotted_keys(value, f"{prefix}{key}.")


def _is_changed(settings: Settings, key: str) -> bool:
    """Whether the value at a dotted key differs from its default; one below null is not there."""
    head, _, rest = key.partition(".")
    value = getattr(settings, head)
    if rest:
        return isinstance(value, Settings) and _is_changed(value, rest)
    return bool(value != type(settings).model_fields[head].get_default(call_default_factory=True))


def _nested(settings: Settings) -> Iterator[tuple[str, Settings]]:
    for name in type(settings).model_fields:
        value: Any = getattr(settings, name)
        entries = {f"{name}.{key}": inner for key, inner in value.items()} if isinstance(value, dict) else {name: value}
        for key, inner in entries.items():
            if isinstance(inner, Settings):
                yield key, inner
