"""The same speech in two rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from recordings import write_tones

from shortvox.corpora.check import check_corpus
from shortvox.corpora.pieces import OVERLAP, shared_speech
from shortvox.corpora.utterance import Utterance

CALL, OTHER = Path("/c/call.wav"), Path("/c/other.wav")


def piece(
    speaker: str, start: float = 0.0, end: float | None = None, channel: int | None = None, path: Path = CALL
) -> Utterance:
    return Utterance("", speaker, path, start=start, duration=None if end is None else end - start, channel=channel)


def kinds(*utterances: Utterance) -> list[tuple[int, str]]:
    return sorted((found.row, found.kind) for found in shared_speech(enumerate(utterances, start=2)))


@pytest.mark.parametrize(
    ("utterances", "row"),
    [
        ((piece("a"), piece("b")), 3),
        ((piece("a", 0, 2), piece("b", 1, 3)), 3),
        ((piece("b", 1, 3), piece("a", 0, 2)), 2),
        ((piece("a", 1), piece("a", 0, 0.5), piece("b", 9, 10)), 4),
        ((piece("a", 0, 2, 0), piece("b", 0, 2)), 3),
        ((piece("a", 0, 2), piece("b", 0, 2, 1)), 3),
        ((piece("a", 0, 9), piece("b", 8.95, 9.5), piece("b", 9, 10), piece("c", 9.5, 10)), 5),
        ((piece("a", 0, 2), piece("b", 1.9, 3)), None),
        ((piece("a", 0, 2), piece("a", 1, 3)), None),
        ((piece("a", 0, 2, 0), piece("b", 0, 2, 1)), None),
        ((piece("a", 0, 2), piece("b", 0, 2, path=OTHER)), None),
    ],
)
def test_two_speakers_at_once(utterances: tuple[Utterance, ...], row: int | None) -> None:
    assert kinds(*utterances) == ([] if row is None else [(row, "two speakers")])


def test_two_speakers_at_once_as_every_pair_tells(one_thread: object) -> None:
    rng = np.random.default_rng(0)
    for _ in range(60):
        starts = rng.uniform(0, 9, 12)
        pieces = [
            piece("abc"[rng.integers(3)], start, start + rng.uniform(0.2, 3), (None, 0, 1)[rng.integers(3)])
            for start in starts
        ]
        expected = [
            i + 2
            for i, late in enumerate(pieces)
            if any(
                early.speaker != late.speaker
                and (early.channel == late.channel or None in (early.channel, late.channel))
                and early.start <= late.start
                and early.start + early.duration > late.start + OVERLAP
                for early in pieces
                if early is not late
            )
        ]
        assert [row for row, _ in kinds(*pieces)] == expected


def test_one_recording_twice() -> None:
    wav, flac = Path("/c/a/1.wav"), Path("/c/a/1.flac")
    assert kinds(piece("a", path=wav), piece("a", path=flac), piece("a", path=Path("/c/b/1.flac"))) == [
        (3, "two formats")
    ]
    assert kinds(piece("a", path=wav), piece("b", path=flac)) == []
    assert kinds(piece("a", 1, 2), piece("a", 2, 3), piece("a", 1, 2), piece("a", 1, 2, 0)) == [(4, "listed twice")]


def test_check_names_the_other_row(tmp_path: Path) -> None:
    write_tones(tmp_path / "1.wav", channels=2)
    write_tones(tmp_path / "1.flac", channels=2)
    rows = ["u1,a,1.wav,0,1,0", "u2,b,1.wav,0.5,1,0", "u3,b,1.wav,0.5,1,1", "u4,a,1.flac,0,1,0", "u5,a,1.flac,0,1,0"]
    (tmp_path / "manifest.csv").write_text("utterance,speaker,path,start,duration,channel\n" + "\n".join(rows) + "\n")
    found = check_corpus(tmp_path).findings
    assert [(each.row, each.kind, each.utterance) for each in found] == [
        (3, "two speakers", "u2"),
        (5, "two formats", "u4"),
        (6, "listed twice", "u5"),
    ]
    assert "'a' of row 2" in found[0].message and "row 2 has 1.wav" in found[1].message and "row 5" in found[2].message
