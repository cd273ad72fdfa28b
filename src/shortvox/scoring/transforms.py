"""Changes of embeddings before they are compared, fitted on the cohort: a chain that ends at unit length.

Centring and length normalisation: Garcia-Romero and Espy-Wilson, "Analysis of i-vector length normalization in speaker
recognition systems", 2011.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from shortvox.registry import Registry

Transform = Callable[[np.ndarray], np.ndarray]
transform: Registry[Callable[[np.ndarray], Transform]] = Registry("embedding transform")

# Of a direction, as a share of the mean variance: with fewer embeddings than dimensions, some do not vary at all.
LEAST_VARIANCE = 0.01


@transform("centring")
def centring(embeddings: np.ndarray) -> Transform:
    """Subtracts the mean of `embeddings` (n, dim)."""
    mean = embeddings.mean(axis=0)
    return lambda vectors: vectors - mean


@transform("whitening")
def whitening(embeddings: np.ndarray) -> Transform:
    """Turns the covariance of `embeddings` (n, dim) into the identity, in the directions that vary.

    Symmetric (ZCA): the axes stay what they were. It subtracts no mean; put centring before it.
    """
    values, directions = np.linalg.eigh(np.cov(embeddings.T.astype(np.float64), bias=True))
    values = values.clip(max(LEAST_VARIANCE * values.mean(), np.finfo(np.float32).tiny))
    matrix = (directions / np.sqrt(values)) @ directions.T
    return lambda vectors: vectors @ matrix


def fit_chain(names: Sequence[str], embeddings: np.ndarray) -> Transform:
    """The named transforms one after the other, each fitted on what those before it made of `embeddings` (n, dim).

    The result takes and gives (n, dim) float32; after a chain that is not empty the vectors are of unit length again.
    """
    chain: list[Transform] = []
    for name in names:
        chain.append(transform[name](embeddings))
        embeddings = chain[-1](embeddings)

    def apply(vectors: np.ndarray) -> np.ndarray:
        for change in chain:
            vectors = change(vectors)
        return unit_length(vectors) if chain else vectors

    return apply


def unit_length(vectors: np.ndarray) -> np.ndarray:
    """(n, dim) -> float32 of length one; a zero vector stays zero."""
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True).clip(1e-12)).astype(np.float32)
