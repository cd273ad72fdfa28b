"""Embeddings that `shortvox embed` kept, in the place of the encoder that made them."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from graphs import DIM, of_masked

from shortvox.cli.main import run
from shortvox.corpora.corpus import Corpus
from shortvox.corpora.crop import Crop, whole
from shortvox.corpora.speech import SpeechData
from shortvox.encoders.crops import embed_crops
from shortvox.encoders.opening import open_encoder
from shortvox.errors import EncoderError

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def kept(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kept")
    metadata = {"framework": "shortvox", "output_dim": str(DIM), "sample_rate": "16000", "shortest_samples": "400"}
    graph = of_masked(folder / "small.onnx", metadata={**metadata, "name": "small", "fingerprint": "abc"}, bands=None)
    out = folder / "kept.npz"
    assert run(["embed", "--model", str(graph), "--corpus", str(corpus.root), "--out", str(out)]) == 0
    return out


def test_they_are_what_the_encoder_gives(kept: Path, data: SpeechData) -> None:
    encoder, made_by = open_encoder(kept), open_encoder(kept.with_name("small.onnx"))
    assert (encoder.name, encoder.fingerprint, encoder.dim) == ("small", made_by.fingerprint, DIM)
    crops = [whole(data.store, position) for position in (5, 0, 17)]
    np.testing.assert_allclose(
        embed_crops(encoder, data.store, crops), embed_crops(made_by, data.store, crops), atol=1e-5
    )


def test_they_hear_nothing_new(kept: Path, data: SpeechData) -> None:
    encoder, all_of_it = open_encoder(kept), whole(data.store, 3)
    for cut in (Crop(3, 0, 16_000), Crop(3, 100, all_of_it.samples - 100)):
        with pytest.raises(EncoderError, match=r"kept\.npz: holds embeddings of whole utterances only"):
            embed_crops(encoder, data.store, [cut])
    with pytest.raises(EncoderError, match=r"kept\.npz: holds embeddings of whole utterances only"):
        embed_crops(encoder, data.store, [all_of_it], transform=lambda waveform: waveform)
    with pytest.raises(EncoderError, match=r"kept\.npz: holds embeddings and cannot hear speech"):
        encoder.embed([np.zeros(16_000, np.float32)])


def changed(**new: Callable[[np.ndarray], np.ndarray] | None) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        with np.load(path) as archive:
            arrays = {name: new.get(name, lambda value: value) for name in archive}
            np.savez(path, **{name: made(archive[name]) for name, made in arrays.items() if made is not None})

    return change


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.unlink(), "no such file"),
        (lambda path: path.write_bytes(path.read_bytes()[:-100]), "holds no embeddings"),
        (lambda path: path.write_bytes(b"utterance"), "holds no embeddings"),
        (lambda path: zipfile.ZipFile(path, "w").close(), "holds no embeddings"),
        (changed(fingerprint=None), "holds no embeddings"),
        (changed(utterance=lambda ids: ids.astype(object)), "holds no embeddings"),
        (changed(utterance=lambda ids: np.arange(len(ids))), "utterance is no list of names"),
        (changed(utterance=lambda ids: ids[:-1]), "for 23 waveforms"),
        (changed(utterance=lambda ids: np.where(ids == "v0-1", "v2-2", ids)), "utterance 'v2-2' is there twice"),
        (changed(embedding=lambda vectors: vectors[0]), "shape"),
        (changed(embedding=lambda vectors: np.where(vectors == vectors[4], np.nan, vectors)), "1 of 24 embeddings"),
    ],
)
def test_what_is_no_file_of_embeddings(
    kept: Path, tmp_path: Path, spoil: Callable[[Path], object], message: str
) -> None:
    path = tmp_path / "v.npz"
    path.write_bytes(kept.read_bytes())
    spoil(path)
    with pytest.raises(EncoderError, match=message) as told:
        open_encoder(path)
    assert str(path) in str(told.value)
    assert "\n" not in str(told.value)


def test_an_utterance_that_is_missing_is_named(kept: Path, data: SpeechData, tmp_path: Path) -> None:
    path = tmp_path / "v.npz"
    path.write_bytes(kept.read_bytes())
    changed(utterance=lambda ids: np.char.add("other/", ids))(path)
    crops = [whole(data.store, position) for position in (2, 3)]
    with pytest.raises(EncoderError, match=r"no embedding of utterance 'v0-2' \(2 of 2 are missing\)"):
        embed_crops(open_encoder(path), data.store, crops)


def test_a_test_of_whole_utterances_gives_the_same(kept: Path, corpus: Corpus, tmp_path: Path, capsys: Capture) -> None:
    """With the cache of embeddings that its encoder has left in the output: the file itself is what counts."""
    other = tmp_path / "other.npz"
    other.write_bytes(kept.read_bytes())
    changed(embedding=lambda vectors: np.roll(vectors, 1, axis=0))(other)

    def eer(spec: Path) -> float:
        given = f"--corpus {corpus.root} --out {tmp_path}/out --lengths full --set draws=100".split()
        capsys.readouterr()
        assert run(["evaluate", "--model", str(spec), *given, "--protocol", "full-short", "--json"]) == 0
        (system,) = json.loads(capsys.readouterr().out)["systems"].values()
        return float(system["lengths"]["full"]["eer"])

    by_encoder = eer(kept.with_name("small.onnx"))
    assert eer(kept) == by_encoder
    assert eer(other) != by_encoder
    command = ["evaluate", "--model", str(kept), "--corpus", str(corpus.root), "--out", str(tmp_path / "o")]
    assert run([*command, "--lengths", "full,1"]) == 2
    assert "whole utterances only; test with --lengths full" in capsys.readouterr().err
