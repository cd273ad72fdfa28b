"""Everything that would stop or spoil a training run, found before it: each finding with its manifest row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from shortvox.corpora.audio import SAMPLE_RATE
from shortvox.corpora.corpus import load_corpus
from shortvox.corpora.faults import AudioFault
from shortvox.corpora.manifest import Problem, read_manifest
from shortvox.corpora.pieces import shared_speech
from shortvox.corpora.split import read_speakers
from shortvox.corpora.store import listen
from shortvox.corpora.threads import in_threads
from shortvox.corpora.utterance import Utterance
from shortvox.errors import CorpusError
from shortvox.files import is_folder


@dataclass(frozen=True, slots=True)
class Report:
    """What was looked at, and what was found, in order of rows."""

    manifest: Path
    utterances: int
    speakers: int
    findings: tuple[Problem, ...]

    @property
    def counts(self) -> dict[str, int]:
        """Findings per kind."""
        return dict(Counter(finding.kind for finding in self.findings))


def check_corpus(folder: Path, *, splits: Sequence[Path] = (), min_seconds: float = 0.1) -> Report:
    """Read every row, decode every recording to its end, look for the same speech in two rows, and compare the sides
    of a split.

    `splits` are corpus folders or lists of speakers (one a line), each one side of a split; where a folder is
    among them, or only one thing is given, `folder` itself is a side too. Raises CorpusError only where there
    is no manifest to speak of, or a side cannot be read.
    """
    manifest = read_manifest(folder)
    findings = list(manifest.problems)
    faults = in_threads(lambda row: _listen(row, min_seconds), manifest.rows, "Checking recordings")
    findings += [fault for fault in faults if fault is not None]
    findings += shared_speech(manifest.rows)
    findings += _overlaps(manifest.rows, splits)
    if not manifest.rows and not findings:
        raise CorpusError(f"{manifest.path}: no utterances")
    speakers = {u.speaker for _, u in manifest.rows}
    rows = len(manifest.rows) + len(manifest.problems)
    return Report(manifest.path, rows, len(speakers), tuple(sorted(findings, key=lambda found: found.row)))


def _listen(row: tuple[int, Utterance], min_seconds: float) -> Problem | None:
    number, u = row
    try:
        seconds = listen(u).samples / SAMPLE_RATE
    except AudioFault as fault:
        return Problem(number, fault.kind, f"{fault.path}: {fault.reason}", u.id)
    except (ArithmeticError, MemoryError, RuntimeError, ValueError) as error:
        # A decoder that fails in an unforeseen way: the other recordings are still looked at.
        return Problem(number, "corrupt", f"{u.path}: cannot be read ({type(error).__name__}: {error})", u.id)
    if seconds < min_seconds:
        return Problem(number, "too short", f"{u.path}: {seconds:.3f} s, under {min_seconds:g} s", u.id)
    return None


def _overlaps(rows: Iterable[tuple[int, Utterance]], splits: Sequence[Path]) -> list[Problem]:
    """One finding for each speaker that is on several sides, at the speaker's first row."""
    if not splits:
        return []
    rows = tuple(rows)
    first_row: dict[str, tuple[int, Utterance]] = {}
    for number, u in rows:
        first_row.setdefault(u.speaker, (number, u))
    sides = [(str(path), _speakers_of(path)) for path in splits]
    if len(sides) == 1 or any(is_folder(path) for path in splits):
        sides.append(("this corpus", frozenset(first_row)))
    findings = []
    for speaker, (number, u) in first_row.items():
        where = [name for name, speakers in sides if speaker in speakers]
        if len(where) > 1:
            message = f"speaker {speaker} is in {' and in '.join(where)}"
            findings.append(Problem(number, "speaker on both sides", message, u.id))
    return findings


def _speakers_of(side: Path) -> frozenset[str]:
    return frozenset(load_corpus(side).speakers if is_folder(side) else read_speakers(side))
