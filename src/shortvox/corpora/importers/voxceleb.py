"""VoxCeleb1 and 2: `[…/]idXXXXX/video/file.wav|m4a`, dev and test side by side or alone.

The id is the last three parts with the suffix, as the published trial lists name them
(`1 id10270/5r0dWxy17C8/00001.wav id10270/…`). Gender and nationality come from `vox1_meta.csv` or
`vox2_meta.csv` where one lies in the folder or the one above.
"""

from __future__ import annotations

import re
from pathlib import Path

from shortvox.corpora.finding import audio_files
from shortvox.corpora.importers.layout import Layout, gender_letter
from shortvox.corpora.utterance import Utterance
from shortvox.errors import CorpusError

_SPEAKER = re.compile(r"id\d{5}")


def read(source: Path) -> Layout:
    people = _metadata(source)
    utterances, passed_over = [], []
    for path in audio_files(source):
        parts = path.parts[-3:]
        relative = path.relative_to(source)
        if len(parts) < 3 or not _SPEAKER.fullmatch(parts[0]):
            passed_over.append(relative.as_posix())
            continue
        gender, extra = people.get(parts[0], ("", ()))
        utterances.append(
            Utterance(id="/".join(parts), speaker=parts[0], path=path, session=parts[1], gender=gender, extra=extra)
        )
    return Layout(source, tuple(utterances), tuple(passed_over))


def _metadata(source: Path) -> dict[str, tuple[str, tuple[tuple[str, str], ...]]]:
    """Speaker -> gender and further columns."""
    people: dict[str, tuple[str, tuple[tuple[str, str], ...]]] = {}
    for folder in (source, source.parent):
        for path in sorted(folder.glob("vox[12]_meta.csv")):
            lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
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
