"""Containers made of chunks, each with a name and a size: WAV, RF64, W64, AIFF, CAF."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from shortvox.corpora.containers.view import Content, View

# Names of chunks that hold no audio, and whose size is often wrong.
_NOTES = frozenset(b"LIST list id3  ID3  JUNK junk PAD  FLLR bext iXML cue  smpl fact PEAK DISP _PMX cart".split(b" "))
_OTHER_FILE = frozenset((b"RIFF", b"RIFX", b"RF64", b"riff", b"FORM", b"caff"))


@dataclass(frozen=True, slots=True)
class Layout:
    """How chunks follow each other: the first at `first`, each at a multiple of `aligned` from there."""

    head: struct.Struct  # name, size
    first: int
    audio: bytes  # name of the chunk with the samples
    aligned: int = 2
    head_counts: bool = False  # the size includes name and size


@dataclass(frozen=True, slots=True)
class Chunk:
    name: bytes
    start: int
    size: int


_W64_TAIL = bytes.fromhex("f3acd3118cd100c04f8edb8a")
_RIFF = Layout(struct.Struct("<4sI"), 12, b"data")
_RIFX = Layout(struct.Struct(">4sI"), 12, b"data")
_AIFF = Layout(struct.Struct(">4sI"), 12, b"SSND")
_CAF = Layout(struct.Struct(">4sq"), 8, b"data", aligned=1)
_W64 = Layout(struct.Struct("<16sQ"), 40, b"data" + _W64_TAIL, aligned=8, head_counts=True)


def wav(content: Content) -> View:
    """WAV, and RF64, where the size of a long recording stands in the chunk `ds64`."""
    layout = _RIFX if content.bytes[:4] == b"RIFX" else _RIFF
    long = None
    for chunk in _walk(content, layout):
        if chunk.name == b"ds64":
            long = int.from_bytes(content.bytes[chunk.start + 8 : chunk.start + 16], "little")
        if chunk.name == b"data":
            size = chunk.size
            if size == 0xFFFFFFFF and long is not None:
                size = long
            elif _is_of_a_stream(size):
                return View()
            _check(content, layout, chunk.start, size)
            return View()
    raise content.corrupt("holds no chunk of audio")


def w64(content: Content) -> View:
    for chunk in _walk(content, _W64):
        if chunk.name == _W64.audio:
            _check(content, _W64, chunk.start, chunk.size)
            return View()
    raise content.corrupt("holds no chunk of audio")


def aiff(content: Content) -> View:
    """AIFF says the length twice: in samples, and in bytes."""
    described = None
    for chunk in _walk(content, _AIFF):
        if chunk.name == b"COMM":
            common = content.bytes[chunk.start : chunk.start + 22]
            if len(common) < 8:  # cut
                break
            described = _aiff_bytes(common, content.bytes[8:12])
        if chunk.name == b"SSND":
            _check(content, _AIFF, chunk.start, chunk.size)
            offset = int.from_bytes(content.bytes[chunk.start : chunk.start + 4], "big")
            payload = chunk.size - 8 - offset
            if described is not None and described > payload + 1:
                raise content.truncated(f"the header promises {described} bytes of audio, {max(payload, 0)} are there")
            if described is not None and described < payload - 1:
                raise content.corrupt(f"the header promises {described} bytes of audio, {payload} are there")
            return View()
    raise content.corrupt("holds no chunk of audio")


def caf(content: Content) -> View:
    """A stream's size is -1: all the rest. libsndfile is shown the number."""
    for chunk in _walk(content, _CAF):
        if chunk.name == b"data":
            if chunk.size == -1:
                size = (len(content) - chunk.start).to_bytes(8, "big")
                return View(content.bytes[: chunk.start - 8] + size, ((chunk.start, len(content)),))
            _check(content, _CAF, chunk.start, chunk.size)
            return View()
    raise content.corrupt("holds no chunk of audio")


def _walk(content: Content, layout: Layout, start: int | None = None) -> Iterator[Chunk]:
    """The chunks from `start` on; what is no whole head is not looked at."""
    at = layout.first if start is None else start
    while at + layout.head.size <= len(content):
        name, size = layout.head.unpack_from(content.bytes, at)
        body = at + layout.head.size
        if layout.head_counts:
            size = max(size - layout.head.size, 0)
        yield Chunk(name, body, size)
        if size < 0:
            return
        at = body + size + -(body + size - layout.first) % layout.aligned


def _check(content: Content, layout: Layout, start: int, promised: int) -> None:
    """All the audio is there, and only chunks that hold none follow it."""
    content.check_promise(start, promised)
    after = start + promised
    follows = after + -(after - layout.first) % layout.aligned
    for begin in {follows: None, after: None}:  # some writers leave the padding out
        if _only_notes(content, layout, begin):
            return
    raise content.refuse_more(start, promised)


def _only_notes(content: Content, layout: Layout, start: int) -> bool:
    end = start
    for chunk in _walk(content, layout, start):
        name = chunk.name[:4]
        if name in _OTHER_FILE or chunk.name == layout.audio:
            raise content.joined(chunk.start - layout.head.size)
        if not name.isascii() or not name.decode().isprintable():
            break
        if chunk.start + chunk.size > len(content) + 1:
            return name in _NOTES or content.is_padding(end)
        end = chunk.start + chunk.size
    return content.is_padding(end)


def _is_of_a_stream(size: int) -> bool:
    """What writers put who do not know the length: FFmpeg and SoX the largest number, or one near 2 GiB."""
    return size >= 0xFFFF0000 or 0x7FFF0000 <= size <= 0x80001000


def _aiff_bytes(common: bytes, kind: bytes) -> int | None:
    """Bytes of audio that the chunk COMM describes; None for a codec."""
    channels, frames, bits = struct.unpack_from(">HIH", common)
    if kind == b"AIFC" and common[18:22] not in (b"NONE", b"twos", b"sowt"):
        return None
    return int(channels * frames * ((bits + 7) // 8))
