from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from graphs import DIM, of_features, of_masked, weights, write
from onnx import helper

from shortvox.encoders.encoder import probe
from shortvox.encoders.features import kaldi_fbank, nemo_log_mel, normalised
from shortvox.encoders.opening import open_encoder
from shortvox.errors import EncoderError

WESPEAKER = {"framework": "wespeaker", "sample_rate": "16000", "output_dim": str(DIM), "normalize_samples": "0"}
SPEAKER_3D = {**WESPEAKER, "framework": "3d-speaker", "normalize_samples": "1", "feature_normalize_type": "global-mean"}
NEMO = {
    "framework": "nemo",
    "sample_rate": "16000",
    "output_dim": str(DIM),
    "feature_normalize_type": "per_feature",
    "window_size_ms": "25",
    "window_stride_ms": "10",
    "window_type": "hann",
    "feat_dim": "80",
}
OURS = {"framework": "shortvox", "name": "small", "output_dim": str(DIM), "shortest_samples": "160"}
SOUNDS = [probe(samples, seed) for seed, samples in enumerate((16_000, 4_321, 16_000, 8_000, 4_800))]


def embedded(features: np.ndarray) -> np.ndarray:
    """What the graph of `of_features` makes of (1, frames, bands), at unit length."""
    both = np.concatenate([features.mean(axis=1), np.sqrt((features**2).mean(axis=1))], axis=1)
    vector = (both.astype(np.float64) @ weights(2 * features.shape[2], DIM))[0]
    return np.asarray(vector / np.linalg.norm(vector))


@pytest.mark.parametrize(
    ("metadata", "options"),
    [
        (WESPEAKER, {"window": "hamming", "scale": 32768.0}),
        ({**WESPEAKER, "normalize_samples": "1"}, {"window": "hamming"}),
        (SPEAKER_3D, {"window": "povey", "normalisation": "mean"}),
    ],
)
def test_the_metadata_say_how_a_graph_hears(
    tmp_path: Path, metadata: dict[str, str], options: dict[str, object]
) -> None:
    encoder = open_encoder(of_features(tmp_path / "speaker.onnx", metadata=metadata))
    assert (encoder.name, encoder.kind, encoder.dim) == ("speaker", "ONNX graph", DIM)
    how = options.pop("normalisation", "none")
    found = encoder.embed(SOUNDS)
    assert found.dtype == np.float32
    for sound, vector in zip(SOUNDS, found, strict=True):
        features = normalised(kaldi_fbank(sound[None], **options), how)  # type: ignore[arg-type]
        np.testing.assert_allclose(vector, embedded(features), atol=1e-5)


def test_the_file_beside_a_graph_comes_before_its_metadata(tmp_path: Path) -> None:
    path = of_features(tmp_path / "speaker.onnx", metadata=WESPEAKER)
    plain = open_encoder(path)
    (tmp_path / "speaker.yaml").write_text("normalisation: mean\nname: with mean\n")
    changed = open_encoder(path)
    assert changed.name == "with mean"
    assert changed.fingerprint != plain.fingerprint
    features = kaldi_fbank(SOUNDS[0][None], window="hamming", scale=32768.0)
    np.testing.assert_allclose(changed.embed(SOUNDS[:1])[0], embedded(normalised(features, "mean")), atol=1e-5)


def test_a_graph_without_metadata_is_described_beside_it(tmp_path: Path) -> None:
    path = of_features(tmp_path / "mine.onnx", bands=40, shape=("batch", "frames", 40))
    (tmp_path / "mine.yaml").write_text(
        "{features: kaldi, bands: 40, window: hann, edges: mirror, low: 100, high: 7600, scale: 32768, shortest: 0.2}"
    )
    encoder = open_encoder(path)
    assert encoder.shortest == 3200
    features = kaldi_fbank(
        SOUNDS[1][None], bands=40, window="hann", edges="mirror", low=100.0, high=7600.0, scale=32768.0
    )
    np.testing.assert_allclose(encoder.embed([SOUNDS[1]])[0], embedded(features), atol=1e-5)


def test_lengths_and_the_embedding_of_nemo_are_found(tmp_path: Path) -> None:
    """Two inputs and two outputs: types and `output_dim` tell which is which."""
    encoder = open_encoder(of_masked(tmp_path / "titanet.onnx", metadata=NEMO))
    for sound, vector in zip(SOUNDS, encoder.embed(SOUNDS), strict=True):
        features = normalised(nemo_log_mel(sound[None]), "mean-sd")
        expected = ((features**2).mean(axis=1).astype(np.float64) @ weights(80, DIM))[0]
        np.testing.assert_allclose(vector, expected / np.linalg.norm(expected), atol=1e-5)


def test_an_exported_model_takes_waveforms_of_any_lengths(tmp_path: Path) -> None:
    folder = tmp_path / "small-model"
    folder.mkdir()
    of_masked(folder / "model.onnx", bands=None, metadata=OURS)
    encoder = open_encoder(folder)
    assert (encoder.name, encoder.kind, encoder.shortest, encoder.home) == ("small", "exported model", 160, folder)
    together = encoder.embed(SOUNDS)
    assert together.shape == (5, DIM)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)
    alone = np.concatenate([encoder.embed([sound]) for sound in SOUNDS])
    np.testing.assert_allclose(together, alone, atol=1e-6)
    assert np.abs(together[0] - together[2]).max() > 1e-3
    assert open_encoder(folder / "model.onnx").fingerprint == encoder.fingerprint


def test_a_graph_that_takes_one_row_is_run_row_by_row(tmp_path: Path) -> None:
    path = of_features(tmp_path / "one.onnx", shape=(1, "frames", 80), metadata=SPEAKER_3D)
    any_ = of_features(tmp_path / "any.onnx", metadata=SPEAKER_3D)
    np.testing.assert_allclose(open_encoder(path).embed(SOUNDS), open_encoder(any_).embed(SOUNDS), atol=1e-6)


def test_one_length_is_refused_or_cropped_to_and_never_padded(tmp_path: Path) -> None:
    path = of_features(tmp_path / "fixed.onnx", shape=("batch", 48, 80), metadata=SPEAKER_3D)
    with pytest.raises(EncoderError, match=r"exactly 48 frames \(0.495 s\).*longer: centre in fixed.yaml"):
        open_encoder(path)
    (tmp_path / "fixed.yaml").write_text("longer: centre\n")
    encoder = open_encoder(path)
    assert encoder.shortest == 47 * 160 + 400
    start = (16_000 - encoder.shortest) // 2
    middle = SOUNDS[0][start : start + encoder.shortest]
    features = normalised(kaldi_fbank(middle[None]), "mean")
    np.testing.assert_allclose(encoder.embed([SOUNDS[0]])[0], embedded(features), atol=1e-5)
    with pytest.raises(EncoderError, match=r"0.4 s of speech is shorter than the 0.495 s"):
        encoder.embed([probe(6_400)])


def test_the_shortest_that_is_taken_is_found_by_trying(tmp_path: Path) -> None:
    """A convolution over nine frames: fewer make onnxruntime fail."""
    nodes = [
        helper.make_node("Transpose", ["feats"], ["x"], perm=[0, 2, 1]),
        helper.make_node("Conv", ["x", "filters"], ["y"]),
        helper.make_node("ReduceMean", ["y"], ["embs"], axes=[2], keepdims=0),
    ]
    filters = np.random.default_rng(0).standard_normal((DIM, 80, 9)).astype(np.float32)
    path = write(
        tmp_path / "wide.onnx",
        nodes,
        {"feats": ["batch", "frames", 80]},
        {"embs": ["batch", DIM]},
        {"filters": filters},
        metadata=WESPEAKER,
    )
    assert open_encoder(path).shortest == 3200


def test_what_decides_an_embedding_decides_the_fingerprint(tmp_path: Path) -> None:
    first = open_encoder(of_features(tmp_path / "a.onnx", metadata=SPEAKER_3D)).fingerprint
    assert open_encoder(of_features(tmp_path / "b.onnx", metadata=SPEAKER_3D)).fingerprint == first
    (tmp_path / "b.yaml").write_text("name: another name\n")
    assert open_encoder(tmp_path / "b.onnx").fingerprint == first
    (tmp_path / "b.yaml").write_text("edges: mirror\n")
    assert open_encoder(tmp_path / "b.onnx").fingerprint != first
    content = (tmp_path / "a.onnx").read_bytes()
    matrix = weights(160, DIM).tobytes()
    assert matrix in content
    (tmp_path / "c.onnx").write_bytes(content.replace(matrix, weights(160, DIM, seed=1).tobytes()))
    assert open_encoder(tmp_path / "c.onnx").fingerprint != first


def test_metadata_that_are_no_use_can_be_replaced_wholly(tmp_path: Path) -> None:
    path = of_features(tmp_path / "odd.onnx", metadata={**WESPEAKER, "normalize_samples": "x"})
    with pytest.raises(EncoderError, match=r"describe it wholly, from 'features' on, in odd\.yaml"):
        open_encoder(path)
    (tmp_path / "odd.yaml").write_text("features: kaldi\n")
    np.testing.assert_allclose(
        open_encoder(path).embed(SOUNDS[:1])[0], embedded(kaldi_fbank(SOUNDS[0][None])), atol=1e-5
    )
