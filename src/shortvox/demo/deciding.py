"""What the model in the box says about the demo's actors: enrolled with two utterances, tested with one second."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.table import Table

from shortvox.corpora.audio import SAMPLE_RATE
from shortvox.corpora.corpus import load_corpus
from shortvox.corpora.speech import SpeechData
from shortvox.gallery.gallery import Gallery
from shortvox.verification.decision import Outcome, Refusal
from shortvox.verification.speech import find_speech
from shortvox.verification.verifier import Verifier
from shortvox.verification.voiceprint import Voiceprint

ENROLLED = 2  # utterances of an actor
SECONDS = 1.0  # of net speech of a test
CONSENT = "recorded and published by the speaker; see licences/"


@dataclass(frozen=True)
class Shown:
    """Of one actor: outcomes for a second of their own and of the next actor, and who the gallery says it is."""

    actor: str
    percent: int
    own: str
    other: str
    identified: str


def show_decisions(test: Path, gallery: Path, cache: Path, model: str = "default") -> tuple[Shown, ...]:
    """Enrol the actors of a corpus folder, all but the last into a gallery at `gallery`, and put each to the test.

    An actor whose recordings are refused, or who has fewer than three, is shown with the reason.
    """
    verifier = Verifier.load(model)
    data = SpeechData.open(load_corpus(test), cache)
    actors = {name: [data.store.read(at) for at in places] for name, places in data.corpus.by_speaker().items()}
    voices = {name: verifier.enrol(takes[:ENROLLED]) for name, takes in actors.items() if len(takes) > ENROLLED}
    tests = {name: second_of(actors[name][ENROLLED]) for name in voices}
    with Gallery.open(gallery, verifier) as kept:
        for name in list(voices)[:-1]:
            if isinstance(voice := voices[name], Voiceprint):
                kept.add(name, voice, consent=CONSENT, replace=True)
        names = list(voices)
        following = dict(zip(names, names[1:] + names[:1], strict=True))
        return tuple(_shown(name, voices[name], tests, following[name], verifier, kept) for name in names)


def _shown(
    name: str,
    voice: Voiceprint | Refusal,
    tests: dict[str, np.ndarray],
    other: str,
    verifier: Verifier,
    kept: Gallery,
) -> Shown:
    if isinstance(voice, Refusal):
        return Shown(name, 0, f"refused: {voice.text}", "", "")
    own, stranger = verifier.verify(voice, tests[name]), verifier.verify(voice, tests[other])
    found = kept.identify(tests[name]).name or "nobody"
    return Shown(name, voice.percent, _told(own.outcome, own.llr), _told(stranger.outcome, stranger.llr), found)


def _told(outcome: Outcome, llr: float | None) -> str:
    return str(outcome) if llr is None else f"{outcome} {llr:+.1f}"


def second_of(take: np.ndarray) -> np.ndarray:
    """The first second of net speech of (samples,), or all where there is less."""
    return find_speech(take).net[: round(SECONDS * SAMPLE_RATE)]


def decisions_table(shown: tuple[Shown, ...]) -> Table:
    table = Table(title="The model in the box, two utterances enrolled, one second tested; llr: natural logarithm")
    for head in ("actor", "enrolled", "their own second", "the next actor's", "identified as"):
        table.add_column(head)
    for number, one in enumerate(shown):
        last = " (was not put into the gallery)" if number == len(shown) - 1 else ""
        table.add_row(one.actor, f"{one.percent} %", one.own, one.other, one.identified + last)
    return table
