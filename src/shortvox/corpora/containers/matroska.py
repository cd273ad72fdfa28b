"""Matroska and WebM: a head, and one segment that says its size unless it was a stream."""

from __future__ import annotations

import re

from shortvox.corpora.containers.view import Content

_HEAD, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
_ANOTHER = re.compile(re.escape(_HEAD) + rb".{1,60}(?:webm|matroska)", re.DOTALL)


def check_matroska(content: Content) -> None:
    """Raises AudioFault for a file that ends inside its segment, or holds several: FFmpeg plays the first alone."""
    if content.bytes[:4] != _HEAD:
        raise content.corrupt("its first bytes are not those of Matroska or WebM")
    start, size = _number(content, 4)
    at = start + (size or 0)
    if content.bytes[at : at + 4] != _SEGMENT:
        raise content.truncated("ends before its audio begins")
    start, size = _number(content, at + 4)
    if size is None:
        if second := _ANOTHER.search(content.bytes, start):
            raise content.joined(second.start())
        return
    if start + size > len(content):
        raise content.truncated(f"its segment has {size} bytes, {len(content) - start} are there")
    if not content.is_padding(start + size):
        raise content.joined(start + size)


def _number(content: Content, at: int) -> tuple[int, int | None]:
    """Where the number that begins at `at` ends, and its value: None for all ones, which means unknown."""
    first = content.bytes[at] if at < len(content) else 0
    length = 9 - first.bit_length()
    if length > 8 or at + length > len(content):
        raise content.truncated("ends before its audio begins")
    ones = (1 << 7 * length) - 1
    value = int.from_bytes(content.bytes[at : at + length], "big") & ones
    return at + length, None if value == ones else value
