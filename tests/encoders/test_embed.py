"""`shortvox embed`: whole utterances of corpora, or recordings, through any encoder into a file."""

from __future__ import annotations

import csv
import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
from graphs import DIM, of_masked

from shortvox.cli.main import run
from shortvox.corpora.corpus import Corpus, of_recordings
from shortvox.corpora.speech import SpeechData
from shortvox.encoders import crops
from shortvox.encoders.crops import embed_whole
from shortvox.encoders.opening import open_encoder
from shortvox.errors import ShortvoxError
from without import without_the_lab

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    metadata = {"framework": "shortvox", "output_dim": str(DIM), "sample_rate": "16000", "shortest_samples": "400"}
    named = {"name": "small", "fingerprint": "abc", "precision": "fp32", "shortvox_version": "0.1.0"}
    return of_masked(tmp_path_factory.mktemp("graph") / "small.onnx", metadata={**metadata, **named}, bands=None)


def test_three_kinds_of_file_hold_the_same(
    graph: Path, corpus: Corpus, data: SpeechData, tmp_path: Path, capsys: Capture
) -> None:
    for suffix in ("npz", "csv", "parquet"):
        out = tmp_path / f"vectors.{suffix}"
        assert run(["embed", "--model", str(graph), "--corpus", str(corpus.root), "--out", str(out), "--json"]) == 0
        said = json.loads(capsys.readouterr().out)
        assert (said["embeddings"], said["utterances"], said["dim"]) == (str(out), len(corpus), DIM)
    ids = [utterance.id for utterance in corpus.utterances]
    speakers = [utterance.speaker for utterance in corpus.utterances]
    encoder = open_encoder(graph)
    alone = [encoder.embed([data.store.read(position)])[0] for position in range(len(corpus))]
    with np.load(tmp_path / "vectors.npz", allow_pickle=False) as archive:
        found = dict(archive)
    assert (str(found["encoder"]), str(found["fingerprint"])) == ("small", encoder.fingerprint)
    assert (found["utterance"].tolist(), found["speaker"].tolist()) == (ids, speakers)
    assert (found["embedding"].shape, found["embedding"].dtype) == ((len(corpus), DIM), np.float32)
    np.testing.assert_allclose(found["embedding"], alone, atol=1e-5)
    with (tmp_path / "vectors.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["utterance", "speaker", *(f"e{place}" for place in range(DIM))]
    assert [row[:2] for row in rows] == [list(pair) for pair in zip(ids, speakers, strict=True)]
    np.testing.assert_array_equal(np.array([row[2:] for row in rows], np.float32), found["embedding"])
    table = pq.read_table(tmp_path / "vectors.parquet")
    assert (table["utterance"].to_pylist(), table["speaker"].to_pylist()) == (ids, speakers)
    np.testing.assert_array_equal(np.array(table["embedding"].to_pylist(), np.float32), found["embedding"])
    assert table.schema.metadata[b"fingerprint"].decode() == encoder.fingerprint


def test_recordings_without_a_manifest(graph: Path, corpus: Corpus, tmp_path: Path, capsys: Capture) -> None:
    names = [os.path.relpath(corpus.utterances[position].path) for position in (3, 0)]
    assert run(["embed", "--model", str(graph), "--out", str(tmp_path / "v.npz"), *names]) == 0
    assert "2 embeddings of 6 dimensions" in capsys.readouterr().err
    with np.load(tmp_path / "v.npz") as found:
        assert (found["utterance"].tolist(), found["speaker"].tolist()) == (names, ["", ""])
        speech = [soundfile.read(name, dtype="float32")[0] for name in names]
        np.testing.assert_allclose(found["embedding"], open_encoder(graph).embed(speech), atol=1e-5)


def test_little_speech_is_held_at_once(graph: Path, data: SpeechData, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = open_encoder(graph)
    (whole,) = embed_whole(encoder, data.store)
    held: list[int] = []
    counting = replace(
        encoder, run=lambda waveforms: (held.append(sum(map(len, waveforms))), encoder.run(waveforms))[1]
    )
    monkeypatch.setattr(crops, "HELD_SAMPLES", 100_000)
    done: list[int] = []
    parts = [*embed_whole(counting, data.store, on_batch=done.append)]
    assert len(parts) == len(held) == len(done) > 5
    assert max(held) <= 100_000
    assert sum(held) == data.store.lengths.sum()
    assert [len(part) for part in parts] == done
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-6)
    monkeypatch.setattr(crops, "HELD_SAMPLES", 1)  # longer ones go one by one
    assert len([*embed_whole(encoder, data.store)]) == len(data.corpus)


def test_memory_that_is_not_there_names_the_utterance(graph: Path, data: SpeechData) -> None:
    def fails(waveforms: object) -> np.ndarray:
        raise MemoryError

    longest = data.corpus.utterances[int(data.store.lengths.argmax())].id
    with pytest.raises(ShortvoxError, match=f"^utterance {longest}: out of memory with"):
        next(embed_whole(replace(open_encoder(graph), run=fails), data.store))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "v.npz"], "give recordings or --corpus DIR, one of the two"),
        (["--out", "v.npz", "a.wav", "--corpus", "c"], "give recordings or --corpus DIR, one of the two"),
        (["--out", "v.npy", "a.wav"], "v.npy: expected a name that ends with .npz, .csv, .parquet"),
        (["--out", "folder.npz", "a.wav"], "folder.npz: is a folder; --out names the file to write"),
        (["--out", "v.npz", "a.wav", "a.wav"], "a.wav: given twice; once is enough"),
        (["--out", "v.npz", "b.wav"], "b.wav: missing: "),
        (
            ["--out", "v.npz", "long.wav", "a.wav", "also.wav"],
            "utterance a.wav (and 1 more): 0.02 s is shorter than the 0.025 s",
        ),
    ],
)
def test_what_embed_refuses(
    graph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder.npz").mkdir()
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 8000)
    for name, samples in (("a", 320), ("also", 200), ("long", 8000)):
        soundfile.write(f"{name}.wav", noise[:samples], 16000)
    assert run(["embed", "--model", str(graph), *arguments]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert message in line
    assert not list(Path().glob("v.*"))


def test_without_the_lab(graph: Path, corpus: Corpus, tmp_path: Path) -> None:
    """In the base: .npz and .csv as anywhere, and .parquet refused before any work."""

    def embed(name: str) -> subprocess.CompletedProcess[str]:
        given = ("--model", graph, "--corpus", corpus.root, "--out", tmp_path / name)
        return without_the_lab("from shortvox.cli import main; main()", "embed", *given)

    assert run(["embed", "--model", str(graph), "--corpus", str(corpus.root), "--out", str(tmp_path / "a.npz")]) == 0
    assert embed("b.npz").returncode == embed("b.csv").returncode == 0
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    ended = embed("b.parquet")
    assert ended.returncode == 2
    assert ended.stderr == "error: this needs the lab (pyarrow is not installed); pip install 'shortvox[train]'\n"


def test_recordings_keep_the_names_they_were_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    spoken = of_recordings([Path("a/b.wav"), Path("/c.wav")])
    assert [(u.id, u.path) for u in spoken.utterances] == [
        ("a/b.wav", tmp_path / "a/b.wav"),
        ("/c.wav", Path("/c.wav")),
    ]
