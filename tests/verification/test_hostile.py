"""Recordings that are none, or not what they say: a line or a reason for each, and no score for half of one."""

from __future__ import annotations

import gzip
import io
import os
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from hearing import VERIFIER
from shortvox.cli.main import run
from shortvox.corpora.faults import REMEDIES, AudioFault
from shortvox.errors import AudioError
from shortvox.verification.decision import Decision, Outcome, Refusal
from shortvox.verification.recording import read_recording
from shortvox.verification.verifier import Heard, Verifier
from shortvox.verification.voiceprint import Voiceprint
from voices import syllables

RATE = 16000
LISTENING = replace(VERIFIER, detector="silero")
SPEECH = syllables(3, 1.0, np.random.default_rng(9))
HEARD, SILENT, TOO_SHORT = "heard", "silence", "too_short"


def encoded(samples: np.ndarray, rate: int = RATE, format: str = "WAV", subtype: str = "PCM_16") -> bytes:
    """Of (samples,) or (samples, channels)."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=format, subtype=subtype)
    return file.getvalue()


def announcing(size: int, *, rate: int = RATE, channels: int = 1, bits: int = 16, coding: int = 1) -> bytes:
    """The header of a WAV file that promises `size` bytes of audio."""
    block = channels * bits // 8
    form = struct.pack("<HHIIHH", coding, channels, rate, rate * block, block, bits)
    head = struct.pack("<I", min(36 + size, 2**32 - 1)) + b"WAVEfmt " + struct.pack("<I", 16) + form
    return b"RIFF" + head + b"data" + struct.pack("<I", size)


def with_one(value: float) -> np.ndarray:
    samples = SPEECH.copy()
    samples[len(samples) // 2] = value
    return samples


def zipped(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.wav", content)
    return file.getvalue()


GOOD = encoded(SPEECH)
PCM = GOOD[44:]
# Content of a file that is called .wav, and what is said of it: the kind of a fault, or a reason.
CONTENTS: dict[str, tuple[bytes, str]] = {
    "good": (GOOD, HEARD),
    "empty": (b"", "empty"),
    "no samples": (encoded(SPEECH[:0]), "empty"),
    "one sample": (encoded(np.full(1, 0.5, np.float32)), SILENT),
    "a moment": (encoded(SPEECH[4000:6000]), TOO_SHORT),
    "silence": (encoded(np.zeros(RATE, np.float32)), SILENT),
    "offset": (encoded(np.full(RATE, 0.5, np.float32)), SILENT),
    "offset and speech": (encoded(0.5 * SPEECH + 0.3), HEARD),
    "noise": (encoded(np.random.default_rng(0).uniform(-0.1, 0.1, RATE)), "noise"),
    "not a number": (encoded(with_one(np.nan), subtype="FLOAT"), "non-finite"),
    "infinite": (encoded(with_one(-np.inf), subtype="DOUBLE"), "non-finite"),
    "another scale": (encoded(SPEECH * 32768, subtype="FLOAT"), "beyond full scale"),
    "192 kHz": (encoded(np.repeat(SPEECH, 12), 192_000), HEARD),
    "8 kHz": (encoded(soxr.resample(SPEECH, RATE, 8000), 8000), HEARD),
    "eight channels": (encoded(np.stack([SPEECH] * 8, axis=1)), HEARD),
    "channels that cancel": (encoded(np.stack([SPEECH, -SPEECH], axis=1)), "channels cancel"),
    "a rate of 0": (announcing(len(PCM), rate=0) + PCM, "corrupt"),
    "a rate of 1": (announcing(len(PCM), rate=1) + PCM, "corrupt"),
    "no channel": (announcing(len(PCM), channels=0) + PCM, "corrupt"),
    "no bits": (announcing(len(PCM), bits=0) + PCM, "corrupt"),
    "an unknown coding": (announcing(len(PCM), coding=99) + PCM, "corrupt"),
    "two gigabytes announced": (announcing(2_000_000_000) + PCM, "truncated"),
    "less announced": (announcing(len(PCM) // 2) + PCM, "corrupt"),
    "two recordings": (GOOD + GOOD, "joined"),
    "a ZIP archive": (zipped(GOOD), "corrupt"),
    "gzip": (gzip.compress(GOOD), "corrupt"),
    "JSON": (b'{"audio": "UklGRg=="}', "corrupt"),
    "PNG": (b"\x89PNG\r\n\x1a\n" + bytes(200), "corrupt"),
    "text": (b"wavelength\n" * 50, "corrupt"),
    "zeros": (bytes(70_000), "corrupt"),
}
FORMATS = (
    *(("WAV", "PCM_16"), ("WAV", "FLOAT"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("OGG", "OPUS")),
    *(("MP3", "MPEG_LAYER_III"), ("AIFF", "PCM_16"), ("CAF", "PCM_16"), ("W64", "PCM_16"), ("AU", "PCM_16")),
)
FILES = {each: encoded(SPEECH, RATE, *each) for each in FORMATS}
VOICE = LISTENING.enrol([SPEECH])
assert isinstance(VOICE, Voiceprint)


def answer(recording: Path | bytes) -> str:
    """The reason of a refusal, the kind of a fault in one line, or that it was heard."""
    try:
        found = LISTENING.hear(recording)
    except AudioError as error:
        told = str(error)
        kind = told.split(": ")[1]
        assert "\n" not in told and told.endswith(REMEDIES[kind])
        return kind
    return found.reason if isinstance(found, Refusal) else HEARD


@pytest.mark.parametrize("name", CONTENTS)
def test_a_file_its_bytes_and_the_command_line_say_the_same(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    content, expected = CONTENTS[name]
    path, other = tmp_path / "hostile.wav", tmp_path / "other.flac"
    path.write_bytes(content)
    soundfile.write(other, syllables(3, 1.5, np.random.default_rng(1)), RATE)
    assert answer(path) == answer(content) == expected
    monkeypatch.setattr(Verifier, "load", lambda *_, **__: LISTENING)
    for command in (["verify", str(other), str(path)], ["verify", str(path), str(other)]):
        code = run(command)
        out, error = capsys.readouterr()
        if expected in REMEDIES:
            assert (code, out) == (2, "") and error.count("\n") == 1 and f"{path}: {expected}: " in error
        elif expected == HEARD:
            assert code in (0, 3, 4) and "llr " in out
        else:
            assert code == 4 and out.count("\n") == 1 and f" {expected}: " in out


def special(folder: Path) -> dict[str, Callable[[], Path]]:
    def fifo() -> Path:
        os.mkfifo(folder / "fifo.wav")
        return folder / "fifo.wav"

    def loop() -> Path:
        (folder / "loop.wav").symlink_to(folder / "loop.wav")
        return folder / "loop.wav"

    return {
        "a folder": lambda: folder,
        "nothing": lambda: folder / "nowhere.wav",
        "a pipe": fifo,
        "a device": lambda: Path("/dev/zero"),
        "a link to itself": loop,
        "a name that no file has": lambda: folder / "a\0.wav",
        "a long name": lambda: folder / ("a" * 5000),
    }


@pytest.mark.parametrize("name", special(Path()))
def test_what_is_no_file(name: str, tmp_path: Path) -> None:
    with pytest.raises(AudioFault) as found:
        LISTENING.hear(special(tmp_path)[name]())
    assert found.value.kind == "missing" and "\n" not in str(found.value)


@pytest.mark.parametrize("name", (b"new\nline.wav", b"\xff\xfe.wav", b"\x1b[31m.wav", b"-.wav", b" .wav"))
@pytest.mark.parametrize("suffix", (b"", b".flac"))
def test_any_name_that_a_file_can_have(
    name: bytes, suffix: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    good = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name + suffix))
    good.write_bytes(encoded(SPEECH, format="FLAC") if suffix else GOOD)
    assert isinstance(LISTENING.hear(good), Heard)
    good.write_bytes(b"no audio")
    monkeypatch.setattr(Verifier, "load", lambda *_, **__: LISTENING)
    assert run(["verify", str(good), str(good)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and error.strip().isprintable()
    assert ("corrupt" if name.isascii() else "is not UTF-8; rename the file") in error


@pytest.mark.parametrize("there", (False, True))
def test_ten_hours_are_not_read(there: bool, tmp_path: Path) -> None:
    size = 36_000 * 2 * RATE
    with (tmp_path / "long.wav").open("wb") as file:
        file.write(announcing(size) + PCM)
        file.truncate(44 + size if there else 44 + len(PCM))
    tracemalloc.start()
    assert answer(tmp_path / "long.wav") == ("too long" if there else "truncated")
    assert tracemalloc.get_traced_memory()[1] < 2**22
    tracemalloc.stop()


@settings(max_examples=150)
@given(st.sampled_from(FORMATS), st.floats(0, 1, exclude_max=True))
def test_a_cut_file_is_never_heard_by_half(format: tuple[str, str], share: float) -> None:
    """Of a cut within the last sample nobody can tell."""
    whole = FILES[format]
    samples = len(read_recording(whole))
    try:
        found = read_recording(whole[: int(share * len(whole))])
    except AudioError:
        return
    assert len(found) >= samples - 1


@settings(max_examples=150)
@given(
    st.sampled_from(FORMATS),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=8)), min_size=1, max_size=4),
)
def test_damaged_files_are_refused_or_heard(format: tuple[str, str], damage: list[tuple[float, bytes]]) -> None:
    content = bytearray(FILES[format])
    for place, instead in damage:
        first = int(place**2 * len(content))  # headers are where it hurts
        content[first : first + len(instead)] = instead
    decided_or_refused(bytes(content))


@settings(max_examples=150)
@given(st.sampled_from([b"", *(one[:24] for one in FILES.values())]), st.binary(max_size=200))
def test_any_bytes_are_refused_or_heard(head: bytes, content: bytes) -> None:
    decided_or_refused(head + content)


def decided_or_refused(content: bytes) -> None:
    voice = replace(VOICE, space=VERIFIER.space)
    try:
        decision = VERIFIER.verify(voice, content)
    except AudioError as error:
        assert "\n" not in str(error) and "/tmp" not in str(error)
        return
    assert isinstance(decision, Decision)
    assert decision.llr is not None or (decision.outcome is Outcome.TOO_LITTLE_SPEECH and decision.reason)
