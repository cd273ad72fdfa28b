"""onnxruntime: loading a graph and running it, with its errors in one line."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np

from shortvox.errors import EncoderError

_NOISE = re.compile(
    r"\[ONNXRuntimeError\] : \d+ : \w+ : |Load model from .* failed: ?|/\S+:\d+ [^()]*\([^()]*\)( \[with [^\]]*\])? "
)


def load_session(path: Path) -> Any:
    """An onnxruntime session that leaves idle cores alone; raises EncoderError for a graph that it does not load."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what goes wrong is an exception; nothing else belongs on stderr
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    threads = os.environ.get("OMP_NUM_THREADS", "")
    options.intra_op_num_threads = int(threads) if threads.isdigit() else 0
    try:
        session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"], enable_fallback=0
        )
        # Names and metadata are decoded where they are read; those of a damaged file may be no text.
        _ = [(one.name, one.shape) for one in (*session.get_inputs(), *session.get_outputs())]
        _ = session.get_modelmeta().custom_metadata_map
        return session
    except Exception as error:  # its classes have no common base
        reason = _reason(error)
        raise EncoderError(f"{path}: onnxruntime cannot load it ({reason}); {_remedy(reason)}") from None


def _remedy(reason: str) -> str:
    low = reason.lower()
    if "opset" in low or "ir version" in low or "ir_version" in low:
        return "export it with an older opset, or update onnxruntime (pip install -U onnxruntime)"
    if "no op registered" in low or "not a registered function/op" in low or "could not find an implementation" in low:
        return "export it with standard operators only"
    return "copy it again, or export it again"


def _reason(error: Exception) -> str:
    """The words of an error of onnxruntime as one short line, without its code, and where in its source it arose."""
    line = _NOISE.sub("", " ".join(str(error).split()))
    return line if len(line) <= 300 else f"{line[:200]} … {line[-90:]}"


def run_session(session: Any, path: Path, output: str, feeds: dict[str, np.ndarray]) -> np.ndarray:
    """One output (batch, dim); raises EncoderError where the graph fails or gives another shape."""
    try:
        (found,) = session.run([output], feeds)
    except Exception as error:  # its classes have no common base
        reason = _reason(error)
        if "allocate memory" in reason or "bad_alloc" in reason:
            raise MemoryError(reason) from None
        shapes = ", ".join(str(one.shape) for one in feeds.values())
        raise EncoderError(
            f"{path}: onnxruntime fails on inputs of shape {shapes} ({reason}); export it again with dynamic axes, or "
            f"say in {path.with_suffix('.yaml').name} what it takes"
        ) from None
    if not isinstance(found, np.ndarray) or found.ndim != 2:
        shape = found.shape if isinstance(found, np.ndarray) else type(found).__name__
        raise EncoderError(
            f"{path}: gave an output of shape {shape}, not (batch, dim); name another output, or export it again"
        )
    return found
