"""The mean of several models' weights."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from shortvox.config import parse
from shortvox.corpora.speech import SpeechData
from shortvox.models.folder import load_model, save_model
from shortvox.models.settings import ModelSettings
from shortvox.models.speaker_model import SpeakerModel

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "mean_of_models.py"


def model(folder: Path, seed: int, backbone: str = "ecapa-64") -> Path:
    torch.manual_seed(seed)
    settings = parse(ModelSettings, {"backbone": backbone, "head": {"name": "aam"}}, "test")
    save_model(folder, SpeakerModel.fresh(settings, ("ada", "bob")), card="made\n")
    return folder


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True, check=False)


def test_models_are_weighed_and_centred(tmp_path: Path, data: SpeechData) -> None:
    a, b = model(tmp_path / "a", 0), model(tmp_path / "b", 1)
    done = run(str(tmp_path / "mean"), f"{a}=3", str(b))
    assert done.returncode == 0, done.stderr
    found, *parts = (load_model(path).backbone.state_dict() for path in (tmp_path / "mean", a, b))
    for name, tensor in found.items():
        torch.testing.assert_close(tensor, 0.75 * parts[0][name] + 0.25 * parts[1][name])
    done = run(str(tmp_path / "centred"), str(a), "--centre", str(data.corpus.root))
    assert done.returncode == 0, done.stderr
    moved = load_model(tmp_path / "centred").backbone.state_dict()
    assert [name for name, tensor in moved.items() if not torch.equal(tensor, parts[0][name])] == ["norm.bias"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["b"], "is of another kind than"),
        (["a=much"], "'much' is no weight"),
        (["a=-1"], "'-1' is no weight"),
        (["a"], "is given twice"),
        (["c"], "no such folder"),
    ],
)
def test_what_cannot_be_is_told(tmp_path: Path, arguments: list[str], told: str) -> None:
    model(tmp_path / "a", 0)
    model(tmp_path / "b", 0, "ecapa-128")
    done = run(str(tmp_path / "out"), str(tmp_path / "a"), *(str(tmp_path / one) for one in arguments))
    assert done.returncode == 2
    assert told in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()
