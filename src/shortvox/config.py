"""Typed settings: YAML on disk, `--set a.b=value` on the command line, unknown keys refused with the nearest named."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from shortvox.errors import ConfigError

LONGEST_SHOWN = 100  # characters of a wrong value that an error repeats


class Settings(BaseModel):
    """Base of every settings class: immutable, and no key is ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


S = TypeVar("S", bound=Settings)


def parse(kind: type[S], values: Mapping[str, Any], where: str) -> S:
    """`values` as a `kind`; raises ConfigError naming `where`, the key and what would be right."""
    try:
        return kind.model_validate(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise ConfigError(f"{where}: unknown key '{key}'{_nearest(kind, first['loc'])}") from None
        message = first["msg"].removeprefix("Value error, ")
        given = repr(first["input"])
        shown = f" (got {given})" if len(given) <= LONGEST_SHOWN else ""
        raise ConfigError(f"{where}: {f'{key}: ' if key else ''}{message}{shown}") from None


def _nearest(kind: type[BaseModel], location: tuple[int | str, ...]) -> str:
    """The valid key closest to the last part of `location`, as a suggestion."""
    known = _known_keys(kind, location[:-1])
    close = difflib.get_close_matches(str(location[-1]), known, n=1, cutoff=0.4)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; known keys: {', '.join(sorted(known))}" if known else ""


def _known_keys(kind: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    current: Any = kind
    for part in path:
        field = current.model_fields.get(part) if hasattr(current, "model_fields") else None
        current = field.annotation if field else None
    return list(current.model_fields) if hasattr(current, "model_fields") else []


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file; raises ConfigError when it is missing, malformed or no mapping."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error})") from None
    except yaml.YAMLError as error:
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        place = f", line {line + 1}" if line is not None else ""
        raise ConfigError(f"{path}{place}: not valid YAML") from None
    except ValueError as error:  # a date such as 2020-13-45
        raise ConfigError(f"{path}: not valid YAML ({error})") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected 'key: value' lines at the top")
    return content


def write_yaml(values: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True)


def override(values: Mapping[str, Any], key: str, value: Any) -> dict[str, Any]:
    """A copy of nested `values` with dotted `key` set."""
    head, _, rest = key.partition(".")
    copy = dict(values)
    if not rest:
        copy[head] = value
        return copy
    inner = copy.get(head, {})
    if not isinstance(inner, Mapping):
        raise ConfigError(f"--set {key}: '{head}' is a value and has no keys below it")
    copy[head] = override(inner, rest, value)
    return copy


def parse_assignments(assignments: Iterable[str]) -> dict[str, Any]:
    """`["a.b=1", "c=x"]` -> `{"a.b": 1, "c": "x"}`; values are read as YAML."""
    parsed: dict[str, Any] = {}
    for text in assignments:
        key, separator, value = text.partition("=")
        if not separator or not key:
            raise ConfigError(f"--set {text}: expected key=value, as in --set optimiser.lr=0.001")
        try:
            parsed[key.strip()] = yaml.safe_load(value)
        except (yaml.YAMLError, ValueError):
            raise ConfigError(f"--set {text}: the value is not valid YAML") from None
    return parsed


def override_all(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(values)
    for key, value in changes.items():
        result = override(result, key, value)
    return result


def nearest_name(name: str, known: Iterable[str]) -> str:
    """'; did you mean …' or the list of known names, for error messages about registries."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean '{close[0]}'?" if close else f"; known: {', '.join(known)}"
