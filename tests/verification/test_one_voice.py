"""Groups of recordings that agree, and those that do not."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shortvox.verification.voices import cohesion, odd_ones, stretches, two_voices, voices


def between(speakers: str, same: float = 5.0, different: float = -6.0) -> np.ndarray:
    """LLRs of recordings by speakers, one letter each; the diagonal is no figure."""
    letters = np.array([*speakers])
    llrs = np.where(letters[:, None] == letters, same, different)
    np.fill_diagonal(llrs, np.nan)
    return llrs


@pytest.mark.parametrize(
    ("speakers", "odd", "two"),
    (
        ("", (), False),
        ("a", (), False),
        ("aa", (), False),
        ("ab", (), True),
        ("aaa", (), False),
        ("aba", (1,), False),
        ("abc", (), True),
        ("aabb", (), True),
        ("abcaa", (1, 2), False),
        ("bbaaa", (0, 1), False),
        ("aabbc", (), True),
    ),
)
def test_the_odd_ones_are_named(speakers: str, odd: tuple[int, ...], two: bool) -> None:
    assert odd_ones(between(speakers)) == odd
    assert two_voices(between(speakers)) is two


def test_one_doubtful_pair_does_not_make_two_voices() -> None:
    llrs = between("aaaa")
    llrs[0, 3] = llrs[3, 0] = -1.0
    assert odd_ones(llrs) == () and not two_voices(llrs)
    llrs[0, 1:] = llrs[1:, 0] = -1.0
    assert odd_ones(llrs) == (0,)


def test_the_line_is_the_callers() -> None:
    llrs = between("aab", different=-0.5)
    assert odd_ones(llrs) == (2,)
    assert odd_ones(llrs, least=-1.0) == ()


def test_both_orders_of_a_pair_count() -> None:
    assert two_voices(np.array([[0.0, 3.0], [-4.0, 0.0]]))
    assert not two_voices(np.array([[0.0, 4.0], [-3.0, 0.0]]))


@settings(max_examples=100)
@given(data=st.data(), speakers=st.text("abcd", max_size=9))
def test_voices_are_the_speakers_in_any_order(data: st.DataObject, speakers: str) -> None:
    order = data.draw(st.permutations(range(len(speakers))))
    shuffled = "".join(speakers[position] for position in order)
    found = voices(between(shuffled))
    assert sorted(itertools.chain(*found)) == [*range(len(speakers))]
    assert [len(group) for group in found] == sorted((len(group) for group in found), reverse=True)
    assert all(len({shuffled[position] for position in group}) == 1 for group in found)
    assert len(found) == len({*speakers})


@settings(max_examples=50)
@given(count=st.integers(2, 9), seed=st.integers(0, 99))
def test_joining_follows_the_mean_llr_between_groups(count: int, seed: int) -> None:
    llrs = np.random.default_rng(seed).normal(0, 4, (count, count))
    llrs = (llrs + llrs.T) / 2
    found = voices(llrs)
    for one, other in itertools.combinations(found, 2):
        assert llrs[np.ix_(one, other)].mean() < 0


def test_a_matrix_is_needed() -> None:
    with pytest.raises(ValueError, match="for every pair"):
        odd_ones(np.zeros((2, 3)))


def test_cohesion_is_the_mean_cosine_of_pairs() -> None:
    rng = np.random.default_rng(0)
    embeddings = rng.standard_normal((5, 16)).astype(np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    pairs = [one @ other for one, other in itertools.combinations(embeddings, 2)]
    assert cohesion(embeddings) == pytest.approx(np.mean(pairs), abs=1e-6)
    assert cohesion(embeddings[:1]) is None
    assert cohesion(np.repeat(embeddings[:1], 3, axis=0)) == pytest.approx(1, abs=1e-6)


@given(samples=st.integers(0, 10**7), longest=st.integers(1, 10**6))
def test_stretches_cover_what_was_said(samples: int, longest: int) -> None:
    if samples // longest > 10_000:
        return
    found = stretches(samples, longest)
    assert found[0][0] == 0 and found[-1][1] == samples
    assert all(one[1] == other[0] for one, other in itertools.pairwise(found))
    sizes = {stop - start for start, stop in found}
    assert max(sizes) - min(sizes) <= 1
    assert len(found) == 1 or longest <= max(sizes) < 2 * longest
