"""YAML as far as settings need it: no key twice, text for keys, and nothing that grows when it is read.

A few lines with anchors can stand for a billion values, and brackets can be nested deeper than Python recurses.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from typing import Any

import yaml

from shortvox.errors import ConfigError

DEEPEST = 50  # values within values
MOST_VALUES = 100_000  # with every anchor written out
_MERGE, _TEXT = "tag:yaml.org,2002:merge", "tag:yaml.org,2002:str"


class _Refused(yaml.MarkedYAMLError):
    """YAML, but not for settings."""


class _Loader(yaml.SafeLoader):
    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self.depth += 1
        if self.depth > DEEPEST:
            raise _refused(f"nested more than {DEEPEST} deep", self.peek_event().start_mark)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def get_single_node(self) -> yaml.Node | None:
        node = super().get_single_node()
        if node is not None:
            _measured(node, {}, set())
        return node


def parse_yaml(text: str, where: str) -> Any:
    """The value that `text` is; raises ConfigError naming `where`, the line and what is wrong."""
    try:
        loader = _Loader(text)
        try:
            return loader.get_single_data()
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}" if mark is not None else ""
        reason = error.problem if isinstance(error, _Refused) else "not valid YAML"
        raise ConfigError(f"{where}{place}: {reason}") from None
    except ValueError as error:  # a date such as 2020-13-45, a number of 5000 digits
        raise ConfigError(f"{where}: not valid YAML ({error})") from None


def dump_yaml(values: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True)


def _measured(node: yaml.Node, known: dict[int, tuple[int, int]], inside: set[int], key: str = "") -> tuple[int, int]:
    """How many values a node stands for, and how deep they are nested, every anchor written out."""
    name, place = id(node), f"{key}: " if key else ""
    if name in known:
        return known[name]
    if name in inside:
        raise _refused(f"{place}an anchor that holds itself", node.start_mark)
    inside.add(name)
    values, depth = 1, 1
    for inner, below in _inner(node, key):
        more, deeper = _measured(inner, known, inside, below)
        values, depth = values + more, max(depth, deeper + 1)
        if values > MOST_VALUES or depth > DEEPEST:
            raise _refused(f"{place}anchors that multiply; write the values out", node.start_mark)
    inside.remove(name)
    known[name] = values, depth
    return values, depth


def _inner(node: yaml.Node, key: str) -> Iterator[tuple[yaml.Node, str]]:
    """The nodes below, each with its dotted key."""
    if isinstance(node, yaml.SequenceNode):
        yield from ((inner, key) for inner in node.value)
    if not isinstance(node, yaml.MappingNode):
        return
    seen: set[str] = set()
    for name, value in node.value:
        if name.tag != _MERGE:
            _check_key(name, seen)
            seen.add(name.value)
        yield value, f"{key}.{name.value}".removeprefix(".")


def _check_key(name: yaml.Node, seen: Container[str]) -> None:
    if name.tag != _TEXT or not isinstance(name, yaml.ScalarNode):
        told = f"write '{name.value}' in quotes" if isinstance(name, yaml.ScalarNode) else "a value stands in its place"
        raise _refused(f"a key that is no text; {told}", name.start_mark)
    if name.value in seen:
        raise _refused(f"key '{name.value}' twice; remove one", name.start_mark)


def _refused(reason: str, mark: Any) -> _Refused:
    return _Refused(problem=reason, problem_mark=mark)
