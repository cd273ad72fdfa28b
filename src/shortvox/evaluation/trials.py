"""Which utterance is compared with which: pairs of positions into a corpus, and every pair that a corpus allows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from shortvox.corpora.corpus import Corpus
from shortvox.errors import CorpusError, ScoreError


@dataclass(frozen=True, eq=False)
class Trials:
    """Pairs of positions into a corpus: enrol and test (n,) int64, label (n,) bool, True for a target."""

    enrol: np.ndarray
    test: np.ndarray
    label: np.ndarray
    note: str = ""  # how they were made, cap and seed included: written beside every figure

    def __post_init__(self) -> None:
        refuse_one_sided(self.label, self.note or "trials", "an error rate needs both targets and non-targets")

    def __len__(self) -> int:
        return len(self.label)

    @property
    def n_target(self) -> int:
        return int(self.label.sum())

    @property
    def n_nontarget(self) -> int:
        return len(self) - self.n_target

    @property
    def remarks(self) -> str:
        """How many trials stand there more than once or compare an utterance with itself, "" where none does."""
        again = len(self) - len(np.unique(self.enrol * (self.test.max() + 1) + self.test))
        itself = int((self.enrol == self.test).sum())
        told = [(again, "trials are there again"), (itself, "trials compare an utterance with itself")]
        return ", ".join(f"{count} {what}" for count, what in told if count)

    def where(self, mask: np.ndarray) -> Trials:
        """The trials that a (n,) bool mask keeps. Raises ScoreError when it leaves a side empty."""
        return Trials(self.enrol[mask], self.test[mask], self.label[mask], self.note)


def refuse_one_sided(label: np.ndarray, where: str, remedy: str) -> None:
    """Raises ScoreError for labels (n,) without a target or without a non-target."""
    for side, name in ((label, "target"), (~label, "non-target")):
        if not side.any():
            raise ScoreError(f"{where}: no {name} trials among {len(label)}; {remedy}")


def make_trials(corpus: Corpus, *, seed: int = 0, max_nontarget: int = 40_000, same_gender: bool = False) -> Trials:
    """All ordered pairs of different utterances, the non-targets capped by a seeded draw without replacement.

    A target pair within one session is left out for a speaker who has several sessions, because it would
    measure the session. With `same_gender`, non-targets are pairs of one gender. No pair is enumerated
    beyond the cap. Raises ScoreError when no target or no non-target exists, CorpusError when a gender is
    needed and missing.
    """
    genders = np.array([utterance.gender for utterance in corpus.utterances], dtype=str)
    if same_gender and (genders == "").any():
        first = corpus.utterances[int(np.argmax(genders == ""))].id
        raise CorpusError(
            f"{corpus.root}: {(genders == '').sum()} utterances have no gender (first "
            f"{first!r}); fill the manifest's gender column or drop same-gender trials"
        )
    speakers = corpus.by_speaker().values()
    targets = [pair for positions in speakers for pair in _target_pairs(corpus, positions)]
    target = np.array(targets, dtype=np.int64).reshape(-1, 2)
    group = genders if same_gender else np.zeros(len(genders), dtype=str)
    nontarget, total = _nontarget_pairs(corpus, group, max_nontarget, np.random.default_rng(seed))
    pairs = np.concatenate([target, nontarget])
    label = np.arange(len(pairs)) < len(target)
    refuse_one_sided(
        label,
        f"{corpus.root}: all pairs of {len(corpus)} utterances of {len(corpus.speakers)} speakers",
        "add speakers, and utterances of other sessions of the same speakers, or give a trial list",
    )
    capped = f", a draw of {len(nontarget)} (seed {seed})" if total > len(nontarget) else ""
    note = (
        f"all ordered pairs of different utterances: {len(target)} targets, {total} non-targets{capped}"
        f"{', same gender only' if same_gender else ''}"
    )
    return Trials(pairs[:, 0], pairs[:, 1], label, note)


def _target_pairs(corpus: Corpus, positions: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    sessions = [corpus.utterances[position].session for position in positions]
    several = len(set(sessions) - {""}) > 1
    for a, session_a in zip(positions, sessions, strict=True):
        for b, session_b in zip(positions, sessions, strict=True):
            if a != b and not (several and session_a and session_a == session_b):
                yield a, b


def _nontarget_pairs(corpus: Corpus, group: np.ndarray, most: int, rng: np.random.Generator) -> tuple[np.ndarray, int]:
    """Pairs (k, 2) of different speakers within a group, k at most `most`, and how many there are in all.

    With utterances ordered by group and speaker, the partners of each are its group's block without its
    speaker's block, so that the r-th of all pairs is found by arithmetic.
    """
    speaker = np.unique([utterance.speaker for utterance in corpus.utterances], return_inverse=True)[1]
    group = np.unique(group, return_inverse=True)[1]
    order = np.lexsort((speaker, group))
    blocks = group * (speaker.max() + 1) + speaker
    group_start, group_end = _block_bounds(group[order])
    own_start, own_end = _block_bounds(blocks[order])
    partners = (group_end - group_start) - (own_end - own_start)
    before = np.concatenate([[0], np.cumsum(partners)])
    total = int(before[-1])
    rank = np.sort(rng.choice(total, most, replace=False)) if total > most else np.arange(total)
    first = np.searchsorted(before, rank, side="right") - 1
    second = group_start[first] + rank - before[first]
    second = np.where(second >= own_start[first], second + (own_end - own_start)[first], second)
    return np.stack([order[first], order[second]], axis=1).astype(np.int64), total


def _block_bounds(ordered: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For every element of an ordered array, where its run of equal values starts and ends."""
    return np.searchsorted(ordered, ordered, side="left"), np.searchsorted(ordered, ordered, side="right")
