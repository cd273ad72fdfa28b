"""Typed settings: YAML on disk, `--set a.b=value` on the command line, unknown keys refused with the nearest named."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, ClassVar, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError

from shortvox.errors import ConfigError
from shortvox.plainyaml import dump_yaml, parse_yaml
from shortvox.textfiles import read_text

MOST_YAML = 2**20  # bytes: settings are written by hand
LONGEST_SHOWN = 100  # characters of a wrong value that an error repeats


@dataclass(frozen=True)
class Need:
    """Where a setting takes effect: `met` says whether these settings are so, `told` how to make them so."""

    told: str
    met: Callable[[Any], bool]


class Settings(BaseModel):
    """Base of every settings class: immutable, and no key is ignored.

    `needs_of_keys` has, for keys of this class or dotted ones below, what they need to take effect (see effect.py).
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    needs_of_keys: ClassVar[Mapping[str, Need]] = {}


S = TypeVar("S", bound=Settings)


def parse(kind: type[S], values: Mapping[str, Any], where: str) -> S:
    """`values` as a `kind`; raises ConfigError naming `where`, the key and what would be right."""
    try:
        return kind.model_validate(dict(values))
    except ConfigError as error:  # from a validator that looked something up
        raise ConfigError(f"{where}: {error}") from None
    except ValidationError as error:
        found = error.errors()
        # A misspelt key that is needed is missing too, but only the misspelling says what to put right.
        first = next((each for each in found if each["type"] == "extra_forbidden"), found[0])
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise ConfigError(f"{where}: unknown key '{key}'{_nearest(kind, first['loc'])}") from None
        message = first["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{where}: {f'{key}: ' if key else ''}{message}{_shown(first['input'])}") from None


def _shown(value: Any) -> str:
    """A wrong value for an error message; '' where it is long, or a number of more digits than Python writes."""
    try:
        given = repr(value)
    except ValueError:
        return ""
    return f" (got {given})" if len(given) <= LONGEST_SHOWN else ""


def first_problem(error: ValidationError) -> str:
    """The first of what pydantic found, as `key: message`."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    key = ".".join(str(part)[:40] for part in first["loc"] if part != "[key]")
    message = first["msg"].removeprefix("Value error, ")
    return f"{key}: {message}" if key else message


def _nearest(kind: type[BaseModel], location: tuple[int | str, ...]) -> str:
    """The valid key closest to the last part of `location`, as a suggestion."""
    known = _known_keys(kind, location[:-1])
    close = difflib.get_close_matches(str(location[-1]), known, n=1, cutoff=0.4)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; known keys: {', '.join(sorted(known))}" if known else ""


def _known_keys(kind: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    reached: list[Any] = [kind]
    for part in path:
        reached = [option for place in reached for inner in _below(place, part) for option in _options(inner)]
    return [key for place in reached if _has_keys(place) for key in place.model_fields]


def _below(annotation: Any, part: int | str) -> list[Any]:
    """What may stand at `part` of a settings class; of a dict or tuple, whatever the part, one of its arguments."""
    if _has_keys(annotation):
        field = annotation.model_fields.get(part)
        return [field.annotation] if field else []
    return list(get_args(annotation))


def _options(annotation: Any) -> list[Any]:
    """`X | None` -> [X, NoneType]; any other annotation alone."""
    if get_origin(annotation) in (Union, UnionType, Annotated):
        return [option for inner in get_args(annotation) for option in _options(inner)]
    return [annotation]


def _has_keys(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file; raises ConfigError when it is missing, malformed or no mapping."""
    text = read_text(path, ConfigError, "a YAML file of settings", most=MOST_YAML)
    content = parse_yaml(text, str(path))
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected 'key: value' lines at the top")
    return content


def write_yaml(values: Mapping[str, Any]) -> str:
    return dump_yaml(values)


def override(values: Mapping[str, Any], key: str, value: Any) -> dict[str, Any]:
    """A copy of nested `values` with dotted `key` set; where keys are dotted already, as one more of them.

    A mapping changes the keys that it names and leaves their neighbours; an empty one leaves nothing.
    """
    head, _, rest = key.partition(".")
    copy = dict(values)
    if isinstance(value, Mapping) and value and isinstance(copy.get(key), Mapping):
        copy[key] = override_all(copy[key], value)
        return copy
    if not rest or (head not in copy and any("." in known for known in copy)):
        copy[key] = value
        return copy
    inner = {} if copy.get(head) is None else copy[head]
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
        parsed[key.strip()] = parse_yaml(value, f"--set {text}")
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
