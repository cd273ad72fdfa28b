from __future__ import annotations

from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

from shortvox.corpora.corpus import Corpus
from shortvox.corpora.utterance import Utterance
from shortvox.errors import CorpusError, ScoreError
from shortvox.evaluation.trials import Trials, make_trials, read_trials

ROOT = Path("/corpus")


def corpus_of(*rows: tuple[str, str, str, str], folder: str = "wav") -> Corpus:
    """Rows of (id, speaker, session, gender)."""
    return Corpus(
        "test",
        ROOT,
        tuple(
            Utterance(id, speaker, ROOT / folder / f"{id}.wav", session=session, gender=gender)
            for id, speaker, session, gender in rows
        ),
    )


VOXCELEB = corpus_of(
    *(
        (f"{speaker}/{video}/0000{i}", speaker, video, "m")
        for speaker in ("id10270", "id10271")
        for video in ("5r0dWxy17C8", "zn-FwAA_aBc")
        for i in (1, 2)
    )
)


def pairs(trials: Trials, label: bool) -> set[tuple[int, int]]:
    kept = trials.label == label
    return set(zip(trials.enrol[kept].tolist(), trials.test[kept].tolist(), strict=True))


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


def test_made_trials_are_all_ordered_pairs_across_known_sessions() -> None:
    corpus = corpus_of(
        ("b1", "b", "", "m"),
        ("a1", "a", "s1", "f"),
        ("a2", "a", "s1", "f"),
        ("b2", "b", "", "m"),
        ("a3", "a", "s2", "f"),
        ("c1", "c", "s1", "f"),
        ("c2", "c", "s1", "f"),
    )
    trials = make_trials(corpus)
    speaker = [u.speaker for u in corpus.utterances]
    every = set(permutations(range(7), 2))
    within_session = {(1, 2), (2, 1)}  # c has one session only, b none that is known: their pairs stay
    assert pairs(trials, True) == {(i, j) for i, j in every if speaker[i] == speaker[j]} - within_session
    assert pairs(trials, False) == {(i, j) for i, j in every if speaker[i] != speaker[j]}
    assert len(trials) == len(pairs(trials, True)) + len(pairs(trials, False))
    same = make_trials(corpus, same_gender=True)
    gender = [u.gender for u in corpus.utterances]
    assert pairs(same, False) == {(i, j) for i, j in pairs(trials, False) if gender[i] == gender[j]}
    assert pairs(same, True) == pairs(trials, True)


def test_the_cap_is_a_seeded_draw_without_repeats() -> None:
    corpus = corpus_of(*((f"{s}-{i}", f"s{s}", "", "") for s in range(12) for i in range(1 + s % 4)))
    everything = pairs(make_trials(corpus), False)
    one, same, other = (make_trials(corpus, max_nontarget=100, seed=seed) for seed in (1, 1, 2))
    assert one.n_nontarget == len(pairs(one, False)) == 100
    assert pairs(one, False) <= everything
    assert pairs(one, False) == pairs(same, False) != pairs(other, False)
    assert f"{len(everything)} non-targets, a draw of 100 (seed 1)" in one.note
    draws = [make_trials(corpus, max_nontarget=100, seed=seed) for seed in range(60)]
    picked = np.concatenate([list(pairs(drawn, False)) for drawn in draws])
    share = np.bincount(picked[:, 0], minlength=len(corpus)) / len(picked)
    expected = np.bincount([i for i, _ in everything], minlength=len(corpus)) / len(everything)
    np.testing.assert_allclose(share, expected, atol=0.01)


def test_corpora_without_trials_are_refused() -> None:
    with pytest.raises(ScoreError, match="no non-target"):
        make_trials(corpus_of(("a1", "a", "", ""), ("a2", "a", "", "")))
    with pytest.raises(ScoreError, match="no target"):
        make_trials(corpus_of(("a1", "a", "", ""), ("b1", "b", "", "")))
    corpus = corpus_of(("a1", "a", "", "f"), ("a2", "a", "", "f"), ("b1", "b", "", ""))
    with pytest.raises(CorpusError, match=r"1 utterances have no gender \(first 'b1'\)"):
        make_trials(corpus, same_gender=True)
