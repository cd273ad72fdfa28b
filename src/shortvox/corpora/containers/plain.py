"""Containers with one header and then only samples: AU, NIST SPHERE."""

from __future__ import annotations

import re

from shortvox.corpora.containers.view import Content, View

_UNKNOWN = 0xFFFFFFFF


def au(content: Content) -> View:
    order = "big" if content.bytes[:4] == b".snd" else "little"
    start = int.from_bytes(content.bytes[4:8], order)  # type: ignore[arg-type]
    promised = int.from_bytes(content.bytes[8:12], order)  # type: ignore[arg-type]
    if promised != _UNKNOWN:
        _check(content, start, promised)
    return View()


def nist(content: Content) -> View:
    """SPHERE: a text of 1024 bytes or more, whose second line is its size."""
    text = content.bytes[: 1 << 16].decode("latin-1")
    start = int(text[8:16]) if text[8:16].strip().isdigit() else 1024
    fields = dict(re.findall(r"^(\w+) -\w+ (\S+)", text[:start], re.MULTILINE))
    if "-" in fields.get("sample_coding", "") or "," in fields.get("sample_coding", ""):
        raise content.corrupt(f"its samples are coded as {fields['sample_coding']}, which is not read")
    try:
        counts = [int(fields[name]) for name in ("sample_count", "channel_count", "sample_n_bytes")]
    except (KeyError, ValueError):
        raise content.corrupt("its header does not say how many samples there are") from None
    _check(content, start, counts[0] * counts[1] * counts[2])
    return View()


def _check(content: Content, start: int, promised: int) -> None:
    content.check_promise(start, promised)
    if not content.is_padding(start + promised):
        raise content.refuse_more(start, promised)
