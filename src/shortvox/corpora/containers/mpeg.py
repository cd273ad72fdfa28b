"""MPEG audio (MP3): every frame is counted, because without a Xing tag its length can only be guessed.

A Xing tag is a first frame without sound that says how many follow. Where it is missing or counts something else,
libsndfile is shown one that is right.
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass

from shortvox.corpora.containers.tags import after_tags
from shortvox.corpora.containers.view import SLACK, Content, View

_KBITS = {  # (version 1, layer) by index
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}  # by bits of the version
_TRIMMED = 2 * 4095 + 1152  # samples; what a tag may say of the encoder's delay and padding, and the decoder's delay
_LONGEST = 2 * 2881  # bytes; a stream that was cut out of another begins with the rest of a frame


@dataclass(frozen=True, slots=True)
class _Head:
    version: int
    layer: int
    rate: int
    mono: bool
    size: int

    @property
    def kind(self) -> tuple[int, int, int, bool]:
        return self.version, self.layer, self.rate, self.mono

    @property
    def samples(self) -> int:
        if self.layer == 3 and self.version != 3:
            return 576
        return 384 if self.layer == 1 else 1152

    @property
    def side(self) -> int:
        """Bytes between the start of a frame of layer III and its tag."""
        if self.version == 3:
            return 4 + (17 if self.mono else 32)
        return 4 + (9 if self.mono else 17)


@dataclass(frozen=True, slots=True)
class _Tag:
    frames: int
    size: int | None  # bytes of the stream


@dataclass(frozen=True, slots=True)
class _Stream:
    """How many frames there are, and where."""

    count: int
    parts: tuple[tuple[int, int], ...]

    @property
    def size(self) -> int:
        return sum(end - start for start, end in self.parts)


def begins(data: mmap.mmap, start: int) -> bool:
    """Two frames follow each other at `start`."""
    head = _head(data, start)
    following = None if head is None else _head(data, start + head.size)
    return head is not None and following is not None and head.kind == following.kind


def mpeg(content: Content, start: int) -> View:
    data = content.bytes
    first = _first(content, start)
    head = _head(data, first)
    assert head is not None
    tag, is_vbri = _tag(data, first, head)
    stream = _frames(content, first, head)
    count = stream.count
    if tag is not None:
        count -= 1
        short = tag.size is None or tag.size > stream.size + SLACK
        if tag.frames > count + 1 or (tag.frames == count + 1 and short):
            raise content.truncated(f"its tag promises {tag.frames} frames, {count} are there")
        if tag.frames == count and not is_vbri and _agree(tag.size, stream.size):
            return View(parts=stream.parts, least=max(count * head.samples - _TRIMMED, 0))
        (_, end), *others = stream.parts
        stream = _Stream(count, ((first + head.size, end), *others))
    if count == 0:
        raise content.corrupt("holds no MPEG frame with sound")
    samples = count * head.samples
    if head.layer != 3:
        return View(parts=stream.parts, frames=samples, least=samples)
    return View(_made_tag(data[first : first + 4], head, count), stream.parts, least=max(samples - _TRIMMED, 0))


def _first(content: Content, start: int) -> int:
    """Where the first frame begins: after zeros, or the rest of a frame of which the beginning was cut off."""
    at = after_tags(content, start)
    for begin in range(at, min(at + _LONGEST, len(content) - 3)):
        if content.bytes[begin] == 0xFF and begins(content.bytes, begin):
            return begin
    head = _head(content.bytes, at)
    if head is not None and after_tags(content, at + head.size) == len(content):
        return at  # the only frame
    raise content.corrupt("no MPEG frames were found in it")


def _frames(content: Content, first: int, expected: _Head) -> _Stream:
    """All frames from `first` on. Tags and zeros between frames are left out: not every decoder passes over them."""
    data, at, size = content.bytes, first, len(content)
    count, begin, parts = 0, first, []
    while at < size:
        head = _head(data, at)
        if head is None:
            following = after_tags(content, at)
            if following == at:
                if size - at < 4 and data[at] == 0xFF:
                    raise content.truncated("its last MPEG frame is incomplete")
                if not content.is_padding(at):
                    raise content.corrupt(f"no MPEG frame at byte {at}")
                following = size
            parts.append((begin, at))
            begin = at = following
            continue
        if head.kind != expected.kind:
            raise content.corrupt(f"the MPEG frame at byte {at} has another rate, layer or number of channels")
        if at + head.size > size:
            raise content.truncated("its last MPEG frame is incomplete")
        at += head.size
        count += 1
    return _Stream(count, tuple((start, end) for start, end in (*parts, (begin, at)) if end > start))


def _head(data: mmap.mmap | bytes, at: int) -> _Head | None:
    """The head of a frame at `at`; None for anything else, and for frames whose head does not say their size."""
    head = data[at : at + 4]
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    version, layer, index, rates = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3), head[2] >> 4, head[2] >> 2 & 3
    if version == 1 or layer == 4 or index in (0, 15) or rates == 3:
        return None
    rate, padding = _RATES[version][rates], head[2] >> 1 & 1
    bits = 1000 * _KBITS[version == 3, layer][index - 1]
    if layer == 1:
        size = (12 * bits // rate + padding) * 4
    else:
        size = (72 if layer == 3 and version != 3 else 144) * bits // rate + padding
    return _Head(version, layer, rate, head[3] >> 6 == 3, size)


def _tag(data: mmap.mmap, at: int, head: _Head) -> tuple[_Tag | None, bool]:
    """What the first frame says if it is a tag, and whether it is one of Fraunhofer's, which not all decoders know."""
    if head.layer != 3:
        return None, False
    if data[at + 36 : at + 40] == b"VBRI":
        return _Tag(_number(data, at + 50), _number(data, at + 46)), True
    tag = at + head.side
    if data[tag : tag + 4] not in (b"Xing", b"Info") or any(data[at + 4 : tag]):  # as libmpg123 knows them
        return None, False
    flags = _number(data, tag + 4)
    frames = _number(data, tag + 8) if flags & 1 else 0
    return _Tag(frames, _number(data, tag + 8 + 4 * (flags & 1)) if flags & 2 else None), False


def _agree(size: int | None, whole: int) -> bool:
    """libmpg123 warns where they differ by more than 1 %."""
    return size is None or abs(size - whole) < 0.005 * whole


def _made_tag(head: bytes, like: _Head, frames: int) -> bytes:
    """A frame as the others, without sound, that says how many follow."""
    tag = bytes(like.side - 4) + b"Xing" + (1).to_bytes(4, "big") + frames.to_bytes(4, "big")
    for index in range(1, 15):  # the smallest that is large enough
        made = bytes([head[0], head[1] | 1, index << 4 | head[2] & 0x0C, head[3]])  # no checksum, no padding
        parsed = _head(made, 0)
        if parsed is not None and parsed.size >= len(made + tag):
            return (made + tag).ljust(parsed.size, b"\0")
    raise ValueError(f"no frame holds a tag of {len(tag)} bytes")


def _number(data: mmap.mmap, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "big")
