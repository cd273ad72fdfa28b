"""VoxCeleb1 and 2: `[…/]idXXXXX/video/file.wav|m4a`, dev and test side by side or alone.

The id is the last three parts with the suffix, as the published trial lists name them
(`1 id10270/5r0dWxy17C8/00001.wav id10270/…`). An m4a and the wav that was made of it are one utterance. Gender and
nationality come from `vox1_meta.csv` or `vox2_meta.csv` where one lies in the folder or the one above.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from shortvox.corpora.finding import audio_files
from shortvox.corpora.importers.layout import MISFITS, Layout, gender_letter, published_lines
from shortvox.corpora.utterance import Utterance
from shortvox.errors import CorpusError

OTHER_FORMAT = "audio files that hold a recording in another format"
_SPEAKER = re.compile(r"id\d{5}")


def read(source: Path) -> Layout:
    people = _metadata(source)
    found = audio_files(source)
    takes: dict[tuple[str, ...], list[Path]] = {}
    misfits = []
    for path in found.paths:
        parts = path.with_suffix("").parts[-3:]
        if _SPEAKER.fullmatch(parts[0]):
            takes.setdefault(parts, []).append(path)
        else:
            misfits.append(path.relative_to(source).as_posix())
    utterances, others = [], []
    for (speaker, video, _), paths in takes.items():
        gender, extra = people.get(speaker, ("", ()))
        taken, passed_over = _best(paths)
        others += [path.relative_to(source).as_posix() for path in passed_over]
        utterances += [
            Utterance("/".join(path.parts[-3:]), speaker, path, session=video, gender=gender, extra=extra)
            for path in taken
        ]
    return Layout(source, tuple(utterances), {MISFITS: misfits, OTHER_FORMAT: others, **found.passed_over})


def _best(paths: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Files of one recording: those to take, and those that hold the same in another format."""
    suffixes = {path.suffix.lower() for path in paths}
    best = next((suffix for suffix in (".wav", ".flac") if suffix in suffixes), min(suffixes))
    # Two of one format are two files of one name, which the import refuses.
    return [p for p in paths if p.suffix.lower() == best], [p for p in paths if p.suffix.lower() != best]


def _metadata(source: Path) -> dict[str, tuple[str, tuple[tuple[str, str], ...]]]:
    """Speaker -> gender and further columns."""
    people: dict[str, tuple[str, tuple[tuple[str, str], ...]]] = {}
    for folder in (source, source.parent):
        for path in sorted(folder.glob("vox[12]_meta.csv")):
            lines = published_lines(path)
            rows = [[cell.strip() for cell in re.split(r"[\t,]", line)] for line in lines if line.strip()]
            header = [name.lower() for name in rows[0]] if rows else []
            if "gender" not in header:
                raise CorpusError(f"{path}: row 1: column Gender is missing; fetch the file again")
            for number, row in enumerate(rows[1:], start=2):
                if len(row) < len(header):
                    raise CorpusError(f"{path}: row {number}: {len(row)} cells under {len(header)} columns")
                cells = dict(zip(header, row, strict=False))
                nationality = cells.get("nationality", "")
                extra = (("nationality", nationality),) if nationality else ()
                people.setdefault(row[0], (gender_letter(cells["gender"]), extra))
    return people
