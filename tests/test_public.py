"""What `from shortvox import …` gives: a name is added on purpose, and none goes missing."""

from __future__ import annotations

import subprocess
import sys

import pytest

import shortvox


def test_public_names_are_these() -> None:
    names = ["Costs", "Decision", "Gallery", "Outcome", "Refusal", "Verifier", "Voiceprint", "__version__"]
    assert shortvox.__all__ == names
    assert all(getattr(shortvox, name).__doc__ for name in names if name != "__version__")
    assert set(names) <= set(dir(shortvox))
    with pytest.raises(AttributeError, match="no attribute 'Verifyer'"):
        _ = shortvox.Verifyer  # type: ignore[attr-defined]


def test_importing_the_package_loads_nothing() -> None:
    code = "import sys, shortvox; print([n for n in ('numpy', 'onnxruntime', 'pydantic') if n in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
