"""`check` lists everything that is wrong, each with its row."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from recordings import make_corpus, tones, write_tones

from shortvox.corpora import check
from shortvox.corpora.check import check_corpus
from shortvox.corpora.store import Levels
from shortvox.corpora.utterance import Utterance
from shortvox.errors import CorpusError


def found(folder: Path, **options: object) -> list[tuple[int, str]]:
    return [(finding.row, finding.kind) for finding in check_corpus(folder, **options).findings]


def test_a_good_corpus(tmp_path: Path) -> None:
    make_corpus(tmp_path, 3, 2)
    report = check_corpus(tmp_path)
    assert (report.utterances, report.speakers, report.findings, report.counts) == (6, 3, (), {})


def test_every_fault_is_listed_with_its_row(tmp_path: Path) -> None:
    write_tones(tmp_path / "good.wav")
    write_tones(tmp_path / "short.wav", seconds=0.05)
    (tmp_path / "corrupt.flac").write_text("not a recording")
    (tmp_path / "empty.wav").write_bytes(b"")
    soundfile.write(tmp_path / "silent.wav", np.zeros(16000), 16000)
    soundfile.write(tmp_path / "nan.wav", np.append(tones(), np.nan), 16000, subtype="FLOAT")
    cut = write_tones(tmp_path / "cut.wav")
    cut.write_bytes(cut.read_bytes()[:30000])
    rows = [
        "utterance,speaker,path,duration",
        "good,s,good.wav,2",
        "short,s,short.wav,",
        "corrupt,s,corrupt.flac,",
        "empty,s,empty.wav,",
        "silent,s,silent.wav,",
        "nan,s,nan.wav,",
        "cut,s,cut.wav,",
        "long,s,good.wav,9",
        "good,s,good.wav,",
        "out,s,../good.wav,",
        "gone,s,gone.wav,",
        ",s,good.wav,",
        "when,s,good.wav,soon",
    ]
    (tmp_path / "manifest.csv").write_text("\n".join(rows) + "\n")
    assert found(tmp_path) == [
        (3, "too short"),
        (4, "corrupt"),
        (5, "empty"),
        (6, "silent"),
        (7, "non-finite"),
        (8, "truncated"),
        (9, "truncated"),
        (10, "duplicate id"),
        (11, "path outside"),
        (12, "missing"),
        (13, "malformed row"),
        (14, "malformed row"),
    ]
    assert check_corpus(tmp_path).utterances == 13
    assert (3, "too short") not in found(tmp_path, min_seconds=0.01)


def test_damage_in_the_middle_of_a_compressed_recording(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path, 1, 1)
    path = write_tones(tmp_path / "wav" / "a.flac", seconds=4)
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 4000] = bytes(4000)
    path.write_bytes(content)
    manifest = corpus.root / "manifest.csv"
    manifest.write_text(manifest.read_text().replace("s0/0.wav", "a.flac"))
    (finding,) = check_corpus(tmp_path).findings
    assert finding.kind in ("corrupt", "truncated")


def test_a_decoder_that_fails_in_an_unforeseen_way_is_a_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_corpus(tmp_path, 2, 1)
    read = check.listen

    def fail(u: Utterance) -> Levels:
        if u.id == "s0-0":
            raise MemoryError("array is too big")
        return read(u)

    monkeypatch.setattr(check, "listen", fail)
    (finding,) = check_corpus(tmp_path).findings
    assert (finding.row, finding.kind) == (2, "corrupt") and "array is too big" in finding.message


def test_speakers_on_both_sides(tmp_path: Path) -> None:
    make_corpus(tmp_path / "train", 3, 2)
    make_corpus(tmp_path / "test", 2, 2)
    assert found(tmp_path / "train", splits=[tmp_path / "test"]) == [
        (2, "speaker on both sides"),
        (4, "speaker on both sides"),
    ]
    (tmp_path / "train.txt").write_text("s0\ns1\n")
    (tmp_path / "test.txt").write_text("s2\n")
    lists = [tmp_path / "train.txt", tmp_path / "test.txt"]
    assert found(tmp_path / "train", splits=lists) == []
    (tmp_path / "test.txt").write_text("s2\ns1\n")
    assert found(tmp_path / "train", splits=lists) == [(4, "speaker on both sides")]


def test_a_manifest_of_which_nothing_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_text("utterance,speaker\na,s\n")
    with pytest.raises(CorpusError, match="column path is missing"):
        check_corpus(tmp_path)
