"""Manifests and corpora."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
import unicodedata
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recordings import make_corpus

from shortvox.corpora import checksum as checksum_module
from shortvox.corpora.corpus import load_corpora, load_corpus, write_manifest
from shortvox.corpora.manifest import KNOWN, read_manifest
from shortvox.corpora.speech import SpeechData
from shortvox.corpora.utterance import Utterance
from shortvox.errors import CorpusError

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\ufeff"), max_size=12)
NAME = TEXT.filter(str.strip)
ID = TEXT.filter(
    lambda text: text and text == text.strip() and not any(unicodedata.category(mark) == "Cc" for mark in text)
)
PART = st.text("abcé ,\"'\u2028_-1", min_size=1, max_size=8).filter(str.strip)
SECONDS = st.floats(1e-4, 1e5)
EXTRA = st.dictionaries(NAME.filter(lambda name: name not in KNOWN), TEXT, max_size=3)


@given(st.data())
def test_manifest_survives_the_round_trip(data: st.DataObject) -> None:
    names = data.draw(st.lists(ID, min_size=1, max_size=5, unique=True))
    columns = tuple(data.draw(EXTRA))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        written = tuple(
            Utterance(
                id=utterance,
                speaker=data.draw(ID),
                path=folder / data.draw(PART) / data.draw(PART),
                session=data.draw(TEXT),
                duration=data.draw(st.none() | SECONDS),
                gender=data.draw(TEXT),
                start=data.draw(st.just(0.0) | SECONDS),
                channel=data.draw(st.none() | st.integers(0, 1023)),
                extra=tuple((c, data.draw(TEXT)) for c in columns),
            )
            for utterance in names
        )
        write_manifest(folder, written)
        assert load_corpus(folder).utterances == written


def manifest(folder: Path, text: str | bytes) -> Path:
    (folder / "manifest.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "empty"),
        ("utterance,path\n", "row 1: column speaker is missing"),
        ("utterance,speaker,path,path\n", "row 1: column 'path' appears more than once"),
        ("utterance,speaker,path\n", "no utterances"),
        ("utterance,speaker,path\na,s,a.wav\n,s,b.wav\n", "row 3: column utterance: empty"),
        ("utterance,speaker,path\na, ,a.wav\n", "row 2: column speaker: empty"),
        ("utterance,speaker,path\na,s,\n", "row 2: column path: empty"),
        ("utterance,speaker,path\na,s ,a.wav\n", "row 2: column speaker: 's ' begins or ends with a space"),
        ("utterance,speaker,path,duration\na,s,a.wav,1.7e18\n", "row 2: column duration"),
        ("utterance,speaker,path\na,s,a.wav\n\nb,s\n", "row 4: 2 cells under 3 columns"),
        ("utterance,speaker,path\na,s,a.wav\na,t,b.wav\n", "row 3: column utterance: 'a' is also in row 2"),
        ('utterance,speaker,path\na,s,a.wav\n"b\nc",s,b.wav\n', r"row 3: column utterance: 'b\nc' holds a control"),
        ('utterance,speaker,path\na,"s\rt",a.wav\n', r"row 2: column speaker: 's\rt' holds a control character"),
        ("utterance,speaker,path\na,s\tt,a.wav\n", r"row 2: column speaker: 's\tt' holds a control character"),
        ("utterance,speaker,path\na\0,s,a.wav\n", r"row 2: column utterance: 'a\x00' holds a control character"),
        ('utterance,speaker,path\na,s,"a\nb.wav"\n', r"row 2: column path: 'a\nb.wav' holds a control character"),
        ("utterance,speaker,path\na,s,\x1b]0;x\x07.wav\n", r"row 2: column path: '\x1b]0;x\x07.wav' holds a control"),
        ("utterance,speaker,path\na\x85b,s,a.wav\n", r"row 2: column utterance: 'a\x85b' holds a control"),
        (f"utterance,speaker,path\na,s,{'x/' * 2049}a.wav\n", "row 2: column path: longer than 4096 bytes"),
        ("utterance,speaker,path\na,s,../a.wav\n", "row 2: column path: '../a.wav' leaves the corpus folder"),
        ("utterance,speaker,path\na,s,audio/../../a.wav\n", "row 2: column path"),
        ("utterance,speaker,path\na,s,/etc/passwd\n", "row 2: column path: '/etc/passwd' leaves"),
        ("utterance,speaker,path\na,s,C:\\a.wav\n", "row 2: column path"),
        ("utterance,speaker,path,duration\na,s,a.wav,long\n", "row 2: column duration: 'long' is not a number"),
        ("utterance,speaker,path,duration\na,s,a.wav,nan\n", "row 2: column duration"),
        ("utterance,speaker,path,duration\na,s,a.wav,1_0\n", "row 2: column duration: '1_0' is not a number"),
        ("utterance,speaker,path,duration\na,s,a.wav,٣\n", "row 2: column duration"),
        (
            "utterance,speaker,path,duration\na,s,a.wav,0\n",
            "row 2: column duration: '0' is not a number of seconds above",
        ),
        ("utterance,speaker,path,start\na,s,a.wav,-1\n", "row 2: column start"),
        ("utterance,speaker,path,channel\na,s,a.wav,A\n", "row 2: column channel: 'A' is not a channel"),
        ("utterance,speaker,path,channel\na,s,a.wav,-1\n", "row 2: column channel"),
        ("utterance,speaker,path,channel\na,s,a.wav,1.0\n", "row 2: column channel"),
        ("utterance,speaker,path,channel\na,s,a.wav,1024\n", "row 2: column channel"),
        ("utterance,speaker,path,channel\na,s,a.wav,²\n", "row 2: column channel"),
        ('utterance,speaker,path\na,s,"a.wav\n', "not CSV"),
        (b"utterance,speaker,path\n\xff,s,a.wav\n", r"row 2: not UTF-8 (byte 0xff); save the file as UTF-8"),
    ],
)
def test_a_bad_manifest_is_one_line_with_row_and_column(tmp_path: Path, text: str | bytes, expected: str) -> None:
    with pytest.raises(CorpusError) as caught:
        load_corpus(manifest(tmp_path, text))
    message = str(caught.value)
    assert expected in message and str(tmp_path / "manifest.csv") in message and "\n" not in message


def test_no_folder_and_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no such folder"):
        load_corpus(tmp_path / "nowhere")
    with pytest.raises(CorpusError, match=r"manifest\.csv: no such file"):
        load_corpus(tmp_path)


def test_a_folder_that_cannot_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("x" * 300, "x" * 5000):
        with pytest.raises(CorpusError, match="cannot be opened") as caught:
            load_corpus(tmp_path / name)
        assert len(str(caught.value)) < 700
    (tmp_path / "file").write_text("")
    with pytest.raises(CorpusError, match="no such folder"):
        load_corpus(tmp_path / "file")

    def refuse(path: Path, **_: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "stat", refuse)
    with pytest.raises(CorpusError, match=r"cannot be opened \(Permission denied\)"):
        load_corpus(tmp_path)


def test_a_header_of_many_columns_takes_no_time(tmp_path: Path) -> None:
    names = ",".join(f"c{n}" for n in range(200_000))
    began = time.perf_counter()
    with pytest.raises(CorpusError, match="row 1: column 'c0' appears more than once"):
        load_corpus(manifest(tmp_path, f"utterance,speaker,path,{names},c0\n"))
    assert time.perf_counter() - began < 10  # minutes where every column is compared with every other


def test_reading_goes_on_after_a_bad_row(tmp_path: Path) -> None:
    found = read_manifest(manifest(tmp_path, "utterance,speaker,path\n,s,a\nb,s,../b\nc,s,c.wav\nc,s,d.wav\n"))
    assert [(p.row, p.kind) for p in found.problems] == [(2, "malformed row"), (3, "path outside"), (5, "duplicate id")]
    assert [(row, u.id) for row, u in found.rows] == [(4, "c")]


def test_byte_order_mark_and_windows_line_ends_are_read(tmp_path: Path) -> None:
    corpus = load_corpus(manifest(tmp_path, "\ufeffutterance,speaker,path\r\na,s,a.wav\r\n"))
    assert corpus.utterances == (Utterance("a", "s", tmp_path / "a.wav"),)


def test_columns_of_any_kind_by_name(tmp_path: Path) -> None:
    corpus = load_corpus(manifest(tmp_path, "utterance,speaker,path,room,duration\na,s,a.wav,hall,2.5\n"))
    u = corpus.utterances[0]
    assert corpus.columns()[-1] == "room" and "session" in corpus.columns()
    assert [u.column(name) for name in ("room", "utterance", "duration", "gender", "nothing")] == [
        "hall",
        "a",
        "2.5",
        "",
        "",
    ]


def test_channels_are_written_only_where_there_are_some(tmp_path: Path) -> None:
    one, two = Utterance("a", "s", tmp_path / "a.wav", channel=0), Utterance("b", "s", tmp_path / "b.wav")
    write_manifest(tmp_path, [one, two])
    corpus = load_corpus(tmp_path)
    assert corpus.utterances == (one, two) and "channel" in corpus.columns()
    assert (one.column("channel"), two.column("channel")) == ("0", "")
    write_manifest(tmp_path, [two])
    assert "channel" not in (tmp_path / "manifest.csv").read_text() and "channel" not in load_corpus(tmp_path).columns()


def test_a_row_that_could_not_be_read_back_is_not_written(tmp_path: Path) -> None:
    for bad in (
        Utterance("a\tb", "s", tmp_path / "a.wav"),
        Utterance("a", "s ", tmp_path / "a.wav"),
        Utterance("a", "s", tmp_path / "a\nb.wav"),
        Utterance("a", "s", tmp_path / "a.wav", duration=2.0**59),
        Utterance("a", "s", tmp_path / "a.wav", channel=-1),
    ):
        with pytest.raises(CorpusError, match=r"\.wav': column"):
            write_manifest(tmp_path, [bad])
    assert list(tmp_path.iterdir()) == []


def test_a_recording_outside_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="lies outside the corpus folder"):
        write_manifest(tmp_path / "corpus", [Utterance("a", "s", tmp_path / "a.wav")])


def test_corpus_views(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path, speakers=2, each=2)
    assert corpus.speakers == ("s0", "s1") and len(corpus) == 4
    assert corpus.by_speaker() == {"s0": (0, 1), "s1": (2, 3)}
    assert corpus.index()["s1-0"] == 2
    assert [u.id for u in corpus.select(lambda u: u.speaker == "s1").utterances] == ["s1-0", "s1-1"]


def test_several_corpora_are_prefixed_and_one_is_not(tmp_path: Path) -> None:
    make_corpus(tmp_path / "a", 2, 1)
    make_corpus(tmp_path / "b", 1, 1)
    both = load_corpora([tmp_path / "a", tmp_path / "b"])
    assert [u.id for u in both.utterances] == ["a/s0-0", "a/s1-0", "b/s0-0"]
    assert both.speakers == ("a/s0", "a/s1", "b/s0") and both.name == "a+b"
    assert load_corpora([tmp_path / "a"]).speakers == ("s0", "s1")


def test_corpora_of_one_name_and_a_corpus_given_twice(tmp_path: Path) -> None:
    for name in ("x/train", "y/train"):
        make_corpus(tmp_path / name, 1, 1)
    both = load_corpora([tmp_path / "x/train", tmp_path / "y/train"])
    assert both.speakers == ("x/train/s0", "y/train/s0")
    with pytest.raises(CorpusError, match="given twice"):
        load_corpora([tmp_path / "x/train", tmp_path / "y/../x/train"])


def test_fingerprint_follows_content_not_place(tmp_path: Path) -> None:
    first = make_corpus(tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "elsewhere" / "a")  # with other times
    second = load_corpus(tmp_path / "elsewhere" / "a")
    assert first.fingerprint() == second.fingerprint()
    assert first.fingerprint() != first.select(lambda u: u.id != "s0-0").fingerprint()
    other = replace(first, utterances=(replace(first.utterances[0], channel=0), *first.utterances[1:]))
    assert first.fingerprint() != other.fingerprint()
    first.utterances[0].path.unlink()
    assert load_corpus(tmp_path / "a").fingerprint() != second.fingerprint()  # and no error here: reading tells


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("sample", [0, 3999, 7999])
def test_fingerprint_follows_every_sample(tmp_path: Path, cached: bool, sample: int) -> None:
    """Also of a file whose size and time of change stay, and through a pack that has seen the file before."""
    make_corpus(tmp_path / "a", 2, 2)
    edited = load_corpus(tmp_path / "a").utterances[-1].path
    cache = tmp_path / "cache" if cached else None

    def fingerprint() -> str:
        return SpeechData.open(load_corpus(tmp_path / "a"), cache).corpus.fingerprint()

    before, times = fingerprint(), edited.stat()
    with edited.open("r+b") as handle:
        handle.seek(44 + 2 * sample)
        old = handle.read(1)
        handle.seek(-1, os.SEEK_CUR)
        handle.write(bytes([old[0] ^ 1]))
    os.utime(edited, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert edited.stat().st_size == times.st_size
    assert fingerprint() != before


def test_a_pack_keeps_the_checksums(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = make_corpus(tmp_path / "a", 2, 2)
    first = SpeechData.open(corpus, tmp_path / "cache").corpus
    assert first.fingerprint() == corpus.fingerprint()
    monkeypatch.setattr(checksum_module, "_checksum", lambda path: pytest.fail("read again"))
    second = SpeechData.open(load_corpus(tmp_path / "a"), tmp_path / "cache")
    assert second.corpus.fingerprint() == first.fingerprint()
    part = second.select(lambda u: u.speaker == "s1").corpus
    assert part.fingerprint() not in (first.fingerprint(), "")
