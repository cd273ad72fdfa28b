"""`evaluate` and `calibrate` with encoders that shortvox did not make, beside a model that it did."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from graphs import DIM, of_features
from safetensors.numpy import load_file

from shortvox.cli.main import run
from shortvox.corpora.corpus import Corpus
from shortvox.encoders.opening import open_encoder
from voices import make_voices

METADATA = {"framework": "3d-speaker", "normalize_samples": "1", "output_dim": str(DIM)}
QUICK = ["--lengths", "full,1", "--set", "draws=100", "--set", "crop_seeds=1"]
FACTORY = """
import numpy as np

def spectrum(waveform):
    return np.log(np.abs(np.fft.rfft(waveform, 512))[1:].reshape(16, -1).mean(axis=1) + 1e-6)

def make():
    return spectrum
"""


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    return of_features(tmp_path / "outside.onnx", metadata=METADATA)


@pytest.fixture
def factory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "factory_of_test.py").write_text(FACTORY)
    monkeypatch.chdir(tmp_path)
    return "python:factory_of_test:make"


def done(*arguments: object) -> None:
    assert run([*map(str, arguments)]) == 0


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    capsys.readouterr()
    assert run([*map(str, arguments)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err.splitlines()[-1]


def test_outside_encoders_are_compared_with_a_model_on_the_same_trials(
    model_folder: Path, graph: Path, factory: str, corpus: Corpus, tmp_path: Path
) -> None:
    models = ("--model", model_folder, "--model", graph, "--model", factory)
    command = ("evaluate", *models, "--corpus", corpus.root, "--out", tmp_path / "out", *QUICK)
    done(*command)
    results: dict[str, Any] = json.loads((tmp_path / "out/results.json").read_text())
    for one in results["protocols"].values():
        systems = one["systems"]
        assert list(systems) == ["model", "outside", "make"]
        told = systems["outside"]["encoder"]
        fingerprint = open_encoder(graph).fingerprint
        assert told == {"name": "outside", "kind": "ONNX graph", "dim": DIM, "fingerprint": fingerprint}
        assert (systems["make"]["encoder"]["kind"], systems["make"]["encoder"]["dim"]) == ("Python factory", 16)
        assert systems["model"]["encoder"]["kind"] == "model folder"
        assert systems["model"]["parameters"] > 0
        for name in ("outside", "make"):
            assert systems[name]["parameters"] is None
            assert systems[name]["voiceless"] is None
            assert systems[name]["lengths"]["1"]["cllr"] is None
        pairs = {(row["a"], row["b"]) for row in one["comparisons"]}
        assert pairs == {("model", "outside"), ("model", "make"), ("outside", "make")}
    page = (tmp_path / "out/report.html").read_text()
    assert "outside" in page and "make" in page
    cached = [load_file(path)["embeddings"] for path in (tmp_path / "out/embeddings").iterdir()]
    assert {vectors.shape[1] for vectors in cached} == {systems["model"]["encoder"]["dim"], DIM, 16}  # each its own
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out/embeddings").iterdir()}
    done(*command)
    assert before == {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out/embeddings").iterdir()}


def test_a_calibration_is_kept_by_fingerprint_and_found_again(
    graph: Path, model_folder: Path, corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "kept"
    fit = ("calibrate", "--corpus", corpus.root, "--lengths", "full,1", "--out", kept, "--model")
    done(*fit, graph, "--json")
    told = json.loads(capsys.readouterr().out)[str(graph)]
    path = kept / open_encoder(graph).fingerprint / "calibration.json"
    assert told["calibration"] == str(path)
    written = json.loads(path.read_text())
    assert written["fitted_on"] == f"{corpus.name}: {len(corpus.speakers)} speakers"
    assert {name: set(lengths) for name, lengths in written["protocols"].items()} == {
        "full-short": {"full", "1"},
        "short-short": {"full", "1"},
    }

    def cost(model: Path, name: str, *options: object) -> float | None:
        out = tmp_path / "out"
        settings = ("--protocol", "full-short", "--lengths", "1", "--set", "draws=100", "--set", "crop_seeds=1")
        done("evaluate", "--model", model, "--corpus", corpus.root, "--out", out, *settings, *options)
        system = json.loads((out / "results.json").read_text())["systems"][name]
        found: float | None = system["lengths"]["1"]["cllr"]
        return found

    assert cost(graph, "outside") is None
    expected = cost(graph, "outside", "--calibrations", kept)
    assert expected is not None
    own = cost(model_folder, "model", "--calibrations", kept)
    done(*fit, model_folder)
    fitted_here = cost(model_folder, "model", "--calibrations", kept)
    assert own is not None and fitted_here is not None
    assert fitted_here < own  # it comes before the model's own, and was fitted on these very speakers
    kept.rename(tmp_path / "out/calibrations")
    assert cost(graph, "outside") == expected


def test_a_model_of_ours_keeps_its_calibration_beside_it(model_folder: Path, corpus: Corpus, tmp_path: Path) -> None:
    model = tmp_path / "mine"
    shutil.copytree(model_folder, model)
    before = (model / "calibration.json").read_text()
    done("calibrate", "--model", model, "--corpus", corpus.root, "--lengths", "1")
    assert (model / "calibration.json").read_text() != before
    done(
        *("calibrate", "--model", model, "--corpus", corpus.root, "--lengths", "1"),
        *("--set", "embedding.name=tta", "--set", "embedding.frames=50"),
    )
    assert len(list(model.glob("calibration-*.json"))) == 1


def test_what_only_a_model_can_do_is_refused_before_any_work(
    graph: Path, corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    test = ("evaluate", "--model", graph, "--corpus", corpus.root, "--out", tmp_path / "out", *QUICK)
    for asked, named in (
        ("scoring.context=file", "scoring.context=file"),
        ("scoring.embedding.name=joined", "scoring.embedding.name=joined"),
        ("scoring.frontend.vad=sre16-v2", "scoring.frontend"),
    ):
        line = refused(capsys, *test, "--set", asked)
        assert line.startswith(f"error: {graph}: {named} needs a model folder of shortvox")
    assert not (tmp_path / "out").exists()
    assert "name a folder for calibrations with --out" in refused(
        capsys, "calibrate", "--model", graph, "--corpus", corpus.root
    )
    assert "same encoder was given twice" in refused(capsys, *test, "--model", graph.parent / "." / graph.name)
    cohort = ("--set", "norm.name=s-norm")
    assert "--cohort DIR" in refused(capsys, "calibrate", "--model", graph, "--corpus", corpus.root, *cohort)


def test_tta_of_an_outside_encoder_is_scored_as_of_a_model(graph: Path, corpus: Corpus, tmp_path: Path) -> None:
    """Pieces of a crop are embedded each: nothing of it needs the network's inside."""
    tta = ("--set", "scoring.embedding.name=tta", "--set", "scoring.embedding.frames=50")
    done("evaluate", "--model", graph, "--corpus", corpus.root, "--out", tmp_path / "out", *QUICK, *tta)
    results = json.loads((tmp_path / "out/results.json").read_text())
    told = results["protocols"]["full-short"]["systems"]["outside"]["scoring"]["text"]
    assert told == "cosine of TTA, 10 crops of 50 frames"


def test_a_study_tests_encoders_from_elsewhere_and_calibrates_them(
    graph: Path, model_folder: Path, tmp_path: Path
) -> None:
    """No system is trained here; each is calibrated on the same validation speakers."""
    corpus = make_voices(tmp_path / "voices", speakers=12, each=3)
    study = {
        "title": "Ours and another",
        "about": "a test",
        "budget": {},
        "seeds": 2,
        "train": {"validation": {"speakers": 2}},
        "systems": {
            "ours": {"encoder": str(model_folder)},
            "outside": {"encoder": str(graph), "about": "from elsewhere"},
            "outside-distance": {"of": "outside", "scoring": {"measure": "distance"}},
        },
        "test": {"protocols": ["full-short"], "lengths": ["full", 1], "draws": 100, "crop_seeds": 1},
        "test_speakers": 0.34,
        "compare": [["outside", "ours"]],
    }
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study))
    before = (model_folder / "calibration.json").read_bytes()
    command = ("study", tmp_path / "study.yaml", "--corpus", corpus.root, "--out", tmp_path / "out")
    done(*command)
    results = json.loads((tmp_path / "out/results.json").read_text())
    systems = results["systems"]
    assert list(systems) == ["ours", "outside", "outside-distance"]
    assert systems["ours"]["parameters"] > 0 and systems["ours"]["total_steps"] == 6
    assert (systems["outside"]["about"], systems["outside"]["of"]) == ("from elsewhere", None)
    assert systems["outside-distance"]["of"] == "outside"
    for name in ("outside", "outside-distance"):
        told = systems[name]
        assert told["encoder"]["kind"] == "ONNX graph"
        assert (told["parameters"], told["total_steps"], told["epochs"], told["seconds_heard"]) == (None,) * 4
    for told in systems.values():
        assert told["lengths"]["1"]["cllr"] is not None
        assert len({one["eer"] for one in told["lengths"]["1"]["seeds"]}) == 1  # it has no training seeds of its own
    assert {(row["a"], row["b"]) for row in results["comparisons"]} == {("outside", "ours")}
    assert (model_folder / "calibration.json").read_bytes() == before
    kept = sorted((tmp_path / "out/calibrations").rglob("*.json"))
    assert len(kept) == 3
    assert {path.parents[2] for path in kept} == {
        tmp_path / "out/calibrations"
    }  # by whom it was fitted on, and by encoder
    page = (tmp_path / "out/report.html").read_text()
    row = page[page.index("from elsewhere</small><small>ONNX graph, 6 dimensions</small></td>") :].partition("</tr>")[0]
    assert row.count("<td>–</td>") == 4
    times = [path.stat().st_mtime_ns for path in kept]
    done(*command)
    assert [path.stat().st_mtime_ns for path in kept] == times


def test_a_study_refuses_an_encoder_before_it_trains(
    corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = {
        "title": "a",
        "about": "b",
        "budget": {"T": 2},
        "train": {"model": {"backbone": "ecapa-64"}},
        "systems": {"trained": {"steps": "T", "crop": "0.3s"}, "outside": {"encoder": "gone.onnx"}},
        "test_speakers": 0.34,
    }
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study))
    line = refused(capsys, "study", tmp_path / "study.yaml", "--corpus", corpus.root, "--out", tmp_path / "out")
    assert line.startswith("error: gone.onnx: cannot be opened")
    assert not (tmp_path / "out/systems").exists()
