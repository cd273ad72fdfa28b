"""Any recording as 16 kHz mono, whole or in pieces, and every fault by its name."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import scipy.signal
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from recordings import encode, tones, write_tones

from shortvox.corpora import audio, media
from shortvox.corpora.audio import (
    ANY_LEVEL,
    probe,
    read_audio,
    read_blocks,
    read_samples,
    resampled_length,
    segment_end,
)
from shortvox.corpora.faults import REMEDIES, AudioFault
from shortvox.corpora.forward import Forward
from shortvox.errors import AudioError

SECONDS = 3.0


def fault(path: Path, **piece: float) -> AudioFault:
    with pytest.raises(AudioError) as caught:
        read_audio(path, **piece)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    assert isinstance(caught.value, AudioFault)
    return caught.value


@pytest.mark.parametrize("rate", [8000, 11127, 16000, 22050, 44100, 48000])
def test_any_rate_becomes_16_khz(tmp_path: Path, rate: int) -> None:
    path = write_tones(tmp_path / "a.wav", rate, SECONDS, subtype="FLOAT")
    samples, info = read_audio(path), probe(path)
    assert samples.dtype == np.float32 and samples.shape == (48000,) == (info.frames,)
    assert (info.rate, info.channels) == (rate, 1) and info.seconds == pytest.approx(SECONDS, abs=1e-4)
    inner = slice(800, -800)
    np.testing.assert_allclose(samples[inner], tones(16000, SECONDS)[inner], atol=1e-3)


def test_resampling_agrees_with_scipy_and_does_not_alias(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    noise = scipy.signal.sosfiltfilt(scipy.signal.butter(10, 5000, fs=48000, output="sos"), rng.standard_normal(96000))
    high = np.sin(2 * np.pi * 9000 * np.arange(96000) / 48000)
    soundfile.write(tmp_path / "noise.wav", 0.1 * noise, 48000, subtype="FLOAT")
    soundfile.write(tmp_path / "high.wav", 0.5 * high, 48000, subtype="FLOAT")
    expected = scipy.signal.resample_poly(0.1 * noise, 1, 3, window=("kaiser", 12.0))
    assert np.abs(read_audio(tmp_path / "noise.wav") - expected)[500:-500].max() < 2e-3
    assert np.abs(read_audio(tmp_path / "high.wav"))[500:-500].max() < 1e-4


def test_channels_are_averaged(tmp_path: Path) -> None:
    left, right = tones(seconds=1), 0.3 * tones(seconds=1)[::-1]
    soundfile.write(tmp_path / "a.wav", np.stack([left, right], 1), 16000, subtype="FLOAT")
    np.testing.assert_allclose(read_audio(tmp_path / "a.wav"), (left + right) / 2, atol=1e-6)


def test_one_channel(tmp_path: Path) -> None:
    left, right = tones(22050, 2.0), 0.3 * tones(22050, 2.0)[::-1]
    path = tmp_path / "a.wav"
    soundfile.write(path, np.stack([left, right], 1), 22050, subtype="FLOAT")
    for channel, voice in enumerate((left, right)):
        soundfile.write(tmp_path / "alone.wav", voice, 22050, subtype="FLOAT")
        alone = read_audio(tmp_path / "alone.wav")
        np.testing.assert_array_equal(read_audio(path, channel=channel), alone)
        np.testing.assert_allclose(read_samples(path, 5000, 900, channel), alone[5000:5900], atol=1e-5)
    for read in (lambda: read_audio(path, channel=2), lambda: read_samples(path, 0, 100, 2)):
        with pytest.raises(AudioFault, match="channel 2 of 2, counted from 0") as caught:
            read()
        assert caught.value.kind == "no such channel"


@pytest.mark.parametrize("gain", [4.0, 0.01, 1e-3])
@pytest.mark.parametrize("rate", [16000, 44100])
def test_samples_keep_their_values_at_any_level(tmp_path: Path, gain: float, rate: int) -> None:
    for name, level in (("a", gain), ("plain", 1.0)):
        soundfile.write(tmp_path / f"{name}.wav", level * tones(rate), rate, subtype="FLOAT")
    expected = gain * read_audio(tmp_path / "plain.wav")
    np.testing.assert_allclose(read_audio(tmp_path / "a.wav"), expected, atol=1e-5 * gain)


@pytest.mark.parametrize(
    ("gain", "expected"),
    [(32768.0, "beyond full scale"), (1e30, "beyond full scale"), (1e300, "non-finite"), (1e-9, "silent")],
)
@pytest.mark.parametrize("rate", [16000, 8000])
def test_levels_that_are_no_speech(tmp_path: Path, gain: float, expected: str, rate: int) -> None:
    soundfile.write(tmp_path / "a.wav", gain * tones(rate).astype(np.float64), rate, subtype="DOUBLE")
    assert fault(tmp_path / "a.wav").kind == expected


def test_a_level_that_mixing_sets_is_kept(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", 32768 * tones(), 16000, subtype="FLOAT")
    np.testing.assert_allclose(read_audio(tmp_path / "a.wav", loudest=ANY_LEVEL), 32768 * tones(), rtol=1e-6)


def test_channels_that_cancel(tmp_path: Path) -> None:
    voice, rng = tones(), np.random.default_rng(0)
    noise = rng.standard_normal((2, len(voice))).astype(np.float32)

    def write(*channels: np.ndarray, subtype: str = "FLOAT") -> Path:
        soundfile.write(tmp_path / "a.wav", np.stack(channels, 1), 16000, subtype=subtype)
        return tmp_path / "a.wav"

    for cancelling in (
        write(voice, -voice),
        write(voice, -voice, subtype="PCM_16"),
        write(voice + 1e-3 * noise[0], 1e-3 * noise[1] - voice),
    ):
        found = fault(cancelling)
        assert found.kind == "channels cancel" and "column channel" in str(found)
    with pytest.raises(AudioFault, match="channels cancel"):
        read_samples(write(voice, -voice), 3000, 8000)
    np.testing.assert_array_equal(read_audio(write(voice, -voice), channel=1), -voice)
    for sound in (
        write(voice, voice),
        write(voice, 0 * voice),
        write(voice, -0.5 * voice),
        write(*(0.1 * rng.standard_normal((60, 1600))).astype(np.float32)),  # nothing in common, as in far noise
        write(voice, *(-voice / 3 for _ in range(2))),
    ):
        read_audio(sound)
    hum = write(np.append(voice, 5e-4 * voice), np.append(voice, -5e-4 * voice))
    assert len(read_samples(hum, 32000, 16000)) == 16000  # a pause, where only hum of opposite phase is left


def test_a_wav_that_cannot_be_sought_in(tmp_path: Path) -> None:
    path = write_tones(tmp_path / "a.wav", 8000, 30.0, subtype="GSM610")
    assert not soundfile.SoundFile(path).seekable()
    whole = read_audio(path)
    assert len(whole) == probe(path).frames == 480000
    assert np.corrcoef(whole, tones(16000, 30.0))[0, 1] > 0.8
    for first in (0, 100, 16000, 400_000):
        np.testing.assert_allclose(read_samples(path, first, 9000), whole[first : first + 9000], atol=1e-5)


@pytest.mark.parametrize(
    ("suffix", "subtype", "rate"),
    [
        ("wav", "PCM_16", 16000),
        ("flac", "PCM_16", 44100),
        ("mp3", None, 44100),
        ("ogg", "VORBIS", 48000),
        ("wav", "GSM610", 8000),
    ],
)
def test_blocks_equal_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, subtype: str | None, rate: int
) -> None:
    path = write_tones(tmp_path / f"a.{suffix}", rate, 7.3, subtype=subtype)
    (whole,) = read_blocks(path, 1000, 110_000)
    monkeypatch.setattr(audio, "_BLOCK", 2 * rate)
    blocks = [*read_blocks(path, 1000, 110_000)]
    assert [len(block) for block in blocks] == [32000, 32000, 32000, 14000]
    np.testing.assert_allclose(np.concatenate(blocks), whole, atol=1e-4)


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(1, 60)), max_size=8), st.lists(st.integers(1, 20), max_size=5)
)
def test_forward_reading_gives_what_seeking_would(reads: list[tuple[int, int]], sizes: list[int]) -> None:
    stream = np.arange(2 * sum(sizes), dtype=np.float32).reshape(-1, 2)
    begun: list[int] = []

    def begin() -> Iterator[np.ndarray]:
        begun.append(1)
        yield from np.split(stream, np.cumsum(sizes)[:-1]) if sizes else ()

    forward = Forward(begin, 2)
    for start, count in reads:
        np.testing.assert_array_equal(forward.read(start, count), stream[start : start + count])
    assert len(begun) <= 1 + sum(later < earlier for (earlier, _), (later, _) in pairwise(reads))


FORMATS = [("wav", "PCM_16"), ("wav", "PCM_24"), ("flac", None), ("ogg", "VORBIS"), ("ogg", "OPUS"), ("mp3", None)]


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000])
@pytest.mark.parametrize(("suffix", "subtype"), FORMATS)
def test_a_piece_equals_that_piece_of_the_whole(tmp_path: Path, rate: int, suffix: str, subtype: str | None) -> None:
    if subtype == "OPUS" and rate not in (8000, 16000, 48000):
        pytest.skip("Opus has no such rate")
    path = write_tones(tmp_path / f"a.{suffix}", rate, 6.0, subtype=subtype)
    whole = read_audio(path)
    assert len(whole) == probe(path).frames
    for start in (0.0, 0.0625, 1.23456, 3.0, 4.8, 5.0):
        piece = read_audio(path, start=start, duration=1.0)
        first = round(start * 16000)
        assert len(piece) == 16000
        # Opus alone depends on what was decoded before, by a little.
        np.testing.assert_allclose(piece, whole[first : first + 16000], atol=5e-3 if subtype == "OPUS" else 1e-5)


@settings(max_examples=30, deadline=None)
@given(rate=st.integers(4000, 96000), start=st.floats(0, 1.4), duration=st.floats(0.001, 0.5))
def test_a_piece_at_any_rate(
    tmp_path_factory: pytest.TempPathFactory, rate: int, start: float, duration: float
) -> None:
    path = write_tones(tmp_path_factory.mktemp("rate") / "a.wav", rate, 2.0)
    whole, piece = read_audio(path), read_audio(path, start=start, duration=duration)
    first = round(start * 16000)
    np.testing.assert_allclose(piece, whole[first : first + len(piece)], atol=1e-4)


@given(frames=st.integers(0, 10**7), rate=st.integers(4000, 192000))
def test_resampled_length_is_the_nearest_and_never_zero(frames: int, rate: int) -> None:
    length = resampled_length(frames, rate)
    assert (length == 0) == (frames == 0)
    assert abs(length - frames * 16000 / rate) <= 0.5 or length == 1


@pytest.mark.parametrize(
    ("first", "duration", "expected"),
    [(0, None, 16000), (8000, None, 16000), (0, 0.5, 8000), (0, 0.99, 16000), (0, 1.05, 16000), (4000, 0.25, 8000)],
)
def test_segment_end_forgives_rounding_only(first: int, duration: float | None, expected: int) -> None:
    assert segment_end(Path("a.wav"), 16000, first, duration) == expected


def test_faults_by_kind(tmp_path: Path) -> None:
    assert fault(tmp_path / "nowhere.wav").kind == "missing"
    (tmp_path / "zero.wav").write_bytes(b"")
    assert fault(tmp_path / "zero.wav").kind == "empty"
    soundfile.write(tmp_path / "header.wav", np.zeros(0), 16000)
    assert fault(tmp_path / "header.wav").kind == "empty"
    soundfile.write(tmp_path / "silent.wav", np.zeros(16000), 16000)
    assert fault(tmp_path / "silent.wav").kind == "silent"
    (tmp_path / "text.wav").write_text("this is no recording" * 100)
    assert fault(tmp_path / "text.wav").kind == "corrupt"
    for value in (np.nan, np.inf):
        samples = tones()
        samples[777] = value
        soundfile.write(tmp_path / "nan.wav", samples, 16000, subtype="FLOAT")
        assert fault(tmp_path / "nan.wav").kind == "non-finite"


def test_a_silent_piece_of_a_good_recording_is_fine(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.concatenate([np.zeros(16000), tones()]), 16000)
    assert not read_audio(tmp_path / "a.wav", start=0.2, duration=0.5).any()


@pytest.mark.parametrize(
    ("suffix", "subtype"),
    [
        ("wav", "PCM_16"),
        ("wav", "FLOAT"),
        ("flac", None),
        ("ogg", "VORBIS"),
        ("ogg", "OPUS"),
        ("mp3", None),
        ("aiff", "PCM_16"),
        ("au", "PCM_16"),
        ("w64", "PCM_16"),
        ("caf", "PCM_16"),
    ],
)
@pytest.mark.parametrize("kept", [0.9, 0.5, 0.02])
def test_a_truncated_recording_is_never_taken_for_whole(
    tmp_path: Path, suffix: str, subtype: str | None, kept: float
) -> None:
    path = write_tones(tmp_path / f"a.{suffix}", 16000, 6.0, subtype=subtype)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    assert fault(path).kind in ("truncated", "corrupt", "empty")


@pytest.mark.parametrize("kept", [0.9, 0.5, 0.1])
def test_a_truncated_webm_is_never_taken_for_whole(tmp_path: Path, kept: float) -> None:
    av = pytest.importorskip("av")
    try:
        path = encode(tmp_path / "a.webm", "libopus", 48000, 4.0, None)
    except (av.error.FFmpegError, ValueError) as error:
        pytest.skip(f"this FFmpeg has no encoder ({error})")
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    assert fault(path).kind in ("truncated", "corrupt", "empty")


def test_a_wav_stream_of_unknown_length_is_whole(tmp_path: Path) -> None:
    path = write_tones(tmp_path / "a.wav")
    content = bytearray(path.read_bytes())
    at = content.index(b"data") + 4
    content[at : at + 4] = b"\xff\xff\xff\xff"
    path.write_bytes(content)
    assert len(read_audio(path)) == 32000


def test_a_piece_beyond_the_end(tmp_path: Path) -> None:
    path = write_tones(tmp_path / "a.wav", seconds=1)
    assert "ends at 1 s" in fault(path, start=0.5, duration=2.0).reason
    assert fault(path, start=3.0).kind == "truncated"


def test_every_kind_of_fault_is_explained() -> None:
    text = (Path(__file__).parents[2] / "docs" / "corpora.md").read_text()
    assert [kind for kind in REMEDIES if f"| `{kind}` |" not in text] == []


def test_a_fault_travels_between_processes() -> None:
    error = AudioFault(Path("a.wav"), "silent", "every sample is zero")
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.kind) == (str(error), "silent")


@pytest.mark.parametrize(
    ("name", "codec", "rate", "container", "tolerance"),
    [
        ("a.m4a", "aac", 44100, None, 0.01),
        ("a.m4a", "aac", 16000, None, 1e-6),
        ("a.webm", "libopus", 48000, None, 5e-3),
        ("a.g722", "g722", 16000, "g722", 1e-6),
        ("a.gsm", "libgsm", 8000, "gsm", 1e-6),
    ],
)
def test_what_libsndfile_cannot_read(
    tmp_path: Path, name: str, codec: str, rate: int, container: str | None, tolerance: float
) -> None:
    av = pytest.importorskip("av")
    try:
        path = encode(tmp_path / name, codec, rate, 4.0, container)
    except (av.error.FFmpegError, ValueError) as error:
        pytest.skip(f"this FFmpeg has no {codec} encoder ({error})")
    whole = read_audio(path)
    assert len(whole) == probe(path).frames and len(whole) == pytest.approx(64000, abs=1600)
    delay = 22 if codec == "g722" else 0  # of its filter bank
    assert np.abs(whole[8000 + delay : 56000 + delay] - tones(16000, 4.0)[8000:56000]).max() < 0.05
    for start in (0.0, 0.51234, 2.0, 2.9):
        piece = read_audio(path, start=start, duration=1.0)
        first = round(start * 16000)
        np.testing.assert_allclose(piece, whole[first : first + 16000], atol=tolerance)


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_a_crop_that_begins_soon_after_the_start_of_an_m4a(tmp_path: Path, rate: int) -> None:
    """Sought for, it lacks the packet that an AAC decoder begins with."""
    pytest.importorskip("av")
    path = encode(tmp_path / "a.m4a", "aac", rate, 4.0)
    whole = read_audio(path)
    for first in (1, 100, 619, 1024, 2500, 3999, 4001, 4200, 20_000):
        np.testing.assert_allclose(read_samples(path, first, 8000), whole[first : first + 8000], atol=1e-4)


@pytest.mark.parametrize(
    ("name", "codec", "rate", "container"),
    [("a.m4a", "aac", 16000, None), ("a.webm", "libopus", 48000, None), ("a.aac", "aac", 16000, "adts")],
)
def test_joined_and_cut_media(tmp_path: Path, name: str, codec: str, rate: int, container: str | None) -> None:
    av = pytest.importorskip("av")
    try:
        path = encode(tmp_path / name, codec, rate, 3.0, container)
    except (av.error.FFmpegError, ValueError) as error:
        pytest.skip(f"this FFmpeg has no {codec} encoder ({error})")
    content, whole = path.read_bytes(), read_audio(path)
    assert len(whole) == probe(path).frames
    for at in np.linspace(1, len(content) - 3, 12).astype(int):
        path.write_bytes(content[:at])
        assert fault(path).kind in ("truncated", "corrupt", "empty"), at
    path.write_bytes(content + content)
    try:
        assert len(read_audio(path)) == pytest.approx(2 * len(whole), abs=3200)
    except AudioFault as found:
        assert found.kind in ("joined", "corrupt", "truncated")


@pytest.mark.parametrize("suffix", sorted(media.SUFFIXES - {".g722", ".gsm"}))
def test_a_playlist_is_not_followed(tmp_path: Path, suffix: str) -> None:
    pytest.importorskip("av")
    write_tones(tmp_path / "good.wav")
    for text in (
        "ffconcat version 1.0\nfile good.wav\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4.0,\ngood.wav\n#EXT-X-ENDLIST\n",
    ):
        path = tmp_path / f"list{suffix}"
        path.write_text(text)
        assert fault(path).kind in ("corrupt", "empty")


def test_an_m4a_of_no_known_codec(tmp_path: Path) -> None:
    pytest.importorskip("av")
    path = encode(tmp_path / "a.m4a", "aac", 16000, 1.0)
    content = path.read_bytes().replace(b"mp4a", b"mp9z")
    assert b"\x40\x15\0" in content  # what the descriptor calls AAC
    path.write_bytes(content.replace(b"\x40\x15\0", b"\xc3\x15\0"))
    assert fault(path).kind in ("corrupt", "empty")


def test_raw_gsm_is_decoded(tmp_path: Path) -> None:
    """No encoder needed: 50 frames of 33 bytes are one second, whatever is in them."""
    pytest.importorskip("av")
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (50, 33), np.uint8)
    frames[:, 0] = 0xD0 | frames[:, 0] & 0x0F  # each frame starts with this signature
    (tmp_path / "a.gsm").write_bytes(frames.tobytes())
    assert len(read_audio(tmp_path / "a.gsm")) == 16000
    assert len(read_audio(tmp_path / "a.gsm", start=0.5, duration=0.25)) == 4000


def test_damaged_media_and_missing_pyav(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.m4a"
    path.write_bytes(b"nothing that FFmpeg knows" * 50)
    pytest.importorskip("av")
    assert fault(path).kind == "corrupt"
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    assert "shortvox[media]" in str(fault(path))
    assert {".g722", ".gsm", ".m4a"} <= media.SUFFIXES
