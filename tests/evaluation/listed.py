"""A corpus of which only the list exists."""

from __future__ import annotations

from pathlib import Path

from shortvox.corpora.corpus import Corpus
from shortvox.corpora.utterance import Utterance

ROOT = Path("/corpus")


def corpus_of(*rows: tuple[str, str, str, str], folder: str = "wav") -> Corpus:
    """Rows of (id, speaker, session, gender)."""
    return Corpus(
        "test",
        ROOT,
        tuple(
            Utterance(id, speaker, ROOT / folder / f"{id}.wav", session=session, gender=gender)
            for id, speaker, session, gender in rows
        ),
    )
