"""Score normalisation against the definition, one trial at a time."""

from __future__ import annotations

import numpy as np
import pytest

from shortvox.config import parse
from shortvox.errors import ConfigError
from shortvox.scoring import measures
from shortvox.scoring.norm import NormSettings, Side, effective_name, norm

COHORT, TOP, FLOOR = 40, 12, 1e-4


def unit(rng: np.random.Generator, *shape: int) -> np.ndarray:
    vectors = rng.normal(size=shape)
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


@pytest.fixture
def trials() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """Enrolment and test embeddings, the cohorts of the two sides, and which are compared."""
    rng = np.random.default_rng(3)
    rows = (rng.integers(7, size=60), rng.integers(9, size=60))
    return unit(rng, 7, 8), unit(rng, 9, 8), unit(rng, COHORT, 8), unit(rng, COHORT, 8), rows


def naive(name: str, enrol: np.ndarray, test: np.ndarray, of_enrol: np.ndarray, of_test: np.ndarray) -> float:
    """One trial, from its two embeddings and the cohort's, as METHODS says it."""
    score = float(enrol @ test)
    against_enrol = [float(enrol @ member) for member in of_enrol]
    against_test = [float(test @ member) for member in of_test]
    count = COHORT if name == "s-norm" else TOP
    nearest_enrol = sorted(range(COHORT), key=lambda k: -against_enrol[k])[:count]
    nearest_test = sorted(range(COHORT), key=lambda k: -against_test[k])[:count]
    if name == "as-norm2":
        nearest_enrol, nearest_test = nearest_test, nearest_enrol
    sides = []
    for against, nearest in ((against_enrol, nearest_enrol), (against_test, nearest_test)):
        kept = [against[k] for k in nearest]
        mean = sum(kept) / len(kept)
        sides.append((score - mean) / (sum((value - mean) ** 2 for value in kept) / len(kept)) ** 0.5)
    return sum(sides) / 2


@pytest.mark.parametrize("block", [measures.BLOCK, 50])
@pytest.mark.parametrize("name", ["s-norm", "as-norm1", "as-norm2"])
def test_it_agrees_with_a_loop_over_trials(
    trials: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray]],
    name: str,
    block: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(measures, "BLOCK", block)
    enrol, test, of_enrol, of_test, rows = trials
    settings = NormSettings(name=name, top=TOP, floor=FLOOR)
    top = norm[name].top(settings, COHORT)
    sides = [Side.of(one @ cohort.T, top, FLOOR) for one, cohort in ((enrol, of_enrol), (test, of_test))]
    scores = np.einsum("nd,nd->n", enrol[rows[0]], test[rows[1]])
    expected = [naive(name, enrol[e], test[t], of_enrol, of_test) for e, t in zip(*rows, strict=True)]
    np.testing.assert_allclose(norm[name].apply(scores, sides[0], sides[1], rows), expected, rtol=1e-9)


def test_the_two_kinds_of_as_norm_differ_and_both_are_s_norm_over_the_whole_cohort(
    trials: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray]],
) -> None:
    enrol, test, cohort, _, rows = trials
    scores = np.einsum("nd,nd->n", enrol[rows[0]], test[rows[1]])

    def normalised(name: str, top: int | None) -> np.ndarray:
        chosen = norm[name]
        count = chosen.top(NormSettings(name=name, top=top), COHORT)
        sides = [Side.of(side @ cohort.T, count, FLOOR) for side in (enrol, test)]
        return chosen.apply(scores, sides[0], sides[1], rows)

    assert np.abs(normalised("as-norm1", TOP) - normalised("as-norm2", TOP)).max() > 0.1
    for name in ("as-norm1", "as-norm2"):
        np.testing.assert_allclose(normalised(name, COHORT), normalised("s-norm", None))
        assert effective_name(NormSettings(name=name, top=COHORT + 5), COHORT) == "s-norm"
        assert effective_name(NormSettings(name=name, top=TOP), COHORT) == name
    assert effective_name(NormSettings(), COHORT) == "none"


@pytest.mark.parametrize(("cohort", "top"), [(8, 8), (20, 10), (451, 90), (1211, 242), (6000, 300)])
def test_how_many_of_the_cohort(cohort: int, top: int) -> None:
    settings = NormSettings(name="as-norm1")
    assert norm["as-norm1"].top(settings, cohort) == top
    assert norm["s-norm"].top(settings, cohort) == cohort


def test_a_cohort_of_equals_gives_no_infinite_score() -> None:
    side = Side.of(np.full((1, 5), 0.3), 3, FLOOR)
    row = np.zeros(1, dtype=int)
    assert norm["as-norm2"].apply(np.array([0.4]), side, side, (row, row))[0] == pytest.approx(0.1 / FLOOR)


@pytest.mark.parametrize(
    ("values", "message"),
    [({"name": "as-norm"}, "did you mean 'as-norm"), ({"top": 1}, "top"), ({"floor": 0}, "floor")],
)
def test_what_it_cannot_be_asked_for(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse(NormSettings, values, "norm")
