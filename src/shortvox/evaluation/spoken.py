"""Trials between any amounts of net speech, on crops of a corpus: what `amounts.py` fits to and `holding.py` measures.

Enrolments of one to five recordings, cut short or whole, against tests from 0.3 s on, in the speech that decisions
find. Targets come from different sessions wherever the corpus knows sessions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from shortvox.corpora.audio import SAMPLE_RATE
from shortvox.corpora.crop import of_similar_length
from shortvox.corpora.speech import SpeechData
from shortvox.errors import ScoreError
from shortvox.verification.speech import find_speech
from shortvox.verification.stream import LOOKS

TESTED = (0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0)  # seconds of net speech; whole recordings come on top
ENROLLED = (0.5, 1.0, 2.0, 3.0)  # of each recording
RECORDINGS = (1, 2, 3, 5)
CHUNK = 0.5  # seconds of pieces that are scored one by one
MOST_UTTERANCES = 12  # of a speaker
MOST_TRIALS = 1500  # of a side of a combination
LEAST_TARGETS = 30
WHOLE = 0.0  # stands for a whole recording among lengths

Embed = Callable[[Sequence[np.ndarray]], np.ndarray]


@dataclass(frozen=True, eq=False)
class HeardCorpus:
    """Net speech of a corpus in embeddings: for each length (n, dim) float32, NaN where an utterance is shorter.

    `beginnings` are embeddings of the first seconds of each utterance, for LOOKS; `chunks` of its pieces of CHUNK
    seconds, by where they begin.
    """

    speakers: np.ndarray
    sessions: np.ndarray
    seconds: np.ndarray
    crops: dict[float, np.ndarray]
    beginnings: dict[float, np.ndarray]
    chunks: dict[float, np.ndarray]


@dataclass(frozen=True, eq=False)
class Trials:
    """Of one combination of amounts: cosines, who is the same, seconds of both sides, enrolled recordings.

    `first` and `second` are the speakers of both sides, by number.
    """

    score: np.ndarray
    label: np.ndarray
    enrolled: np.ndarray
    tested: np.ndarray
    recordings: int
    first: np.ndarray
    second: np.ndarray
    lengths: tuple[float, float]  # of each enrolled recording and of the test, 0 for whole ones


def hear(embed: Embed, data: SpeechData, shortest: int, *, chunks: bool = False, seed: int = 0) -> HeardCorpus:
    """Embeddings of crops of the net speech of at most MOST_UTTERANCES utterances of every speaker.

    `shortest` is the fewest samples that `embed` takes. Raises ScoreError where no speech is found.
    """
    rng = np.random.default_rng((seed, 31))
    chosen = [p for at in data.corpus.by_speaker().values() for p in rng.permutation(at)[:MOST_UTTERANCES].tolist()]
    nets = {p: find_speech(data.store.read(p)).net for p in chosen}
    floor = max(shortest, round(TESTED[0] * SAMPLE_RATE))
    chosen = [p for p in chosen if len(nets[p]) >= floor]
    pieces: dict[tuple[str, float, int], np.ndarray] = {}
    for place, p in enumerate(chosen):
        net = nets[p]
        pieces["crop", WHOLE, place] = net
        for length in sorted({*TESTED, *ENROLLED}):
            if (samples := round(length * SAMPLE_RATE)) <= len(net) and samples >= shortest:
                start = int(rng.integers(0, len(net) - samples + 1))
                pieces["crop", length, place] = net[start : start + samples]
        for length in LOOKS:
            if (samples := round(length * SAMPLE_RATE)) <= len(net) and samples >= shortest:
                pieces["beginning", length, place] = net[:samples]
        for number in range(min(round(LOOKS[-1] / CHUNK), int(len(net) / (CHUNK * SAMPLE_RATE))) if chunks else 0):
            first, last = (round(edge * CHUNK * SAMPLE_RATE) for edge in (number, number + 1))
            pieces["chunk", number * CHUNK, place] = net[first:last]
    if not pieces:
        raise ScoreError(f"{data.corpus.name}: no speech of {TESTED[0]:g} s or more was found to calibrate with")
    found = _embedded(embed, pieces, len(chosen))
    utterances = [data.corpus.utterances[p] for p in chosen]
    return HeardCorpus(
        np.array([one.speaker for one in utterances]),
        np.array([one.session for one in utterances]),
        np.array([len(nets[p]) / SAMPLE_RATE for p in chosen]),
        {length: found["crop", length] for kind, length in found if kind == "crop"},
        {length: found["beginning", length] for kind, length in found if kind == "beginning"},
        {start: found["chunk", start] for kind, start in found if kind == "chunk"},
    )


def _embedded(
    embed: Embed, pieces: dict[tuple[str, float, int], np.ndarray], many: int
) -> dict[tuple[str, float], np.ndarray]:
    keys = [*pieces]
    found: dict[tuple[str, float], np.ndarray] = {}
    for places in of_similar_length([len(pieces[key]) for key in keys]):
        for place, embedding in zip(places, embed([pieces[keys[place]] for place in places]), strict=True):
            kind, length, position = keys[place]
            table = found.setdefault((kind, length), np.full((many, len(embedding)), np.nan, np.float32))
            table[position] = embedding
    return found


def make_trials(heard: HeardCorpus, seed: int = 0) -> list[Trials]:
    """All combinations of amounts for which the speech is there."""
    rng = np.random.default_rng((seed, 32))
    positions = [np.flatnonzero(heard.speakers == name) for name in np.unique(heard.speakers)]
    result = []
    for several in RECORDINGS:
        sets = np.array([one for at in positions for one in _sets(at, several, rng)], np.int64).reshape(-1, several)
        if not len(sets):
            continue
        same, fair = fair_pairs(heard, sets)
        for enrolled in (*ENROLLED, WHOLE):
            for tested in (*TESTED, WHOLE):
                if enrolled in heard.crops and tested in heard.crops:
                    found = _combination(heard, sets, enrolled, tested, same, fair, rng)
                    if found is not None:
                        result.append(found)
    return result


def _sets(at: np.ndarray, several: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Enrolments of one speaker: each recording once as the first of a set."""
    if len(at) <= several:
        return
    for first in at:
        yield np.array([first, *rng.permutation(at[at != first])[: several - 1]])


def fair_pairs(heard: HeardCorpus, sets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """bool (sets, utterances): one speaker; and a fair trial: nothing enrolled and, if known, another session."""
    same = heard.speakers[sets[:, 0]][:, None] == heard.speakers
    inside = (sets[:, :, None] == np.arange(len(heard.speakers))).any(axis=1)
    one_session = (heard.sessions[sets][:, :, None] == heard.sessions).any(axis=1) & same
    known = len(np.unique([f"{a}\0{b}" for a, b in zip(heard.speakers, heard.sessions, strict=True)])) > len(
        np.unique(heard.speakers)
    )
    return same, ~inside & ~(one_session if known else np.zeros_like(same))


def _combination(
    heard: HeardCorpus,
    sets: np.ndarray,
    enrolled: float,
    tested: float,
    same: np.ndarray,
    fair: np.ndarray,
    rng: np.random.Generator,
) -> Trials | None:
    centres = heard.crops[enrolled][sets].astype(np.float64).mean(axis=1)
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    tests = heard.crops[tested].astype(np.float64)
    fair = fair & ~np.isnan(centres).any(axis=1)[:, None] & ~np.isnan(tests).any(axis=1)
    targets, others = np.argwhere(fair & same), np.argwhere(fair & ~same)
    if len(targets) < LEAST_TARGETS or not len(others):
        return None
    chosen = np.concatenate([rng.permutation(targets)[:MOST_TRIALS], rng.permutation(others)[:MOST_TRIALS]])
    row, column = chosen.T
    whole = heard.seconds[sets].sum(axis=1)
    _, numbers = np.unique(heard.speakers, return_inverse=True)
    return Trials(
        np.einsum("ij,ij->i", centres[row], tests[column]),
        same[row, column],
        (np.full(len(sets), sets.shape[1] * enrolled) if enrolled else whole)[row],
        (np.full(len(heard.seconds), tested) if tested else heard.seconds)[column],
        sets.shape[1],
        numbers[sets[row, 0]],
        numbers[column],
        (enrolled, tested),
    )
