"""Trial lists: what a name may look like, and what is refused with its row."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import pytest
from listed import ROOT, corpus_of

from shortvox.corpora.corpus import Corpus
from shortvox.corpora.source import AUDIO_SUFFIXES
from shortvox.corpora.utterance import Utterance
from shortvox.errors import CorpusError, ScoreError
from shortvox.evaluation.triallist import only_tried, read_trials

VOXCELEB = corpus_of(
    *(
        (f"{speaker}/{video}/0000{i}", speaker, video, "m")
        for speaker in ("id10270", "id10271")
        for video in ("5r0dWxy17C8", "zn-FwAA_aBc")
        for i in (1, 2)
    )
)


def write(tmp_path: Path, *rows: str) -> Path:
    path = tmp_path / "trials.txt"
    path.write_text("\n".join(rows) + "\n")
    return path


@pytest.mark.parametrize("name", ["{}", "{}.wav", "{}.m4a", "wav/{}.wav", "wav/{}"])
def test_voxceleb_lists_are_read_as_published(tmp_path: Path, name: str) -> None:
    same, other = name.format("id10270/zn-FwAA_aBc/00002"), name.format("id10271/5r0dWxy17C8/00001")
    first = name.format("id10270/5r0dWxy17C8/00001")
    trials = read_trials(write(tmp_path, f"1 {first} {same}", f"0 {first} {other}", ""), VOXCELEB)
    assert trials.enrol.tolist() == [0, 0]
    assert trials.test.tolist() == [3, 4]
    assert trials.label.tolist() == [True, False]


def test_names_by_path_are_found_whatever_the_ids(tmp_path: Path) -> None:
    renamed = Corpus(
        "test", ROOT, tuple(Utterance(u.id.replace("/", "-"), u.speaker, u.path) for u in VOXCELEB.utterances)
    )
    path = write(
        tmp_path,
        "1 id10270/5r0dWxy17C8/00001.wav id10270/5r0dWxy17C8/00002.wav",
        "0 id10270/5r0dWxy17C8/00001.wav id10271/5r0dWxy17C8/00002.wav",
    )
    assert read_trials(path, renamed).test.tolist() == [1, 5]


def test_ids_of_several_corpora_are_found_without_their_prefix(tmp_path: Path) -> None:
    joint = Corpus(
        "a+b",
        ROOT,
        (
            Utterance("a/x1", "a/x", ROOT / "a/x1.flac"),
            Utterance("a/x2", "a/x", ROOT / "a/x2.flac"),
            Utterance("b/y1", "b/y", ROOT / "b/y1.flac"),
            Utterance("b/x2", "b/x", ROOT / "b/x2.flac"),
        ),
    )
    trials = read_trials(write(tmp_path, "1 x1 a/x2", "0 x1 y1"), joint)
    assert trials.test.tolist() == [1, 2]
    with pytest.raises(CorpusError, match="row 1: utterance 'x2'"):
        read_trials(write(tmp_path, "1 x1 x2", "0 x1 y1"), joint)


def test_kaldi_lists(tmp_path: Path) -> None:
    one, two, three = "id10270/5r0dWxy17C8/00001", "id10270/5r0dWxy17C8/00002", "id10271/5r0dWxy17C8/00001"
    trials = read_trials(write(tmp_path, f"{one} {two} target", f"{two} {three} nontarget"), VOXCELEB)
    assert trials.label.tolist() == [True, False]
    assert (trials.n_target, trials.n_nontarget, len(trials)) == (1, 1, 2)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["1 a1 a2", "0 a1 nobody"], "row 2: utterance 'nobody'"),
        (["1 a1 a2", "0 a1"], "row 2: 2 fields"),
        (["1 a1 a2", "2 a1 b1"], "row 2: label '2' in column 1"),
        (["a1 a2 target", "a1 b1 impostor"], "row 2: label 'impostor' in column 3"),
        (["enrol test label"], "row 1: label 'enrol'"),
        (["1 a1 a2", "1 a1 b1"], "row 2: label 1 contradicts"),
        (["0 a1 a2", "0 a1 b1"], "row 1: label 0 contradicts"),
    ],
)
def test_a_malformed_row_is_named(tmp_path: Path, rows: list[str], message: str) -> None:
    corpus = corpus_of(("a1", "a", "", ""), ("a2", "a", "", ""), ("b1", "b", "", ""))
    with pytest.raises(CorpusError, match=message):
        read_trials(write(tmp_path, *rows), corpus)


def test_a_list_needs_both_sides_and_a_file(tmp_path: Path) -> None:
    corpus = corpus_of(("a1", "a", "", ""), ("a2", "a", "", ""), ("b1", "b", "", ""))
    with pytest.raises(ScoreError, match=r"trials\.txt: no non-target"):
        read_trials(write(tmp_path, "1 a1 a2"), corpus)
    with pytest.raises(ScoreError, match="no target"):
        read_trials(write(tmp_path, ""), corpus)
    with pytest.raises(CorpusError, match=r"nothing\.txt"):
        read_trials(tmp_path / "nothing.txt", corpus)


FOUR = corpus_of(*((f"{s}/{n}", s, "", "") for s in ("anna", "bela") for n in (1, 2)))
PLAIN = "1 anna/1 anna/2\n0 anna/1 bela/2\n"


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        "\ufeff" + PLAIN,
        PLAIN.replace("\n", "\r\n"),
        PLAIN.replace(" ", "\t"),
        PLAIN.replace(" ", "  \t "),
        PLAIN.replace(" anna/1 ", "\tanna/1 "),
        PLAIN.replace(" anna", " ./anna").replace(" bela", " .//bela"),
        PLAIN.replace(" anna", " /corpus/wav/anna").replace(" bela", " /corpus/./wav/bela"),
        "\ufeffanna/1 anna/2 target\r\nanna/1 bela/2 nontarget",
    ],
)
def test_forms_of_one_list(tmp_path: Path, text: str) -> None:
    (tmp_path / "trials.txt").write_bytes(text.encode())
    trials = read_trials(tmp_path / "trials.txt", FOUR)
    assert (trials.enrol.tolist(), trials.test.tolist(), trials.label.tolist()) == ([0, 0], [1, 3], [True, False])
    assert (trials.note, trials.remarks) == ("trials.txt", "")


@pytest.mark.parametrize("suffix", sorted(AUDIO_SUFFIXES))
def test_every_suffix_of_a_corpus_is_known(tmp_path: Path, suffix: str) -> None:
    text = PLAIN.replace("1\n", f"1{suffix}\n").replace("2\n", f"2{suffix.upper()}\n")
    assert read_trials(write(tmp_path, text), FOUR).test.tolist() == [1, 3]


def test_names_with_spaces_between_tabs(tmp_path: Path) -> None:
    corpus = corpus_of(("Anna No 1/take 0", "a", "", ""), ("Anna No 1/take 1", "a", "", ""), ("b\u00a0c", "b", "", ""))
    first, second = "Anna No 1/take 0", "wav/Anna No 1/take 1.wav"
    trials = read_trials(write(tmp_path, f"1\t{first}\t{second}", f"0\t{first}\tb\u00a0c"), corpus)
    assert trials.test.tolist() == [1, 2]
    trials = read_trials(write(tmp_path, f"{first}\t{second}\ttarget", f"{first}\tb\u00a0c\tnontarget"), corpus)
    assert trials.test.tolist() == [1, 2]


def test_absolute_paths_through_the_link_of_an_import(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "audio").symlink_to(tmp_path / "disk")
    corpus = Corpus(
        "test",
        tmp_path / "corpus",
        tuple(Utterance(f"u{n}", "ab"[n // 2], tmp_path / "corpus/audio" / f"{n}.m4a") for n in range(4)),
    )
    disk = tmp_path / "disk"
    trials = read_trials(write(tmp_path, f"1 {disk}/0.m4a {disk}/1.wav", f"0 {disk}/0 {disk}/3.m4a"), corpus)
    assert trials.test.tolist() == [1, 3]
    with pytest.raises(CorpusError, match=r"row 1: utterance '/etc/passwd' is not in .*corpus; check the list"):
        read_trials(write(tmp_path, "1 u0 /etc/passwd"), corpus)
    pieces = replace(corpus, utterances=tuple(replace(u, path=corpus.utterances[0].path) for u in corpus.utterances))
    with pytest.raises(CorpusError, match=r"row 1: utterance '.*0\.m4a' fits several in .*corpus"):
        read_trials(write(tmp_path, f"1 u0 {disk}/0.m4a"), pieces)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (PLAIN.encode("utf-16"), r"trials\.txt: UTF-16, not UTF-8; save it as UTF-8"),
        (gzip.compress(PLAIN.encode()), r"trials\.txt: compressed \(gzip\); unpack it first"),
        (PLAIN.encode() + b"1 anna/1 \xe9\n", r"trials\.txt: row 3: not UTF-8 \(byte 0xe9\)"),
        (PLAIN.encode() + b"1 anna/1 anna\xc2\xa0/2\n", r"row 3: utterance 'anna.xa0/2' is not in"),
        (PLAIN.encode() + b"1 anna/1 /anna\0/2\n", r"row 3: utterance '/anna.x00/2' is not in"),
        (PLAIN.encode() + b"1\tanna/1\tanna/2\tx\n", "row 3: 4 fields"),
        (PLAIN.encode() + b"1 anna/1 ../../wav/anna/2\n", "row 3: utterance '../../wav/anna/2' is not in"),
    ],
)
def test_what_cannot_be_read_is_one_line(tmp_path: Path, content: bytes, expected: str) -> None:
    (tmp_path / "trials.txt").write_bytes(content)
    with pytest.raises(CorpusError, match=expected) as caught:
        read_trials(tmp_path / "trials.txt", FOUR)
    assert "\n" not in str(caught.value)


def test_trials_that_are_there_again_are_told(tmp_path: Path) -> None:
    trials = read_trials(write(tmp_path, PLAIN + PLAIN + "1 anna/2 anna/1\n1 bela/1 bela/1"), FOUR)
    assert len(trials) == 6
    assert trials.remarks == "2 trials are there again, 1 trials compare an utterance with itself"
    assert trials.note == f"trials.txt ({trials.remarks})"


def test_only_what_is_tried(tmp_path: Path) -> None:
    trials = read_trials(write(tmp_path, "1 bela/1 bela/2", "0 bela/2 anna/2"), FOUR)
    corpus, listed = only_tried(FOUR, trials)
    assert [u.id for u in corpus.utterances] == ["anna/2", "bela/1", "bela/2"]
    assert (listed.enrol.tolist(), listed.test.tolist()) == ([1, 2], [2, 0]) and listed.note == trials.note
