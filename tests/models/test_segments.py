from __future__ import annotations

from math import ceil

import pytest

from shortvox.models.segments import segment_starts


@pytest.mark.parametrize(
    ("total", "segment", "overlap", "starts"),
    [
        (200, 100, 0.1, (0, 90, 100)),
        (200, 100, 0.0, (0, 100)),
        (200, 200, 0.5, (0,)),
        (400, 100, 0.0, (0, 100, 200, 300)),
        (369, 100, 0.0, (0, 100, 200, 269)),
        (200, 100, 0.29, (0, 71, 100)),  # floor(29), although 0.29 * 100 is less in floating point
        (50, 100, 0.1, (0,)),
        (12, 10, 1 - 1e-12, (0, 1, 2)),
    ],
)
def test_segment_starts(total: int, segment: int, overlap: float, starts: tuple[int, ...]) -> None:
    assert segment_starts(total, segment, overlap) == starts


def test_segments_cover_everything_and_are_as_many_as_the_formula_says() -> None:
    for total in (100, 101, 199, 369, 400, 1000):
        for overlap in (0.0, 0.1, 0.5, 0.9):
            starts, step = segment_starts(total, 100, overlap), 100 - int(overlap * 100)
            assert len(starts) == 1 + ceil((total - 100) / step)
            assert all(start == number * step for number, start in enumerate(starts[:-1]))
            heard = {sample for start in starts for sample in range(start, start + 100)}
            assert heard == set(range(total))


@pytest.mark.parametrize(("total", "segment", "overlap"), [(0, 1, 0.0), (1, 0, 0.0), (9, 3, 1.0), (9, 3, -0.1)])
def test_impossible_segments_are_refused(total: int, segment: int, overlap: float) -> None:
    with pytest.raises(ValueError, match="overlap"):
        segment_starts(total, segment, overlap)
