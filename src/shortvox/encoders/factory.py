"""Kind of encoder: `python:package.module:factory`, for whatever runs in Python.

`factory()` returns either a callable that takes one waveform (samples,) and gives its vector (dim,), or an object with
`embed(waveforms)`, which takes a list and gives (n, dim). Numpy arrays, lists of numbers and torch tensors are all
taken. Optional attributes: `name`, `shortest` (samples), and `fingerprint`, a text that changes with the weights.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from shortvox.corpora.audio import SAMPLE_RATE
from shortvox.encoders.encoder import Encoder, check_itself, probe, sound
from shortvox.encoders.kind import Kind, kind
from shortvox.errors import EncoderError, lacks_memory

PREFIX = "python:"
SHORTEST = 1600  # samples, where the encoder does not say
REMEDY = "correct the factory (docs/your-own-encoder.md)"


def open_factory(spec: str) -> Encoder:
    """What the factory makes. Raises EncoderError where it is not found, raises, or makes no encoder."""
    factory = _find(spec)
    with _told_in_one_line(spec):
        made = factory()
        batched, shortest, name, said = (
            getattr(made, key, None) for key in ("embed", "shortest", "name", "fingerprint")
        )
    if not callable(batched) and not callable(made):
        raise EncoderError(
            f"{spec}: the factory returned {type(made).__name__}, which is neither callable nor has embed(waveforms); "
            f"{REMEDY}"
        )

    def run(waveforms: Sequence[np.ndarray]) -> np.ndarray:
        with _told_in_one_line(spec):
            if callable(batched):
                return _as_array(batched([one.copy() for one in waveforms]))
            return np.stack([_as_vector(made(one.copy()), spec) for one in waveforms])

    shortest = SHORTEST if shortest is None else shortest
    if isinstance(shortest, bool) or not isinstance(shortest, int) or not 1 <= shortest <= 60 * SAMPLE_RATE:
        raise EncoderError(f"{spec}: shortest is {shortest!r}, not a number of samples; {REMEDY}")
    first = sound(run([probe(max(shortest, SAMPLE_RATE))]), 1, spec, REMEDY)
    encoder = Encoder(
        name=str(name or spec.rpartition(":")[2]),
        kind="Python factory",
        source=spec,
        dim=first.shape[1],
        fingerprint=_fingerprint(spec, said, first),
        shortest=shortest,
        run=run,
        remedy=REMEDY,
    )
    return check_itself(encoder)


kind("factory")(
    Kind(takes=lambda spec: spec.startswith(PREFIX), open=open_factory, told=f"{PREFIX}package.module:factory")
)


def _find(spec: str) -> Any:
    module_name, separator, name = spec.removeprefix(PREFIX).partition(":")
    if not separator or not module_name or not name:
        raise EncoderError(f"{spec}: expected {PREFIX}package.module:factory")
    here = str(Path.cwd())
    try:
        sys.path.append(here)  # a module in the working folder, as with `python -m`
        with contextlib.redirect_stdout(sys.stderr):
            module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        missing = error.name or module_name
        if module_name == missing or module_name.startswith(f"{missing}."):
            raise EncoderError(
                f"{spec}: no module '{missing}'; install its package, or start in the folder where it lies"
            ) from None
        raise EncoderError(f"{spec}: {module_name} needs the module '{missing}'; install it") from None
    except (Exception, SystemExit) as error:
        raise EncoderError(f"{spec}: {module_name} cannot be imported ({_words(error)}); {REMEDY}") from None
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove(here)
    try:
        found = getattr(module, name)
    except AttributeError:
        raise EncoderError(f"{spec}: {module_name} has no '{name}'; name the factory in it") from None
    if not callable(found):
        raise EncoderError(f"{spec}: '{name}' is {type(found).__name__}, not a function without arguments; {REMEDY}")
    return found


@contextlib.contextmanager
def _told_in_one_line(spec: str) -> Iterator[None]:
    """What the user's code raises, in one line; what it prints goes to stderr, since stdout is for results."""
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    except EncoderError:
        raise
    except (Exception, SystemExit) as error:
        if lacks_memory(error):
            raise
        raise EncoderError(f"{spec}: raised {_words(error)}; {REMEDY}") from None


def _words(error: BaseException) -> str:
    line = " ".join(str(error).split())
    return f"{type(error).__name__}: {line[:300]}" if line else type(error).__name__


def _as_array(found: Any) -> np.ndarray:
    """Of a torch tensor its values, wherever it is; anything else as numpy understands it."""
    if hasattr(found, "detach"):
        found = found.detach().cpu()
    if isinstance(found, list | tuple) and any(hasattr(one, "detach") for one in found):
        found = [_as_array(one) for one in found]
    return np.asarray(found)


def _as_vector(found: Any, spec: str) -> np.ndarray:
    vector = _as_array(found)
    if vector.ndim != 1:
        raise EncoderError(f"{spec}: gave an array of shape {vector.shape} for one waveform, not (dim,); {REMEDY}")
    return vector


def _fingerprint(spec: str, said: Any, first: np.ndarray) -> str:
    """Hash of what the encoder says of itself, or else of what it makes of a sound, so that new weights are noticed."""
    own = str(said).encode() if said is not None and not callable(said) else np.round(first, 3).tobytes()
    return hashlib.sha256(spec.encode() + b"\0" + own).hexdigest()[:24]
