"""How alike two utterances are, when each is one or more unit-length embeddings: one for every crop that was heard."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np

from shortvox.registry import Registry

BLOCK = 4_000_000  # numbers that one block of trials or utterances may take


class Measure(Protocol):
    """Scores stacks of embeddings (utterances, pieces, dim); higher is more alike."""

    def summary(self, pieces: np.ndarray) -> np.ndarray:
        """(n, pieces, dim) -> (n, kept, dim): what the other two need to know of each utterance, made once."""
        ...

    def pairs(self, enrol: np.ndarray, test: np.ndarray) -> np.ndarray:
        """Summaries (n, kept, dim) side by side -> scores (n,)."""
        ...

    def table(self, pieces: np.ndarray, cohort: np.ndarray) -> np.ndarray:
        """Summaries (n, kept, dim) against each of the cohort's embeddings (m, dim) -> scores (n, m)."""
        ...


measure: Registry[Measure] = Registry("measure")


class Cosine:
    """Mean of the cosines of all pairs of pieces, which is the dot product of the two mean unit vectors."""

    def summary(self, pieces: np.ndarray) -> np.ndarray:
        return pieces.mean(axis=1, keepdims=True)

    def pairs(self, enrol: np.ndarray, test: np.ndarray) -> np.ndarray:
        return np.einsum("nd,nd->n", enrol[:, 0], test[:, 0])

    def table(self, pieces: np.ndarray, cohort: np.ndarray) -> np.ndarray:
        return pieces[:, 0] @ cohort.T


class Distance:
    """Minus the mean Euclidean distance of all pairs of pieces, as voxceleb_trainer scores its ten crops."""

    def summary(self, pieces: np.ndarray) -> np.ndarray:
        return pieces

    def pairs(self, enrol: np.ndarray, test: np.ndarray) -> np.ndarray:
        return -np.linalg.norm(enrol[:, :, None] - test[:, None], axis=3).mean(axis=(1, 2))

    def table(self, pieces: np.ndarray, cohort: np.ndarray) -> np.ndarray:
        from scipy.spatial.distance import cdist  # which the base is installed without

        count, kept, dim = pieces.shape
        return -cdist(pieces.reshape(-1, dim), cohort).reshape(count, kept, len(cohort)).mean(axis=1)


measure("cosine")(Cosine())
measure("distance")(Distance())


def trial_scores(
    how: Measure, enrol: Sequence[np.ndarray], test: Sequence[np.ndarray], rows: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """Scores (n,) float64 of trials: `rows` (n,) twice point into the summaries of the two sides.

    A side is one stack of summaries for each view of its utterances; the score is the mean over the views.
    """
    scores = np.zeros(len(rows[0]))
    for first, second in zip(enrol, test, strict=True):
        width = first.shape[1] * second.shape[1] * first.shape[2]
        for block in blocks(len(scores), width):
            scores[block] += how.pairs(first[rows[0][block]], second[rows[1][block]])
    return scores / len(enrol)


def cohort_table(how: Measure, side: Sequence[np.ndarray], cohort: np.ndarray) -> np.ndarray:
    """Scores (utterances, cohort) float64 of one side's summaries against the cohort, the mean over the views."""
    table = np.zeros((len(side[0]), len(cohort)))
    for view in side:
        for block in blocks(len(view), view.shape[1] * len(cohort)):
            table[block] += how.table(view[block], cohort)
    return table / len(side)


def blocks(count: int, width: int) -> Iterator[slice]:
    """`count` rows of `width` numbers in pieces of about BLOCK numbers."""
    size = max(1, BLOCK // max(1, width))
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))
