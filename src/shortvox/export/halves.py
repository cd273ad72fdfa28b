"""Weights kept in half precision and computed with in single precision: half the file, the same speed."""

from __future__ import annotations

from typing import Any

import numpy as np

from shortvox.export.graph import BACKBONE

FEWEST = 1024  # numbers; what is smaller is not worth a conversion


def half_stored(graph: Any) -> Any:
    """A copy of an onnx.ModelProto in which the backbone's matrices are float16 with a Cast to float32 behind each.

    The front end, vectors, and a matrix with a number beyond what float16 can hold stay as they are.
    """
    import onnx
    from onnx import numpy_helper

    made = onnx.ModelProto()
    made.CopyFrom(graph)
    casts = []
    for weight in made.graph.initializer:
        if weight.data_type != onnx.TensorProto.FLOAT or not weight.name.startswith(BACKBONE) or len(weight.dims) < 2:
            continue
        values = numpy_helper.to_array(weight)
        if values.size < FEWEST or np.abs(values).max() > np.finfo(np.float16).max:
            continue
        name, kept = weight.name, f"{weight.name}/half"
        weight.CopyFrom(numpy_helper.from_array(values.astype(np.float16), kept))
        casts.append(onnx.helper.make_node("Cast", [kept], [name], name=f"{name}/cast", to=onnx.TensorProto.FLOAT))
    nodes = list(made.graph.node)
    del made.graph.node[:]
    made.graph.node.extend([*casts, *nodes])
    return made
