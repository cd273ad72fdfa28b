"""The programs that docs/onnx-python.md and docs/onnx-javascript.md print, run on an exported model."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from shortvox.encoders.opening import open_encoder
from shortvox.export.parity import made_speech

DOCS = Path(__file__).parents[2] / "docs"
PACKAGES = Path(__file__).parent / "javascript" / "node_modules"


def program(page: str, language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL)
    assert isinstance(found, str)
    return found


@pytest.fixture
def recordings(tmp_path: Path) -> list[Path]:
    """Three WAV files of different lengths."""
    paths = [tmp_path / f"{seed}.wav" for seed in range(3)]
    for seed, path in enumerate(paths):
        soundfile.write(path, made_speech(12_000 + 5_000 * seed, seed), 16_000, subtype="PCM_16")
    return paths


def check(printed: list[str], graph: Path, recordings: list[Path]) -> None:
    """What was printed are the files and their cosines to the first."""
    embeddings = open_encoder(graph).embed([soundfile.read(path, dtype="float32")[0] for path in recordings])
    expected = embeddings @ embeddings[0]
    scores = dict(line.rsplit(" ", 1) for line in printed)
    assert list(scores) == list(map(str, recordings))
    np.testing.assert_allclose([float(score) for score in scores.values()], expected, atol=2e-4)
    assert min(expected) < 0.999


def test_the_python_page_needs_numpy_and_onnxruntime_alone(
    exported: Path, recordings: list[Path], tmp_path: Path
) -> None:
    script = tmp_path / "compare.py"
    imports = "import sys\nfor name in ('torch', 'shortvox', 'onnx', 'soundfile'):\n    sys.modules[name] = None\n"
    script.write_text(imports + program("onnx-python.md", "python"), encoding="utf-8")
    graph = exported / "model.onnx"
    command = [sys.executable, str(script), str(graph), *map(str, recordings)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    first, *printed = done.stdout.splitlines()
    assert first == "model 128 dimensions, at least 160 samples"
    check(printed, graph, recordings)


@pytest.mark.skipif(shutil.which("node") is None, reason="node is missing")
def test_the_javascript_page(exported: Path, recordings: list[Path], tmp_path: Path) -> None:
    if not PACKAGES.is_dir():
        pytest.fail("onnxruntime-web is missing; `make node` installs it with npm")
    (tmp_path / "node_modules").symlink_to(PACKAGES)
    script = tmp_path / "compare.mjs"
    script.write_text(program("onnx-javascript.md", "js"), encoding="utf-8")
    graph = exported / "model.int8.onnx"
    command = ["node", str(script), str(graph), *map(str, recordings)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    check(done.stdout.splitlines(), graph, recordings)
