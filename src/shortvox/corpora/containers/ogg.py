"""Ogg (Vorbis, Opus): every page is looked at, for libsndfile passes over damaged ones without a word."""

from __future__ import annotations

import zlib

from shortvox.corpora.containers.view import Content, View

_FIRST, _LAST = 2, 4  # flags of a page
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def ogg(content: Content) -> View:
    """Pages follow each other without a gap, have the right checksum and number, and one recording is all there is."""
    data, at = content.bytes, 0
    following: dict[int, int] = {}
    ended: set[int] = set()
    begun = False
    while at < len(data):
        if data[at : at + 4] != b"OggS":
            if content.is_padding(at) and ended:
                break
            raise content.corrupt(f"no Ogg page at byte {at}")
        page = _page(data[at : at + 27 + 255 + 255 * 255])
        if page is None:
            raise content.truncated("the last Ogg page is incomplete")
        if int.from_bytes(page[22:26], "little") != crc(page[:22] + bytes(4) + page[26:]):
            raise content.corrupt(f"the Ogg page at byte {at} has a wrong checksum")
        flags, stream, number = page[5], int.from_bytes(page[14:18], "little"), int.from_bytes(page[18:22], "little")
        if flags & _FIRST and begun:
            raise content.joined(at)
        if number != following.get(stream, number):
            raise content.corrupt(f"Ogg pages are missing before byte {at}")
        begun = begun or not flags & _FIRST
        following[stream] = number + 1 & 0xFFFFFFFF
        if flags & _LAST:
            ended.add(stream)
        at += len(page)
    if set(following) - ended:
        raise content.truncated("the last Ogg page is missing")
    return View()


def _page(data: bytes) -> bytes | None:
    """The page that `data` begins with; None if it is not whole."""
    if len(data) < 27 or len(data) < 27 + data[26]:
        return None
    size = 27 + data[26] + sum(data[27 : 27 + data[26]])
    return data[:size] if len(data) >= size else None


def crc(data: bytes) -> int:
    """CRC-32 as Ogg has it: most significant bit first, no inversion. zlib has the other order of bits."""
    other = zlib.crc32(data.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{other:032b}"[::-1], 2)
