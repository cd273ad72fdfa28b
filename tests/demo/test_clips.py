from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from shortvox.demo.clips import Clip, join, trim

RATE = 16000


def test_trim_keeps_the_speech_and_30_ms_around_it() -> None:
    rng = np.random.default_rng(0)
    samples = 1e-4 * rng.standard_normal(3 * RATE).astype(np.float32)
    samples[RATE : 2 * RATE] += np.float32(0.3) * rng.standard_normal(RATE).astype(np.float32)
    kept = trim(samples)
    assert 1.06 * RATE <= len(kept) <= 1.11 * RATE  # a 25 ms frame that only touches the speech is loud already
    start = np.flatnonzero(np.all(np.lib.stride_tricks.sliding_window_view(samples, 5) == kept[:5], axis=1))[0]
    assert 0 < RATE - start < 0.06 * RATE


def test_trim_leaves_nothing_of_silence_clicks_and_empty_files() -> None:
    quiet = np.full(RATE, 1e-4, np.float32)
    click = quiet.copy()
    click[8000:8800] = 0.5
    for samples in (quiet, click, quiet[:100], quiet[:0]):
        assert len(trim(samples)) == 0


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(4000, 5 * RATE), max_size=40), st.integers(0, 5))
def test_each_clip_is_in_one_utterance_only(lengths: list[int], seed: int) -> None:
    clips = [
        Clip(str(i), np.full(n, (i + 1) / 100, np.float32), ("a" if i % 3 else "b",)) for i, n in enumerate(lengths)
    ]
    utterances = join(clips, np.random.default_rng(seed))
    used = [clip.name for _, parts in utterances for clip in parts]
    assert len(used) == len(set(used))
    for samples, parts in utterances:
        assert 6 * RATE <= len(samples) <= 8 * RATE
        assert len({clip.group for clip in parts}) == 1
        # the clip's number is its level, so the samples tell whether the named clips, and no others, are inside
        assert set(np.unique(np.round(samples * 100)[100:-100])) <= {0, *range(len(lengths) + 1)}
        assert {int(v) for v in np.round(samples * 100)} >= {int(clip.name) + 1 for clip in parts[:-1]}
    left = sum(len(clip.samples) for clip in clips if clip.name not in used)
    assert left < 2 * 6 * RATE  # less than an utterance of each group


def test_joining_is_seeded_and_a_long_rest_may_be_kept() -> None:
    clips = [Clip(str(i), np.full(RATE, 0.1, np.float32)) for i in range(11)]
    first, second = (join(clips, np.random.default_rng(4), least=3.0) for _ in range(2))
    assert [[c.name for c in parts] for _, parts in first] == [[c.name for c in parts] for _, parts in second]
    assert [len(parts) for _, parts in first] == [6, 5]
    assert len(join(clips, np.random.default_rng(4))) == 1
