"""What a cosine means for so much speech: monotone, continuous, invertible, and read back as it was written."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amounts import AMOUNTS, NORMAL
from shortvox.errors import ScoreError
from shortvox.scoring.amount import AmountCalibration, Tail

seconds = st.floats(0.05, 100)
counts = st.integers(1, 9)
cosines = st.floats(-1, 1)
rates = st.floats(1e-7, 0.9)


@given(seconds, seconds, counts, st.floats(0, 5), st.floats(0, 5), st.integers(0, 3))
def test_more_speech_and_more_recordings_are_never_less_reliable(
    enrolled: float, tested: float, recordings: int, more: float, longer: float, others: int
) -> None:
    less = AMOUNTS.reliability(enrolled, recordings, tested)
    assert 0 < less <= AMOUNTS.reliability(enrolled + more, recordings + others, tested + longer) < 1


@given(seconds, seconds, counts, cosines)
def test_there_are_no_steps_in_the_amount(enrolled: float, tested: float, recordings: int, score: float) -> None:
    here = AMOUNTS.llr(score, AMOUNTS.reliability(enrolled, recordings, tested))
    there = AMOUNTS.llr(score, AMOUNTS.reliability(enrolled * 1.000001, recordings, tested * 0.999999))
    assert here == pytest.approx(there, abs=1e-3)


@given(seconds, seconds, counts, cosines, st.floats(1e-3, 1))
def test_a_higher_cosine_says_more_for_one_speaker(
    enrolled: float, tested: float, recordings: int, score: float, more: float
) -> None:
    at = AMOUNTS.reliability(enrolled, recordings, tested)
    assert AMOUNTS.llr(score + more, at) > AMOUNTS.llr(score, at)
    assert AMOUNTS.false_alarms(score + more, at) < AMOUNTS.false_alarms(score, at)
    assert AMOUNTS.misses(score + more, at) >= AMOUNTS.misses(score, at)


@given(seconds, seconds, counts, rates)
def test_lines_keep_their_rates(enrolled: float, tested: float, recordings: int, rate: float) -> None:
    at = AMOUNTS.reliability(enrolled, recordings, tested)
    assert AMOUNTS.false_alarms(AMOUNTS.accept(rate, at), at) == pytest.approx(rate, rel=1e-6)
    assert AMOUNTS.misses(AMOUNTS.reject(rate, at), at) == pytest.approx(rate, rel=1e-6)
    assert AMOUNTS.score(AMOUNTS.llr(0.3, at), at) == pytest.approx(0.3)


def test_lines_are_those_of_the_normal_distribution_where_scores_are() -> None:
    from scipy.stats import norm

    assert NORMAL.share(np.array(POINTS := NORMAL.points)) == pytest.approx(norm.sf(POINTS), rel=0.03)
    inside = np.linspace(-3, 3, 61)
    assert np.abs(NORMAL.share(inside) - norm.sf(inside)).max() < 0.02
    assert NORMAL.share(np.array([4.0, 5.0, 6.0])) == pytest.approx(norm.sf([4, 5, 6]), rel=1.5)
    assert NORMAL.point(norm.sf([5.5, -5])) == pytest.approx([5.5, -5], abs=0.2)


def test_amounts_that_were_not_fitted_count_as_the_nearest() -> None:
    assert AMOUNTS.reliability(500, 50, 400) == AMOUNTS.reliability(30, 5, 30)
    assert AMOUNTS.reliability(0.01, 1, 0.01) == AMOUNTS.reliability(0.3, 1, 0.3)


def test_lines_of_a_stream_are_between_and_beyond_those_that_were_fitted() -> None:
    assert AMOUNTS.stream_lines(0.1, 0.1, 3.0) == (2.0, -1.0)
    assert AMOUNTS.stream_lines(0.1, 0.1, 1.0) == (1.0, -1.0)  # fewer looks
    accept, reject = AMOUNTS.stream_lines(np.sqrt(0.001), 0.01 / np.e, 5.0)
    assert accept == pytest.approx(3.0) and reject == pytest.approx(-5.0)
    assert AMOUNTS.stream_lines(0.9, 0.9, 3.0) == (0.0, 0.0)  # never against the evidence
    wald = replace(AMOUNTS, looks=(), looks_missed=()).stream_lines(0.1, 0.2, 3.0)
    assert wald == pytest.approx((np.log(8), np.log(0.2 / 0.9)))


def test_the_fewest_seconds_that_are_enough() -> None:
    found = AMOUNTS.enough(lambda seconds: seconds >= 2)
    assert found is not None and 2 <= found < 2.1
    assert AMOUNTS.enough(lambda seconds: seconds < 0) is None


def test_it_is_read_as_it_was_written() -> None:
    assert AmountCalibration.from_json(json.loads(json.dumps(AMOUNTS.to_json())), "here") == AMOUNTS


@pytest.mark.parametrize(
    "change",
    (
        {"half": -1.0},
        {"slope": float("nan")},
        {"shortest": 40.0},
        {"even_rise": -0.1},
        {"nothing": 1.0},
        {"target": {"mean": 0.0, "rise": -1.0, "log_variance": [-4.0, 0.0, 0.0]}},
        {"target": {"mean": 0.0, "rise": 1.0, "log_variance": [-4.0, 0.0]}},
        {"missed": {"points": [0.0, 1.0], "shares": [0.5, 0.6]}},
        {"missed": {"points": [0.0], "shares": [0.5]}},
        {"looks": [[3.0, 1.5, 1.5]]},
    ),
)
def test_what_no_fit_gives_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ScoreError, match="there: `amounts`"):
        AmountCalibration.from_json({**AMOUNTS.to_json(), **change}, "there")
    with pytest.raises(ScoreError):
        AmountCalibration.from_json([], "there")


def test_a_tail_falls() -> None:
    tail = Tail((0.0, 1.0, 2.0), (0.5, 0.1, 0.01))
    assert (np.diff(tail.share(np.linspace(-5, 9, 99))) < 0).all()
    assert tail.point(tail.share(3.3)) == pytest.approx(3.3)
