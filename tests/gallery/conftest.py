"""Galleries of each engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Address = Callable[[str], str]


@pytest.fixture
def lite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Address]:
    """Addresses of galleries in milvus-lite; its servers, threads of this process, end with the test."""
    servers = pytest.importorskip("milvus_lite.server_manager")
    settings = pytest.importorskip("pymilvus.settings")
    monkeypatch.setattr(settings.Config, "WaitTimeDurationWhenLoad", 0.01)  # seconds between two looks, else half a one
    yield lambda name: f"milvus:{tmp_path / name}.milvus.db"
    servers.server_manager_instance.release_all()


@pytest.fixture(params=["sqlite", "milvus"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Address:
    """Addresses of galleries of one engine that are not there yet."""
    if request.param == "sqlite":
        return lambda name: str(tmp_path / f"{name}.db")
    found: Address = request.getfixturevalue("lite")
    return found
