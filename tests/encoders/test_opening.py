from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from graphs import DIM, of_features

from shortvox.encoders.encoder import Encoder, check_itself, probe
from shortvox.encoders.opening import open_encoder
from shortvox.errors import EncoderError, ModelError
from shortvox.models.folder import load_model


def test_a_model_folder_is_an_encoder(model_folder: Path) -> None:
    encoder, model = open_encoder(model_folder), load_model(model_folder)
    assert (encoder.name, encoder.kind, encoder.dim) == ("model", "model folder", model.backbone.dim)
    assert (encoder.fingerprint, encoder.home) == (model.fingerprint(), model_folder)
    assert encoder.calibration == model.calibration is not None
    sounds = [probe(16_000), probe(160, 1), probe(9_999, 2)]
    found = encoder.embed(sounds)
    for sound, vector in zip(sounds, found, strict=True):
        with torch.inference_mode():
            np.testing.assert_allclose(vector, model.embed(torch.from_numpy(sound)[None])[0].numpy(), atol=1e-5)
    assert encoder.embed([]).shape == (0, encoder.dim)


@pytest.mark.parametrize("spec", ["nowhere", "model.pt", "python", "n" * 300])
def test_what_is_no_encoder_is_told_what_there_is(spec: str) -> None:
    with pytest.raises(
        EncoderError,
        match=rf"^{spec}: no encoder; expected a model folder, .*\.onnx file, a model in the box .*, python:",
    ):
        open_encoder(spec)


def test_what_a_folder_lacks_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"not a whole model folder, .*config\.yaml, .* missing"):
        open_encoder(tmp_path)


def test_a_graph_is_run_without_torch(tmp_path: Path) -> None:
    """In a process of its own: nothing of the lab is imported on the way."""
    metadata = {"framework": "3d-speaker", "normalize_samples": "1", "output_dim": str(DIM)}
    path = of_features(tmp_path / "speaker.onnx", metadata=metadata)
    code = (
        "import sys, numpy; from shortvox.encoders.opening import open_encoder\n"
        f"print(open_encoder({str(path)!r}).embed([numpy.ones(8000, 'f4')]).shape)\n"
        "print([name for name in ('torch', 'scipy', 'onnx', 'pyarrow', 'safetensors') if name in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.split("\n")[:2] == [f"(1, {DIM})", "[]"]


def made(run: object, **facts: object) -> Encoder:
    return Encoder(
        **{
            "name": "a",
            "kind": "b",
            "source": "here",
            "dim": 2,
            "fingerprint": "",
            "shortest": 160,
            "run": run,
            **facts,
        }
    )  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("waveform", "told"),
    [
        (np.zeros((1, 16_000)), r"shape \(1, 16000\); give each channel as \(samples,\)"),
        (np.zeros(159), "0.0099375 s of speech is shorter than the 0.01 s"),
        (np.full(160, np.nan), "not finite"),
    ],
)
def test_what_is_no_waveform_is_refused(waveform: np.ndarray, told: str) -> None:
    with pytest.raises(EncoderError, match=f"here: .*{told}"):
        made(lambda waveforms: np.ones((len(waveforms), 2))).embed([waveform])


def test_embeddings_of_another_dimension_are_refused() -> None:
    with pytest.raises(EncoderError, match="here: gave embeddings of 3 dimensions, not 2"):
        made(lambda waveforms: np.ones((len(waveforms), 3))).embed([probe(160)])


def test_loudness_that_should_not_matter_is_noticed() -> None:
    def run(waveforms: list[np.ndarray]) -> np.ndarray:
        return np.array([[1.0, np.abs(one).mean() * 30] for one in waveforms])

    check_itself(made(run))
    with pytest.raises(EncoderError, match=r"half the loudness gives another embedding \(cosine 0\.\d+\)"):
        check_itself(made(run), scale_invariant=True)
