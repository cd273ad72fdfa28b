from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from listed import corpus_of

from shortvox.errors import CorpusError, ScoreError
from shortvox.evaluation.trials import Trials, make_trials


def pairs(trials: Trials, label: bool) -> set[tuple[int, int]]:
    kept = trials.label == label
    return set(zip(trials.enrol[kept].tolist(), trials.test[kept].tolist(), strict=True))


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
    with pytest.raises(
        ScoreError, match=r"/corpus: all pairs of 2 utterances of 1 speakers: no non-target.* add speakers"
    ):
        make_trials(corpus_of(("a1", "a", "", ""), ("a2", "a", "", "")))
    with pytest.raises(ScoreError, match=r"/corpus: all pairs of 2 utterances of 2 speakers: no target.* add speakers"):
        make_trials(corpus_of(("a1", "a", "", ""), ("b1", "b", "", "")))
    corpus = corpus_of(("a1", "a", "", "f"), ("a2", "a", "", "f"), ("b1", "b", "", ""))
    with pytest.raises(CorpusError, match=r"1 utterances have no gender \(first 'b1'\)"):
        make_trials(corpus, same_gender=True)
