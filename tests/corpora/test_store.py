"""Both stores give the same speech, and a half-written pack is never used."""

from __future__ import annotations

import json
import pickle
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from recordings import make_corpus, tones, write_tones

from shortvox.corpora import audio
from shortvox.corpora import store as store_module
from shortvox.corpora.check import check_corpus
from shortvox.corpora.corpus import Corpus, load_corpus, write_manifest
from shortvox.corpora.faults import AudioFault
from shortvox.corpora.store import PackedStore, SeekingStore, open_store, pack, quantised
from shortvox.corpora.utterance import Utterance
from shortvox.errors import AudioError, ShortvoxError


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    """Several rates, channels and formats, and two segments of one recording."""
    folder = tmp_path / "corpus"
    utterances = list(make_corpus(folder, 2, 2).utterances)
    for number, (suffix, rate, channels) in enumerate([("wav", 8000, 2), ("flac", 44100, 1), ("ogg", 16000, 1)]):
        path = write_tones(folder / f"x{number}.{suffix}", rate, 1.5, channels=channels)
        utterances.append(replace(utterances[0], id=f"x{number}", path=path))
    for start in (0.25, 0.75):
        utterances.append(replace(utterances[0], id=f"at{start}", path=folder / "x0.wav", start=start, duration=0.5))
    write_manifest(folder, utterances)
    return load_corpus(folder)


def test_packed_equals_seeking(corpus: Corpus, tmp_path: Path) -> None:
    seeking, packed = open_store(corpus), open_store(corpus, tmp_path / "cache")
    assert isinstance(seeking, SeekingStore) and isinstance(packed, PackedStore)
    assert packed.lengths.dtype == np.int64
    for position, u in enumerate(corpus.utterances):
        assert seeking.name(position) == packed.name(position) == u.id
    np.testing.assert_array_equal(seeking.lengths, packed.lengths)
    assert list(seeking.lengths[-2:]) == [8000, 8000]
    half_a_step = 0.5 / 32768 + 1e-4  # int16, and what resampling a piece may differ by
    for position, length in enumerate(seeking.lengths):
        for start, samples in ((0, None), (0, 1600), (1234, 4000), (int(length) - 1600, None)):
            one, other = (s.read(position, start, samples) for s in (seeking, packed))
            assert one.dtype == other.dtype == np.float32 and one.shape == other.shape
            np.testing.assert_allclose(one, other, atol=half_a_step)


def test_pcm16_at_16_khz_is_packed_without_loss(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "corpus", 1, 1)
    np.testing.assert_array_equal(open_store(corpus, tmp_path / "cache").read(0), open_store(corpus).read(0))


def one_file(folder: Path, samples: np.ndarray, rate: int = 16000, **utterance: object) -> Corpus:
    """A corpus of one float file."""
    folder.mkdir(parents=True)
    soundfile.write(folder / "a.wav", samples, rate, subtype="DOUBLE")
    write_manifest(folder, [Utterance("a", "s", folder / "a.wav", **utterance)])
    return load_corpus(folder)


@pytest.mark.parametrize("level", [31.0, 4.0, 1.0, 0.3, 0.011, 1e-3, 1e-4])
def test_both_stores_agree_at_any_level(tmp_path: Path, level: float) -> None:
    """16 bits of the loudest sample, which nothing clips."""
    sound = level * tones(seconds=1.0) / np.abs(tones(seconds=1.0)).max()
    corpus = one_file(tmp_path / "corpus", sound)
    one, other = open_store(corpus).read(0), open_store(corpus, tmp_path / "cache").read(0)
    np.testing.assert_allclose(one, sound, rtol=1e-6)
    np.testing.assert_allclose(other, one, atol=1.01 * level / 32768)
    assert np.abs(other).max() == pytest.approx(level, rel=1e-4)


@pytest.mark.parametrize("loudest", [-32768, -16384, 32767, 16384, 8191, 1])
def test_sixteen_bits_are_packed_to_the_bit(tmp_path: Path, loudest: int) -> None:
    samples = np.random.default_rng(0).integers(-abs(loudest), abs(loudest), 4000, np.int64).astype(np.float64)
    samples[7] = loudest
    corpus = one_file(tmp_path / "corpus", samples.clip(-32768, 32767) / 32768)
    np.testing.assert_array_equal(open_store(corpus, tmp_path / "cache").read(0), open_store(corpus).read(0))


VOICE = tones(seconds=1.0)


@pytest.mark.parametrize(
    ("samples", "utterance", "kind"),
    [
        (1e-9 * VOICE, {}, "silent"),
        (0.49 / 32768 * np.sign(VOICE), {}, "silent"),
        (np.stack([VOICE, -VOICE], 1), {}, "channels cancel"),
        (np.stack([np.rint(VOICE * 32768), -np.rint(VOICE * 32768) - 1], 1) / 32768, {}, "channels cancel"),
        (32768 * VOICE, {}, "beyond full scale"),
        (np.append(VOICE, np.nan), {}, "non-finite"),
        (VOICE, {"channel": 1}, "no such channel"),
        (VOICE, {"duration": 2.0}, "truncated"),
    ],
)
def test_both_stores_and_check_refuse_the_same(
    tmp_path: Path, samples: np.ndarray, utterance: dict[str, object], kind: str
) -> None:
    corpus = one_file(tmp_path / "corpus", samples, **utterance)
    for cache in (None, tmp_path / "cache"):
        with pytest.raises(AudioFault) as caught:
            open_store(corpus, cache).read(0)
        assert caught.value.kind == kind
    assert check_corpus(corpus.root).counts == {kind: 1}


def test_each_utterance_of_a_two_channel_recording_has_its_own_voice(tmp_path: Path) -> None:
    voices = VOICE, -0.4 * VOICE[::-1]
    folder = tmp_path / "corpus"
    one_file(folder, np.stack(voices, 1))
    write_manifest(folder, [Utterance(f"u{n}", f"s{n}", folder / "a.wav", channel=n) for n in range(2)])
    for store in (open_store(load_corpus(folder)), open_store(load_corpus(folder), tmp_path / "cache")):
        for position, voice in enumerate(voices):
            np.testing.assert_allclose(store.read(position), voice, atol=1e-4)
            np.testing.assert_allclose(store.read(position, 100, 500), voice[100:600], atol=1e-4)


def test_a_long_recording_is_packed_without_holding_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = one_file(tmp_path / "corpus", 3 * np.tile(VOICE, 20))
    expected = PackedStore(pack(corpus, tmp_path / "one"))
    monkeypatch.setattr(store_module, "_LONG", 5.0)
    monkeypatch.setattr(audio, "_BLOCK", 16000)
    longest = 0

    def noticed(speech: np.ndarray, scale: float) -> np.ndarray:
        nonlocal longest
        longest = max(longest, len(speech))
        return quantised(speech, scale)

    monkeypatch.setattr(store_module, "quantised", noticed)
    packed = PackedStore(pack(corpus, tmp_path / "two"))
    assert longest == 16000
    np.testing.assert_array_equal(packed.read(0), expected.read(0))


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize(("start", "samples"), [(-1, 10), (0, 10**9), (7999, 0), (10**9, None)])
def test_reading_outside_an_utterance_is_a_bug(tmp_path: Path, cached: bool, start: int, samples: int | None) -> None:
    store = open_store(make_corpus(tmp_path / "corpus", 1, 1), tmp_path / "cache" if cached else None)
    with pytest.raises(ValueError, match="of an utterance of 8000"):
        store.read(0, start, samples)


def test_a_pack_is_reused_until_a_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = make_corpus(tmp_path / "corpus", 2, 1)
    first = pack(corpus, tmp_path / "cache")
    with monkeypatch.context() as patch:
        patch.setattr(store_module, "_decode", lambda u: pytest.fail("decoded again"))
        assert pack(corpus, tmp_path / "cache") == first
    write_tones(corpus.utterances[0].path, seconds=0.9)
    second = pack(corpus, tmp_path / "cache")
    assert second != first and PackedStore(second).lengths[0] == 14400


DAMAGES = {
    "cut": lambda text: text[:20],
    "no lengths": lambda text: text.replace('"lengths"', '"widths"'),
    "one length for all": lambda text: text.replace("[8000, 8160]", "[16160]"),
    "lengths of another kind": lambda text: text.replace("8000", '"x"'),
    "lengths in another order": lambda text: text.replace("[8000, 8160]", "[8160, 8000]"),
    "deep": lambda text: "[" * 100_000,
    "a list": lambda text: "[]",
    "nothing": lambda text: "",
    "another format": lambda text: json.dumps({"format": 1, "rate": 16000, "samples": 16160, "lengths": [8000, 8160]}),
}


@pytest.mark.parametrize("damage", ["no index", "short", *DAMAGES])
def test_an_incomplete_pack_is_made_again(tmp_path: Path, damage: str) -> None:
    corpus = make_corpus(tmp_path / "corpus", 2, 1)
    path = pack(corpus, tmp_path / "cache")
    whole, index = path.read_bytes(), path.with_suffix(".json")
    original = index.read_text()
    if damage == "no index":
        index.unlink()
    elif damage == "short":
        path.write_bytes(whole[:-2])
    else:
        index.write_text(DAMAGES[damage](original))
        assert index.read_text() != original
    assert pack(corpus, tmp_path / "cache") == path and path.read_bytes() == whole
    assert index.read_text() == original


@pytest.mark.parametrize("suffix", [".json", ".pcm", ".lock"])
def test_a_folder_in_the_place_of_a_pack_is_named(tmp_path: Path, suffix: str) -> None:
    corpus = make_corpus(tmp_path / "corpus", 2, 1)
    obstacle = pack(corpus, tmp_path / "cache").with_suffix(suffix)
    obstacle.unlink(missing_ok=True)
    obstacle.mkdir()
    with pytest.raises(ShortvoxError, match=rf"\{suffix}: ") as caught:
        pack(corpus, tmp_path / "cache")
    assert "remove it" in str(caught.value)


def test_a_bad_recording_leaves_no_pack_and_no_rubbish(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "corpus", 2, 2)
    soundfile.write(corpus.utterances[3].path, np.zeros(8000), 16000)
    with pytest.raises(AudioError, match=r"wav/s1/1\.wav: silent"):
        open_store(corpus, tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())
    with pytest.raises(AudioError, match="silent"):
        open_store(corpus).read(3)


def test_left_overs_of_a_killed_run_are_cleared(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "corpus", 1, 1)
    path = pack(corpus, tmp_path / "cache")
    path.unlink()
    (path.parent / f".{path.name}.0123456789abcdef.tmp").write_bytes(b"half")
    pack(corpus, tmp_path / "cache")
    assert not list(path.parent.glob(".*.tmp"))


def test_a_second_process_waits_for_the_pack(tmp_path: Path) -> None:
    fcntl = pytest.importorskip("fcntl")
    corpus = make_corpus(tmp_path / "corpus", 2, 2)
    path = pack(corpus, tmp_path / "cache")
    path.with_suffix(".json").unlink()
    second = threading.Thread(target=pack, args=(corpus, tmp_path / "cache"))
    with path.with_suffix(".lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        second.start()
        second.join(0.2)
        assert second.is_alive() and not path.with_suffix(".json").exists()
    second.join(30)
    assert path.with_suffix(".json").exists()


def test_a_packed_store_travels_by_path(tmp_path: Path) -> None:
    store = open_store(make_corpus(tmp_path / "corpus", 2, 2), tmp_path / "cache")
    sent = pickle.dumps(store)
    assert len(sent) < 1000
    np.testing.assert_array_equal(pickle.loads(sent).read(1), store.read(1))


def test_a_missing_recording_and_an_unwritable_cache(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "corpus", 1, 2)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ShortvoxError, match="cannot be written"):
        open_store(corpus, tmp_path / "file")
    corpus.utterances[1].path.unlink()
    for cache in (None, tmp_path / "cache"):
        with pytest.raises(AudioError, match=r"s0/1\.wav: missing"):
            open_store(corpus, cache)
