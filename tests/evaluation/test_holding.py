"""Whether decisions keep their rates is measured on other speakers, and speakers are what is drawn anew."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from amounts import simulated
from evaluation.test_amounts import WHOLE as SECONDS
from evaluation.test_amounts import heard
from shortvox.cli.grid import tables
from shortvox.evaluation.amounts import fit_amounts
from shortvox.evaluation.holding import Resampled, _Paths, _way, holding
from shortvox.evaluation.spoken import CHUNK, HeardCorpus, make_trials
from shortvox.report.holding import plot


@pytest.fixture(scope="module")
def result() -> dict[str, object]:
    one, other = heard(1, people=24), heard(2, people=24)
    return holding(fit_amounts(make_trials(one), [one]), with_chunks(other))


def with_chunks(corpus: HeardCorpus) -> HeardCorpus:
    starts = tuple(CHUNK * number for number in range(6))
    pieces = {start: simulated(24, 8, np.random.default_rng(2), (CHUNK,))[1][CHUNK] for start in starts}
    return replace(corpus, chunks=pieces)


def test_a_trial_counts_as_often_as_both_of_its_speakers() -> None:
    rng = np.random.default_rng(0)
    first, second, hit = rng.integers(0, 5, 300), rng.integers(0, 5, 300), rng.random(300) < 0.3
    resampled = Resampled(5, draws=200, seed=1)
    drawn = []
    for counts in resampled._counts.T:
        weight = np.where(first == second, counts[first], counts[first] * counts[second])
        weight = weight[first != second]
        drawn.append(weight @ hit[first != second] / weight.sum() if weight.any() else np.nan)
    different = first != second
    found = resampled.share(hit[different], first[different], second[different])
    assert (found.low, found.high) == pytest.approx(np.nanquantile(drawn, (0.025, 0.975)), abs=0.02)
    assert found.value == hit[first != second].mean() and found.trials == (first != second).sum()
    same = first == second
    alone = resampled.share(hit[same], first[same], second[same])
    drawn = [counts[first[same]] @ hit[same] / counts[first[same]].sum() for counts in resampled._counts.T]
    assert (alone.low, alone.high) == pytest.approx(np.quantile(drawn, (0.025, 0.975)), abs=0.02)


def test_what_is_decided_first_stands() -> None:
    """Trials at two looks: accepted at once, rejected before it would be accepted, never decided; and a stranger."""
    unused, label = np.zeros((2, 4)), np.array([True, True, True, False])
    paths = _Paths(label, np.zeros(4, int), np.where(label, 0, 1), (1.0, 2.0), unused, unused, unused, unused)
    accept = np.array([[True, False, False, False], [True, True, False, False]])
    reject = np.array([[False, True, False, True], [False, False, False, False]])
    found = _way(paths, Resampled(2), "made", accept, reject)
    assert (
        found["accepted"]["value"] == found["misses"]["value"] == found["undecided"]["target"] == pytest.approx(1 / 3)
    )
    assert found["mean_seconds"]["target"] == pytest.approx(4 / 3)


def test_lines_hold_and_one_cosine_does_not(result: dict) -> None:
    shortest, full = result["lengths"][0], result["lengths"][-1]
    assert shortest["seconds"] == 0.3 and full["seconds"] == "full" and full["median_seconds"] == SECONDS
    for row in result["lengths"]:
        rate = row["rates"][0]
        assert (
            rate["false_alarms"]["low"] < 0.1 < rate["false_alarms"]["high"]
            or abs(rate["false_alarms"]["value"] - 0.1) < 0.03
        )
        assert row["cllr"] < row["min_cllr"] + 0.1 and row["act_dcf"] < row["min_dcf"] + 0.15
    assert shortest["rates"][0]["misses"]["value"] > 3 * full["rates"][0]["misses"]["value"]


def test_more_speech_and_more_recordings_are_worth_something(result: dict) -> None:
    cells = {(one["recordings"], one["enrolled"], one["tested"]): one["eer"] for one in result["grid"]}
    assert cells[1, 0.5, 0.5] > cells[1, 3.0, 0.5] > cells[1, 3.0, 3.0]
    assert cells[1, 1.0, 1.0] > cells[3, 1.0, 1.0] > cells[5, 1.0, 1.0]


def test_deciding_early_keeps_the_rates_and_saves_time(result: dict) -> None:
    ways = {one["name"]: one for one in result["stream"][1]["ways"]}
    ours, late = ways["lines for all looks together"], ways["one look at 3 s"]
    assert ours["false_alarms"]["value"] < 0.015 and ours["misses"]["value"] < 0.12
    assert ours["mean_seconds"]["target"] < 2 and late["mean_seconds"]["target"] == 3
    added = ways["Wald's bounds, LLRs of pieces of 0.5 s added"]
    assert added["false_alarms"]["value"] > ours["false_alarms"]["value"] or added["misses"] != ours["misses"]


def test_tables_and_picture_have_every_length(result: dict) -> None:
    drawn = plot(result, "made & heard")
    assert drawn.startswith("<?xml") and "made &amp; heard" in drawn
    shown = tables("made", result)
    assert [table.row_count for table in shown[:3]] == [9, 5, 4] and len(shown) == 5
