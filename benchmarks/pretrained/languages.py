"""Common Voice speakers whom no model of ours has heard, with a column that names the group of their language.

A training holds speakers out to watch it; the names of all others are in its `speakers.txt`. Common Voice's utterances
name their language: `…-zh-CN_18802272`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from shortvox.corpora.corpus import load_corpus
from shortvox.corpora.speech import SpeechData
from shortvox.errors import CorpusError
from shortvox.models.sidefiles import read_names

_LANGUAGE = re.compile(r"-([a-z]{2,3}(?:-[A-Za-z]+)?)_\d+$")
NAMES = "speakers.txt"


def unheard(corpus: Path, trainings: Sequence[Path], groups: Mapping[str, Sequence[str]], cache: Path) -> SpeechData:
    """Speech of two or more utterances each, by Common Voice speakers of the corpus who are in none of the trainings.

    Raises CorpusError where nobody is left, and for a language that is in no group.
    """
    heard = {name.rpartition("/")[2] for folder in trainings for name in read_names(folder / NAMES)}
    group_of = {language: group for group, languages in groups.items() for language in languages}
    whole = load_corpus(corpus)
    by_speaker = whole.by_speaker()
    rows = []
    for u in whole.utterances:
        found = _LANGUAGE.search(u.id)
        if found is None or u.speaker in heard or len(by_speaker[u.speaker]) < 2:
            continue
        if found[1] not in group_of:
            raise CorpusError(f"{corpus}: language {found[1]} of {u.id} is in no group; add it to groups.languages")
        rows.append(replace(u, extra=(*u.extra, ("language", group_of[found[1]]))))
    if not rows:
        raise CorpusError(
            f"{corpus}: no Common Voice speaker is left whom none of {', '.join(map(str, trainings))} has heard"
        )
    return SpeechData.open(replace(whole, name="Common Voice, unheard", utterances=tuple(rows)), cache)
