"""`shortvox export` as a user sees it: what it writes, what it refuses, and that it writes all or nothing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from shortvox import __version__
from shortvox.cli.main import run
from shortvox.corpora.corpus import Corpus
from shortvox.corpora.speech import SpeechData
from shortvox.encoders.opening import open_encoder
from shortvox.export import folder as exporting
from shortvox.export.cost import open_speech
from shortvox.export.parity import made_speech
from shortvox.export.quantise import quantised
from shortvox.export.storage import half_stored
from shortvox.models import blueprint
from shortvox.models.folder import load_model
from shortvox.models.settings import ModelSettings
from voices import make_voices

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def quick(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The graph that was traced before, instead of tracing it again."""
    monkeypatch.setattr(exporting, "make_graph", lambda model, *, name: onnx.load(exported / "model.onnx"))


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def mistake(capsys: Capture, *arguments: object) -> str:
    """The one line that the command prints when it refuses."""
    capsys.readouterr()
    assert run(["export", *map(str, arguments)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = [line for line in captured.err.splitlines() if line.startswith("error: ")]
    return line


def test_it_writes_graphs_a_report_a_card_and_the_calibration(exported: Path, model_folder: Path) -> None:
    graphs = {"model.onnx", "model.int8.onnx", "model.fp16.onnx", "model.int8-storage.onnx"}
    assert names_in(exported) == {*graphs, "export.json", "card.md", "calibration.json"}
    assert (exported / "calibration.json").read_bytes() == (model_folder / "calibration.json").read_bytes()
    report = json.loads((exported / "export.json").read_text())
    graphs = report["graphs"]
    assert {file: facts["precision"] for file, facts in graphs.items()} == {
        "model.onnx": "fp32",
        "model.fp16.onnx": "fp16-storage",
        "model.int8-storage.onnx": "int8-storage",
        "model.int8.onnx": "int8",
    }
    for file, facts in graphs.items():
        assert facts["bytes"] == (exported / file).stat().st_size
        assert facts["least_cosine"] == min(facts["cosines"].values()) > facts["limit"]
    assert graphs["model.onnx"]["limit"] == 0.99999
    assert {file: next(iter(facts["cosines"])) for file, facts in graphs.items()} == {
        "model.onnx": "0.01 s",
        **dict.fromkeys(("model.fp16.onnx", "model.int8-storage.onnx", "model.int8.onnx"), "0.1 s"),
    }
    rates = graphs["model.int8.onnx"]["error_rates"]
    assert rates["speakers"] == 3
    assert set(rates["eer"]) == {"1", "full"}
    card = (exported / "card.md").read_text()
    assert card.startswith((model_folder / "card.md").read_text().splitlines()[0])
    assert "`model.int8.onnx`: int8" in card
    assert f"fingerprint of the model: {load_model(model_folder).fingerprint()}" in card
    assert not list(exported.parent.glob(".*"))


def test_graphs_say_what_they_are(exported: Path, model_folder: Path) -> None:
    model = load_model(model_folder)
    for file, facts in json.loads((exported / "export.json").read_text())["graphs"].items():
        said = onnxruntime.InferenceSession(exported / file).get_modelmeta().custom_metadata_map
        settings = ModelSettings.model_validate_json(said.pop("settings"))
        assert settings == model.headless().settings
        assert said == {
            "framework": "shortvox",
            "shortvox_version": __version__,
            "name": "model",
            "fingerprint": model.fingerprint(),
            "output_dim": "128",
            "sample_rate": "16000",
            "shortest_samples": "160",
            "precision": facts["precision"],
        }
        onnx.checker.check_model(onnx.load(exported / file), full_check=True)


@pytest.mark.parametrize(
    ("file", "least"),
    [("", 0.99999), ("model.fp16.onnx", 0.9999), ("model.int8-storage.onnx", 0.998), ("model.int8.onnx", 0.97)],
    ids=str,
)
def test_an_encoder_of_it_is_that_of_the_model(
    exported: Path, model_folder: Path, data: SpeechData, file: str, least: float
) -> None:
    waveforms = [data.store.read(position) for position in range(6)] + [data.store.read(0, 0, 1600)]
    expected = open_encoder(model_folder).embed(waveforms)
    found = open_encoder(exported / file).embed(waveforms)
    assert (found * expected).sum(axis=1).min() > least


def test_halves_are_half_as_large_and_int8_smaller(exported: Path) -> None:
    graphs = {name: onnx.load(exported / f"model{name}.onnx") for name in ("", ".fp16", ".int8-storage", ".int8")}
    kinds = {
        name: {
            kind: sum(np.prod(one.dims) for one in graph.graph.initializer if one.data_type == kind)
            for kind in (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.INT8)
        }
        for name, graph in graphs.items()
    }
    weights = sum(one.numel() for one in blueprint("ecapa-64").parameters() if one.dim() > 1)
    front_end = 80 * 257
    assert kinds[".fp16"][onnx.TensorProto.FLOAT16] > 0.9 * weights
    assert kinds[".fp16"][onnx.TensorProto.FLOAT] < front_end + 0.15 * weights
    assert kinds[".int8-storage"][onnx.TensorProto.INT8] > 0.9 * weights
    assert kinds[".int8-storage"][onnx.TensorProto.FLOAT] < front_end + 0.1 * weights
    assert kinds[".int8"][onnx.TensorProto.INT8] > 0.5 * weights
    assert {node.name for node in graphs[".int8"].graph.node if node.name.startswith("frontend/")} == {
        node.name for node in graphs[""].graph.node if node.name.startswith("frontend/")
    }


def test_a_weight_beyond_half_precision_stays_single(exported: Path) -> None:
    graph = onnx.load(exported / "model.onnx")
    (large,) = [one for one in graph.graph.initializer if one.name.endswith("embedding.weight")]
    values = onnx.numpy_helper.to_array(large) * np.float32(1e9)
    large.CopyFrom(onnx.numpy_helper.from_array(values, large.name))
    made = half_stored(graph)
    kept = {one.name: one.data_type for one in made.graph.initializer}
    assert kept[large.name] == onnx.TensorProto.FLOAT
    assert onnx.TensorProto.FLOAT16 in kept.values()


def test_int8_is_calibrated_on_the_speech_given(exported: Path) -> None:
    """Calibrated on whispers, activations of speech overflow their range."""
    graph = onnx.load(exported / "model.onnx")
    speech = [made_speech(16_000, seed) for seed in range(3)]
    sessions = [
        onnxruntime.InferenceSession(quantised(graph, heard).SerializeToString())
        for heard in (speech, [np.zeros(1600, dtype=np.float32)])
    ]
    feed = {"waveforms": np.stack(speech), "lengths": np.full(3, 16_000)}
    expected, well, badly = (
        session.run(None, feed)[0] for session in (onnxruntime.InferenceSession(exported / "model.onnx"), *sessions)
    )
    assert (well * expected).sum(axis=1).min() > 0.97
    assert (badly * expected).sum(axis=1).max() < 0.9


@pytest.mark.usefixtures("quick")
def test_one_object_on_stdout_or_a_table(model_folder: Path, tmp_path: Path, capsys: Capture) -> None:
    assert run(["export", "--model", str(model_folder), "--out", str(tmp_path / "out"), "--json"]) == 0
    printed = capsys.readouterr().out
    assert printed.count("\n") == 1
    content = json.loads(printed)
    assert content.pop("out") == str(tmp_path / "out")
    assert content == json.loads((tmp_path / "out" / "export.json").read_text())
    assert run(["export", "--model", str(model_folder), "--out", str(tmp_path / "out")]) == 0  # replaces it
    shown = capsys.readouterr().out
    assert "60 s" in shown
    assert "batch of 2, 0.05 s" in shown
    assert names_in(tmp_path) == {"out"}


@pytest.mark.usefixtures("quick")
def test_an_export_that_is_there_is_replaced_whole(model_folder: Path, exported: Path, tmp_path: Path) -> None:
    out = shutil.copytree(exported, tmp_path / "out")
    left = tmp_path / f".out.{'0' * 16}.export"  # of a run that was killed
    left.mkdir()
    (left / "model.onnx").write_bytes(b"half")
    assert run(["export", "--model", str(model_folder), "--out", str(out)]) == 0
    assert names_in(out) == {"model.onnx", "export.json", "card.md", "calibration.json"}
    assert names_in(tmp_path) == {"out"}


@pytest.mark.usefixtures("quick")
def test_what_is_no_export_is_left_alone(model_folder: Path, tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.txt").write_text("the only copy")
    assert "holds 'thesis.txt', which no export wrote" in mistake(capsys, "--model", model_folder, "--out", out)
    assert names_in(out) == {"thesis.txt"}
    (tmp_path / "file").write_text("")
    assert "is no folder" in mistake(capsys, "--model", model_folder, "--out", tmp_path / "file")
    (tmp_path / "link").symlink_to(tmp_path)
    assert "is no folder" in mistake(capsys, "--model", model_folder, "--out", tmp_path / "link")
    assert "which no export wrote" in mistake(capsys, "--model", model_folder, "--out", model_folder)
    assert (model_folder / "model.safetensors").is_file()
    blocked = mistake(capsys, "--model", model_folder, "--out", tmp_path / "file" / "out")
    assert "output folder cannot be written" in blocked


@pytest.mark.usefixtures("quick")
def test_nothing_is_written_where_the_graph_differs(
    model_folder: Path, exported: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoilt(model: Any, *, name: str) -> Any:
        graph = onnx.load(exported / "model.onnx")
        (weight,) = [one for one in graph.graph.initializer if one.name.endswith("embedding.weight")]
        values = onnx.numpy_helper.to_array(weight).copy()
        values[:8] *= 1.2
        weight.CopyFrom(onnx.numpy_helper.from_array(values, weight.name))
        return graph

    monkeypatch.setattr(exporting, "make_graph", spoilt)
    line = mistake(capsys, "--model", model_folder, "--out", tmp_path / "out")
    assert "does not give what torch gives" in line
    assert str(model_folder) in line
    assert names_in(tmp_path) == set()
    kept = shutil.copytree(exported, tmp_path / "kept")
    before = (kept / "export.json").read_bytes()
    mistake(capsys, "--model", model_folder, "--out", kept)
    assert (kept / "export.json").read_bytes() == before
    assert names_in(tmp_path) == {"kept"}


def test_a_broken_model_is_named(model_folder: Path, tmp_path: Path, capsys: Capture) -> None:
    assert "no such folder" in mistake(capsys, "--model", tmp_path / "none", "--out", tmp_path / "out")
    broken = shutil.copytree(model_folder, tmp_path / "broken")
    (broken / "model.safetensors").write_bytes((model_folder / "model.safetensors").read_bytes()[:-100])
    assert "damaged" in mistake(capsys, "--model", broken, "--out", tmp_path / "out")
    assert names_in(tmp_path) == {"broken"}


def test_int8_asks_for_speech(model_folder: Path, corpus: Corpus, tmp_path: Path, capsys: Capture) -> None:
    asked = ("--model", model_folder, "--out", tmp_path / "out")
    assert "name some with --corpus DIR" in mistake(capsys, *asked, "--int8")
    for option in ("--corpus", "--test-corpus"):
        assert "only --int8 uses speech" in mistake(capsys, *asked, option, corpus.root)
    few = make_voices(tmp_path / "few", speakers=3, each=2).root
    assert "3 speakers, 3 with two or more utterances" in mistake(capsys, *asked, "--int8", "--corpus", few)
    both = mistake(capsys, *asked, "--int8", "--corpus", corpus.root, "--test-corpus", corpus.root)
    assert "in --corpus and in --test-corpus" in both
    assert not (tmp_path / "out").exists()


def test_calibration_and_test_share_no_speaker(corpus: Corpus) -> None:
    speech = open_speech([corpus.root], [], None)
    sides = [set(side.corpus.speakers) for side in (speech.calibration, speech.test)]
    assert len(sides[0]) == len(sides[1]) == 3
    assert not sides[0] & sides[1]
    assert speech.heard_count == len(speech.calibration.corpus) == len(list(speech.heard()))
