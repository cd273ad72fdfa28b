"""Voices by name: enrolled, recognised, shown, removed, carried elsewhere."""

from __future__ import annotations

import difflib
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from shortvox.errors import GalleryError, ShortvoxError, UnknownVoiceError
from shortvox.gallery import exchange
from shortvox.gallery.engine import Engine, Kept, Stored, Tally, checked
from shortvox.gallery.opening import open_engine
from shortvox.gallery.profile import Candidate, Identification, Profile, Rebuilt
from shortvox.gallery.sealed import find_key, seal, unseal
from shortvox.progress import note
from shortvox.verification.decision import Decision, Outcome, Refusal
from shortvox.verification.recording import Recording, read_recording
from shortvox.verification.space import Space
from shortvox.verification.voiceprint import Voiceprint

if TYPE_CHECKING:  # who only looks at a gallery loads no model
    from shortvox.verification.verifier import Heard, Verifier

RANKED = 100  # voices nearest by cosine whose log likelihood ratios are compared
SHOWN = 5  # candidates that an identification names
SAME_VECTORS = frozenset({"calibration", "rule"})  # parts of a space that leave the embeddings what they are
_OFTEN = 5.0  # seconds between two writes of what was compared
_SUGGESTED = 20_000  # names among which the nearest is looked for


class Gallery:
    """Voices of one space, kept by an engine. Safe to use from several threads.

    What was compared with whom is written every few seconds and at the end: a kill loses the last counts, never a
    voice.
    """

    def __init__(self, engine: Engine, verifier: Verifier | None = None) -> None:
        self._engine, self._verifier = engine, verifier
        self._tallies: dict[str, Tally] = {}
        self._written = time.monotonic()
        self._guard = threading.Lock()
        if verifier is not None:
            self._refuse_other(verifier.space)

    @classmethod
    def open(
        cls, address: str | Path, verifier: Verifier | None = None, *, create: bool = True, read_only: bool = False
    ) -> Gallery:
        """The gallery at an address: the path of a SQLite file, `milvus:http://host:19530` or `milvus:PATH.db`.

        Without a verifier it can be looked at, changed and carried elsewhere, but nobody is compared. Where there is
        none, it is made if `create`. Raises GalleryError where it cannot be opened, or is of another space than the
        verifier's.
        """
        engine = open_engine(str(address), create, read_only)
        try:
            return cls(engine, verifier)
        except BaseException:
            engine.close()
            raise

    def __enter__(self) -> Gallery:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self._write_tallies()
        self._engine.close()

    @property
    def address(self) -> str:
        return self._engine.address

    @property
    def space(self) -> Space | None:
        """What the voices were made with; None for a gallery without any."""
        return self._engine.space()

    def add(
        self,
        name: str,
        voiceprint: Voiceprint,
        *,
        consent: str = "",
        audio: Sequence[Recording] | None = None,
        replace: bool = False,
    ) -> Profile:
        """Keep a voice under a name of 1 to 200 characters.

        `consent` is a note of it. `audio` are recordings to keep, encrypted, for a rebuild with another model; without
        it none are kept. Raises GalleryError for a name that is there already (unless `replace`), a voiceprint of
        another space, or audio without a key.
        """
        stored = Stored.of(name, voiceprint, consent)
        sealed = None
        if audio:
            sealed = seal([read_recording(each) for each in audio], stored.name, find_key())
        self._write_tallies()  # those of a voice that is replaced are not the new one's
        self._adopt(stored.space)
        self._engine.put([(stored, sealed)], replace=replace)
        return self.profile(stored.name)

    def identify(self, recording: Recording, **limits: Any) -> Identification:
        """Who of the gallery speaks, if any of them.

        `limits` are those of `Verifier.decide`: `max_fpr` is the probability that somebody who is not in the gallery is
        taken for any of its voices, however many there are.
        """
        return self.identify_heard(self._ears.hear(recording), **limits)

    def identify_heard(self, heard: Heard | Refusal, **limits: Any) -> Identification:
        """As `identify`, of what a verifier of this space has heard already."""
        if isinstance(heard, Refusal):
            return Identification(None, heard.reason, None, refusal=heard)
        verifier = self._ears
        near = self._engine.nearest(verifier.space, heard.embedding, RANKED)
        if not near.names:
            return Identification(None, "empty", None)
        scores = near.centres.astype(np.float64) @ heard.embedding.astype(np.float64)
        llrs = verifier.llr(scores, near.seconds, near.recordings, heard.net_speech)
        order = sorted(range(len(llrs)), key=lambda at: (-llrs[at], -scores[at], near.names[at]))[:SHOWN]
        candidates = tuple(Candidate(near.names[at], float(llrs[at]), float(scores[at])) for at in order)
        best = self._engine.get(candidates[0].name)
        if best is None:  # removed meanwhile
            return self.identify_heard(heard, **limits)
        decision = self._decide(best, heard, near.voices, limits)
        found = decision.outcome is Outcome.SAME
        reason = None if found else decision.reason or "nobody"
        return Identification(best.name if found else None, reason, decision, candidates, near.voices)

    def verify(self, name: str, recording: Recording, **limits: Any) -> Decision:
        """Whether `name` speaks. `limits` are those of `Verifier.decide`.

        Raises GalleryError for a name that is not there, or a voice of another space.
        """
        stored = self._comparable(name)
        return self._decide(stored, self._ears.hear(recording), 1, limits)

    def verify_heard(self, name: str, heard: Heard | Refusal, **limits: Any) -> Decision:
        """As `verify`, of what a verifier of this space has heard already."""
        return self._decide(self._comparable(name), heard, 1, limits)

    def voiceprint(self, name: str) -> Voiceprint:
        """The voiceprint of a voice, as for a stream. Raises what `verify` raises."""
        stored = self._comparable(name)
        return self._ears.voiceprint(stored.embeddings, stored.seconds)

    def profiles(self) -> Iterator[Profile]:
        """All voices, sorted by name."""
        self._write_tallies()
        space = self.space
        return (self._profile(stored, space) for stored in self._engine.each())

    def profile(self, name: str) -> Profile:
        """Raises GalleryError for a name that is not there, with the nearest that is."""
        self._write_tallies()
        return self._profile(self._stored(name), self.space)

    def remove(self, name: str) -> None:
        """Remove every trace of a voice. Raises GalleryError for a name that is not there, with the nearest that is."""
        if not self._engine.remove(checked(name)):
            raise self._unknown(name)
        with self._guard:
            self._tallies.pop(checked(name), None)

    def export(self, path: Path | str, names: Iterable[str] | None = None) -> int:
        """Write voices, all or those of `names`, into one file; how many. Kept audio stays encrypted in it."""
        self._write_tallies()
        wanted = self._engine.each() if names is None else [self._stored(name) for name in dict.fromkeys(names)]
        return exchange.write(Path(path), self.space, ((each, self._engine.audio(each.name)) for each in wanted))

    def import_(self, path: Path | str, *, replace: bool = False) -> int:
        """Take over all voices of a file that `export` wrote, or none; how many.

        Raises GalleryError for a file that is none, of another space than the gallery, or with a name that is there.
        """
        space, voices = exchange.read(Path(path))
        return self._take(space, voices, replace, str(path))

    def migrate(self, address: str | Path) -> int:
        """Copy all voices, with audio and counts, into the gallery at another address; how many."""
        self._write_tallies()
        if str(address) == self.address:
            raise GalleryError(f"{address}: is this gallery itself; name another address")
        with Gallery.open(address) as other:
            voices = ((stored, self._engine.audio(stored.name)) for stored in self._engine.each())
            return other._take(self.space, voices, False, self.address)

    def rebuild(self, verifier: Verifier) -> Rebuilt:
        """Make this a gallery of the verifier's space: enrol again, from the audio that was kept, who is of another.

        Where only the calibration is another, the embeddings are kept as they are. Whom neither helps stays in the
        gallery, is not compared, and is named. Where nobody can be rebuilt, nothing is changed.
        """
        self._write_tallies()
        key = find_key()
        rebuilt: list[str] = []
        left: dict[str, str] = {}
        for stored in self._engine.each():
            if stored.space == verifier.space:
                continue
            sealed = self._engine.audio(stored.name)
            found = _again(stored, sealed, verifier, key)
            if isinstance(found, str):
                left[stored.name] = found
                continue
            if not rebuilt:  # first of all: where this ends half way, the same call does the rest
                self._engine.use(verifier.space)
            self._engine.put([(stored.again(found), sealed)], replace=True)
            rebuilt.append(stored.name)
        if rebuilt or not left:
            self._adopt(verifier.space)
            self._verifier = verifier
        return Rebuilt(tuple(rebuilt), left)

    @property
    def _ears(self) -> Verifier:
        if self._verifier is None:
            raise GalleryError(f"{self.address}: opened without a verifier, so nobody can be heard; give it one")
        return self._verifier

    def _take(self, space: Space | None, voices: Iterable[Kept], replace: bool, where: str) -> int:
        """Keep voices of another gallery, which is of `space`, or none of them."""
        self._write_tallies()
        try:
            if space is not None:
                self._adopt(space)
        except GalleryError as error:
            raise GalleryError(f"{where}: cannot be taken over ({error})") from None
        return self._engine.put(voices, replace=replace)

    def _adopt(self, space: Space) -> None:
        """Be of a space from the first voice on; raises GalleryError where there are voices of another."""
        self._refuse_other(space)
        if self.space != space:
            self._engine.use(space)

    def _decide(self, stored: Stored, heard: Heard | Refusal, comparisons: int, limits: dict[str, Any]) -> Decision:
        verifier = self._ears
        voiceprint = verifier.voiceprint(stored.embeddings, stored.seconds)
        decision = verifier.decide(voiceprint, heard, comparisons=comparisons, **limits)
        if decision.llr is not None:
            tally = Tally(1, int(decision.outcome is Outcome.SAME), decision.llr)
            with self._guard:
                known = self._tallies.get(stored.name)
                self._tallies[stored.name] = known + tally if known else tally
                due = time.monotonic() > self._written + _OFTEN
            if due:
                self._write_tallies()
        return decision

    def _write_tallies(self) -> None:
        """Hand over what was counted. Where nothing can be written just now, it is told, and the counts are gone: they
        are not worth a decision."""
        with self._guard:
            tallies, self._tallies = self._tallies, {}
            self._written = time.monotonic()
        if tallies and not self._engine.read_only:
            try:
                self._engine.record(tallies)
            except GalleryError as error:
                note(f"what was compared is not counted ({error})")

    def _profile(self, stored: Stored, space: Space | None) -> Profile:
        mine = self._verifier
        told = mine.voiceprint(stored.embeddings, stored.seconds) if mine and mine.space == stored.space else None
        return Profile.of(stored, space, told)

    def _comparable(self, name: str) -> Stored:
        """A voice of the verifier's space."""
        stored = self._stored(name)
        if stored.space != self._ears.space:
            raise GalleryError(f"{self.address}: '{stored.name}' was enrolled with another model; {self._rebuild()}")
        return stored

    def _stored(self, name: str) -> Stored:
        stored = self._engine.get(checked(name))
        if stored is None:
            raise self._unknown(name)
        return stored

    def _unknown(self, name: str) -> UnknownVoiceError:
        close = difflib.get_close_matches(checked(name), self._engine.names(_SUGGESTED), n=1)
        hint = f"; did you mean '{close[0]}'?" if close else "; `shortvox speakers list` names who is there"
        return UnknownVoiceError(f"{self.address}: nobody is called '{name}'{hint}")

    def _refuse_other(self, space: Space) -> None:
        mine = self.space
        if mine is not None and mine != space and self._engine.names(1):
            what = ", ".join(mine.differs(space))
            raise GalleryError(f"{self.address}: holds voices of another model (another {what}); {self._rebuild()}")

    def _rebuild(self) -> str:
        return f"`shortvox speakers rebuild {self.address}` enrols them again from what audio was kept"


def _again(stored: Stored, sealed: bytes | None, verifier: Verifier, key: bytes | None) -> Voiceprint | str:
    """A voice in the verifier's space; a text that says why it cannot be."""
    if set(stored.space.differs(verifier.space)) <= SAME_VECTORS:
        return verifier.voiceprint(stored.embeddings, stored.seconds)
    if sealed is None:
        return "no audio was kept"
    try:
        found = verifier.enrol(unseal(sealed, stored.name, key))
    except ShortvoxError as error:
        return str(error)
    return found.text if isinstance(found, Refusal) else found
