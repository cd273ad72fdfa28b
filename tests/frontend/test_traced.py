"""The front end as part of a graph: every operation has its counterpart in ONNX, and no shape depends on a value."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from shortvox.frontend.frontend import FrontEnd, FrontEndSettings
from voices import voice

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


class _Graph(nn.Module):
    def __init__(self, front_end: FrontEnd) -> None:
        super().__init__()
        self.front_end = front_end

    def forward(self, waveforms: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        features, counts = self.front_end(waveforms, lengths)
        assert counts is not None
        return features, counts


def test_a_graph_gives_the_same_features_at_any_length(tmp_path: Path) -> None:
    front_end = FrontEnd(FrontEndSettings(cmn="sliding", vad="sre16-v2")).eval()
    batch, samples = torch.export.Dim("batch"), torch.export.Dim("samples")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter about itself
        program = torch.onnx.export(
            _Graph(front_end).eval(),
            (torch.randn(2, 8000), torch.tensor([8000, 5000])),
            input_names=["waveforms", "lengths"],
            dynamic_shapes=({0: batch, 1: samples}, {0: batch}),
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    program.save(tmp_path / "front_end.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "front_end.onnx")
    for lengths in ([1], [100, 7], [300, 40000]):
        padded = torch.full((len(lengths), max(lengths)), 0.3)
        for row, length in enumerate(lengths):
            padded[row, :length] = torch.from_numpy(voice(row, length / 16000, np.random.default_rng(length)))
        features, counts = session.run(None, {"waveforms": padded.numpy(), "lengths": np.array(lengths)})
        expected, own = front_end(padded, torch.tensor(lengths))
        assert own is not None
        np.testing.assert_array_equal(counts, own.numpy())
        for row, count in enumerate(counts):
            np.testing.assert_allclose(features[row, :count], expected[row, :count].numpy(), atol=1e-3)
            assert not features[row, count:].any()
