"""One utterance: who said it, and where the recording lies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

MOST_CHANNELS = 1024  # libsndfile reads no more
LONGEST = 1e9  # seconds; no recording lasts for decades, and larger numbers overflow as samples


@dataclass(frozen=True, slots=True)
class Utterance:
    """One row of a manifest.

    `path` is absolute. `start` and `duration` are seconds: an utterance may be a piece of a longer file
    (Kaldi segments). A `duration` that agrees with the rest of the file up to rounding means all the rest.
    `channel` counts from 0 and means that channel of the recording alone; None means the mean of all.
    `extra` keeps the manifest's other columns in their order.
    """

    id: str
    speaker: str
    path: Path
    session: str = ""
    duration: float | None = None
    gender: str = ""
    start: float = 0.0
    channel: int | None = None
    extra: tuple[tuple[str, str], ...] = ()

    def column(self, name: str) -> str:
        """The text of any manifest column, '' where this utterance has none."""
        if name in _OWN_COLUMNS:
            return _OWN_COLUMNS[name](self)
        return dict(self.extra).get(name, "")


def seconds_number(text: str) -> float | None:
    """A time in seconds, or None for what is none: not a number, not finite, or of decades."""
    try:
        value = float(text)
    except ValueError:
        return None
    # `float` alone would take `1_0` and digits of other scripts.
    return value if abs(value) < LONGEST and text.isascii() and "_" not in text else None


def channel_number(text: str) -> int | None:
    """A channel, counted from 0, or None for what is none. `int` alone would take `1_0` and `+1`, too."""
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(MOST_CHANNELS))):
        return None
    return int(text) if int(text) < MOST_CHANNELS else None


_OWN_COLUMNS = {
    "utterance": lambda u: u.id,
    "speaker": lambda u: u.speaker,
    "session": lambda u: u.session,
    "path": lambda u: str(u.path),
    "duration": lambda u: "" if u.duration is None else repr(u.duration),
    "gender": lambda u: u.gender,
    "start": lambda u: repr(u.start) if u.start else "",
    "channel": lambda u: "" if u.channel is None else str(u.channel),
}
