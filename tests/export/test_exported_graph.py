"""Every registered backbone and front end as a graph; a new one is tested without a line here.

The narrowest of every class is exported always, the others with `-m slow`.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from shortvox.errors import ModelError
from shortvox.export.graph import _traced, front_end_graph, make_graph
from shortvox.export.parity import ALONE, TOGETHER, made_speech, parity
from shortvox.export.quantise import quantised
from shortvox.frontend.frontend import FrontEnd, FrontEndSettings
from shortvox.models import Backbone, backbone, blueprint, parameter_count
from shortvox.models.folder import load_model
from shortvox.models.settings import ModelSettings
from shortvox.models.speaker_model import SpeakerModel


def by_cost() -> list[Any]:
    """Every name; all but the narrowest of each class for `-m slow`."""
    made = {name: blueprint(name) for name in backbone}
    widest_first = sorted(made, key=lambda name: -parameter_count(made[name]))
    narrowest = {type(made[name]): name for name in widest_first}.values()
    return [name if name in narrowest else pytest.param(name, marks=pytest.mark.slow) for name in made]


def used(name: str) -> Backbone:
    """The network with batch norms off their initial values, in evaluation mode."""
    torch.manual_seed(0)
    made = backbone[name]().eval()
    for key, tensor in made.state_dict().items():
        if "running_mean" in key:
            tensor.normal_(0, 0.1)
        elif "running_var" in key:
            tensor.uniform_(0.5, 1.5)
    return made


def session_of(graph: Any) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])


# Tracing is slow, so the narrow backbones come with the front ends between them.
HEARS: dict[str, dict[str, Any]] = {
    "Ecapa": {"cmn": "sliding", "vad": "sre16-v2"},
    "IskConvNet": {"edges": "snip", "window": "hamming", "cmn": "none", "vad": "sre16-v1"},
    "SeResNet": {"features": "voxceleb_trainer", "cmn": "none"},
    "CamPlusPlus": {"edges": "snip"},
}


@pytest.mark.parametrize("name", by_cost())
def test_every_backbone_gives_what_torch_gives(name: str, tmp_path: Path) -> None:
    """Whole graphs, alone and in padded batches, from one frame to a minute."""
    network = used(name)
    front_end = FrontEndSettings(bands=network.bands, **HEARS.get(type(network).__name__, {}))
    model = replace(
        SpeakerModel.fresh(ModelSettings(backbone=name, frontend=front_end, head=None), ()), backbone=network
    )
    path = tmp_path / "model.onnx"
    graph = make_graph(model, name=name)
    path.write_bytes(graph.SerializeToString())
    found = parity(model, path)
    assert len(found.cosines) == len(ALONE) + len(TOGETHER)
    assert {"0.01 s", "60 s"} <= set(found.cosines)
    found.require(0.99999, name)
    assert load_model(path).fingerprint() == model.fingerprint()
    speech = np.stack([made_speech(16_000, seed) for seed in range(2)])
    feed = {"waveforms": speech, "lengths": np.full(2, 16_000)}
    small = session_of(quantised(graph, speech))
    assert (session_of(graph).run(None, feed)[0] * small.run(None, feed)[0]).sum(
        axis=1
    ).min() > 0.8  # random weights, and no VNNI


def test_a_front_end_gives_what_torch_gives_and_drops_pauses() -> None:
    front_end = FrontEnd(FrontEndSettings(cmn="sliding", vad="sre16-v2"))
    session = session_of(front_end_graph(front_end))
    silent = np.zeros(16_000, dtype=np.float32)
    for lengths in ([1], [100, 7], [400, 399], [8_000, 300, 25_000], [100_000, 60_000]):
        padded = np.full((len(lengths), max(lengths)), 0.7, dtype=np.float32)  # padding that would show if it leaked
        for row, length in enumerate(lengths):
            padded[row, :length] = made_speech(length, row)
        features, counts = session.run(None, {"waveforms": padded, "lengths": np.array(lengths)})
        for row, length in enumerate(lengths):
            alone, own = front_end(torch.from_numpy(padded[row : row + 1, :length]))
            assert own is not None
            assert counts[row] == own[0]
            np.testing.assert_allclose(features[row, : own[0]], alone[0, : own[0]].numpy(), atol=2e-3)
            assert not features[row, own[0] :].any()
    _, counts = session.run(
        None, {"waveforms": np.stack([made_speech(16_000, 0), silent]), "lengths": np.array([16_000, 16_000])}
    )
    assert 50 < counts[0] < 75  # pauses are 0.4 s of that second, a neighbour's voice spares two frames at their edges
    assert counts[1] == 100  # no voice at all: every frame is kept


def test_speechbrains_features_in_a_graph() -> None:
    front_end = FrontEnd(FrontEndSettings(features="speechbrain"))
    session = session_of(front_end_graph(front_end))
    for lengths in ([160], [8_000, 300], [60_000]):
        rows = np.stack([np.pad(made_speech(length, 1), (0, max(lengths) - length)) for length in lengths])
        features, counts = session.run(None, {"waveforms": rows, "lengths": np.array(lengths)})
        for row, length in enumerate(lengths):
            alone, _ = front_end(torch.from_numpy(rows[row : row + 1, :length]))
            assert counts[row] == alone.shape[1]
            np.testing.assert_allclose(features[row, : counts[row]], alone[0].numpy(), atol=2e-3)


@pytest.fixture(scope="module")
def model(model_folder: Path) -> SpeakerModel:
    return load_model(model_folder)


@pytest.fixture
def graph(exported: Path) -> Any:
    return onnx.load(exported / "model.onnx")


def test_parity_notices_another_weight_and_another_length(model: SpeakerModel, graph: Any, tmp_path: Path) -> None:
    path = tmp_path / "changed.onnx"
    twice = onnx.ModelProto()
    twice.CopyFrom(graph)
    (last,) = [node for node in twice.graph.node if node.output[0] == "embeddings"]
    last.output[0] = "unit"
    twice.graph.node.append(onnx.helper.make_node("Add", ["unit", "unit"], ["embeddings"]))
    path.write_bytes(twice.SerializeToString())
    assert parity(model, path).least == pytest.approx(0.5, abs=1e-3)
    (weight,) = [one for one in graph.graph.initializer if one.name.endswith("embedding.weight")]
    values = onnx.numpy_helper.to_array(weight).copy()
    values[::2] *= 1.1
    weight.CopyFrom(onnx.numpy_helper.from_array(values, weight.name))
    path.write_bytes(graph.SerializeToString())
    with pytest.raises(ModelError, match=r"cosine .* for .*, and more than 0.99999 is needed"):
        parity(model, path).require(0.99999, "small")


def test_parity_notices_embeddings_that_are_no_numbers(model: SpeakerModel, graph: Any, tmp_path: Path) -> None:
    (weight,) = [one for one in graph.graph.initializer if one.name.endswith("embedding.weight")]
    values = np.full_like(onnx.numpy_helper.to_array(weight), np.nan)
    weight.CopyFrom(onnx.numpy_helper.from_array(values, weight.name))
    (tmp_path / "changed.onnx").write_bytes(graph.SerializeToString())
    assert parity(model, tmp_path / "changed.onnx").least == -1


def test_a_graph_stands_alone(graph: Any) -> None:
    """Standard operators, weights inside, axes of any size, and nothing of the machine that made it."""
    assert {node.domain for node in graph.graph.node} == {""}
    assert [(one.domain, one.version) for one in graph.opset_import] == [("", 18)]
    assert graph.ir_version == 8
    assert not any(one.external_data for one in graph.graph.initializer)
    axes = {
        value.name: [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in [*graph.graph.input, *graph.graph.output]
    }
    assert axes == {"waveforms": ["batch", "samples"], "lengths": ["batch"], "embeddings": ["batch", 128]}
    assert b"site-packages" not in graph.SerializeToString()
    assert str(Path(torch.__file__).parents[1]).encode() not in graph.SerializeToString()


def test_what_stands_after_a_row_is_not_heard(graph: Any) -> None:
    session = session_of(graph)
    rows = np.stack([made_speech(16_000, seed) for seed in range(2)])
    lengths = np.array([16_000, 5_000])
    (before,) = session.run(None, {"waveforms": rows, "lengths": lengths})
    rows[1, 5_000:] = 1e3
    (after,) = session.run(None, {"waveforms": rows, "lengths": lengths})
    np.testing.assert_array_equal(before, after)


def test_nothing_is_warned_and_torch_is_left_as_it_was(model: SpeakerModel, capfd: pytest.CaptureFixture[str]) -> None:
    training, needs_gradient = model.backbone.training, [one.requires_grad for one in model.backbone.parameters()]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        front_end_graph(model.frontend)
    assert capfd.readouterr().err == ""
    assert model.backbone.training == training
    assert [one.requires_grad for one in model.backbone.parameters()] == needs_gradient


class _TakesNumbers(torch.nn.Module):
    def forward(self, features: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
        return features[:, : int(counts.max())].mean(dim=1)


def test_a_network_that_cannot_be_traced_is_refused_in_one_line() -> None:
    inputs = {"features": torch.zeros(3, 500, 8), "counts": torch.tensor([500, 20, 33])}
    with pytest.raises(ModelError, match="cannot be traced") as caught:
        _traced(_TakesNumbers(), inputs, ["embeddings"], prefix="x/")
    assert "\n" not in str(caught.value)
