"""A corpus in figures."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from shortvox.corpora.audio import SAMPLE_RATE
from shortvox.corpora.corpus import Corpus
from shortvox.corpora.store import AudioStore

LENGTHS = (5.0, 3.0, 2.0, 1.5, 1.0)
QUANTILES = {"min": 0.0, "5 %": 0.05, "25 %": 0.25, "median": 0.5, "75 %": 0.75, "95 %": 0.95, "max": 1.0}


def corpus_stats(corpus: Corpus, store: AudioStore) -> dict[str, Any]:
    """Figures as JSON can hold them: counts, hours, quantiles of durations (s) and of utterances per speaker,
    speakers per gender, and, per test length, how many utterances are at least that long.
    """
    seconds = _seconds(store)
    by_speaker = corpus.by_speaker()
    sessions = {(u.speaker, u.session) for u in corpus.utterances if u.session}
    of_speaker = Counter(speaker for speaker, _ in sessions)
    gender = {u.speaker: u.gender for u in corpus.utterances}
    return {
        "corpus": corpus.name,
        "speakers": len(corpus.speakers),
        "utterances": len(corpus.utterances),
        "hours": round(float(seconds.sum()) / 3600, 4),
        "sessions": len(sessions),
        "speakers_with_several_sessions": sum(count > 1 for count in of_speaker.values()),
        "speakers_with_one_utterance": sum(len(own) == 1 for own in by_speaker.values()),
        "gender": dict(sorted(Counter(letter or "unknown" for letter in gender.values()).items())),
        "seconds": _quantiles(seconds),
        "utterances_per_speaker": _quantiles(np.array([len(own) for own in by_speaker.values()])),
        "at_least": {f"{length:g}": int((seconds >= length).sum()) for length in LENGTHS},
    }


def corpus_facts(corpus: Corpus, store: AudioStore) -> dict[str, Any]:
    """What `results.json` and a report say of a corpus: its name, the folders it comes from, counts and hours."""
    several = len(corpus.sources) > 1
    return {
        "name": corpus.name,
        "speakers": len(corpus.speakers),
        "utterances": len(corpus),
        "hours": round(float(_seconds(store).sum()) / 3600, 3),
        "sources": [
            source
            for source in corpus.sources
            if not several or any(u.id.startswith(f"{source}/") for u in corpus.utterances)
        ],
    }


def _seconds(store: AudioStore) -> np.ndarray:
    return np.asarray(store.lengths) / SAMPLE_RATE


def _quantiles(values: np.ndarray) -> dict[str, float]:
    return {name: round(float(np.quantile(values, q)), 4) for name, q in QUANTILES.items()}
