"""Splits by speaker: nobody is on both sides."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from contextlib import ExitStack
from pathlib import Path

from shortvox.corpora.corpus import Corpus
from shortvox.corpora.placing import place, refuse_manifest, take_back
from shortvox.errors import CorpusError
from shortvox.files import write_text
from shortvox.textfiles import read_lines


def split_speakers(corpus: Corpus, test_speakers: Iterable[str]) -> tuple[Corpus, Corpus]:
    """(train, test). With several corpora, a name may be given without its `<corpus>/` prefix.

    Raises CorpusError for an unknown or ambiguous name, and when one side would be empty.
    """
    chosen = {_resolve(corpus, name) for name in test_speakers}
    train = corpus.select(lambda u: u.speaker not in chosen, f"{corpus.name}-train")
    test = corpus.select(lambda u: u.speaker in chosen, f"{corpus.name}-test")
    for side, what in ((train, "training"), (test, "test")):
        if not side.utterances:
            raise CorpusError(
                f"{corpus.root}: no {what} speaker is left; "
                f"{len(chosen)} of {len(corpus.speakers)} speakers were chosen for test"
            )
    return train, test


def hold_out(corpus: Corpus, *, fraction: float, seed: int = 0, min_utterances: int = 2) -> tuple[Corpus, Corpus]:
    """(train, held out): a `fraction` of all speakers, at least one, drawn by `seed`.

    Only speakers with `min_utterances` or more are drawn, for one utterance alone makes no target trial. A
    speaker's draw depends on seed and name only, so adding speakers to a corpus moves few others. Raises
    CorpusError when there are not enough speakers.
    """
    if not 0 < fraction < 1:
        raise CorpusError(f"a fraction of {fraction:g} cannot be held out; choose one between 0 and 1")
    wanted = max(round(fraction * len(corpus.speakers)), 1)
    fit = [speaker for speaker, own in corpus.by_speaker().items() if len(own) >= min_utterances]
    if wanted > len(fit) or wanted >= len(corpus.speakers):
        raise CorpusError(
            f"{corpus.root}: {wanted} speakers cannot be held out of {len(corpus.speakers)} "
            f"({len(fit)} have {min_utterances} or more utterances); add some or ask for fewer"
        )
    drawn = sorted(fit, key=lambda speaker: hashlib.sha256(f"{seed}/{speaker}".encode()).digest())
    return split_speakers(corpus, drawn[:wanted])


def read_speakers(path: Path) -> tuple[str, ...]:
    """A list of speakers, one a line; blank lines do not count. Raises CorpusError if empty or repetitive."""
    rows: dict[str, int] = {}
    for row, line in enumerate(read_lines(path, CorpusError, "a list of speakers, one a line"), start=1):
        name = line.strip()
        if name in rows:
            raise CorpusError(f"{path}: row {row}: speaker {name} is also in row {rows[name]}; keep one")
        if name:
            rows[name] = row
    if not rows:
        raise CorpusError(f"{path}: no speakers; expected one a line")
    return tuple(rows)


def write_split(out: Path, train: Corpus, test: Corpus) -> tuple[Corpus, Corpus]:
    """Write `out/train` and `out/test` as corpora over the same recordings, with a list of speakers for each.

    Both sides or, where one cannot be made, neither. Raises CorpusError when a split is there already.
    """
    for side in ("train", "test"):
        refuse_manifest(out / side)
    with ExitStack() as undo:
        placed = []
        for side, corpus in (("train", train), ("test", test)):
            placed.append(place(out / side, corpus.root, corpus.utterances, undo))
            names = out / f"{side}_speakers.txt"
            take_back(undo, names.unlink)
            write_text(names, "".join(f"{speaker}\n" for speaker in corpus.speakers))
        undo.pop_all()
    return placed[0], placed[1]


def _resolve(corpus: Corpus, name: str) -> str:
    known: Collection[str] = corpus.speakers
    if name in known:
        return name
    endings = [speaker for speaker in known if speaker.endswith(f"/{name}")]
    if len(endings) == 1:
        return endings[0]
    if endings:
        raise CorpusError(f"{corpus.root}: speaker {name} is one of {', '.join(endings)}; write which")
    raise CorpusError(f"{corpus.root}: no speaker {name!r} in the manifest; correct the list")
