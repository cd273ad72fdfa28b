"""The wheel, installed as users install it: into an environment of its own, which has no torch."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from shortvox.box import GRAPH, NAMES
from shortvox.cli.main import run
from shortvox.corpora.corpus import Corpus
from shortvox.errors import LAB
from voices import write_pairs

ROOT = Path(__file__).parents[1]
MOST_BYTES = 20_000_000
PIP = ("-m", "pip", "--disable-pip-version-check", "--quiet", "--retries", "1", "--timeout", "15")
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


def python(where: str | Path, *arguments: object) -> str:
    """What a Python prints; raises where it fails, with what it said."""
    done = subprocess.run([where, *map(str, arguments)], capture_output=True, text=True, env=CLEAN, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def source(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what a wheel is built of; the small model is what the box lacks."""
    folder = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("*.egg-info", "__pycache__"))
    for name in NAMES:
        if not (placed := folder / "src/shortvox/box" / name).exists():
            shutil.copytree(exported, placed, ignore=shutil.ignore_patterns("*.onnx"))
            shutil.copy(exported / "model.int8-storage.onnx", placed / GRAPH)
    return folder


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    reached = [sys.executable, *PIP, "download", "--no-deps", "--dest", str(folder / "probe"), "annotated-doc"]
    if subprocess.run(reached, capture_output=True, env=CLEAN, check=False).returncode != 0:
        pytest.skip("pip reaches no package index")
    python(sys.executable, *PIP, "wheel", "--no-deps", "--wheel-dir", folder / "dist", source)
    (built,) = (folder / "dist").iterdir()
    return built


@pytest.fixture(scope="module")
def base(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a new environment that has the wheel and what it asks for."""
    folder = tmp_path_factory.mktemp("base")
    python(sys.executable, "-m", "venv", folder)
    python(folder / "bin/python", *PIP, "install", "-c", ROOT / "constraints.txt", wheel)
    return folder / "bin/python"


def test_the_wheel_has_every_file_of_the_package(source: Path, wheel: Path) -> None:
    package = source / "src/shortvox"
    kept = {path.relative_to(source / "src").as_posix() for path in package.rglob("*") if path.is_file()}
    assert {Path(name).suffix for name in kept} >= {".py", ".yaml", ".html", ".css", ".typed", ".onnx", ".json", ".md"}
    names = zipfile.ZipFile(wheel).namelist()
    assert kept == {name for name in names if name.startswith("shortvox/")}
    assert {name.rpartition("/")[2] for name in names if "dist-info/licenses/" in name} == {"LICENSE", "NOTICE"}
    assert wheel.stat().st_size < MOST_BYTES


def test_a_clean_environment_verifies_two_files_offline(base: Path, tmp_path: Path) -> None:
    """With the models that came in the wheel, where no connection can be made."""
    offline = "import socket\nsocket.socket = socket.create_connection = None\nfrom shortvox.cli import main\nmain()"
    one, same, other = write_pairs(tmp_path)
    for name in NAMES:
        command = [base, "-c", offline, "verify", "--model", name, "--json", one]
        said = json.loads(python(*command, same))
        assert (said["encoder"], said["outcome"]) == (name, "SAME") and said["llr"] > said["accept"]
        ended = subprocess.run([*command, other], capture_output=True, text=True)
        assert (ended.returncode, json.loads(ended.stdout)["outcome"]) == (3, "DIFFERENT")
    assert python(base, "-c", offline, "verify", one, same).startswith("SAME\nllr ")


def test_a_clean_environment_embeds_as_torch_does(
    base: Path, model_folder: Path, corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An exported model in the base, over a corpus and over recordings; then a test of what it has kept."""
    graph, kept, listed = (tmp_path / name for name in ("graph", "kept.npz", "two.csv"))
    assert run(["export", "--model", str(model_folder), "--out", str(graph)]) == 0
    shortvox = base.with_name("shortvox")
    python(shortvox, "embed", "--model", graph, "--corpus", corpus.root, "--out", kept)
    python(shortvox, "embed", "--model", graph, "--out", listed, *(u.path for u in corpus.utterances[:2]))
    with np.load(kept) as found:
        assert found["utterance"].tolist() == [u.id for u in corpus.utterances]
        two = np.loadtxt(listed, delimiter=",", skiprows=1, usecols=range(2, 2 + found["embedding"].shape[1]))
        assert ((two * found["embedding"][:2]).sum(axis=1) > 0.99999).all()
    command = ["evaluate", "--model", str(model_folder), "--model", str(kept), "--corpus", str(corpus.root), "--json"]
    capsys.readouterr()
    assert run([*command, "--lengths", "full", "--set", "draws=100", "--out", str(tmp_path / "out")]) == 0
    for figures in json.loads(capsys.readouterr().out)["protocols"].values():
        torch, onnx = (system["lengths"]["full"]["eer"] for system in figures["systems"].values())
        assert onnx == torch


def test_a_clean_environment_has_nothing_of_the_lab(base: Path) -> None:
    installed = python(
        base, "-c", "from importlib.metadata import distributions as all; print(*(d.name for d in all()))"
    )
    assert "numpy" in installed.split()
    assert not {name.lower() for name in installed.split()} & LAB
    shortvox = base.with_name("shortvox")
    lacking = subprocess.run([shortvox, "train", "x.yaml"], capture_output=True, text=True, env=CLEAN, check=False)
    assert lacking.returncode == 2
    assert lacking.stderr == "error: this needs the lab (torch is not installed); pip install 'shortvox[train]'\n"
