"""What the user can put right. Everything else is a bug and ends with exit code 1.

Most of it is a ShortvoxError, which knows the file and the remedy. What the machine lacks can show anywhere;
`in_one_line` tells it from a bug.
"""

from __future__ import annotations

import os


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


class EncoderError(ShortvoxError):
    """A speaker encoder that cannot be opened, or that gives no sound embeddings."""


class ScoreError(ShortvoxError):
    """A score file or trial list from which no figure can be computed."""


class GalleryError(ShortvoxError):
    """A gallery of voices that cannot be used as it is, or a voice that is not in it."""


class UnknownVoiceError(GalleryError):
    """A name that is not in the gallery."""


class VoiceTakenError(GalleryError):
    """A name that is in the gallery already."""


class GalleryDownError(GalleryError):
    """The disk, the lock or the server of a gallery fails just now; what was asked may be right."""


class ReaderGone(Exception):
    """Whoever read stdout reads no more, as `head` does."""


# What is imported of the packages that only the lab is installed with, the extra `train`. The base never imports them
# before it needs them, and where they are missing, `in_one_line` says what to do.
LAB = frozenset(
    ("torch", "scipy", "pyarrow", "matplotlib", "jinja2", "safetensors", "pyroomacoustics", "onnx", "onnxscript")
)
SERVE = frozenset(("fastapi", "uvicorn", "python_multipart", "websockets"))  # of the extra `serve`
# The same for what only the service is installed with.
SERVE = frozenset(("fastapi", "starlette", "uvicorn"))
_NO_MEMORY = ("can't allocate memory", "not enough memory", "out of memory")  # in what torch says


def lacks_memory(error: BaseException) -> bool:
    """Memory, of the machine or of the GPU, that Python, NumPy or torch did not get."""
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(sign in str(error) for sign in _NO_MEMORY)
    )


def in_one_line(error: BaseException) -> str | None:
    """What a user's mistake or the machine's lack of something is told as; None for a bug."""
    if isinstance(error, ShortvoxError):
        return str(error)
    if lacks_memory(error):
        return f"out of memory ({str(error) or 'no more to be had'}); lower the batch, the lengths or the jobs"
    if isinstance(error, RecursionError):
        return "the input is nested too deeply"
    if isinstance(error, UnicodeError):
        return f"text that cannot be written or read as it is ({error})"
    if isinstance(error, OSError):
        names = [os.fsdecode(name) for name in (error.filename, error.filename2) if isinstance(name, str | bytes)]
        reason = error.strerror or str(error)
        return f"{' -> '.join(names)}: cannot be used ({reason})" if names else f"the system refuses: {reason}"
    if isinstance(error, ModuleNotFoundError):
        package = (error.name or "").partition(".")[0]
        if package in LAB:
            return f"this needs the lab ({error.name} is not installed); pip install 'shortvox[train]'"
        if package in SERVE:
            return f"this needs the service ({error.name} is not installed); pip install 'shortvox[serve]'"
    if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] in SERVE:
        return f"the service needs {error.name}; pip install 'shortvox[serve]'"
    if isinstance(error, ImportError):
        return f"shortvox cannot be loaded ({error}); free some memory, or install it again"
    return None
