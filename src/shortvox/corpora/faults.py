"""What can be wrong with a recording, as an error that also says which kind of fault it is."""

from __future__ import annotations

from pathlib import Path

from shortvox.errors import AudioError

REMEDIES = {
    "missing": "correct the path, or leave it out",
    "empty": "fetch it again, or leave it out",
    "corrupt": "fetch it again, or convert it to WAV or FLAC",
    "truncated": "fetch it again, or correct its duration",
    "joined": "split it, or convert it to one WAV or FLAC",
    "no such channel": "correct the column channel",
    "channels cancel": "take one of them (in a manifest: the column channel), or correct the phase of one",
    "beyond full scale": "divide its samples so that they lie within ±1",
    "too long": "cut it",
    "silent": "leave it out, or record it again",
    "non-finite": "write it again from its source",
    "needs PyAV": "pip install 'shortvox[media]', or convert it to WAV or FLAC",
}


class AudioFault(AudioError):
    """An AudioError with its `kind`, one of REMEDIES, and its `reason` without the path."""

    def __init__(self, path: Path, kind: str, reason: str) -> None:
        super().__init__(f"{path}: {kind}: {reason}; {REMEDIES[kind]}")
        self.path, self.kind, self.reason = path, kind, reason

    def __reduce__(self) -> tuple[type[AudioFault], tuple[Path, str, str]]:
        return AudioFault, (self.path, self.kind, self.reason)  # errors travel between worker processes
