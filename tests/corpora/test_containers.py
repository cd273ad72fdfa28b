"""A file is heard whole, or what is wrong with it is named: never by half."""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from recordings import tones

from shortvox.corpora import remembered as remembered_module
from shortvox.corpora.audio import probe, read_audio, read_samples
from shortvox.corpora.containers import inspect, mpeg, ogg
from shortvox.corpora.faults import AudioFault
from shortvox.corpora.remembered import remembered

TWO, THREE = tones(seconds=2.0), tones(seconds=3.0)[::-1]
PCM = (TWO * 32767).astype("<i2").tobytes()


def encoded(samples: np.ndarray = TWO, rate: int = 16000, **options: object) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, **options)
    return buffer.getvalue()


def save(folder: Path, content: bytes, suffix: str) -> Path:
    path = folder / f"a.{suffix}"
    path.write_bytes(content)
    return path


def kind(path: Path) -> str:
    with pytest.raises(AudioFault) as caught:
        read_audio(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    return caught.value.kind


def heard(path: Path) -> np.ndarray:
    """What reading gives, which is as long as probing says, and equal to its pieces."""
    whole = read_audio(path)
    assert probe(path).frames == len(whole)
    for first in (0, len(whole) // 3, len(whole) - 1600):
        np.testing.assert_allclose(read_samples(path, first, 1600), whole[first : first + 1600], atol=5e-3)
    return whole


FORMATS = {
    "wav": {"format": "WAV"},
    "float.wav": {"format": "WAV", "subtype": "FLOAT"},
    "alaw.wav": {"format": "WAV", "subtype": "ALAW"},
    "gsm.wav": {"format": "WAV", "subtype": "GSM610"},
    "adpcm.wav": {"format": "WAV", "subtype": "MS_ADPCM"},
    "wavex.wav": {"format": "WAVEX", "subtype": "PCM_24"},
    "rf64": {"format": "RF64"},
    "w64": {"format": "W64"},
    "aiff": {"format": "AIFF"},
    "aifc": {"format": "AIFF", "subtype": "FLOAT"},
    "caf": {"format": "CAF"},
    "au": {"format": "AU"},
    "little.au": {"format": "AU", "endian": "LITTLE"},
    "big.wav": {"format": "WAV", "endian": "BIG"},
    "sph": {"format": "NIST"},
    "flac": {"format": "FLAC"},
    "ogg": {"format": "OGG", "subtype": "VORBIS"},
    "opus": {"format": "OGG", "subtype": "OPUS"},
    "mp3": {"format": "MP3"},
}


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_whole_file_is_heard(tmp_path: Path, suffix: str) -> None:
    whole = heard(save(tmp_path, encoded(**FORMATS[suffix]), suffix))
    assert 32000 <= len(whole) < 33000
    assert np.corrcoef(whole[2000:30000], TWO[2000:30000])[0, 1] > 0.9


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_cut_file_is_never_taken_for_whole(tmp_path: Path, suffix: str) -> None:
    content = encoded(**FORMATS[suffix])
    cuts = {*np.linspace(1, len(content) - 4, 16).astype(int), len(content) - 200}
    for at in cuts:
        assert kind(save(tmp_path, content[:at], suffix)) in ("truncated", "corrupt", "empty"), at


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_an_ogg_that_ends_between_two_pages(tmp_path: Path, subtype: str) -> None:
    content = encoded(tones(seconds=20.0), format="OGG", subtype=subtype)
    pages = [at for at in range(len(content)) if content[at : at + 4] == b"OggS"]
    assert len(pages) > 5
    for at in pages[1:]:
        assert kind(save(tmp_path, content[:at], "ogg")) == "truncated"
    for first, second in pairwise(pages[2:]):
        assert kind(save(tmp_path, content[:first] + content[second:], "ogg")) == "corrupt"  # a page is lost


@pytest.mark.parametrize("suffix", ["ogg", "opus", "flac"])
def test_damage_anywhere_changes_nothing_or_is_named(tmp_path: Path, suffix: str) -> None:
    content = encoded(**FORMATS[suffix])
    expected = read_audio(save(tmp_path, content, suffix))
    for at in np.linspace(0, len(content) - 65, 40).astype(int):
        damaged = content[:at] + bytes(byte ^ 0xFF for byte in content[at : at + 64]) + content[at + 64 :]
        path = save(tmp_path, damaged, suffix)
        try:
            np.testing.assert_array_equal(read_audio(path), expected)
        except AudioFault as fault:
            assert fault.kind in ("corrupt", "truncated", "joined"), at


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("second", [TWO, THREE], ids=["again", "another"])
def test_joined_files_are_heard_whole_or_named(tmp_path: Path, suffix: str, second: np.ndarray) -> None:
    path = save(tmp_path, encoded(**FORMATS[suffix]) + encoded(second, **FORMATS[suffix]), suffix)
    if suffix == "mp3":
        whole = heard(path)
        assert len(whole) == pytest.approx(32000 + len(second), abs=4000)
        assert np.abs(whole[-16000:]).max() > 0.1
    else:
        assert kind(path) in ("joined", "corrupt")


def riff(promised: int, data: bytes = PCM, *, after: bytes = b"", rate: int = 16000) -> bytes:
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate, 2 * rate % 2**32, 2, 16)
    return b"RIFF" + struct.pack("<I", 36) + b"WAVE" + form + b"data" + struct.pack("<I", promised) + data + after


N = len(PCM)


@pytest.mark.parametrize("promised", [N, N + 1, 0xFFFFFFFF, 0x7FFFFFFF, 0x80000000, 0x7FFFF000])
def test_a_wav_that_promises_what_is_there_or_nothing_known(tmp_path: Path, promised: int) -> None:
    assert len(heard(save(tmp_path, riff(promised), "wav"))) == 32000


@pytest.mark.parametrize(
    ("promised", "expected"), [(0, "corrupt"), (N // 4, "corrupt"), (N - 1000, "corrupt"), (2 * N, "truncated")]
)
def test_a_wav_that_promises_something_else(tmp_path: Path, promised: int, expected: str) -> None:
    path = save(tmp_path, riff(promised), "wav")
    assert kind(path) == expected
    with pytest.raises(AudioFault, match=f"promises {promised} bytes of audio, {N} are there"):
        probe(path)


@pytest.mark.parametrize(
    "after",
    [
        b"\0",
        b"TAG".ljust(128, b"x"),
        bytes(5000),
        b"id3 " + struct.pack("<I", 300) + b"x" * 300,
        b"LIST" + struct.pack("<I", 900) + b"cut",
        b"odd " + struct.pack("<I", 3) + b"abc\0" + b"LIST" + struct.pack("<I", 4) + b"INFO",
    ],
)
def test_what_follows_the_audio_of_a_wav(tmp_path: Path, after: bytes) -> None:
    assert len(heard(save(tmp_path, riff(N, after=after), "wav"))) == 32000


@pytest.mark.parametrize(
    ("suffix", "name", "offset", "value"),
    [
        ("w64", b"data\xf3", 16, struct.pack("<Q", 10**9)),
        ("rf64", b"ds64", 16, struct.pack("<Q", 10**9)),
        ("caf", b"data", 4, struct.pack(">q", 10**9)),
        ("au", b".snd", 8, struct.pack(">I", 10**6)),
        ("aiff", b"SSND", 4, struct.pack(">I", 10**6)),
        ("aiff", b"COMM", 10, struct.pack(">I", 10**6)),
        ("sph", b"sample_count -i ", 16, b"99999"),
    ],
)
def test_other_headers_that_promise_too_much(
    tmp_path: Path, suffix: str, name: bytes, offset: int, value: bytes
) -> None:
    content = encoded(**FORMATS[suffix])
    at = content.index(name) + offset
    assert kind(save(tmp_path, content[:at] + value + content[at + len(value) :], suffix)) == "truncated"


@pytest.mark.parametrize(
    ("suffix", "name", "offset", "value"),
    [
        ("w64", b"data\xf3", 16, struct.pack("<Q", 16024)),
        ("rf64", b"ds64", 16, struct.pack("<Q", 16000)),
        ("caf", b"data", 4, struct.pack(">q", 16004)),
        ("au", b".snd", 8, struct.pack(">I", 16000)),
        ("aiff", b"COMM", 10, struct.pack(">I", 8000)),
        ("sph", b"sample_count -i ", 16, b"08000"),
    ],
)
def test_other_headers_that_promise_too_little(
    tmp_path: Path, suffix: str, name: bytes, offset: int, value: bytes
) -> None:
    content = encoded(**FORMATS[suffix])
    at = content.index(name) + offset
    assert kind(save(tmp_path, content[:at] + value + content[at + len(value) :], suffix)) == "corrupt"


def test_streams_of_unknown_length(tmp_path: Path) -> None:
    caf, au = encoded(**FORMATS["caf"]), encoded(**FORMATS["au"])
    at = caf.index(b"data") + 4
    assert len(heard(save(tmp_path, caf[:at] + b"\xff" * 8 + caf[at + 8 :], "caf"))) == 32000
    assert len(heard(save(tmp_path, au[:8] + b"\xff" * 4 + au[12:], "au"))) == 32000


def flac_of(total: int, samples: np.ndarray = TWO, **options: object) -> bytes:
    """A FLAC whose header says `total` samples; 0 means unknown, as every encoder to a pipe writes it."""
    content = bytearray(encoded(samples, format="FLAC", **options))
    described = int.from_bytes(content[18:26], "big") >> 36 << 36 | total
    content[18:26] = described.to_bytes(8, "big")
    return bytes(content)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
@pytest.mark.parametrize("rate", [16000, 44100])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_flac_of_unknown_length_is_heard_whole(tmp_path: Path, subtype: str, rate: int, channels: int) -> None:
    samples = np.stack([tones(rate, 2.34567)] * channels, axis=1)
    options = {"subtype": subtype, "rate": rate}
    known = heard(save(tmp_path, encoded(samples, format="FLAC", **options), "flac"))
    assert len(known) == 37531
    np.testing.assert_array_equal(heard(save(tmp_path, flac_of(0, samples, **options), "flac")), known)
    np.testing.assert_array_equal(
        heard(save(tmp_path, flac_of(0, samples, **options) + b"TAG".ljust(128), "flac")), known
    )


@pytest.mark.parametrize("frames", [1, 15, 16, 191, 192, 255, 256, 257, 4095, 4096, 4097, 5000, 4096 * 300 + 77])
def test_the_length_of_a_flac_from_its_last_frame(tmp_path: Path, frames: int) -> None:
    path = save(tmp_path, flac_of(0, np.resize(TWO, frames)), "flac")
    assert probe(path).frames == frames


@pytest.mark.parametrize(
    ("total", "expected"), [(8000, "corrupt"), (31999, "corrupt"), (10**6, "truncated"), (2**36 - 1, "truncated")]
)
def test_a_flac_that_promises_something_else(tmp_path: Path, total: int, expected: str) -> None:
    path = save(tmp_path, flac_of(total), "flac")
    assert kind(path) == expected
    with pytest.raises(AudioFault, match="samples, 32000 are there"):
        probe(path)


def test_a_flac_of_unknown_length_that_is_cut_or_joined(tmp_path: Path) -> None:
    content = flac_of(0)
    for at in np.linspace(100, len(content) - 1, 20).astype(int):
        assert kind(save(tmp_path, content[:at], "flac")) == "truncated"
    assert kind(save(tmp_path, content + content, "flac")) == "joined"


def id3(size: int) -> bytes:
    return b"ID3\x03\0\0" + bytes([size >> 21 & 127, size >> 14 & 127, size >> 7 & 127, size & 127]) + bytes(size)


def test_tags_before_a_flac_or_mp3(tmp_path: Path) -> None:
    for suffix in ("flac", "mp3"):
        content = encoded(**FORMATS[suffix])
        expected = heard(save(tmp_path, content, suffix))
        np.testing.assert_array_equal(heard(save(tmp_path, id3(20_000) + id3(10) + content, suffix)), expected)
        assert kind(save(tmp_path, id3(20_000)[:-5], suffix)) == "truncated"
        assert kind(save(tmp_path, id3(2000), suffix)) == "corrupt"


def mp3(rate: int = 16000, *, seconds: float = 13.0, variable: bool = True, tag: bool = True) -> bytes:
    """Speech, silence, speech: a variable bit rate varies. Without its tag, the length can only be guessed."""
    sound = tones(rate, seconds)
    sound[round(0.3 * len(sound)) : round(0.6 * len(sound))] *= 1e-4
    content = encoded(
        sound, rate, format="MP3", bitrate_mode="VARIABLE" if variable else "CONSTANT", compression_level=0.5
    )
    return content if tag else content[first_frame(content) :]


def first_frame(content: bytes) -> int:
    head = mpeg._head(content, 0)
    assert head is not None
    return head.size


@pytest.mark.parametrize("rate", [8000, 16000, 44100, 48000])
@pytest.mark.parametrize("variable", [False, True])
def test_an_mp3_is_heard_whole_with_and_without_its_tag(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], rate: int, variable: bool
) -> None:
    known = heard(save(tmp_path, mp3(rate, variable=variable), "mp3"))
    assert len(known) == pytest.approx(13 * 16000, abs=2)
    plain = mp3(rate, variable=variable, tag=False)
    for content in (plain, id3(16384) + plain, plain + b"TAG".ljust(128), plain + bytes(4096), bytes(100) + plain):
        whole = heard(save(tmp_path, content, "mp3"))
        assert len(whole) == pytest.approx(13 * 16000, abs=0.15 * 16000)
    lag = len(whole) - len(known)  # the encoder's delay, which the tag would say
    best = max(np.corrcoef(whole[shift : shift + 60000], known[:60000])[0, 1] for shift in range(0, lag + 1, 1))
    assert best > 0.99
    assert capfd.readouterr().err == ""


def test_an_mp3_without_a_tag_that_is_cut_damaged_or_joined(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    plain, half = mp3(tag=False), 0
    while half < 10_000:
        half += first_frame(plain[half:])
    for cut in (
        half + 1,
        half + 3,
        half + 7,
        half - 1,
        len(plain) - 60,
        len(plain) - 1,
    ):  # on a frame's end none can see it
        assert kind(save(tmp_path, plain[:cut], "mp3")) == "truncated"
    assert kind(save(tmp_path, plain[:half] + b"damaged!" * 300 + plain[half:], "mp3")) == "corrupt"
    assert kind(save(tmp_path, plain + mp3(8000), "mp3")) == "corrupt"  # of another rate
    assert kind(save(tmp_path, b"\xff\xfb" * 10, "mp3")) == "corrupt"
    whole, apart = heard(save(tmp_path, plain, "mp3")), heard(save(tmp_path, plain + id3(3000) + mp3(), "mp3"))
    assert len(apart) == pytest.approx(2 * len(whole), abs=4000)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(("change", "expected"), [(-20, None), (20, "truncated")])
def test_an_mp3_whose_tag_is_wrong(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], change: int, expected: str | None
) -> None:
    content = mp3()
    at = max(content.find(b"Xing"), content.find(b"Info")) + 8
    frames = int.from_bytes(content[at : at + 4], "big") + change
    path = save(tmp_path, content[:at] + frames.to_bytes(4, "big") + content[at + 4 :], "mp3")
    if expected is None:
        assert len(heard(path)) == pytest.approx(13 * 16000, abs=0.15 * 16000)
    else:
        assert kind(path) == expected
    assert capfd.readouterr().err == ""


def test_a_tag_that_libmpg123_does_not_know_is_not_believed(tmp_path: Path) -> None:
    """It wants zeros before the name; the length that it guesses otherwise is half of this file's."""
    content = mp3()
    damaged = content[:7] + b"\x01" + content[8:]
    assert len(heard(save(tmp_path, damaged, "mp3"))) == pytest.approx(13 * 16000, abs=0.15 * 16000)


def test_a_chunk_of_negative_size(tmp_path: Path) -> None:
    content = encoded(**FORMATS["caf"])
    at = content.index(b"free") if b"free" in content else content.index(b"desc")
    assert (
        kind(save(tmp_path, content[: at + 4] + struct.pack(">q", -(2**61)) + content[at + 12 :], "caf")) == "corrupt"
    )


@pytest.mark.parametrize("layer", [1, 2])
def test_mpeg_layers_one_and_two(tmp_path: Path, layer: int) -> None:
    """Silent frames, written by hand: their length is right, or the file is named."""
    head = bytes([0xFF, 0xFD if layer == 2 else 0xFF, 0x84 if layer == 2 else 0x44, 0xC0])
    parsed = mpeg._head(head, 0)
    assert parsed is not None and (parsed.layer, parsed.rate) == (layer, 48000)
    path = save(tmp_path, (head + bytes(parsed.size - 4)) * 50, "mp3")
    try:
        assert probe(path).source_frames == 50 * parsed.samples
    except AudioFault as fault:
        assert fault.kind == "corrupt"


def test_mpeg_frame_sizes_agree_with_the_format() -> None:
    """ISO 11172-3 and 13818-3: 144 (72 for half the samples) times bit rate over sampling rate, and padding."""
    cases = {b"\xff\xfb\x90\x00": (417, 1152), b"\xff\xfb\x92\x00": (418, 1152), b"\xff\xf3\x40\xc0": (104, 576)}
    for head, (size, samples) in cases.items():
        parsed = mpeg._head(head, 0)
        assert parsed is not None and (parsed.size, parsed.samples) == (size, samples)
    assert mpeg._head(b"\xff\xfb\xf0\x00", 0) is None and mpeg._head(b"\xff\xe9\x90\x00", 0) is None


def _slow_crc(data: bytes) -> int:
    value = 0
    for byte in data:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ (0x04C11DB7 if value & 1 << 31 else 0)) & 0xFFFFFFFF
    return value


@given(st.binary(max_size=40))
def test_the_checksum_of_ogg(data: bytes) -> None:
    assert ogg.crc(data) == _slow_crc(data)


@settings(max_examples=60, deadline=None)
@given(
    magic=st.sampled_from(
        [b"RIFF", b"RF64", b"riff", b"FORM", b"caff", b".snd", b"NIST", b"OggS", b"fLaC", b"ID3", b""]
    ),
    rest=st.binary(max_size=300),
    suffix=st.sampled_from(["wav", "flac", "mp3"]),
)
def test_rubbish_is_named(tmp_path_factory: pytest.TempPathFactory, magic: bytes, rest: bytes, suffix: str) -> None:
    content = magic + rest
    if content:
        assert kind(save(tmp_path_factory.mktemp("rubbish"), content, suffix)) in ("corrupt", "truncated", "empty")


@pytest.mark.parametrize("rate", [0, 1, 7, 999, 2_000_000_000])
def test_absurd_rates(tmp_path: Path, rate: int) -> None:
    path = save(tmp_path, riff(N, rate=rate), "wav")
    with pytest.raises(AudioFault) as caught:
        probe(path)
    assert caught.value.kind == "corrupt"


def test_what_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "folder.wav").mkdir()
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "loop.wav").symlink_to(tmp_path / "loop.wav")
    (tmp_path / "device.wav").symlink_to("/dev/zero")
    for name in ("folder", "pipe", "loop", "device", "x" * 300):
        assert kind(tmp_path / f"{name}.wav") == "missing"
    assert kind(save(tmp_path, b"text", "xyz")) == "corrupt"
    assert len(heard(save(tmp_path, riff(N), "xyz"))) == 32000  # what it is tells, not its name


def test_a_file_is_measured_once_while_it_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[Path] = []

    def measure(path: Path) -> int:
        measured.append(path)
        return len(path.read_bytes())

    once: Callable[[Path], int] = remembered(measure)
    path = save(tmp_path, b"abc", "wav")
    assert [once(path), once(path)] == [3, 3] and len(measured) == 2  # too young: it may change within a tick
    monkeypatch.setattr(remembered_module, "_SETTLED", -1.0)
    assert [once(path), once(path)] == [3, 3] and len(measured) == 3
    path.write_bytes(b"abcd")
    assert once(path) == 4 and len(measured) == 4


def test_only_headers_of_uncompressed_files_are_read(tmp_path: Path) -> None:
    """A sparse file of 3 GB costs nothing."""
    path = save(tmp_path, riff(0, b""), "wav")
    with path.open("r+b") as handle:
        handle.seek(40)
        handle.write(struct.pack("<I", 3_000_000_000))
        handle.truncate(44 + 3_000_000_000)
    inspect(path)
    assert probe(path).source_frames == 1_500_000_000
