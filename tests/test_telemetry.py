"""onnxruntime keeps to itself: it leaves no files of its own, and so nothing to report."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def test_a_session_leaves_nothing_in_the_users_home(exported: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    code = f"from shortvox.encoders.opening import open_encoder; open_encoder({str(exported)!r})"
    given = {name: value for name, value in os.environ.items() if not name.startswith(("ORT_", "XDG_"))}
    subprocess.run([sys.executable, "-c", code], env={**given, "HOME": str(home)}, check=True)
    assert not any(home.rglob("*"))
