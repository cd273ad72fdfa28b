"""Weights kept in fewer bits and computed with in single precision: a smaller file, the same speed.

What makes float32 of them is folded when a runtime loads the graph. Names are those of models/graphfile.py, which reads
them back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from shortvox.models.graphfile import COLUMNS, HALF, INT8, SCALE, WEIGHTS

FEWEST = 128  # numbers; what is smaller is not worth the conversion
FEWEST_WITH_COLUMNS = 4096
SMALL_KERNEL = 2**14  # numbers
LARGEST_HALF = float(np.finfo(np.float16).max)
SMALLEST_HALF = float(np.finfo(np.float16).tiny)
LEVELS = 127  # of an int8 on either side of zero
CLIPPED = np.linspace(1.0, 0.7, 13)  # shares of a row's largest weight that are tried as the largest level

Parts = Mapping[str, np.ndarray]  # what a weight is stored as, by suffix of its name


def half_stored(graph: Any) -> Any:
    """A copy of an onnx.ModelProto whose backbone has its matrices as float16.

    The front end, vectors, and a matrix with a number beyond what float16 can hold stay as they are.
    """
    return _stored(graph, lambda values: _as_half(values) if values.ndim > 1 else {})


def int8_stored(graph: Any) -> Any:
    """A copy of an onnx.ModelProto whose backbone has its matrices as int8, vectors and small kernels as float16.

    Each row of a matrix, for one output channel, has a scale of its own. The front end stays as it is. Kernels over
    time and bands are few numbers that all frames meet: those at the entry of CAM++ are one in a hundred of its weights
    and would make a third of the error.
    """

    def kept(values: np.ndarray) -> Parts:
        small = values.ndim == 1 or (values.ndim > 2 and values.size < SMALL_KERNEL)
        return _as_half(values) if small else as_int8(values)

    return _stored(graph, kept)


def _as_half(values: np.ndarray) -> Parts:
    return {HALF: values.astype(np.float16)} if np.abs(values).max() <= LARGEST_HALF else {}


def as_int8(values: np.ndarray) -> Parts:
    """int8 with a scale for each row, the one of several that changes the row least (in squares).

    Each column of a large matrix has one too. A column of large weights waits for small inputs; without a scale of its
    own it would take from its neighbours, whose inputs are large, the levels that they need.
    """
    rows = values.reshape(len(values), -1)
    columns = {COLUMNS: _columns(rows)} if values.ndim == 2 and values.size >= FEWEST_WITH_COLUMNS else {}
    if columns:
        rows = rows / columns[COLUMNS].astype(np.float32)
    largest = np.abs(rows).max(axis=1, keepdims=True)
    best = np.full_like(largest, np.inf)
    scale = np.ones_like(largest)
    for share in CLIPPED:
        tried = np.where(largest > 0, share * largest / LEVELS, 1).astype(np.float32)
        error = ((_levels(rows, tried) * tried - rows) ** 2).sum(axis=1, keepdims=True)
        scale, best = np.where(error < best, tried, scale), np.minimum(error, best)
    shape = (len(values),) + (1,) * (values.ndim - 1)
    int8 = _levels(rows, scale).astype(np.int8).reshape(values.shape)
    return {INT8: int8, SCALE: scale.reshape(shape), **columns}


def _columns(rows: np.ndarray) -> np.ndarray:
    """(1, columns) float16: the largest weight of each column once rows have been made alike, and so on in turns."""
    column = np.ones((1, rows.shape[1]), dtype=np.float32)
    for _ in range(3):
        row = np.abs(rows / column).max(axis=1, keepdims=True)
        column = np.abs(rows / np.where(row > 0, row, 1)).max(axis=0, keepdims=True)
        column = np.where(column > SMALLEST_HALF, column, 1)
    return column.astype(np.float16)


def _levels(rows: np.ndarray, scale: np.ndarray) -> np.ndarray:
    return np.clip(np.round(rows / scale), -LEVELS, LEVELS)


def _stored(graph: Any, kept: Callable[[np.ndarray], Parts]) -> Any:
    """A copy of a graph, each float32 weight of its backbone as the parts that `kept` gives; as it is where none."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    made = onnx.ModelProto()
    made.CopyFrom(graph)
    weights, nodes = [], []
    for weight in made.graph.initializer:
        own = weight.data_type == TensorProto.FLOAT and weight.name.startswith(WEIGHTS)
        values = numpy_helper.to_array(weight) if own else np.empty(0)
        parts = kept(values) if values.size >= FEWEST else {}
        if not parts:
            weights.append(weight)
            continue
        product = ""
        for suffix, part in parts.items():
            name = plain = weight.name + suffix
            weights.append(numpy_helper.from_array(part, name))
            if part.dtype != np.float32:
                nodes.append(helper.make_node("Cast", [name], [plain := f"{name}/float"], to=TensorProto.FLOAT))
            if product:
                nodes.append(helper.make_node("Mul", [product, plain], [plain := f"{name}/product"]))
            product = plain
        nodes[-1].output[0] = weight.name
    nodes += made.graph.node
    del made.graph.initializer[:], made.graph.node[:]
    made.graph.initializer.extend(weights)
    made.graph.node.extend(nodes)
    _shorten_names(made.graph)
    return made


def _shorten_names(graph: Any) -> None:
    """Nobody needs names of nodes and of what they give: of a small network they are as many bytes as its biases."""
    given = {one.name for one in graph.output}
    short = {name: name for name in given}
    for node in graph.node:
        node.ClearField("name")
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                if names is node.output:
                    short.setdefault(name, f"{len(short):x}")
                names[place] = short.get(name, name)
