"""Tags around and between MPEG frames and before FLAC: passed over, never decoded."""

from __future__ import annotations

from shortvox.corpora.containers.view import Content

_ID3V1 = {b"TAG": 128, b"TAG+": 227}


def after_id3(content: Content, start: int = 0) -> int:
    """Where the ID3v2 tags that begin at `start` end; `start` without any."""
    data = content.bytes
    while data[start : start + 3] == b"ID3" and len(data) >= start + 10:
        size = 0
        for byte in data[start + 6 : start + 10]:
            size = size << 7 | byte & 0x7F
        footer = 10 if data[start + 5] & 0x10 else 0
        end = start + 10 + size + footer
        if end > len(data):
            raise content.truncated("ends inside its ID3 tag")
        start = end
    return start


def after_tags(content: Content, start: int) -> int:
    """Where tags of any kind, and zeros, that begin at `start` end."""
    data = content.bytes
    while (end := _after_one(content, start)) > start:
        start = end
    return min(start, len(data))


def _after_one(content: Content, start: int) -> int:
    data = content.bytes
    if data[start : start + 8] == b"APETAGEX":
        header = 32 if data[start + 23] & 0x20 else 0
        return start + header + int.from_bytes(data[start + 12 : start + 16], "little")
    if data[start : start + 11] == b"LYRICSBEGIN" and (end := data.find(b"LYRICS200", start)) > 0:
        return end + 9
    for magic, size in sorted(_ID3V1.items(), reverse=True):
        if data[start : start + len(magic)] == magic:
            return start + size
    if data[start : start + 1] == b"\0":
        rest = data[start : start + 65536]
        return start + len(rest) - len(rest.lstrip(b"\0"))
    return after_id3(content, start)
