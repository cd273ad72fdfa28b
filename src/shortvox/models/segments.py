"""Where the segments of a long piece of speech start: the same rule in training and at test."""

from __future__ import annotations

from math import floor


def segment_starts(total: int, segment: int, overlap: float = 0.0) -> tuple[int, ...]:
    """Starts of the segments of length `segment` that cover `total`; `overlap` is a share of a segment in [0, 1).

    With o = floor(overlap * n) there are K = 1 + ceil((T - n) / (n - o)) segments: segment i starts at i * (n - o), the
    last at T - n, so that nothing is left over and nothing reaches beyond the end. What is no longer than a segment is
    one segment, itself. Units (samples, frames) are the caller's. Raises ValueError for lengths below one and an
    overlap outside [0, 1).
    """
    if total < 1 or segment < 1 or not 0 <= overlap < 1:
        raise ValueError(
            f"total {total}, segment {segment} and overlap {overlap}: lengths count from one, overlap is in [0, 1)"
        )
    if total <= segment:
        return (0,)
    step = max(segment - floor(overlap * segment + 1e-9), 1)  # 0.29 * 100 is a hair below 29 in floating point
    last = total - segment
    return (*range(0, last, step), last)
