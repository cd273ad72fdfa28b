"""What an ONNX file says of itself before a runtime loads it: whether it is whole, and which files hold its weights.

onnxruntime alone does not say where external data lie, and its words for a damaged file are no help. A few fields of
the protobuf are read here (onnx.proto3), without its weights and without the onnx package.
"""

from __future__ import annotations

import hashlib
import mmap
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from shortvox.errors import EncoderError
from shortvox.textfiles import shown

MOST_BYTES = 2**31 - 1  # of a protobuf
_MODEL_IR, _MODEL_GRAPH = 1, 7
_GRAPH_NODE, _GRAPH_INITIALIZER = 1, 5
_NODE_ATTRIBUTE, _ATTRIBUTE_TENSOR = 5, 5
_TENSOR_EXTERNAL = 13
_AGAIN = "copy it again, or export it again"


@dataclass(frozen=True)
class OnnxFile:
    """A file that is whole, and the files of its external data."""

    path: Path
    data: tuple[Path, ...]

    def fingerprint(self, *more: str) -> str:
        """Hash of the graph, its external data and what else decides an embedding."""
        digest = hashlib.sha256("\n".join(more).encode())
        for path in (self.path, *self.data):
            with path.open("rb") as handle:
                digest.update(hashlib.file_digest(handle, "sha256").digest())
        return digest.hexdigest()[:24]


def read_onnx_file(path: Path) -> OnnxFile:
    """Raises EncoderError for what is no ONNX file, is truncated or too large, or lacks its external data."""
    try:
        about = path.stat()
    except OSError as error:
        raise EncoderError(f"{shown(path)}: cannot be opened ({error.strerror or error}); name an ONNX file") from None
    if not stat.S_ISREG(about.st_mode):
        raise EncoderError(f"{path}: not a regular file; name an ONNX file")
    if about.st_size > MOST_BYTES:
        raise EncoderError(
            f"{path}: {about.st_size:,} bytes, and an ONNX file has less than 2 GiB; export it with external data"
        )
    if about.st_size == 0:
        raise EncoderError(f"{path}: empty; {_AGAIN}")
    try:
        with path.open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as content:
            names = _external_names(content, path)
    except OSError as error:
        raise EncoderError(f"{path}: cannot be read ({error.strerror or error}); {_AGAIN}") from None
    data = []
    for name in names:
        inside = PurePosixPath(name)
        if inside.is_absolute() or ".." in inside.parts:
            raise EncoderError(f"{path}: its external data '{name}' lie outside its folder; export it again")
        if not (path.parent / name).is_file():
            raise EncoderError(f"{path}: its weights are in '{name}', which is not beside it; copy that file too")
        data.append(path.parent / name)
    return OnnxFile(path, tuple(data))


class _BrokenError(Exception):
    """Bytes that are no protobuf, or end too early."""


_Span = tuple[int, int]


def _external_names(content: mmap.mmap, path: Path) -> list[str]:
    """Names of the files that hold external data, each once, in order."""
    versions: list[int] = []
    try:
        graphs = []
        for field, value in _fields(content, (0, len(content))):
            if field == _MODEL_IR and isinstance(value, int):
                versions.append(value)
            if field == _MODEL_GRAPH and isinstance(value, tuple):
                graphs.append(value)
        names: dict[str, None] = {}
        for graph in graphs:
            for tensor in _tensors(content, graph):
                for entry in _parts(content, tensor, _TENSOR_EXTERNAL):
                    pair = {field: _text(content, value) for field, value in _fields(content, entry)}
                    if pair.get(1) == "location":
                        names[pair.get(2, "")] = None
    except _BrokenError:
        what = "truncated or damaged" if versions and 0 < versions[0] < 1000 else "not an ONNX file"
        raise EncoderError(f"{path}: {what}; {_AGAIN}") from None
    if not versions or not graphs:
        raise EncoderError(f"{path}: not an ONNX file (no graph in it); {_AGAIN}")
    return list(names)


def _tensors(content: mmap.mmap, graph: _Span) -> Iterator[_Span]:
    """The initialisers of a graph, and the constants among its nodes."""
    for field, value in _fields(content, graph):
        if field == _GRAPH_INITIALIZER and isinstance(value, tuple):
            yield value
        if field == _GRAPH_NODE and isinstance(value, tuple):
            for attribute in _parts(content, value, _NODE_ATTRIBUTE):
                yield from _parts(content, attribute, _ATTRIBUTE_TENSOR)


def _parts(content: mmap.mmap, span: _Span, wanted: int) -> Iterator[_Span]:
    for field, value in _fields(content, span):
        if field == wanted and isinstance(value, tuple):
            yield value


def _text(content: mmap.mmap, value: int | _Span) -> str:
    if isinstance(value, int):
        return ""
    try:
        return content[value[0] : value[1]].decode("utf-8")
    except UnicodeDecodeError:
        raise _BrokenError from None


def _fields(content: mmap.mmap, span: _Span) -> Iterator[tuple[int, int | _Span]]:
    """Number and value of each field of a message: an integer, or where its bytes are."""
    at, end = span
    while at < end:
        tag, at = _varint(content, at, end)
        field, wire = tag >> 3, tag & 7
        value: int | _Span
        if wire == 0:
            value, at = _varint(content, at, end)
        elif wire == 2:
            size, at = _varint(content, at, end)
            value, at = (at, at + size), at + size
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
            value, at = (at, at + size), at + size
        else:
            raise _BrokenError
        if field == 0 or at > end:
            raise _BrokenError
        yield field, value


def _varint(content: mmap.mmap, at: int, end: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= end:
            raise _BrokenError
        byte = content[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise _BrokenError
