"""What keeps voices: the value that is kept of each, and what every engine can do."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

import numpy as np

from shortvox.errors import GalleryError, VoiceTakenError
from shortvox.registry import Registry
from shortvox.textfiles import CONTROL
from shortvox.verification.space import Space
from shortvox.verification.voiceprint import Voiceprint

LONGEST_NAME = 200  # characters
LONGEST_CONSENT = 2000
MOST_RECORDINGS = 1000  # of one voice
MOST_AUDIO = 2**26  # bytes of one voice, sealed: about an hour


@dataclass(frozen=True, eq=False)
class Stored:
    """A voice as a gallery keeps it.

    `embeddings` (recordings, dim) float32 of unit length, `seconds` of net speech of each, both of one `space`. It was
    enrolled at `enrolled_at` (UTC) with a note of `consent`. Since then it has been the nearest voice `compared` times,
    was recognised `matched` times, and `closest` is the highest log likelihood ratio so far. `keeps_audio` where its
    recordings are kept too.
    """

    name: str
    space: Space
    embeddings: np.ndarray
    seconds: tuple[float, ...]
    enrolled_at: datetime
    consent: str
    compared: int = 0
    matched: int = 0
    closest: float | None = None
    keeps_audio: bool = False

    @classmethod
    def of(cls, name: str, voiceprint: Voiceprint, consent: str) -> Stored:
        """A voice that is enrolled now. Raises GalleryError for a name or a note that cannot be kept."""
        if len(consent) > LONGEST_CONSENT or not _is_text(consent):
            raise GalleryError(
                f"consent of '{checked(name)}': expected a note of at most {LONGEST_CONSENT} characters, without "
                "control characters; keep the document elsewhere and note where"
            )
        now = datetime.now(UTC).replace(microsecond=0)
        return cls(checked(name), voiceprint.space, voiceprint.embeddings, voiceprint.seconds, now, consent)

    def again(self, voiceprint: Voiceprint) -> Stored:
        """The same person in another space, where nobody has been compared with yet."""
        return replace(
            self,
            space=voiceprint.space,
            embeddings=voiceprint.embeddings,
            seconds=voiceprint.seconds,
            compared=0,
            matched=0,
            closest=None,
        )

    @property
    def centre(self) -> np.ndarray:
        """(dim,) float32 of unit length."""
        return Voiceprint(self.space, self.embeddings, self.seconds, 0, 1.0).centre


@dataclass(frozen=True, eq=False)
class Nearby:
    """The k of `voices` of a space that are nearest to an embedding.

    `names`, `centres` (k, dim) float32 of unit length, `seconds` (k,) float64 of net speech and the number of
    `recordings` (k,) int64 that enrolled each.
    """

    voices: int
    names: tuple[str, ...]
    centres: np.ndarray
    seconds: np.ndarray
    recordings: np.ndarray


@dataclass(frozen=True, slots=True)
class Tally:
    """How often a voice was the nearest and was recognised, and the highest log likelihood ratio, since last told."""

    compared: int
    matched: int
    closest: float

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.compared + other.compared, self.matched + other.matched, max(self.closest, other.closest))


Kept = tuple[Stored, bytes | None]  # a voice and its sealed audio


class Engine(Protocol):
    """Keeps voices by name, and of what space the gallery is.

    Every method raises GalleryError, in one line with the address and a remedy, where the engine cannot do it; then
    nothing is stored by half. `read_only` where nothing can be written. One engine may serve several threads.
    """

    address: str
    read_only: bool

    def space(self) -> Space | None:
        """The space that the gallery is of; None before the first voice."""

    def use(self, space: Space) -> None:
        """Make the gallery one of `space`. Voices of another stay, and are not compared."""

    def names(self, most: int) -> list[str]:
        """At most so many names, of any space, sorted."""

    def get(self, name: str) -> Stored | None: ...

    def each(self) -> Iterator[Stored]:
        """All voices of all spaces, sorted by name."""

    def audio(self, name: str) -> bytes | None:
        """The sealed audio of a voice, where it is kept."""

    def put(self, voices: Iterable[Kept], *, replace: bool = False) -> int:
        """Keep all of them, or none; how many there were. Raises GalleryError for a name that is there already, unless
        it is to be replaced."""

    def remove(self, name: str) -> bool:
        """Remove every trace of a voice; False where there is none of that name."""

    def nearest(self, space: Space, query: np.ndarray, most: int) -> Nearby:
        """The voices of `space` with the highest cosine to `query` (dim,), nearest first."""

    def record(self, tallies: Mapping[str, Tally]) -> None:
        """Add to what is known of how voices were compared. Names that are no longer there are let be."""

    def close(self) -> None: ...


Opening = Callable[[str, bool, bool], Engine]  # address, whether it may be made, whether only to be read
engine: Registry[Opening] = Registry("gallery engine")  # by the prefix of an address


def checked(name: str) -> str:
    """A name in Unicode's composed form, so that one word is one name. Raises GalleryError for one that is none."""
    name = unicodedata.normalize("NFC", name)
    if not is_name(name):
        raise GalleryError(
            f"name '{name[:LONGEST_NAME]}': expected 1 to {LONGEST_NAME} characters, none of them a control character"
        )
    return name


def is_name(text: str) -> bool:
    """Whether a text is a name in the form in which names are kept."""
    return 1 <= len(text) <= LONGEST_NAME and _is_text(text) and unicodedata.is_normalized("NFC", text)


def key_of(name: str) -> str:
    """64 hexadecimal digits that stand for a name where not every text can."""
    return hashlib.sha256(name.encode()).hexdigest()


def already_there(address: str, name: str) -> VoiceTakenError:
    return VoiceTakenError(f"{address}: '{name}' is enrolled already; replace the voice, or choose another name")


def _is_text(text: str) -> bool:
    return not CONTROL.search(text) and not any("\ud800" <= each <= "\udfff" for each in text)
