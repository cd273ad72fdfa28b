"""Which utterance is compared with which: trial lists as published, or every pair that a corpus allows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shortvox.corpora.corpus import Corpus
from shortvox.corpora.utterance import Utterance
from shortvox.errors import CorpusError, ScoreError

AUDIO_SUFFIXES = frozenset(["wav", "flac", "m4a", "mp3", "ogg", "opus", "g722", "gsm", "sph", "webm"])
VOXCELEB_LABELS = {"1": True, "0": False}
KALDI_LABELS = {"target": True, "nontarget": False}


@dataclass(frozen=True, eq=False)
class Trials:
    """Pairs of positions into a corpus: enrol and test (n,) int64, label (n,) bool, True for a target."""

    enrol: np.ndarray
    test: np.ndarray
    label: np.ndarray
    note: str = ""  # how they were made, cap and seed included: written beside every figure

    def __post_init__(self) -> None:
        for side, name in ((self.label, "target"), (~self.label, "non-target")):
            if not side.any():
                raise ScoreError(
                    f"{self.note or 'trials'}: no {name} trials among {len(self)}; "
                    "an error rate needs both targets and non-targets"
                )

    def __len__(self) -> int:
        return len(self.label)

    @property
    def n_target(self) -> int:
        return int(self.label.sum())

    @property
    def n_nontarget(self) -> int:
        return len(self) - self.n_target

    def where(self, mask: np.ndarray) -> Trials:
        """The trials that a (n,) bool mask keeps. Raises ScoreError when it leaves a side empty."""
        return Trials(self.enrol[mask], self.test[mask], self.label[mask], self.note)


def read_trials(path: Path, corpus: Corpus) -> Trials:
    """A trial list in VoxCeleb's form (`1 enrol test`, or 0) or Kaldi's (`enrol test target|nontarget`).

    VoxCeleb's published O, E and H lists, original and cleaned, are read as they are: names may carry an
    audio extension or not, and may be utterance ids or paths below the corpus. Raises CorpusError, naming
    the row, for a malformed row, an unknown utterance or a label that contradicts the corpus's speakers;
    ScoreError when a side is empty.
    """
    try:
        rows = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusError(f"{path}: trial list cannot be read as text ({error})") from error
    position = _name_lookup(corpus)
    speakers = [utterance.speaker for utterance in corpus.utterances]
    enrol, test, label = [], [], []
    for number, is_target, names in _parse_rows(rows, path):
        pair = []
        for name in names:
            found = position.get(name, position.get(_without_suffix(name)))
            if found is None:
                raise CorpusError(
                    f"{path}: row {number}: utterance {name!r} is not in {corpus.root} "
                    "(or fits several there); check the list against the manifest"
                )
            pair.append(found)
        if (speakers[pair[0]] == speakers[pair[1]]) != is_target:
            raise CorpusError(
                f"{path}: row {number}: label {int(is_target)} contradicts the "
                f"manifest's speakers {speakers[pair[0]]!r} and {speakers[pair[1]]!r}"
            )
        enrol.append(pair[0])
        test.append(pair[1])
        label.append(is_target)
    sides = np.array(enrol, dtype=np.int64), np.array(test, dtype=np.int64)
    itself = int((sides[0] == sides[1]).sum())
    note = f"{path.name}" + (f" ({itself} trials compare an utterance with itself)" if itself else "")
    return Trials(*sides, np.array(label, dtype=bool), note)


def named_in(trials: Path, corpus: Corpus) -> Corpus:
    """The utterances of `corpus` that a trial list names."""
    listed = read_trials(trials, corpus)
    used = {corpus.utterances[position].id for position in {*listed.enrol.tolist(), *listed.test.tolist()}}
    return corpus.select(lambda u: u.id in used)


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
            f"corpus {corpus.name!r}: {(genders == '').sum()} utterances have no gender (first "
            f"{first!r}); fill the manifest's gender column or drop same-gender trials"
        )
    speakers = corpus.by_speaker().values()
    targets = [pair for positions in speakers for pair in _target_pairs(corpus, positions)]
    target = np.array(targets, dtype=np.int64).reshape(-1, 2)
    group = genders if same_gender else np.zeros(len(genders), dtype=str)
    nontarget, total = _nontarget_pairs(corpus, group, max_nontarget, np.random.default_rng(seed))
    pairs = np.concatenate([target, nontarget])
    capped = f", a draw of {len(nontarget)} (seed {seed})" if total > len(nontarget) else ""
    note = (
        f"all ordered pairs of different utterances: {len(target)} targets, {total} non-targets{capped}"
        f"{', same gender only' if same_gender else ''}"
    )
    return Trials(pairs[:, 0], pairs[:, 1], np.arange(len(pairs)) < len(target), note)


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


def _parse_rows(rows: list[str], path: Path) -> Iterator[tuple[int, bool, tuple[str, str]]]:
    """(row number, is target, (enrol, test)); the first row decides which of the two forms the list has."""
    kaldi: bool | None = None
    for number, row in enumerate(rows, start=1):
        fields = row.split()
        if not fields:
            continue
        if len(fields) != 3:
            raise CorpusError(
                f"{path}: row {number}: {len(fields)} fields; expected `1 enrol test` or `enrol test target`"
            )
        if kaldi is None:
            kaldi = fields[2] in KALDI_LABELS
        labels, mark, names = (
            (KALDI_LABELS, fields[2], (fields[0], fields[1]))
            if kaldi
            else (VOXCELEB_LABELS, fields[0], (fields[1], fields[2]))
        )
        if mark not in labels:
            raise CorpusError(
                f"{path}: row {number}: label {mark!r} in column {3 if kaldi else 1}; expected {' or '.join(labels)}"
            )
        yield number, labels[mark], names


def _name_lookup(corpus: Corpus) -> dict[str, int]:
    """Every name that a trial list may use for an utterance. An id wins; a name that fits two is left out."""
    aliases: dict[str, int | None] = {}
    for position, utterance in enumerate(corpus.utterances):
        for alias in _aliases(utterance, corpus.root):
            aliases[alias] = position if aliases.get(alias, position) == position else None
    return {name: position for name, position in aliases.items() if position is not None} | corpus.index()


def _aliases(utterance: Utterance, root: Path) -> set[str]:
    path = utterance.path.relative_to(root) if utterance.path.is_relative_to(root) else utterance.path
    # The last three parts are VoxCeleb's own names: speaker/video/segment.wav.
    names = {utterance.id, path.as_posix(), "/".join(path.parts[-3:])}
    parts, owner = utterance.id.split("/"), utterance.speaker.split("/")
    if len(owner) > 1 and len(parts) >= len(owner) and parts[: len(owner) - 1] == owner[:-1]:
        # Several corpora at once prefix their ids; a published list does not.
        names.add("/".join(parts[len(owner) - 1 :]))
    return names | {_without_suffix(name) for name in names}


def _without_suffix(name: str) -> str:
    stem, dot, suffix = name.rpartition(".")
    return stem if dot and suffix.lower() in AUDIO_SUFFIXES else name
