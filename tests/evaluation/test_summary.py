from __future__ import annotations

import numpy as np
import pytest

from shortvox.errors import ScoreError
from shortvox.evaluation import metrics
from shortvox.evaluation.scorefile import ScoreTable
from shortvox.evaluation.summary import score_figures


def table_of(n_speakers: int = 22, scale: float = 1.0) -> tuple[ScoreTable, dict[str, str]]:
    rng = np.random.default_rng(0)
    ids = [f"s{s}-{i}" for s in range(n_speakers) for i in range(2)]
    speakers = {name: name.split("-")[0] for name in ids}
    pairs = [(a, b) for a in ids for b in ids if a != b]
    label = np.array([speakers[a] == speakers[b] for a, b in pairs])
    score = scale * (rng.normal(size=len(pairs)) + 4 * label - 2)
    return ScoreTable.of_ids([a for a, _ in pairs], [b for _, b in pairs], score.tolist(), label.tolist()), speakers


def test_figures_of_a_score_table() -> None:
    table, speakers = table_of()
    figures = score_figures(table, speakers, draws=200)
    assert figures["eer"] == metrics.eer(table.score, table.label)
    assert figures["act_dcf"]["0.01"] == metrics.act_dcf(table.score, table.label, 0.01)
    assert (figures["n_target"], figures["n_nontarget"]) == (44, 44 * 42)
    assert figures["resampled"] == "speakers"
    assert figures["warnings"] == []
    for name, value in (("eer", figures["eer"]), ("min_dcf_0.05", figures["min_dcf"]["0.05"])):
        low, high = figures["intervals"][name]
        assert low <= value <= high
    assert figures == score_figures(table, speakers, draws=200)


def test_what_a_reader_must_know_is_a_warning() -> None:
    table, speakers = table_of(5, scale=0.05)
    by_trial, by_speaker = score_figures(table, draws=100), score_figures(table, speakers, draws=100)
    assert by_trial["resampled"] == "trials"
    assert ["resample trials" in by_trial["warnings"][0], "[-1, 1]" in by_trial["warnings"][1]] == [
        True,
        True,
    ]
    assert "5 speakers" in by_speaker["warnings"][0]
    with pytest.raises(ScoreError, match="row 2: utterance 's0-0' is missing from utt2spk; add it there"):
        score_figures(table, {}, speakers_from="utt2spk")
    wrong = {**speakers, "s1-0": "s0"}
    with pytest.raises(ScoreError, match="row 3: trial: label 0 contradicts its speakers 's0' and 's0'"):
        score_figures(table, wrong)
    again = ScoreTable.of_ids(["a", "a", "a"], ["b", "b", "c"], [1, 1, 0], [True, True, False])
    assert any("1 of 3 rows repeat a trial" in warning for warning in score_figures(again, draws=100)["warnings"])
