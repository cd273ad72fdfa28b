"""Speaker-disjoint splits."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recordings import make_corpus, write_tones

from shortvox.corpora.audio import read_audio
from shortvox.corpora.corpus import Corpus, load_corpora, load_corpus, write_manifest
from shortvox.corpora.split import hold_out, read_speakers, split_speakers, write_split
from shortvox.corpora.utterance import Utterance
from shortvox.errors import CorpusError, ShortvoxError


def imaginary(sizes: list[int]) -> Corpus:
    return Corpus(
        "c",
        Path("/c"),
        tuple(
            Utterance(f"{s}-{n}", f"s{s}", Path(f"/c/{s}/{n}.wav")) for s, size in enumerate(sizes) for n in range(size)
        ),
    )


@given(st.lists(st.integers(1, 4), min_size=4, max_size=30), st.integers(0, 5), st.data())
def test_held_out_speakers_are_on_one_side_only(sizes: list[int], seed: int, data: st.DataObject) -> None:
    corpus = imaginary(sizes)
    fit = sum(size >= 2 for size in sizes)
    if fit == 0:
        return
    count = data.draw(st.integers(1, min(fit, len(sizes) - 1)))
    train, held = hold_out(corpus, fraction=count / len(sizes), seed=seed)
    assert not set(train.speakers) & set(held.speakers) and len(held.speakers) == count
    assert sorted(u.id for u in (*train.utterances, *held.utterances)) == sorted(u.id for u in corpus.utterances)
    assert all(len(own) >= 2 for own in held.by_speaker().values())
    assert hold_out(corpus, fraction=count / len(sizes), seed=seed) == (train, held)


def test_the_seed_matters_and_new_speakers_move_few() -> None:
    drawn = [set(hold_out(imaginary([2] * 100), fraction=0.2, seed=seed)[1].speakers) for seed in (0, 1)]
    assert drawn[0] != drawn[1]
    larger = set(hold_out(imaginary([2] * 101), fraction=0.2, seed=0)[1].speakers)
    assert len(larger & drawn[0]) >= 19


@pytest.mark.parametrize(
    ("sizes", "options"),
    [
        ([2], {"fraction": 0.9}),
        ([2, 2], {"fraction": 0.9}),
        ([1, 1, 1], {"fraction": 0.3}),
        ([2, 2], {"fraction": 1.5}),
    ],
)
def test_impossible_draws(sizes: list[int], options: dict[str, float]) -> None:
    with pytest.raises(CorpusError, match="cannot be held out"):
        hold_out(imaginary(sizes), **options)


def test_split_by_names(tmp_path: Path) -> None:
    corpus = imaginary([2, 2, 2])
    train, test = split_speakers(corpus, ["s1"])
    assert train.speakers == ("s0", "s2") and test.speakers == ("s1",)
    with pytest.raises(CorpusError, match="no speaker 's9'"):
        split_speakers(corpus, ["s9"])
    with pytest.raises(CorpusError, match="no training speaker is left"):
        split_speakers(corpus, corpus.speakers)
    with pytest.raises(CorpusError, match="no test speaker is left"):
        split_speakers(corpus, [])


def test_names_of_one_corpus_among_several(tmp_path: Path) -> None:
    make_corpus(tmp_path / "a", 3, 1)
    make_corpus(tmp_path / "b", 1, 1)
    both = load_corpora([tmp_path / "a", tmp_path / "b"])
    assert split_speakers(both, ["s2", "b/s0"])[1].speakers == ("a/s2", "b/s0")
    with pytest.raises(CorpusError, match="a/s0, b/s0"):
        split_speakers(both, ["s0"])


def test_lists_of_speakers(tmp_path: Path) -> None:
    path = tmp_path / "speakers.txt"
    path.write_text("s1\n\n s0 \n")
    assert read_speakers(path) == ("s1", "s0")
    for text, expected in (("", "no speakers"), ("a\nb\na\n", "row 3: speaker a is also in row 1")):
        path.write_text(text)
        with pytest.raises(CorpusError, match=expected):
            read_speakers(path)
    with pytest.raises(CorpusError, match="no such file; expected a list of speakers, one a line"):
        read_speakers(tmp_path / "nowhere.txt")


def test_a_written_split_is_two_corpora(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "corpus", 3, 2)
    write_split(tmp_path / "out", *split_speakers(corpus, ["s0"]))
    train, test = (load_corpus(tmp_path / "out" / side) for side in ("train", "test"))
    assert train.speakers == ("s1", "s2") and test.speakers == ("s0",)
    assert read_speakers(tmp_path / "out" / "test_speakers.txt") == ("s0",)
    assert len(read_audio(test.utterances[0].path)) == 8000
    with pytest.raises(CorpusError, match="already there"):
        write_split(tmp_path / "out", *split_speakers(corpus, ["s1"]))
    assert load_corpus(tmp_path / "out" / "test").speakers == ("s0",)


def test_a_split_is_both_sides_or_nothing(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "corpus", 3, 1)
    sides = split_speakers(corpus, ["s0"])
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "test").write_text("in the way")
    with pytest.raises(ShortvoxError, match=r"out/test: .*cannot be written"):
        write_split(tmp_path / "out", *sides)
    assert [each.name for each in (tmp_path / "out").iterdir()] == ["test"]
    (tmp_path / "out" / "test").unlink()
    assert [side.speakers for side in write_split(tmp_path / "out", *sides)] == [("s1", "s2"), ("s0",)]
    with pytest.raises(ShortvoxError, match="cannot be written"):
        write_split(tmp_path / "deep" / ("x" * 300), *sides)
    assert not (tmp_path / "deep").exists()


def test_lists_keep_what_other_readers_take_for_a_line_end(tmp_path: Path) -> None:
    names = ["a\u2028b", "c\u2029d", "e\u00a0f", "g"]
    recording = write_tones(tmp_path / "a.wav", seconds=0.5)
    write_manifest(tmp_path, [Utterance(f"u-{name}", name, recording) for name in names])
    _, test = write_split(tmp_path / "out", *split_speakers(load_corpus(tmp_path), names[:3]))
    assert set(read_speakers(tmp_path / "out" / "test_speakers.txt")) == set(test.speakers) == set(names[:3])
    listed = read_speakers(tmp_path / "out" / "train_speakers.txt")
    assert split_speakers(load_corpus(tmp_path), listed)[1].speakers == ("g",)
