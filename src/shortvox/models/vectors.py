"""Embeddings in a file of their own, which says whether it is whole."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from shortvox.files import refuse_folder, write_bytes


def read_vectors(path: Path) -> np.ndarray | None:
    """(n, dim) as it was written; None where there is no file, or a damaged one. Raises ShortvoxError for a folder."""
    refuse_folder(path)
    try:
        with safe_open(path, framework="numpy") as file:
            vectors: np.ndarray = file.get_tensor("embeddings")
            kept = (file.metadata() or {}).get("checksum")
    except (SafetensorError, OSError, KeyError, TypeError, ValueError):
        return None
    return vectors if kept == _checksum(vectors) else None


def write_vectors(path: Path, vectors: np.ndarray) -> None:
    """At once or not at all."""
    write_bytes(path, save({"embeddings": vectors}, metadata={"checksum": _checksum(vectors)}))


def _checksum(vectors: np.ndarray) -> str:
    return hashlib.sha256(f"{vectors.shape} {vectors.dtype}".encode() + vectors.tobytes()).hexdigest()
