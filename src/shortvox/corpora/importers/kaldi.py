"""A Kaldi data directory: `wav.scp`, `utt2spk`, and, where they exist, `segments` and `spk2gender`.

Only plain paths are read. A command (`sox … |`) is refused: importing a corpus never runs anything.
"""

from __future__ import annotations

import os
from pathlib import Path

from shortvox.corpora.importers.layout import Layout, gender_letter
from shortvox.corpora.utterance import Utterance, channel_number, seconds_number
from shortvox.errors import CorpusError
from shortvox.textfiles import CONTROL, fields, read_lines


def read(source: Path) -> Layout:
    wav_scp = source / "wav.scp"
    files = _table(wav_scp)
    recordings = {name: _recording(wav_scp, row, rest, source) for name, (row, rest) in files.items()}
    speakers = _pairs(source / "utt2spk")
    genders = _pairs(source / "spk2gender") if os.path.lexists(source / "spk2gender") else {}
    segmented = os.path.lexists(source / "segments")
    listed = source / "segments" if segmented else wav_scp
    named = _table(listed) if segmented else files
    utterances, pieces, used = [], {}, set()
    for name, (row, rest) in named.items():
        if name not in speakers:
            raise CorpusError(f"{listed}: row {row}: utterance {name} has no speaker in utt2spk; add it")
        recording, start, duration, channel = _segment(listed, row, rest) if segmented else (name, 0.0, None, None)
        if recording not in recordings:
            raise CorpusError(f"{listed}: row {row}: recording {recording} is not in wav.scp")
        used.add(recording)
        speaker = speakers[name]
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
                gender=gender_letter(genders.get(speaker, "")),
            )
        )
    root = Path(os.path.commonpath([u.path.parent for u in utterances])) if utterances else source
    passed_over = {
        f"utterances of utt2spk that are not in {listed.name}": [name for name in speakers if name not in named],
        "recordings of wav.scp that are in no segment": [name for name in recordings if name not in used],
    }
    return Layout(root, tuple(utterances), passed_over, pieces)


def _table(path: Path) -> dict[str, tuple[int, str]]:
    """First field -> (row, the rest of the line)."""
    table: dict[str, tuple[int, str]] = {}
    for row, line in enumerate(read_lines(path, CorpusError, "a table of a Kaldi data directory"), start=1):
        name, *others = fields(line, most=2) or [""]
        if not name:
            continue
        if CONTROL.search(" ".join(fields(line))):
            raise CorpusError(f"{path}: row {row}: {line!r} holds a control character; remove it")
        if not others:
            raise CorpusError(f"{path}: row {row}: {name!r} stands alone; a second field is missing")
        if name in table:
            raise CorpusError(f"{path}: row {row}: {name} is also in row {table[name][0]}; keep one of them")
        table[name] = (row, others[0])
    return table


def _pairs(path: Path) -> dict[str, str]:
    """First field -> second field of a table that has two."""
    table = _table(path)
    for name, (row, rest) in table.items():
        if len(fields(rest)) > 1:
            raise CorpusError(f"{path}: row {row}: {name} {rest}: {1 + len(fields(rest))} fields; expected two")
    return {name: rest for name, (_, rest) in table.items()}


def _recording(listed: Path, row: int, rest: str, source: Path) -> Path:
    """Relative paths count from the data directory, or, as Kaldi reads them, from the working directory."""
    if rest.endswith("|") or rest.startswith("|"):
        raise CorpusError(
            f"{listed}: row {row}: a command ({rest[:40]!r}) instead of a file; commands are "
            "never run: convert the recordings to files and name those"
        )
    path = Path(rest)
    if not path.is_absolute() and not os.access(source / path, os.F_OK) and os.access(path, os.F_OK):
        path = path.absolute()
    return Path(os.path.normpath(source / path))


def _segment(listed: Path, row: int, rest: str) -> tuple[str, float, float | None, int | None]:
    """Recording, start, duration, channel, as Kaldi's extract-segments reads them: an end of -1 is the end of the
    recording, channels count from 0.
    """
    recording, *numbers = fields(rest)
    if len(numbers) not in (2, 3):
        raise CorpusError(f"{listed}: row {row}: expected `utterance recording start end [channel]`")
    start, end = (seconds_number(text) for text in numbers[:2])
    if start is None or end is None or start < 0 or (end != -1 and round(end - start, 6) <= 0):
        raise CorpusError(
            f"{listed}: row {row}: from {numbers[0]} to {numbers[1]} is no piece of a recording; expected seconds"
        )
    channel = channel_number(numbers[2]) if len(numbers) == 3 else None
    if len(numbers) == 3 and channel is None:
        raise CorpusError(f"{listed}: row {row}: {numbers[2]!r} is not a channel of the recording, counted 0, 1, 2, …")
    return recording, start, None if end == -1 else round(end - start, 6), channel
