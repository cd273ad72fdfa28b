from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shortvox.errors import ScoreError
from shortvox.evaluation import bootstrap, ladder, metrics
from shortvox.evaluation.bootstrap import (
    SpeakerResampling,
    TrialResampling,
    average_over_seeds,
    bootstrap_metrics,
    draw_speakers,
    enough_draws,
    holm,
    interval,
    p_value,
    resolution,
)


def all_pairs(n_speakers: int, per_speaker: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """All ordered pairs of different utterances: positions (2, n), speakers of both sides, labels."""
    speaker = np.repeat(np.arange(n_speakers), per_speaker)
    first, second = np.nonzero(~np.eye(len(speaker), dtype=bool))
    return np.stack([first, second]), speaker[first], speaker[second], speaker[first] == speaker[second]


def synthetic_scores(
    rng: np.random.Generator,
    positions: np.ndarray,
    label: np.ndarray,
    n_speakers: int,
    per_speaker: int,
) -> np.ndarray:
    """Dot products of noisy speaker vectors: trials of one speaker are as dependent as real ones."""
    centres = rng.normal(size=(n_speakers, 6))
    vectors = np.repeat(centres, per_speaker, axis=0) + rng.normal(size=(n_speakers * per_speaker, 6))
    return np.einsum("nd,nd->n", vectors[positions[0]], vectors[positions[1]])


def trial_weights(resampling: SpeakerResampling, draw: int) -> np.ndarray:
    """Weight (n,) of every trial in one draw: c_s of a target, c_i c_j of a non-target."""
    counts = resampling.counts[:, draw].astype(float)
    first, second = counts[resampling.first], counts[resampling.second]
    return np.where(resampling.label, first, first * second)


@pytest.mark.parametrize(("per_speaker", "decimals"), [(2, 8), (3, 8), (4, 0)])
def test_weights_equal_a_naive_bootstrap_that_repeats_speakers(per_speaker: int, decimals: int) -> None:
    n_speakers = 6
    positions, first, second, label = all_pairs(n_speakers, per_speaker)
    rng = np.random.default_rng(0)
    scores = synthetic_scores(rng, positions, label, n_speakers, per_speaker).round(decimals)
    resampling = draw_speakers(first, second, label, draws=40, seed=3)
    drawn = bootstrap_metrics(scores, label, resampling)
    for draw, counts in enumerate(resampling.counts.T.astype(int)):
        copies = [speaker for speaker, count in enumerate(counts) for _ in range(count)]
        expanded_scores, expanded_labels = [], []
        for a, copy_a in enumerate(copies):
            for b, copy_b in enumerate(copies):
                # Two copies of one speaker are no impostors (i != j), and their targets are within one copy.
                if (a == b) == (copy_a == copy_b):
                    trials = (first == copy_a) & (second == copy_b)
                    expanded_scores.append(scores[trials])
                    expanded_labels.append(label[trials])
        expanded = np.concatenate(expanded_scores), np.concatenate(expanded_labels)
        assert drawn["eer"][draw] == pytest.approx(metrics.eer(*expanded), abs=1e-13)
        assert drawn["min_dcf_0.05"][draw] == pytest.approx(metrics.min_dcf(*expanded, 0.05), abs=1e-13)
        assert drawn["min_dcf_0.01"][draw] == pytest.approx(metrics.min_dcf(*expanded, 0.01), abs=1e-13)
        weights = trial_weights(resampling, draw)
        assert metrics.eer(scores, label, weights) == pytest.approx(metrics.eer(*expanded), abs=1e-13)


def test_whichever_class_is_rarer_the_figures_are_the_same() -> None:
    rng = np.random.default_rng(1)
    first = rng.integers(0, 8, 400)
    for share in (0.1, 0.9):
        label = rng.random(400) < share
        second = np.where(label, first, (first + rng.integers(1, 8, 400)) % 8)
        scores = (rng.normal(size=400) + label).round(1)
        resampling = draw_speakers(first, second, label, draws=15)
        drawn = bootstrap_metrics(scores, label, resampling)
        for draw in range(15):
            weights = trial_weights(resampling, draw)
            assert drawn["eer"][draw] == pytest.approx(metrics.eer(scores, label, weights), abs=1e-13)
            expected = metrics.min_dcf(scores, label, 0.01, weights)
            assert drawn["min_dcf_0.01"][draw] == pytest.approx(expected, abs=1e-13)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    positions, first, second, label = all_pairs(5, 3)
    scores = synthetic_scores(np.random.default_rng(2), positions, label, 5, 3)
    resampling = draw_speakers(first, second, label, draws=50)
    whole = bootstrap_metrics(scores, label, resampling)
    for module, name, value in ((bootstrap, "BLOCK", 500), (ladder, "AT_ONCE", 7), (ladder, "PARTS", 3)):
        monkeypatch.setattr(module, name, value)
        for metric, values in bootstrap_metrics(scores, label, resampling).items():
            np.testing.assert_array_equal(values, whole[metric])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(-9, 9)), min_size=4, max_size=80),
    st.integers(2, 6),
    st.integers(0, 2**16),
)
def test_draws_are_those_of_the_whole_roc(rows: list[tuple[int, int, int]], parts: int, seed: int) -> None:
    """Whatever the ladder leaves out: ties, few targets, few non-targets, draws that leave speakers out."""
    first, second, score = np.array([(0, 0, 1), (3, 4, 0), *rows]).T
    label, scores = first == second, score.astype(float)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ladder, "PARTS", parts)
        resampling = draw_speakers(first, second, label, draws=12, seed=seed)
        drawn = bootstrap_metrics(scores, label, resampling)
    for draw in range(12):
        weights = trial_weights(resampling, draw)
        assert drawn["eer"][draw] == pytest.approx(metrics.eer(scores, label, weights), abs=1e-12)
        for p in (0.05, 0.01):
            expected = metrics.min_dcf(scores, label, p, weights)
            assert drawn[f"min_dcf_{p}"][draw] == pytest.approx(expected, abs=1e-12)


def test_weights_too_large_for_single_precision_are_kept_in_double(monkeypatch: pytest.MonkeyPatch) -> None:
    positions, first, second, label = all_pairs(8, 3)
    scores = synthetic_scores(np.random.default_rng(3), positions, label, 8, 3)
    single = draw_speakers(first, second, label, draws=20)
    monkeypatch.setattr(bootstrap, "EXACT", 400)
    double = draw_speakers(first, second, label, draws=20)
    assert (single.counts.dtype, double.counts.dtype) == (np.float32, np.float64)
    for metric, values in bootstrap_metrics(scores, label, single).items():
        np.testing.assert_array_equal(values, bootstrap_metrics(scores, label, double)[metric])


def test_a_draw_without_one_side_is_drawn_again() -> None:
    first = np.array(["a", "a", "b", "c"])
    second = np.array(["a", "b", "c", "b"])
    label = np.array([True, False, False, False])
    resampling = draw_speakers(first, second, label, draws=300)
    for draw in range(300):
        weights = trial_weights(resampling, draw)
        assert weights[label].sum() > 0
        assert weights[~label].sum() > 0
    assert (resampling.counts.sum(axis=0) == 3).all()
    assert np.isfinite(bootstrap_metrics(np.arange(4.0), label, resampling)["eer"]).all()


def test_a_label_that_contradicts_the_speakers_is_refused() -> None:
    with pytest.raises(ScoreError, match="trial 2"):
        draw_speakers(["a", "a"], ["a", "a"], np.array([True, False]))
    with pytest.raises(ScoreError, match="no non-target"):
        draw_speakers(["a"], ["a"], np.array([True]))


def test_few_speakers_are_indicative() -> None:
    def drawn(n_speakers: int) -> SpeakerResampling:
        _, first, second, label = all_pairs(n_speakers, 2)
        return draw_speakers(first, second, label, draws=5)

    assert drawn(19).indicative
    assert not drawn(20).indicative


def test_equal_seeds_give_equal_draws() -> None:
    _, first, second, label = all_pairs(6, 2)
    one, same, other = (draw_speakers(first, second, label, draws=20, seed=seed).counts for seed in (4, 4, 5))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


def test_trial_resampling_agrees_with_repeating_trials() -> None:
    rng = np.random.default_rng(0)
    label = rng.random(500) < 0.3
    scores = rng.normal(size=500) + 1.5 * label
    drawn = bootstrap_metrics(scores, label, TrialResampling(label, draws=2000))["eer"]
    naive = []
    for _ in range(2000):
        picked = np.concatenate([rng.choice(np.flatnonzero(side), side.sum()) for side in (label, ~label)])
        naive.append(metrics.eer(scores[picked], label[picked]))
    assert drawn.mean() == pytest.approx(np.mean(naive), abs=0.003)
    assert drawn.std() == pytest.approx(np.std(naive), rel=0.1)


def test_trials_drawn_in_turn_are_drawn_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    label = rng.random(300) < 0.3
    monkeypatch.setattr(ladder, "AT_ONCE", 50)
    drawn = bootstrap_metrics(rng.normal(size=300) + label, label, TrialResampling(label, draws=100))["eer"]
    assert (drawn[:50] != drawn[50:]).sum() > 40


def test_seeds_are_averaged_and_drawn_again_in_pairs() -> None:
    per_seed = np.array([[0.1] * 4000, [0.2] * 4000, [0.6] * 4000])
    averaged = average_over_seeds(per_seed, seed=1)
    assert averaged.mean() == pytest.approx(0.3, abs=0.01)
    shifted = average_over_seeds(per_seed - 0.05, seed=1)
    np.testing.assert_allclose(averaged - shifted, 0.05)  # the same seeds for both: their spread cancels
    np.testing.assert_allclose(average_over_seeds(per_seed[:1]), 0.1)


@pytest.mark.parametrize("n_seeds", [2, 3, 5])
def test_the_mean_of_few_trainings_varies_as_it_does_among_trainings(n_seeds: int) -> None:
    """Trainings with figures of variance 1: their mean varies by 1/n, and so must the mean of seeds drawn again."""
    figures = np.random.default_rng(0).normal(size=(n_seeds, 3000))
    drawn = [average_over_seeds(np.repeat(one[:, None], 200, axis=1), seed=n).var() for n, one in enumerate(figures.T)]
    assert np.mean(drawn) == pytest.approx(1 / n_seeds, rel=0.08)


def test_interval_and_p_by_hand() -> None:
    assert interval(np.arange(1001.0)) == pytest.approx((25, 975))
    assert p_value(np.ones(999)) == pytest.approx(2 / 1000)
    assert p_value(-np.ones(999)) == pytest.approx(2 / 1000)
    assert p_value(np.array([-1.0] * 9 + [1.0] * 990)) == pytest.approx(2 * 10 / 1000)
    assert p_value(np.zeros(999)) == 1


def test_holm_by_hand() -> None:
    # 0.01 * 4, then 0.02 * 3 = 0.06, then 0.03 * 2 raised to 0.06, then 0.5 * 1.
    assert holm([0.02, 0.5, 0.01, 0.03]) == pytest.approx([0.06, 0.5, 0.04, 0.06])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


def test_a_family_gets_the_draws_that_its_correction_needs() -> None:
    for comparisons in (1, 30, 168):
        draws = enough_draws(comparisons)
        assert draws >= 20 * comparisons / 0.05
        floor = p_value(np.ones(draws))
        assert holm([floor] * comparisons) == pytest.approx([resolution(comparisons, draws)] * comparisons)
        assert resolution(comparisons, draws) <= 0.005
    assert enough_draws(0) == enough_draws(1) == 1000
    assert enough_draws(10**6) == 100_000
    assert resolution(10**6, 1000) == 1


def test_differences_without_cause_are_seldom_significant_and_trials_alone_deceive() -> None:
    """Two systems of equal quality on 24 speakers: p <= 0.05 in about 5 % of 120 worlds."""
    rng = np.random.default_rng(0)
    n_speakers, per_speaker, draws = 24, 3, 199
    positions, first, second, label = all_pairs(n_speakers, per_speaker)
    resampling = draw_speakers(first, second, label, draws=draws)
    worlds = [synthetic_scores(rng, positions, label, n_speakers, per_speaker) for _ in range(200)]
    truth = np.mean([metrics.eer(world, label) for world in worlds])
    false_claims = covered = covered_by_trials = 0
    for _ in range(120):
        a, b = (synthetic_scores(rng, positions, label, n_speakers, per_speaker) for _ in range(2))
        drawn_a, drawn_b = (bootstrap_metrics(one, label, resampling)["eer"] for one in (a, b))
        false_claims += p_value(drawn_a - drawn_b) <= 0.05
        low, high = interval(drawn_a)
        covered += low <= truth <= high
        low, high = interval(bootstrap_metrics(a, label, TrialResampling(label, draws))["eer"])
        covered_by_trials += low <= truth <= high
    assert false_claims <= 15  # binomial(120, 0.05) exceeds 15 once in 5000
    assert covered >= 100
    assert covered_by_trials < covered - 10  # trials are not independent
