"""MP4 and its kin (m4a, 3gp): the boxes of the file, from its first byte to its last."""

from __future__ import annotations

from shortvox.corpora.containers.view import Content

_FIRST = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"styp", b"pnot")


def check_mp4(content: Content) -> None:
    """Raises AudioFault for a file that ends inside a box, or holds several films: FFmpeg plays the first alone."""
    if content.bytes[4:8] not in _FIRST:
        raise content.corrupt("its first bytes are not those of an MP4")
    at, films = 0, 0
    while at + 8 <= len(content):
        size, name, head = int.from_bytes(content.bytes[at : at + 4], "big"), content.bytes[at + 4 : at + 8], 8
        if size == 1:
            size, head = int.from_bytes(content.bytes[at + 8 : at + 16], "big"), 16
        if size == 0:  # to the end of the file
            size = len(content) - at
        if size < head:
            if films and content.is_padding(at):
                return
            raise content.corrupt(f"no box of an MP4 at byte {at}")
        films += name == b"moov"
        if films > 1:
            raise content.joined(at)
        if at + size > len(content):
            raise content.truncated(f"the box {name.decode('latin-1')!r} at byte {at} is incomplete")
        at += size
