"""FLAC: the number of samples from its last frame, because encoders of streams do not know it and headers lie."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from shortvox.corpora.containers.view import Content, View

_TOTAL = (1 << 36) - 1
_HEADER = 42  # bytes of the magic and STREAMINFO
_RATES = {12: 1, 13: 2, 14: 2}  # bytes that hold the sampling rate
_SMALL = {1: 192, 2: 576, 3: 1152, 4: 2304, 5: 4608}


@dataclass(frozen=True, slots=True)
class _Frame:
    at: int
    end: int  # number of the sample after its last


def flac(content: Content, start: int) -> View:
    """The stream that begins at `start`, with the number of its samples in its header."""
    data = content.bytes
    info = data[start + 8 : start + _HEADER]
    if len(info) < 34 or data[start + 4] & 0x7F or data[start + 5 : start + 8] != b"\0\0\x22":
        raise content.corrupt("its FLAC header is damaged")
    for magic in (b"fLaC\0\0\0\x22", b"fLaC\x80\0\0\x22"):
        if (second := data.find(magic, start + 4)) > 0:
            raise content.joined(second)
    described = int.from_bytes(info[10:18], "big")
    total = described & _TOTAL
    first = _after_metadata(content, start)
    frames = _from_the_end(content, first, info)
    if total == 0:
        end = _last_whole(content, frames, info)
        patched = (described & ~_TOTAL | end).to_bytes(8, "big")
        return View(data[start : start + 18] + patched + info[18:], ((start + _HEADER, len(data)),))
    nearest = None
    for frame in frames:
        if frame.end == total:
            return View(parts=((start, len(data)),) if start else ())
        nearest = nearest or frame
    if nearest is not None and nearest.end > total:
        raise content.corrupt(f"the header promises {total} samples, {nearest.end} are there")
    raise content.truncated(f"the header promises {total} samples, {nearest.end if nearest else 0} are there")


def _after_metadata(content: Content, start: int) -> int:
    at, last = start + 4, False
    while not last:
        if at + 4 > len(content):
            raise content.truncated("ends before its audio begins")
        last = bool(content.bytes[at] & 0x80)
        at += 4 + int.from_bytes(content.bytes[at + 1 : at + 4], "big")
    return at


def _from_the_end(content: Content, first: int, info: bytes) -> Iterator[_Frame]:
    """What looks like the head of a frame, the last one first. The checksum of a head has only 8 bits."""
    data, sync = content.bytes, content.bytes[first : first + 2]
    if len(sync) < 2 or sync[0] != 0xFF or sync[1] & 0xFE != 0xF8:
        return
    at = len(data)
    while (at := data.rfind(sync, first, at + 1)) >= 0:
        end = _end_of(data[at : at + 16], info)
        if end is not None:
            yield _Frame(at, end)


def _end_of(head: bytes, info: bytes) -> int | None:
    """Number of the sample after the frame; None for what is no head of a frame of this stream."""
    if len(head) < 6:
        return None
    size, rate, channels, depth = head[2] >> 4, head[2] & 15, head[3] >> 4, head[3] >> 1 & 7
    if size == 0 or rate == 15 or channels > 10 or depth == 3 or head[3] & 1:
        return None
    if (2 if channels > 7 else channels + 1) != (info[12] >> 1 & 7) + 1:
        return None
    coded = _coded_number(head[4:])
    if coded is None:
        return None
    number, length = coded
    at = 4 + length
    if size in (6, 7):
        samples, at = int.from_bytes(head[at : at + size - 5], "big") + 1, at + size - 5
    else:
        samples = _SMALL.get(size) or 256 << size - 8
    at += _RATES.get(rate, 0)
    if at >= len(head) or _crc8(head[:at]) != head[at]:
        return None
    fixed = int.from_bytes(info[2:4], "big") if not head[1] & 1 else 1  # frames of one size are counted, not samples
    return number * fixed + samples


def _coded_number(data: bytes) -> tuple[int, int] | None:
    """A number coded as in UTF-8, and its length in bytes."""
    ones = 8 - (data[0] ^ 0xFF).bit_length()
    if ones == 1 or ones == 8 or len(data) < ones:
        return None
    if ones == 0:
        return data[0], 1
    number = data[0] & (0x7F >> ones)
    for byte in data[1:ones]:
        if byte & 0xC0 != 0x80:
            return None
        number = number << 6 | byte & 0x3F
    return number, ones


def _last_whole(content: Content, frames: Iterator[_Frame], info: bytes) -> int:
    """Number of samples by the frame that ends where the file does, which its checksum shows."""
    data = content.bytes
    ends = [len(data)] + ([len(data) - 128] if data[-128:-125] == b"TAG" else [])
    channels, depth = (info[12] >> 1 & 7) + 1, (int.from_bytes(info[12:14], "big") >> 4 & 31) + 1
    longest = int.from_bytes(info[2:4], "big") * channels * (depth + 1) // 8 + 128
    for frame in frames:
        if frame.at < ends[-1] - longest:
            break
        if any(_crc16(data[frame.at : end - 2]) == int.from_bytes(data[end - 2 : end], "big") for end in ends):
            return frame.end
    raise content.truncated("its last FLAC frame is incomplete")


def _crc8(data: bytes) -> int:
    value = 0
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value << 1 ^ (0x07 if value & 0x80 else 0)) & 0xFF
    return value


def _crc16(data: bytes) -> int:
    value = 0
    for byte in data:
        value = (value << 8 ^ _TABLE[value >> 8 ^ byte]) & 0xFFFF
    return value


def _shifted(byte: int) -> int:
    value = byte << 8
    for _ in range(8):
        value = (value << 1 ^ (0x8005 if value & 0x8000 else 0)) & 0xFFFF
    return value


_TABLE = [_shifted(byte) for byte in range(256)]
