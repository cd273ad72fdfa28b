from __future__ import annotations

import json

import numpy as np
import pytest

from shortvox.errors import ScoreError
from shortvox.evaluation import metrics
from shortvox.evaluation.bootstrap import bootstrap_metrics, holm, interval, p_value
from shortvox.evaluation.durations import (
    ScoreSet,
    TrialSetup,
    bootstrapped,
    by_column,
    duration_grid,
    length_figures,
)
from shortvox.evaluation.trials import Trials
from shortvox.scoring.calibration import Calibration

PER_SPEAKER = 3
KEYS = {
    "eer",
    "min_dcf",
    "act_dcf",
    "cllr",
    "min_cllr",
    "intervals",
    "indicative",
    "n_target",
    "n_nontarget",
    "n_short",
    "short_fraction",
    "long_only",
    "seeds",
    "spread_degrees",
    "det",
    "same_family",
    "band_limited",
}


def setup_of(n_speakers: int = 24, **options: object) -> TrialSetup:
    speaker = np.repeat(np.arange(n_speakers), PER_SPEAKER)
    enrol, test = np.nonzero(~np.eye(len(speaker), dtype=bool))
    trials = Trials(enrol, test, speaker[enrol] == speaker[test])
    return TrialSetup(trials, [f"s{s}" for s in speaker], draws=200, **options)  # type: ignore[arg-type]


def scores_of(setup: TrialSetup, quality: float, *, n_seeds: int = 2, n_crops: int = 1, **options: object) -> ScoreSet:
    rng = np.random.default_rng(7)
    label = setup.trials.label
    return ScoreSet(
        tuple(tuple(rng.normal(size=len(label)) + quality * label for _ in range(n_crops)) for _ in range(n_seeds)),
        **options,
    )  # type: ignore[arg-type]


def test_figures_are_means_over_crop_seeds_then_training_seeds() -> None:
    setup = setup_of(both_cropped=True)
    label = setup.trials.label
    scores = scores_of(setup, 2, n_crops=3, seeds=(5, 8), calibrations=(Calibration(2, -1), Calibration(1, -2)))
    figures = length_figures(scores, setup, "1")
    assert set(figures) == KEYS
    eers = [[metrics.eer(one, label) for one in crops] for crops in scores.scores]
    assert figures["eer"] == pytest.approx(np.mean(eers))
    assert [one["seed"] for one in figures["seeds"]] == [5, 8]
    assert [one["crop_seeds"] for one in figures["seeds"]] == eers
    assert figures["seeds"][1]["eer"] == pytest.approx(np.mean(eers[1]))
    for p in metrics.P_TARGETS:
        expected = np.mean([[metrics.min_dcf(one, label, p) for one in crops] for crops in scores.scores])
        assert figures["min_dcf"][str(p)] == pytest.approx(expected)
        llrs = [[2 * one - 1 for one in scores.scores[0]], [one - 2 for one in scores.scores[1]]]
        expected = np.mean([[metrics.act_dcf(one, label, p) for one in crops] for crops in llrs])
        assert figures["act_dcf"][str(p)] == pytest.approx(expected)
    assert figures["cllr"] == pytest.approx(np.mean([[metrics.cllr(one, label) for one in crops] for crops in llrs]))
    assert figures["min_cllr"] <= figures["cllr"]
    low, high = figures["intervals"]["eer"]
    assert low < figures["eer"] < high
    assert set(figures["intervals"]) == {"eer", "min_dcf_0.05", "min_dcf_0.01"}
    assert len(figures["det"]) <= 200
    json.dumps(figures, allow_nan=False)


def test_draws_average_crops_before_seeds() -> None:
    setup = setup_of(8)
    scores = scores_of(setup, 1, n_seeds=1, n_crops=2)
    each = [bootstrap_metrics(one, setup.trials.label, setup.resampling)["eer"] for one in scores.scores[0]]
    np.testing.assert_allclose(bootstrapped(scores, setup)["eer"], np.mean(each, axis=0))


def test_without_calibration_there_is_no_actual_cost() -> None:
    setup = setup_of(4)
    figures = length_figures(scores_of(setup, 1), setup, "full")
    assert figures["act_dcf"] == {"0.05": None, "0.01": None}
    assert figures["cllr"] is None
    assert figures["min_cllr"] > 0
    assert figures["indicative"]


@pytest.mark.parametrize("both_cropped", [False, True])
def test_short_files_of_the_cropped_sides(both_cropped: bool) -> None:
    full = setup_of(6)
    short = np.zeros(18, dtype=bool)
    short[[0, 1, 5]] = True
    keep = full.trials.test != 5  # file 5 is only enrolled, and file 17 only tested
    keep &= full.trials.enrol != 17
    setup = TrialSetup(full.trials.where(keep), full.speakers, both_cropped, {"1": short}, draws=50)
    scores = scores_of(setup, 1)
    figures = length_figures(scores, setup, "1")
    assert figures["n_short"] == (3 if both_cropped else 2)
    assert figures["short_fraction"] == pytest.approx(3 / 18 if both_cropped else 2 / 17)
    trials = setup.trials
    long = ~short[trials.test] & (~short[trials.enrol] | (not both_cropped))
    assert figures["long_only"]["n_target"] == trials.label[long].sum()
    assert figures["long_only"]["n_nontarget"] == (~trials.label[long]).sum()
    expected = np.mean([metrics.eer(one[long], trials.label[long]) for (one,) in scores.scores])
    assert figures["long_only"]["eer"] == pytest.approx(expected)
    assert length_figures(scores, setup, "full")["long_only"] is None
    nothing_long = TrialSetup(setup.trials, setup.speakers, both_cropped, {"1": np.ones(18, dtype=bool)}, draws=50)
    assert length_figures(scores, nothing_long, "1")["long_only"] == {
        "eer": None,
        "n_target": 0,
        "n_nontarget": 0,
    }


def test_impostors_of_the_same_family() -> None:
    families = np.repeat(["x", "x", "y", "y", "y"], PER_SPEAKER).tolist()
    setup = setup_of(5, families=families)
    scores = scores_of(setup, 1)
    figures = length_figures(scores, setup, "full")["same_family"]
    near = np.array(families)[setup.trials.enrol] == np.array(families)[setup.trials.test]
    assert figures["n_nontarget"] == 9 * (2 + 6)
    expected = np.mean([metrics.eer(one[near], setup.trials.label[near]) for (one,) in scores.scores])
    assert figures["eer"] == pytest.approx(expected)
    alone = setup_of(5, families=[str(position // PER_SPEAKER) for position in range(15)])
    assert length_figures(scores, alone, "full")["same_family"] is None


def test_comparisons_are_paired_and_adjusted() -> None:
    setup = setup_of()
    better, worse = scores_of(setup, 2.5), scores_of(setup, 1)
    systems = {
        "better": {"full": better, "1": worse},
        "same": {"full": better, "1": worse},
        "worse": {"full": worse},
    }
    advanced = []
    grid = duration_grid(systems, setup, advance=lambda: advanced.append(1))
    assert len(advanced) == 5
    rows = grid.comparisons()
    assert [(row["a"], row["b"], row["length"]) for row in rows] == [
        ("better", "same", "full"),
        ("better", "same", "1"),
        ("better", "worse", "full"),
        ("same", "worse", "full"),
    ]
    nothing = {
        "difference": 0.0,
        "interval": [0.0, 0.0],
        "p": 1.0,
        "p_holm": 1.0,
        "significant": False,
        "indicative": False,
        "resolution": 4 * 2 / 201,
    }
    names = {"a": "better", "b": "same", "length": "full", "trainings": 2}
    assert rows[0] == {**names, **nothing, "min_dcf": {"0.05": nothing}}
    differences = grid.draws["better"]["full"]["eer"] - grid.draws["worse"]["full"]["eer"]
    assert rows[2]["p"] == p_value(differences) == 2 / 201
    assert rows[2]["interval"] == list(interval(differences))
    cost = grid.draws["better"]["full"]["min_dcf_0.05"] - grid.draws["worse"]["full"]["min_dcf_0.05"]
    assert rows[2]["min_dcf"]["0.05"]["interval"] == list(interval(cost))
    assert rows[2]["min_dcf"]["0.05"]["difference"] == pytest.approx(
        grid.lengths["better"]["full"]["min_dcf"]["0.05"] - grid.lengths["worse"]["full"]["min_dcf"]["0.05"]
    )
    costs = [row["min_dcf"]["0.05"] for row in rows]  # a family of its own
    assert [row["p_holm"] for row in costs] == holm([row["p"] for row in costs])
    assert rows[2]["difference"] == pytest.approx(
        grid.lengths["better"]["full"]["eer"] - grid.lengths["worse"]["full"]["eer"]
    )
    assert [row["p_holm"] for row in rows] == holm([row["p"] for row in rows])
    assert rows[2]["significant"]
    assert [row["b"] for row in grid.comparisons([("worse", "better")])] == ["better"]
    json.dumps(rows, allow_nan=False)


def test_with_few_speakers_nothing_is_significant() -> None:
    setup = setup_of(19)
    systems = {"good": {"1": scores_of(setup, 4)}, "bad": {"1": scores_of(setup, 0)}}
    (row,) = duration_grid(systems, setup).comparisons()
    assert row["p_holm"] < 0.05
    assert not row["significant"]
    assert row["indicative"]


def test_by_column_takes_the_test_side() -> None:
    setup = setup_of(6)
    values = ["phone", "studio", ""] * 6
    scores = scores_of(setup, 1, calibrations=(Calibration(1, 0),) * 2, spread_degrees=20.0)
    split = by_column({"teacher": {"1": scores}}, setup, values)
    assert list(split) == ["(none)", "phone", "studio"]
    mask = np.array(values)[setup.trials.test] == "phone"
    figures = split["phone"]["systems"]["teacher"]["lengths"]["1"]
    expected = np.mean([metrics.eer(one[mask], setup.trials.label[mask]) for (one,) in scores.scores])
    assert figures["eer"] == pytest.approx(expected)
    assert figures["spread_degrees"] is None  # that of all test speakers would be a wrong one here
    assert split["phone"]["n_target"] == figures["n_target"] == setup.trials.label[mask].sum()
    assert sum(part["n_nontarget"] for part in split.values()) == setup.trials.n_nontarget
    json.dumps(split, allow_nan=False)


def test_a_value_without_targets_keeps_its_counts() -> None:
    full = setup_of(4)
    trials = full.trials.where(~full.trials.label | (full.trials.test > 2))
    setup = TrialSetup(trials, full.speakers, draws=20)
    split = by_column({"x": {"1": scores_of(setup, 1)}}, setup, ["rare"] * 3 + ["common"] * 9)
    assert split["rare"] == {"n_target": 0, "n_nontarget": 27, "systems": None}
    assert split["common"]["systems"] is not None


def test_scores_that_do_not_fit_are_refused() -> None:
    setup = setup_of(4)
    with pytest.raises(ScoreError, match="length"):
        length_figures(ScoreSet(((np.zeros(3),),)), setup, "1")
    with pytest.raises(ScoreError, match="at least one"):
        ScoreSet(())
    with pytest.raises(ScoreError, match="2 training seeds"):
        scores_of(setup, 1, calibrations=(Calibration(1, 0),))


def test_a_score_that_is_no_number_names_its_system() -> None:
    setup = setup_of(4)
    broken = scores_of(setup, 1)
    broken.scores[1][0][3] = np.nan
    with pytest.raises(ScoreError, match="model-b, length 1: score 4 of 132 is nan"):
        duration_grid({"model-a": {"1": scores_of(setup, 1)}, "model-b": {"1": broken}}, setup)
