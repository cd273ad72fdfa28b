"""A plain tree: `speaker/…/file`. The folders between are the session; the id is the path without suffix."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from shortvox.corpora.finding import audio_files
from shortvox.corpora.importers.layout import MISFITS, Layout
from shortvox.corpora.utterance import Utterance


def read(source: Path) -> Layout:
    found = audio_files(source)
    files = [(path, path.relative_to(source)) for path in found.paths]
    # `a/1.wav` beside `a/1.flac` are two utterances: both keep their suffix in the id.
    times = Counter(relative.with_suffix("") for _, relative in files)
    named = {
        relative: relative if times[relative.with_suffix("")] > 1 else relative.with_suffix("") for _, relative in files
    }
    utterances = tuple(
        Utterance(
            id=named[relative].as_posix(), speaker=relative.parts[0], path=path, session="/".join(relative.parts[1:-1])
        )
        for path, relative in files
        if len(relative.parts) > 1
    )
    misfits = tuple(relative.as_posix() for _, relative in files if len(relative.parts) == 1)
    return Layout(source, utterances, {MISFITS: misfits, **found.passed_over})
