"""Galleries of each engine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

Address = Callable[[str], str]


@pytest.fixture(params=["sqlite", "milvus"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Address:
    """Addresses of galleries of one engine that are not there yet."""
    if request.param == "milvus":
        pytest.importorskip("milvus_lite")
        return lambda name: f"milvus:{tmp_path / name}.milvus.db"
    return lambda name: str(tmp_path / f"{name}.db")
