"""The models in the box: how they get there, what takes their names, and those that came with this copy."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from benchmarks.make_box import MOST_BYTES, make

from amounts import AMOUNTS
from benchmarks import make_box
from shortvox import box
from shortvox.cli.main import run
from shortvox.corpora.corpus import Corpus
from shortvox.encoders.encoder import probe
from shortvox.encoders.opening import open_encoder
from shortvox.errors import EncoderError, ShortvoxError
from shortvox.models.folder import load_model
from shortvox.scoring.calibrationfile import read_calibration
from shortvox.studies.study import Study, StudySettings
from shortvox.training.branches import TeacherSettings
from voices import write_pairs
from without import without_the_lab

LENGTHS = {"0.3", "0.5", "1", "1.5", "2", "3", "5", "full"}
PARTS = {"model.onnx", "calibration.json", "card.md", "export.json"}
REAL = [name for name in box.NAMES if (box.HERE / name).is_dir()]
DIM = {"default": 192, "tiny": 192}
QUICK = ["--lengths", "full,1", "--set", "draws=100", "--set", "crop_seeds=1"]
SOUNDS = [probe(16_000), probe(4_800, 1)]


def check_folder(folder: Path) -> dict[str, Any]:
    """What is asked of a folder in the box; returns its report."""
    assert {path.name for path in folder.iterdir()} == PARTS
    report: dict[str, Any] = json.loads((folder / "export.json").read_text())
    (facts,) = report["graphs"].values()
    assert facts["bytes"] == (folder / "model.onnx").stat().st_size <= MOST_BYTES[folder.name]
    said = onnxruntime.InferenceSession(folder / "model.onnx").get_modelmeta().custom_metadata_map
    assert (said["name"], said["fingerprint"]) == (folder.name, report["fingerprint"])
    assert said["precision"] == facts["precision"] in ("fp16-storage", "int8-storage")
    calibration = read_calibration(folder / "calibration.json")
    assert calibration is not None
    assert {name: set(fits) for name, fits in calibration["protocols"].items()} == {
        "full-short": LENGTHS,
        "short-short": LENGTHS,
    }
    assert all(fit["scale"] > 0 for fits in calibration["protocols"].values() for fit in fits.values())
    return report


def test_its_maker_fills_a_folder(made_box: Path, model_folder: Path) -> None:
    report = check_folder(made_box / "tiny")
    assert report["fingerprint"] == load_model(model_folder).fingerprint()
    card = (made_box / "tiny/card.md").read_text()
    assert "`model.onnx`: int8-storage" in card
    assert re.search(r"\n- calibrated on the 6 speakers of voices\d+\n$", card)


def test_what_is_too_large_is_not_placed(
    made_box: Path, model_folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, corpus: Corpus
) -> None:
    def huge(model: Path, out: Path, **options: object) -> dict[str, Any]:
        return {"graphs": {"model.onnx": {"bytes": 2_000_001, "least_cosine": 1.0}}}

    monkeypatch.setattr(make_box, "export_model", huge)
    with pytest.raises(ShortvoxError, match=r"tiny: the graph has 2\.00 MB and may have 2"):
        make(model_folder, "tiny", [corpus.root], None, tmp_path, "fp16-storage", "")
    assert not any(tmp_path.iterdir())


def test_a_name_opens_it(boxed: Path, exported: Path) -> None:
    encoder = open_encoder("tiny")
    assert (encoder.name, encoder.kind, encoder.source) == ("tiny", "model in the box", "tiny")
    assert encoder.home is None
    assert encoder.calibration == json.loads((boxed / "calibration.json").read_text())
    np.testing.assert_array_equal(
        encoder.embed(SOUNDS), open_encoder(exported / "model.int8-storage.onnx").embed(SOUNDS)
    )


def test_one_that_is_missing_is_named(boxed: Path) -> None:
    with pytest.raises(EncoderError, match=r"default: the model in the box is missing \(.*model\.onnx\); install"):
        open_encoder("default")


def test_a_folder_of_that_name_is_told_and_reached(
    boxed: Path, model_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("tiny").symlink_to(model_folder)
    for _ in range(2):
        assert open_encoder("tiny").kind == "model in the box"
    told = capsys.readouterr().err
    assert told.count("what is called so in this folder is ./tiny") == 1
    assert open_encoder("./tiny").kind == open_encoder(Path("tiny")).kind == "model folder"
    assert box.model_path("./tiny") == box.model_path(Path("tiny")) == Path("tiny")


def test_every_command_takes_the_name(
    boxed: Path, model_folder: Path, corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    speech = ["--corpus", str(corpus.root)]
    assert run(["embed", "--model", "tiny", *speech, "--out", "kept.npz"]) == 0
    capsys.readouterr()
    both = ["--model", "tiny", "--model", str(model_folder)]
    assert run(["evaluate", *both, *speech, "--out", "out", *QUICK, "--json"]) == 0
    systems = json.loads(capsys.readouterr().out)["protocols"]["full-short"]["systems"]
    assert systems["tiny"]["lengths"]["1"]["cllr"] is not None  # by the calibration that came with it
    assert systems["tiny"]["encoder"]["kind"] == "model in the box"
    before = (boxed / "calibration.json").read_bytes()
    assert run(["calibrate", "--model", "tiny", *speech, "--lengths", "1"]) == 2
    assert "tiny: no model folder or export of yours, so nothing is written" in capsys.readouterr().err
    assert run(["calibrate", "--model", "tiny", *speech, "--lengths", "1", "--out", "fits"]) == 0
    assert (boxed / "calibration.json").read_bytes() == before
    (kept,) = Path("fits").iterdir()
    assert kept.name == open_encoder("tiny").fingerprint


def test_the_model_itself_can_be_trained_on(boxed: Path, corpus: Corpus, capsys: pytest.CaptureFixture[str]) -> None:
    Path("t.yaml").write_text(
        "{steps: 2, batch: 4, crop: 1s, model: {backbone: ecapa-64}, augment: {rooms: 2}, validation: {speakers: 0},"
        " teachers: {long: {model: tiny, teaches: [crop], posterior: 0}}, transfer: {statistics: model}}"
    )
    command = ["train", "t.yaml", "--corpus", str(corpus.root), "--out", "trained", "--init", "tiny"]
    assert run([*command, "--set", "threads=1", "--set", "optimiser.lr=1e-9", "--set", "average=0"]) == 0
    sounds = [torch.from_numpy(sound)[None] for sound in SOUNDS]
    with torch.inference_mode():
        before = torch.cat([load_model(boxed).embed(sound) for sound in sounds])
        after = torch.cat([load_model(Path("trained")).embed(sound) for sound in sounds])
    assert (before * after).sum(dim=1).min() > 0.9999  # hardly a step away from it


def test_a_study_starts_from_it(boxed: Path) -> None:
    systems = {"before": {"encoder": "tiny"}, "after": {"start": "before", "steps": 1, "crop": "1s"}}
    train = {"transfer": {"rows": "new"}, "teachers": {"long": {"posterior": 0, "teaches": ["crop"]}}}
    systems["after"]["teachers"] = {"long": "before"}
    settings = {"title": "", "about": "", "budget": {}, "systems": systems, "train": train}
    study = Study("box", StudySettings.model_validate(settings))
    study.check()
    training = study.training("after", 0)
    assert training.model.backbone == "ecapa-64"
    assert training.teachers["long"].model == boxed
    assert TeacherSettings.model_validate({"model": "tiny"}).model == boxed


def test_two_files_are_verified_without_the_lab(boxed: Path, tmp_path: Path) -> None:
    path = boxed / "calibration.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "amounts": AMOUNTS.to_json()}))
    one, same, other = map(str, write_pairs(tmp_path))
    statement = (
        "from pathlib import Path; from shortvox import box; box.HERE = Path(sys.argv.pop(1))\n"
        "from shortvox.cli import main; main()"
    )
    found = []
    for test in (same, other):
        ended = without_the_lab(statement, boxed.parent, "verify", "--model", "tiny", "--json", one, test)
        assert ended.returncode in (0, 3, 4)
        found.append(json.loads(ended.stdout))
    assert found[0]["score"] > found[1]["score"]
    assert found[0]["llr"] > found[1]["llr"]


@pytest.mark.parametrize("name", REAL)
def test_what_came_with_this_copy_is_whole(name: str) -> None:
    check_folder(box.HERE / name)


@pytest.mark.parametrize("name", REAL)
def test_what_came_with_this_copy_hears(name: str) -> None:
    """In a process without torch and without a network."""
    code = (
        "import socket, sys\nsocket.socket = None\n"
        "from shortvox.encoders.opening import open_encoder\nfrom shortvox.encoders.encoder import probe\n"
        f"encoder = open_encoder({name!r})\n"
        "print(encoder.dim, encoder.shortest, encoder.embed([probe(4800), probe(16000)]).shape[0])\n"
        "print([each for each in ('torch', 'scipy', 'onnx', 'pyarrow', 'safetensors') if each in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.split("\n")[:2] == [f"{DIM[name]} 160 2", "[]"]


@pytest.mark.parametrize("name", REAL)
def test_what_came_with_this_copy_can_be_trained_on(name: str) -> None:
    graph, model = open_encoder(name), load_model(box.HERE / name)
    with torch.inference_mode():
        rebuilt = np.concatenate([model.embed(torch.from_numpy(sound)[None]).numpy() for sound in SOUNDS])
    assert (graph.embed(SOUNDS) * rebuilt).sum(axis=1).min() > 1 - 1e-4


@pytest.mark.parametrize("name", REAL)
def test_a_card_says_what_it_must(name: str) -> None:
    text = (box.HERE / name / "card.md").read_text()
    assert text.startswith(f"# {name}\n")
    sections = ("How it was trained", "Data", "How good it is", "What it is bad at", "What it must not be used for")
    assert {f"## {section}" for section in sections} <= set(text.splitlines())
    assert ("licence" in text) and ("Apache-2.0" in text or name != "default")
