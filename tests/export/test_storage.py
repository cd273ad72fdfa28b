"""Weights in fewer bits, and the model made of a graph again."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from shortvox.encoders.encoder import probe
from shortvox.encoders.opening import open_encoder
from shortvox.errors import ModelError
from shortvox.export.fourier import COSINES, SINES, compute_fourier
from shortvox.export.graph import FRONT_END
from shortvox.export.storage import as_int8, int8_stored
from shortvox.frontend.fbank import Fbank
from shortvox.models.folder import load_model, read_settings
from shortvox.models.graphfile import COLUMNS, INT8, SCALE

SOUNDS = [probe(length, seed) for seed, length in enumerate((16_000, 1_600, 30_000))]


@pytest.mark.parametrize("file", ["", "model.fp16.onnx", "model.int8-storage.onnx"])
def test_a_model_is_made_of_its_graph_again(exported: Path, model_folder: Path, file: str) -> None:
    before, again = load_model(model_folder), load_model(exported / file)
    assert again.settings == before.headless().settings == read_settings(exported / file)
    assert again.calibration == before.calibration is not None
    graph = open_encoder(exported / file).embed(SOUNDS)
    with torch.inference_mode():
        torchs = np.concatenate([again.embed(torch.from_numpy(sound)[None]).numpy() for sound in SOUNDS])
    assert (graph * torchs).sum(axis=1).min() > 1 - 1e-5
    if not file:
        assert again.fingerprint() == before.fingerprint()
    own = before.headless().tensors()
    for name, tensor in again.tensors().items():  # whatever the norms came to, each number is near its own
        largest = own[name].abs().max()
        torch.testing.assert_close(tensor, own[name], atol=float(largest) / 100, rtol=0)


def test_rows_keep_their_own_scale() -> None:
    rng = np.random.default_rng(0)
    values = rng.standard_normal((6, 3, 50)).astype(np.float32) * 10.0 ** np.arange(-3, 3)[:, None, None]
    values[2] = 0
    parts = as_int8(values)
    assert parts[INT8].dtype == np.int8 and parts[SCALE].shape == (6, 1, 1)
    error = np.sqrt(((parts[INT8] * parts[SCALE] - values) ** 2).mean(axis=(1, 2)))
    size = np.sqrt((values**2).mean(axis=(1, 2)))
    assert (error[[0, 1, 3, 4, 5]] < 0.01 * size[[0, 1, 3, 4, 5]]).all()
    assert not parts[INT8][2].any()


def test_columns_keep_their_own_scale() -> None:
    rng = np.random.default_rng(0)
    per_column = 10.0 ** rng.uniform(-2, 2, 100)
    values = (rng.standard_normal((64, 100)) * per_column).astype(np.float32)
    values[:, 7] = 0
    parts = as_int8(values)
    assert parts[COLUMNS].shape == (1, 100) and parts[COLUMNS].dtype == np.float16
    error = parts[INT8] * parts[SCALE] * parts[COLUMNS].astype(np.float32) - values
    relative = np.sqrt((error**2).mean(axis=0)) / per_column
    assert relative.max() < 0.02
    assert not error[:, 7].any()
    assert COLUMNS not in as_int8(values[:40])  # too small for it to pay


def test_a_scale_clips_where_that_costs_less() -> None:
    values = np.full((1, 1000), 0.3, dtype=np.float32)
    values[0, 0] = 1.0
    parts = as_int8(values)
    plain = np.abs(np.round(values * 127) / 127 - values) ** 2
    assert ((parts[INT8] * parts[SCALE] - values) ** 2).sum() <= plain.sum()


def test_fourier_matrices_are_computed_to_the_last_bit_that_counts() -> None:
    bank = Fbank(window="hamming")
    matrices = {COSINES: bank.cosines.numpy(), SINES: bank.sines.numpy()}
    outputs = [onnx.helper.make_tensor_value_info(name, 1, list(value.shape)) for name, value in matrices.items()]

    def graph(values: dict[str, np.ndarray]) -> Any:
        kept = [numpy_helper.from_array(value, name) for name, value in values.items()]
        return onnx.helper.make_model(
            onnx.helper.make_graph([], "x", [], outputs, kept),
            opset_imports=[onnx.helper.make_opsetid("", 18)],
            ir_version=8,
        )

    made = graph(matrices)
    compute_fourier(made)
    assert made.ByteSize() < 10_000
    found = onnx.reference.ReferenceEvaluator(made).run(None, {})
    for value, expected in zip(found, matrices.values(), strict=True):
        np.testing.assert_allclose(value, expected, atol=5e-7)
    others = graph({COSINES: matrices[COSINES] + 1e-4, SINES: matrices[SINES]})
    before = others.SerializeToString()
    compute_fourier(others)
    assert others.SerializeToString() == before


def test_the_front_end_is_stored_as_it_is(exported: Path) -> None:
    plain, small = (onnx.load(exported / file) for file in ("model.onnx", "model.int8-storage.onnx"))
    kept = [
        {one.name: one.SerializeToString() for one in graph.graph.initializer if one.name.startswith(FRONT_END)}
        for graph in (plain, small)
    ]
    assert kept[0] == kept[1] and kept[0]


def test_small_graphs_stay_small(exported: Path) -> None:
    sizes = {path.name: path.stat().st_size for path in exported.glob("*.onnx")}
    assert sizes["model.int8-storage.onnx"] < 0.62 * sizes["model.onnx"]  # names and nodes are half of such a network
    assert int8_stored(onnx.load(exported / "model.onnx")).ByteSize() < sizes["model.fp16.onnx"]


def refusal(path: Path) -> str:
    with pytest.raises(ModelError) as caught:
        load_model(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_graphs_without_a_model_in_them_are_refused(exported: Path, tmp_path: Path) -> None:
    assert "does not hold the weights of backbone ecapa-64 (" in refusal(exported / "model.int8.onnx")
    assert "no such file" in refusal(tmp_path / "none.onnx")
    path = tmp_path / "model.onnx"
    path.write_bytes((exported / "model.onnx").read_bytes()[:-1000])
    assert "not an ONNX file, or damaged" in refusal(path)
    assert "not an ONNX file, or damaged" in refusal(tmp_path)  # as the folder that it lies in
    graph = onnx.load(exported / "model.onnx")
    said = {one.key: one.value for one in graph.metadata_props}

    def saying(**changed: str) -> str:
        entries = {key: value for key, value in (said | changed).items() if value}
        onnx.helper.set_model_props(graph, entries)
        onnx.save(graph, path)
        return refusal(path)

    assert "not a graph that shortvox export made" in saying(framework="wespeaker")
    assert "does not say what its model is" in saying(settings="")
    assert "its settings are not those of this version (" in saying(settings='{"backbone": 5}')
    assert "unknown backbone 'ecapa-65'" in saying(settings='{"backbone": "ecapa-65"}')
    assert "stem.delay.linear.weight has shape (64, 400), not (128, 400)" in saying(
        settings=said["settings"].replace("a-64", "a-128")
    )
    (weight,) = [one for one in graph.graph.initializer if one.name.endswith("embedding.weight")]
    weight.CopyFrom(numpy_helper.from_array(np.full(weight.dims, np.nan, dtype=np.float32), weight.name))
    assert "values that are not finite" in saying()


def test_a_folder_with_settings_is_a_model_folder(exported: Path, model_folder: Path, tmp_path: Path) -> None:
    both = shutil.copytree(model_folder, tmp_path / "both")
    shutil.copy(exported / "model.onnx", both)
    assert load_model(both).speakers == load_model(model_folder).speakers != ()
