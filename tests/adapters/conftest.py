"""The adapter of Open Voice OS: with ovos-plugin-manager where it is installed, else with its interface alone."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

from hearing import VERIFIER
from shortvox.verification.verifier import Verifier


class HotWordVerifier:
    """As ovos-plugin-manager 2.2.0 has it."""

    def __init__(self, config: dict[str, Any] | None = None) -> None:
        self.config = config or {}

    def verify(self, chunk: bytes) -> bool:
        raise NotImplementedError


class Log:
    """What was told, by level."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    def __getattr__(self, level: str) -> Callable[[str], None]:
        return lambda line: self.told.append((level, line))


@pytest.fixture
def adapter(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    try:
        import ovos_plugin_manager.templates.hotwords  # noqa: F401
    except ImportError:
        members = {"ovos_plugin_manager.templates.hotwords": HotWordVerifier, "ovos_utils.log": None}
        for name in ("ovos_plugin_manager", "ovos_plugin_manager.templates", "ovos_utils", *members):
            monkeypatch.setitem(sys.modules, name, ModuleType(name))
        for name, member in members.items():
            vars(sys.modules[name]).update(HotWordVerifier=member, LOG=member)
    found = importlib.import_module("shortvox.adapters.ovos")
    monkeypatch.setattr(found, "LOG", Log())
    monkeypatch.setattr(Verifier, "load", lambda model: VERIFIER)
    yield found
    sys.modules.pop("shortvox.adapters.ovos")
