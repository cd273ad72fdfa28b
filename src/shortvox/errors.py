"""What the user can put right. Everything else is a bug and ends with exit code 1."""

from __future__ import annotations


class ShortvoxError(Exception):
    """A user's mistake: one line that names the file, the row and the remedy. Exit code 2."""


class CorpusError(ShortvoxError):
    """A manifest, a trial list or a corpus folder that cannot be used as it is."""


class AudioError(ShortvoxError):
    """An audio file that is missing, unreadable, empty, silent, truncated or not finite."""


class ConfigError(ShortvoxError):
    """A setting that does not exist or has a value it cannot have."""


class ModelError(ShortvoxError):
    """A model folder or checkpoint that is missing, incomplete or from another version."""


class ScoreError(ShortvoxError):
    """A score file or trial list from which no figure can be computed."""
