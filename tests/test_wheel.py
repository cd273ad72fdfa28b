"""The wheel, installed as users install it: into an environment of its own, which has no torch."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from shortvox.cli.main import run
from shortvox.corpora.corpus import Corpus
from shortvox.errors import LAB

ROOT = Path(__file__).parents[1]
PIP = ("-m", "pip", "--disable-pip-version-check", "--quiet", "--retries", "1", "--timeout", "15")
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


def python(where: str | Path, *arguments: object) -> str:
    """What a Python prints; raises where it fails, with what it said."""
    done = subprocess.run([where, *map(str, arguments)], capture_output=True, text=True, env=CLEAN, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    reached = [sys.executable, *PIP, "download", "--no-deps", "--dest", str(folder / "probe"), "annotated-doc"]
    if subprocess.run(reached, capture_output=True, env=CLEAN, check=False).returncode != 0:
        pytest.skip("pip reaches no package index")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("*.egg-info", "__pycache__"))
    python(sys.executable, *PIP, "wheel", "--no-deps", "--wheel-dir", folder / "dist", folder)
    (built,) = (folder / "dist").iterdir()
    return built


@pytest.fixture(scope="module")
def base(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a new environment that has the wheel and what it asks for."""
    folder = tmp_path_factory.mktemp("base")
    python(sys.executable, "-m", "venv", folder)
    python(folder / "bin/python", *PIP, "install", "-c", ROOT / "constraints.txt", wheel)
    return folder / "bin/python"


def test_the_wheel_has_every_file_of_the_package(wheel: Path) -> None:
    package = ROOT / "src/shortvox"
    kept = {path.relative_to(ROOT / "src").as_posix() for path in package.rglob("*") if path.is_file()}
    kept = {name for name in kept if "__pycache__" not in name}
    assert {Path(name).suffix for name in kept} >= {".py", ".yaml", ".html", ".css", ".typed"}
    assert kept == {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("shortvox/")}


FACTORY = '''
import numpy as np
from shortvox.encoders.encoder import Encoder

def loudness():
    """Energies of a few shares of the spectrum."""
    def run(waveforms):
        return np.stack([[part.sum() for part in np.array_split(np.abs(np.fft.rfft(one)), 8)] for one in waveforms])
    return Encoder("loudness", "test", "here", 8, "1", 160, run)
'''


def test_a_clean_environment_embeds(
    base: Path, corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Corpora and recordings, to the same figures as here, and without anything of the lab."""
    monkeypatch.chdir(tmp_path)
    Path("hearing.py").write_text(FACTORY)
    shortvox = base.with_name("shortvox")
    assert python(shortvox, "--version").strip()
    embed = ("embed", "--model", "python:hearing:loudness", "--out")
    for out, speech in (("all.npz", ("--corpus", corpus.root)), ("two.csv", [u.path for u in corpus.utterances[:2]])):
        python(shortvox, *embed, f"base-{out}", *speech)
        assert run([*embed, f"lab-{out}", *map(str, speech)]) == 0
        assert Path(f"base-{out}").read_bytes() == Path(f"lab-{out}").read_bytes()
    with np.load("base-all.npz") as found:
        assert found["utterance"].tolist() == [u.id for u in corpus.utterances]
    installed = python(
        base, "-c", "from importlib.metadata import distributions as all; print(*(d.name for d in all()))"
    )
    assert "numpy" in installed.split()
    assert not {name.lower() for name in installed.split()} & LAB
    lacking = subprocess.run([shortvox, "train", "x.yaml"], capture_output=True, text=True, env=CLEAN, check=False)
    assert lacking.returncode == 2
    assert lacking.stderr == "error: this needs the lab (torch is not installed); pip install 'shortvox[train]'\n"
