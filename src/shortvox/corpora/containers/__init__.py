"""How much audio a file holds: what its container promises, compared with the bytes that are there.

libsndfile believes headers, estimates where they say nothing, and stops where the first of several joined recordings
ends. Here every container is walked from its first byte to its last before libsndfile sees it. A file is whole, or the
fault has a name.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable
from pathlib import Path

from shortvox.corpora.containers import chunks, flac, mpeg, ogg, plain
from shortvox.corpora.containers.tags import after_id3
from shortvox.corpora.containers.view import Content, View
from shortvox.corpora.faults import AudioFault
from shortvox.corpora.remembered import remembered

_BY_MAGIC: dict[bytes, Callable[[Content], View]] = {
    b"RIFF": chunks.wav,
    b"RIFX": chunks.wav,
    b"RF64": chunks.wav,
    b"riff": chunks.w64,
    b"FORM": chunks.aiff,
    b"caff": chunks.caf,
    b".snd": plain.au,
    b"dns.": plain.au,
    b"NIST": plain.nist,
    b"OggS": ogg.ogg,
}


@remembered
def inspect(path: Path) -> View:
    """What libsndfile should be shown of the file, so that it finds all the audio in it, and no more.

    Compressed files are read to their end, the headers of others only. Raises AudioFault for a file that is cut, holds
    more than its header says, holds several recordings, is damaged where a checksum shows it, or is no audio.
    """
    with path.open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        content = Content(path, mapped)
        magic = mapped[:4]
        if magic in _BY_MAGIC:
            return _BY_MAGIC[magic](content)
        start = after_id3(content)
        if mapped[start : start + 4] == b"fLaC":
            return flac.flac(content, start)
        if path.suffix.lower() == ".mp3" or start or mpeg.begins(mapped, start):
            return mpeg.mpeg(content, start)
    raise AudioFault(path, "corrupt", "its first bytes are those of no audio format that is read")
