"""Trial lists as published: their names found in a corpus, their labels held against its speakers."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path, PurePosixPath

import numpy as np

from shortvox.corpora.corpus import Corpus
from shortvox.corpora.source import AUDIO_SUFFIXES
from shortvox.corpora.utterance import Utterance
from shortvox.errors import CorpusError
from shortvox.evaluation.trials import Trials, refuse_one_sided
from shortvox.textfiles import fields, read_lines

VOXCELEB_LABELS = {"1": True, "0": False}
KALDI_LABELS = {"target": True, "nontarget": False}


def read_trials(path: Path, corpus: Corpus) -> Trials:
    """A trial list in VoxCeleb's form (`1 enrol test`, or 0) or Kaldi's (`enrol test target|nontarget`).

    VoxCeleb's published O, E and H lists, original and cleaned, are read as they are: names may carry an
    audio extension or not, and may be utterance ids or paths, below the corpus or absolute. Where a row holds
    two tabs they part it, so that a name may hold spaces. Raises CorpusError, naming the row, for a malformed
    row, an unknown utterance or a label that contradicts the corpus's speakers; ScoreError when a side is empty.
    """
    names = _Names(corpus)
    speakers = [utterance.speaker for utterance in corpus.utterances]
    enrol, test, label = [], [], []
    for number, is_target, pair in _parse_rows(path):
        try:
            one, two = (names.find(name) for name in pair)
        except LookupError as error:
            raise CorpusError(f"{path}: row {number}: {error}; check the list against the manifest") from None
        if (speakers[one] == speakers[two]) != is_target:
            raise CorpusError(
                f"{path}: row {number}: label {int(is_target)} contradicts the "
                f"manifest's speakers {speakers[one]!r} and {speakers[two]!r}"
            )
        enrol.append(one)
        test.append(two)
        label.append(is_target)
    labels = np.array(label, dtype=bool)
    refuse_one_sided(labels, str(path), "an error rate needs both; another list, or more rows")
    trials = Trials(np.array(enrol, dtype=np.int64), np.array(test, dtype=np.int64), labels)
    remarks = f" ({trials.remarks})" if trials.remarks else ""
    return replace(trials, note=f"{path.name}{remarks}")


def only_tried(corpus: Corpus, trials: Trials) -> tuple[Corpus, Trials]:
    """The utterances that some trials compare, and the trials with positions among these."""
    used = np.unique(np.concatenate([trials.enrol, trials.test]))
    tried = replace(corpus, utterances=tuple(corpus.utterances[position] for position in used.tolist()))
    enrol, test = np.searchsorted(used, trials.enrol), np.searchsorted(used, trials.test)
    return tried, replace(trials, enrol=enrol, test=test)


def _parse_rows(path: Path) -> Iterator[tuple[int, bool, tuple[str, str]]]:
    """(row number, is target, (enrol, test)); the first row decides which of the two forms the list has."""
    kaldi: bool | None = None
    for number, row in enumerate(read_lines(path, CorpusError, "a trial list"), start=1):
        cells = _cells(row)
        if not cells:
            continue
        if len(cells) != 3:
            raise CorpusError(
                f"{path}: row {number}: {len(cells)} fields; expected `1 enrol test` or `enrol test target`"
            )
        if kaldi is None:
            kaldi = cells[2] in KALDI_LABELS
        labels, mark, names = (
            (KALDI_LABELS, cells[2], (cells[0], cells[1]))
            if kaldi
            else (VOXCELEB_LABELS, cells[0], (cells[1], cells[2]))
        )
        if mark not in labels:
            raise CorpusError(
                f"{path}: row {number}: label {mark!r} in column {3 if kaldi else 1}; expected {' or '.join(labels)} "
                "(`1 enrol test`, `enrol test target`)"
            )
        yield number, labels[mark], names


def _cells(row: str) -> list[str]:
    """Three cells between tabs, which may hold spaces; otherwise what white space parts."""
    cells = [cell.strip() for cell in row.split("\t") if cell.strip()]
    return cells if len(cells) == 3 else fields(row)


class _Names:
    """Every name that a trial list may use for an utterance of a corpus."""

    def __init__(self, corpus: Corpus) -> None:
        self._corpus = corpus
        self._positions = _unambiguous(
            (position, _aliases(u, corpus.root)) for position, u in enumerate(corpus.utterances)
        )
        self._positions.update(corpus.index())  # an id wins

    def find(self, name: str) -> int:
        """Position of the utterance. Raises LookupError, which says why, for a name that fits none or several."""
        if name not in self._positions:
            self._positions[name] = self._look_up(name)
        position = self._positions[name]
        if position is None:
            raise LookupError(f"utterance {name!r} fits several in {self._corpus.root}")
        return position

    def _look_up(self, name: str) -> int | None:
        """By a name written otherwise: another suffix, or `./a//b` for `a/b`, or an absolute path."""
        plain = PurePosixPath(name).as_posix()
        for each in (plain, _without_suffix(name), _without_suffix(plain)):
            if each in self._positions:
                return self._positions[each]
        if plain.startswith("/") and "\0" not in plain:
            real = os.path.realpath(plain)
            for each in (real, _without_suffix(real)):
                if each in self._recordings:
                    return self._recordings[each]
        raise LookupError(f"utterance {name!r} is not in {self._corpus.root}")

    @cached_property
    def _recordings(self) -> dict[str, int | None]:
        """Where recordings really lie, links followed: needed for absolute paths only."""
        real = (os.path.realpath(u.path) for u in self._corpus.utterances)
        return _unambiguous((position, {path, _without_suffix(path)}) for position, path in enumerate(real))


def _unambiguous(names: Iterable[tuple[int, set[str]]]) -> dict[str, int | None]:
    """Position of each name, None for one that fits several."""
    positions: dict[str, int | None] = {}
    for position, aliases in names:
        for alias in aliases:
            positions[alias] = position if positions.get(alias, position) == position else None
    return positions


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
    return stem if f"{dot}{suffix}".lower() in AUDIO_SUFFIXES else name
