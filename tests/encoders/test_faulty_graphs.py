"""Graphs that cannot be used: each is told in one line that names the file and the remedy."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from graphs import DIM, of_features, of_masked, weights, write
from onnx import TensorProto, helper

from shortvox.encoders.opening import open_encoder
from shortvox.errors import ShortvoxError

GOOD = {"framework": "3d-speaker", "sample_rate": "16000", "output_dim": str(DIM), "normalize_samples": "1"}


def with_metadata(**changes: str) -> Callable[[Path], object]:
    return lambda path: of_features(path, metadata={**GOOD, **changes})


def beside(text: str, **metadata: str) -> Callable[[Path], object]:
    def make(path: Path) -> None:
        of_features(path, metadata=metadata or GOOD)
        path.with_suffix(".yaml").write_text(text)

    return make


def of_nodes(*nodes: onnx.NodeProto, **options: object) -> Callable[[Path], object]:
    """A graph of its own nodes after the features' mean."""

    def make(path: Path) -> None:
        mean = helper.make_node("ReduceMean", ["feats"], ["mean"], axes=[1], keepdims=0)
        told = {"outputs": {"embs": ["batch", None]}, "metadata": GOOD, **options}
        write(path, [mean, *nodes], {"feats": ["batch", "frames", 80]}, constants={"m": weights(80, DIM)}, **told)  # type: ignore[arg-type]

    return make


EMBS = helper.make_node("MatMul", ["mean", "m"], ["embs"])


def external(path: Path, *, keep: bool = False, location: str = "weights.bin") -> None:
    of_features(path, metadata=GOOD)
    model = onnx.load(path)
    onnx.save_model(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    if location != "weights.bin":
        content = path.read_bytes()
        path.write_bytes(content.replace(b"weights.bin", location.encode()))
    if not keep:
        (path.parent / "weights.bin").unlink()


def truncated(path: Path) -> None:
    of_features(path, metadata=GOOD)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def huge(path: Path) -> None:
    with path.open("wb") as handle:
        os.truncate(handle.fileno(), 2**40)


def two_inputs(path: Path) -> None:
    node = helper.make_node("Add", ["a", "b"], ["sum"])
    mean = helper.make_node("ReduceMean", ["sum"], ["embs"], axes=[1], keepdims=0)
    shape = ["batch", "frames", 80]
    write(path, [node, mean], {"a": shape, "b": shape}, {"embs": ["batch", 80]}, metadata={"framework": "wespeaker"})


def unknown_rank(path: Path) -> None:
    """Reshaped to what only running it tells."""
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Compress", ["shape", "all"], ["same"], axis=0),
        helper.make_node("Reshape", ["x", "same"], ["y"]),
    ]
    constants = {"all": np.array([True, True, True])}
    write(path, nodes, {"x": ["b", "n", 80]}, {"y": None}, constants, metadata={"framework": "wespeaker"})  # type: ignore[dict-item]


def not_a_number(path: Path) -> None:
    nodes = [
        helper.make_node("ReduceMean", ["feats"], ["mean"], axes=[1], keepdims=0),
        helper.make_node("Mul", ["mean", "nan"], ["embs"]),
    ]
    inputs, outputs = {"feats": ["batch", "frames", 80]}, {"embs": ["batch", 80]}
    write(path, nodes, inputs, outputs, {"nan": np.float32([np.nan])}, metadata={"framework": "wespeaker"})


def no_text(path: Path) -> None:
    of_features(path, metadata=GOOD)
    path.write_bytes(path.read_bytes().replace(b"embs", b"\xe3mbs"))


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no file": (lambda path: None, r"cannot be opened \(No such file"),
    "a folder": ((lambda path: (path / "model.onnx").mkdir(parents=True)), "not a regular file"),
    "empty": (lambda path: path.write_bytes(b""), "empty; copy it again"),
    "text": (lambda path: path.write_text("hello, this is no graph"), "not an ONNX file"),
    "zeros": (lambda path: path.write_bytes(bytes(4096)), "not an ONNX file"),
    "a zip": (lambda path: path.write_bytes(b"PK\x03\x04" + bytes(range(256)) * 9), "not an ONNX file"),
    "truncated": (truncated, "truncated or damaged; copy it again"),
    "names that are no text": (no_text, "cannot load it .*utf-8"),
    "huge": (huge, "1,099,511,627,776 bytes.*less than 2 GiB"),
    "external data missing": (external, "its weights are in 'weights.bin', which is not beside it; copy that file too"),
    "external data outside": (lambda path: external(path, location="../w ts.bin"[:11]), "lie outside its folder"),
    "an opset of the future": (lambda path: of_masked(path, metadata=GOOD, opset=200), "cannot load it .*older opset"),
    "an unknown operator": (
        of_nodes(helper.make_node("Whatever", ["mean"], ["embs"])),
        "cannot load it .*Whatever.*standard operators",
    ),
    "two outputs": (
        of_nodes(EMBS, outputs={"embs": ["batch", DIM], "mean": ["batch", 80]}, metadata={"framework": "wespeaker"}),
        r"2 outputs, 'embs' \['batch', 6\], 'mean' \['batch', 80\]; name the embedding's as output in speaker.yaml",
    ),
    "two inputs": (two_inputs, "2 inputs, 'a' .*name input and lengths in speaker.yaml"),
    "an input of rank 2": (
        lambda path: write(
            path, [helper.make_node("Identity", ["x"], ["y"])], {"x": ["b", "n"]}, {"y": ["b", "n"]}, metadata=GOOD
        ),
        r"input 'x' has shape \['b', 'n'\], and features: kaldi gives \(batch, frames, bands\)",
    ),
    "an output of rank 3": (
        lambda path: write(
            path,
            [helper.make_node("Identity", ["x"], ["y"])],
            {"x": ["b", "n", 80]},
            {"y": ["b", "n", 80]},
            metadata=GOOD,
        ),
        r"output 'y' has shape .*not \(batch, dim\)",
    ),
    "an output of unknown rank": (unknown_rank, r"gave an output of shape \(1, \d+, 80\), not \(batch, dim\)"),
    "an input of float16": (
        lambda path: write(
            path,
            [helper.make_node("ReduceMean", ["x"], ["y"], axes=[1], keepdims=0)],
            {"x": ["b", "n", 80]},
            {"y": ["b", 80]},
            metadata=GOOD,
            types={"x": TensorProto.FLOAT16, "y": TensorProto.FLOAT16},
        ),
        r"takes tensor\(float16\), not float32",
    ),
    "other bands": (
        lambda path: of_features(path, bands=64, shape=("batch", "frames", 64), metadata=GOOD),
        r"64\], which \(batch, frames, bands\) with 80 bands does not fit; correct bands or layout in speaker.yaml",
    ),
    "one length": (
        lambda path: of_features(path, shape=("batch", 200, 80), metadata=GOOD),
        r"takes exactly 200 frames \(2.015 s\) and no other length",
    ),
    "one size of batch": (
        lambda path: of_features(path, shape=(4, "frames", 80), metadata=GOOD),
        "takes batches of 4 only; export it with a dynamic batch axis",
    ),
    "NaN": (not_a_number, "no made sound of up to 1 s gives a finite embedding"),
    "another sample rate": (with_metadata(sample_rate="8000"), "takes speech sampled at 8000 Hz.*16000 Hz"),
    "a sample rate in words": (with_metadata(sample_rate="16k"), "metadata sample_rate is '16k', not a number"),
    "a scale that is none": (with_metadata(normalize_samples="2"), "metadata normalize_samples is '2', not 0 or 1"),
    "an unknown normalisation": (with_metadata(feature_normalize_type="batch"), "feature_normalize_type is 'batch'"),
    "another dimension": (with_metadata(output_dim="192"), "embeddings of 6 dimensions, and 192 are said of it"),
    "an unknown framework": (
        with_metadata(framework="espnet"),
        "of framework 'espnet', which is not known.*speaker.yaml",
    ),
    "no metadata": (lambda path: of_features(path), "without a word on its front end; write speaker.yaml beside it"),
    "an unknown key": (beside("featurs: kaldi"), "unknown key 'featurs'; did you mean 'features'"),
    "a wrong value": (beside("window: blackman"), "speaker.yaml: window: .*'povey'"),
    "an input that is not there": (
        beside("input: audio"),
        "no input 'audio'; it has 'feats'.*correct input in speaker.yaml",
    ),
    "an output that is not there": (beside("output: xvector"), "no output 'xvector'; it has 'embs'"),
    "lengths of float": (beside("{lengths: feats, input: feats}"), "input 'feats' takes float; lengths are int64"),
    "low above high": (beside("{low: 7000, high: 300}"), "speaker.yaml: low is 7000 Hz and high 300 Hz"),
    "a key without effect": (beside("{features: waveform, edges: mirror}"), "edges: has no effect here"),
    "waveforms into features": (beside("features: waveform"), r"features: waveform gives \(batch, samples\)"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_graph_is_told_in_one_line(tmp_path: Path, fault: str, capsys: pytest.CaptureFixture[str]) -> None:
    make, told = FAULTS[fault]
    path = tmp_path / "speaker.onnx"
    make(path)
    with pytest.raises(ShortvoxError, match=told) as error:
        open_encoder(path)
    assert str(tmp_path / "speaker.") in str(error.value)
    assert "\n" not in str(error.value)
    assert capsys.readouterr() == ("", "")


def test_external_data_are_part_of_the_fingerprint(tmp_path: Path) -> None:
    path = tmp_path / "speaker.onnx"
    external(path, keep=True)
    first = open_encoder(path)
    content = bytearray((tmp_path / "weights.bin").read_bytes())
    changed = np.frombuffer(content, np.float32) + np.float32(1)
    (tmp_path / "weights.bin").write_bytes(changed.tobytes())
    assert open_encoder(path).fingerprint != first.fingerprint
