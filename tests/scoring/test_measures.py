from __future__ import annotations

import numpy as np
import pytest

from shortvox.scoring import measures
from shortvox.scoring.measures import cohort_table, measure, trial_scores


def pieces(seed: int, count: int, each: int, dim: int = 6) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(count, each, dim))
    return vectors / np.linalg.norm(vectors, axis=2, keepdims=True)


def alike(name: str, a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b) if name == "cosine" else -float(np.sqrt(((a - b) ** 2).sum()))


def explicit(name: str, enrol: np.ndarray, test: np.ndarray) -> float:
    """Mean over all pairs of pieces of one trial."""
    return float(np.mean([alike(name, a, b) for a in enrol for b in test]))


@pytest.mark.parametrize("block", [measures.BLOCK, 700])
@pytest.mark.parametrize("name", ["cosine", "distance"])
def test_scores_are_the_mean_over_all_pairs_of_pieces_and_then_over_the_views(
    name: str, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measures, "BLOCK", block)
    how = measure[name]
    views = [(pieces(0, 4, 10), pieces(1, 5, 10)), (pieces(2, 4, 1), pieces(3, 5, 1))]
    rows = (np.array([0, 3, 2, 0, 1]), np.array([4, 0, 2, 1, 1]))
    summaries = [[how.summary(view[side]) for view in views] for side in (0, 1)]
    expected = [
        np.mean([explicit(name, enrol[e], test[t]) for enrol, test in views]) for e, t in zip(*rows, strict=True)
    ]
    np.testing.assert_allclose(trial_scores(how, summaries[0], summaries[1], rows), expected, rtol=1e-12)


def test_the_mean_of_all_cosines_is_the_dot_product_of_the_mean_unit_vectors() -> None:
    enrol, test = pieces(0, 1, 10), pieces(1, 1, 10)
    cosine = measure["cosine"]
    score = trial_scores(cosine, [cosine.summary(enrol)], [cosine.summary(test)], (np.zeros(1, int), np.zeros(1, int)))
    assert score[0] == pytest.approx(explicit("cosine", enrol[0], test[0]), abs=1e-15)
    assert score[0] == pytest.approx(float(enrol[0].mean(axis=0) @ test[0].mean(axis=0)), abs=1e-15)


@pytest.mark.parametrize("name", ["cosine", "distance"])
def test_the_cohort_is_scored_as_trials_are(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measures, "BLOCK", 20)
    how, views, cohort = measure[name], [pieces(0, 4, 3), pieces(1, 4, 1)], pieces(2, 7, 1)
    summaries = [how.summary(view) for view in views]
    table = cohort_table(how, summaries, cohort[:, 0])
    expected = [[np.mean([explicit(name, view[n], cohort[m]) for view in views]) for m in range(7)] for n in range(4)]
    np.testing.assert_allclose(table, expected, rtol=1e-12)
