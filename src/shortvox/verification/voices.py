"""Whether recordings are one voice, told by the LLRs between them: odd ones out, two voices, how well they agree.

A caller who knows how much was heard of each recording gives natural-log likelihood ratios, one speaker against two,
for every pair; nothing here has a threshold of its own beyond where the likelier of the two changes.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

EVEN = 0.0  # natural-log LLR at which one speaker and two are equally likely


def odd_ones(llrs: np.ndarray, least: float = EVEN) -> tuple[int, ...]:
    """Positions of recordings that are another voice than the most of them, of LLRs (n, n) with any diagonal.

    The voice is the largest group that agrees: recordings are joined, the most alike groups first, while the mean LLR
    between two groups is at least `least` (average linkage). Nobody is odd where all are one group, and nobody can be
    named where no group is larger than every other, as of two recordings that disagree: see `two_voices`.
    """
    groups = voices(llrs, least)
    if len(groups) < 2 or len(groups[0]) == len(groups[1]):
        return ()
    return tuple(sorted(position for group in groups[1:] for position in group))


def two_voices(llrs: np.ndarray, least: float = EVEN) -> bool:
    """Whether recordings, LLRs (n, n), are more than one voice and none of them can be named as the odd one."""
    return len(voices(llrs, least)) > 1 and not odd_ones(llrs, least)


def voices(llrs: np.ndarray, least: float = EVEN) -> tuple[tuple[int, ...], ...]:
    """Positions of the recordings (n, n) of each voice, the largest group first; equal ones in order of position."""
    llrs = _pairs(llrs)
    groups = [[position] for position in range(len(llrs))]
    between = llrs.copy()
    np.fill_diagonal(between, -np.inf)
    while len(groups) > 1:
        one, other = sorted(np.unravel_index(np.argmax(between), between.shape))
        if between[one, other] < least:
            break
        sizes = len(groups[one]), len(groups[other])
        joined = (sizes[0] * between[one] + sizes[1] * between[other]) / sum(sizes)
        between[one], between[:, one] = joined, joined
        between[one, one] = -np.inf
        between = np.delete(np.delete(between, other, axis=0), other, axis=1)
        groups[one] += groups.pop(other)
    return tuple(sorted((tuple(sorted(group)) for group in groups), key=lambda group: (-len(group), group)))


def cohesion(embeddings: np.ndarray) -> float | None:
    """Mean cosine of the pairs of (n, dim) embeddings of unit length; None for a single one."""
    count = len(embeddings)
    if count < 2:
        return None
    exact = embeddings.astype(np.float64)
    total = exact.sum(axis=0)
    return float((total @ total - np.square(exact).sum()) / (count * (count - 1)))


def stretches(samples: int, longest: int) -> tuple[tuple[int, int], ...]:
    """Net speech of `samples`, cut into equal stretches [start, stop) of about `longest`: what two voices within one
    recording are looked for with. One stretch where it is shorter than two."""
    count = max(samples // longest, 1)
    edges = [samples * number // count for number in range(count + 1)]
    return tuple(pairwise(edges))


def _pairs(llrs: np.ndarray) -> np.ndarray:
    """(n, n) float64, the mean of both orders of each pair."""
    exact = np.asarray(llrs, np.float64)
    if exact.ndim != 2 or exact.shape[0] != exact.shape[1]:
        raise ValueError(f"LLRs of shape {exact.shape}: expected one for every pair, (n, n)")
    return (exact + exact.T) / 2
