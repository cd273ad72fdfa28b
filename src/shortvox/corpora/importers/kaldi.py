"""A Kaldi data directory: `wav.scp`, `utt2spk`, and, where they exist, `segments` and `spk2gender`.

Only plain paths are read. A command (`sox … |`) is refused: importing a corpus never runs anything.
"""

from __future__ import annotations

import math
import os
from pathlib import Path

from shortvox.corpora.importers.layout import Layout, gender_letter
from shortvox.corpora.utterance import Utterance, channel_number
from shortvox.errors import CorpusError


def read(source: Path) -> Layout:
    recordings = {
        name: _recording(source / "wav.scp", row, rest, source)
        for name, (row, rest) in _table(source / "wav.scp").items()
    }
    speakers = _table(source / "utt2spk")
    genders = _table(source / "spk2gender") if (source / "spk2gender").exists() else {}
    segmented = (source / "segments").exists()
    listed = source / ("segments" if segmented else "wav.scp")
    utterances, pieces = [], {}
    for name, (row, rest) in _table(listed).items():
        if name not in speakers:
            raise CorpusError(f"{listed}: row {row}: utterance {name} has no speaker in utt2spk; add it")
        recording, start, duration, channel = _segment(listed, row, rest) if segmented else (name, 0.0, None, None)
        if recording not in recordings:
            raise CorpusError(f"{listed}: row {row}: recording {recording} is not in wav.scp")
        speaker = speakers[name][1]
        if segmented:
            pieces[name] = f"{listed}: row {row}"
        utterances.append(
            Utterance(
                id=name,
                speaker=speaker,
                path=recordings[recording],
                start=start,
                duration=duration,
                channel=channel,
                gender=gender_letter(genders[speaker][1]) if speaker in genders else "",
            )
        )
    root = Path(os.path.commonpath([u.path.parent for u in utterances])) if utterances else source
    return Layout(root, tuple(utterances), pieces=pieces)


def _table(path: Path) -> dict[str, tuple[int, str]]:
    """First field -> (row, the rest of the line)."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read ({error.strerror or error})") from None
    except UnicodeDecodeError:
        raise CorpusError(f"{path}: not UTF-8 text") from None
    table: dict[str, tuple[int, str]] = {}
    for row, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        name, *others = line.split(maxsplit=1)
        if not others:
            raise CorpusError(f"{path}: row {row}: {name!r} stands alone; a second field is missing")
        if name in table:
            raise CorpusError(f"{path}: row {row}: {name} is also in row {table[name][0]}; keep one of them")
        table[name] = (row, others[0].strip())
    return table


def _recording(listed: Path, row: int, rest: str, source: Path) -> Path:
    """Relative paths count from the data directory, or, as Kaldi reads them, from the working directory."""
    if rest.endswith("|") or rest.startswith("|"):
        raise CorpusError(
            f"{listed}: row {row}: a command ({rest[:40]!r}) instead of a file; commands are "
            "never run: convert the recordings to files and name those"
        )
    path = Path(rest)
    if not path.is_absolute() and not (source / path).exists() and path.exists():
        path = path.absolute()
    return Path(os.path.normpath(source / path))


def _segment(listed: Path, row: int, rest: str) -> tuple[str, float, float | None, int | None]:
    """Recording, start, duration, channel, as Kaldi's extract-segments reads them: an end of -1 is the end of the
    recording, channels count from 0.
    """
    fields = rest.split()
    try:
        recording, start, end = fields[0], float(fields[1]), float(fields[2])
        if len(fields) > 4:
            raise ValueError
    except (IndexError, ValueError):
        raise CorpusError(f"{listed}: row {row}: expected `utterance recording start end [channel]`") from None
    channel = channel_number(fields[3]) if len(fields) == 4 else None
    if len(fields) == 4 and channel is None:
        raise CorpusError(f"{listed}: row {row}: {fields[3]!r} is not a channel of the recording, counted 0, 1, 2, …")
    if not (math.isfinite(start) and math.isfinite(end)) or start < 0 or (end <= start and end != -1):
        raise CorpusError(f"{listed}: row {row}: from {start:g} s to {end:g} s is no piece of a recording")
    return recording, start, None if end == -1 else round(end - start, 6), channel
