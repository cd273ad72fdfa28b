"""One utterance: who said it, and where the recording lies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Utterance:
    """One row of a manifest.

    `path` is absolute. `start` and `duration` are seconds: an utterance may be a piece of a longer file
    (Kaldi segments). A `duration` that agrees with the rest of the file up to rounding means all the rest.
    `extra` keeps the manifest's other columns in their order.
    """

    id: str
    speaker: str
    path: Path
    session: str = ""
    duration: float | None = None
    gender: str = ""
    start: float = 0.0
    extra: tuple[tuple[str, str], ...] = ()

    def column(self, name: str) -> str:
        """The text of any manifest column, '' where this utterance has none."""
        if name in _OWN_COLUMNS:
            return _OWN_COLUMNS[name](self)
        return dict(self.extra).get(name, "")


_OWN_COLUMNS = {
    "utterance": lambda u: u.id,
    "speaker": lambda u: u.speaker,
    "session": lambda u: u.session,
    "path": lambda u: str(u.path),
    "duration": lambda u: "" if u.duration is None else repr(u.duration),
    "gender": lambda u: u.gender,
    "start": lambda u: repr(u.start) if u.start else "",
}
