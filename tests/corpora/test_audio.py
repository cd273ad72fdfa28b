"""Any recording as 16 kHz mono, whole or in pieces, and every fault by its name."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import scipy.signal
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from recordings import encode, tones, write_tones

from shortvox.corpora import media
from shortvox.corpora.audio import probe, read_audio, resampled_length, segment_end
from shortvox.corpora.faults import AudioFault
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


def test_loud_float_files_are_clipped_to_one(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", 9 * tones(), 16000, subtype="FLOAT")
    assert np.abs(read_audio(tmp_path / "a.wav")).max() == 1


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
