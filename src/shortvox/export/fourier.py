"""The Fourier matrices of the filter bank as what computes them: 400 kB less in every graph.

A runtime folds it when it loads the graph.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from shortvox.frontend.fbank import FFT, HALF
from shortvox.frontend.filterbank import WINDOW

COSINES, SINES = "bank.cosines", "bank.sines"
CLOSE = 1e-6


def compute_fourier(graph: Any) -> None:
    """Replace the two matrices of `frontend.fbank` in an onnx.ModelProto by a window, two ranges and eight nodes.

    A front end without them is left as it is, as is one whose matrices are others.
    """
    from onnx import TensorProto, helper, numpy_helper

    there = {one.name: numpy_helper.to_array(one) for one in graph.graph.initializer if one.name in (COSINES, SINES)}
    if len(there) < 2:
        return
    time, bins = 2 * np.arange(HALF)[:, None] - (WINDOW - 1), np.arange(FFT // 2 + 1)[None]
    window, step = there[COSINES][:, :1], np.float32(np.pi / FFT)
    angle = (time * bins % (2 * FFT)).astype(np.float32) * step  # whole turns less, or float32 would be too coarse
    for name, wave in ((COSINES, np.cos), (SINES, np.sin)):
        if there[name].shape != angle.shape or np.abs(there[name] - window * wave(angle)).max() > CLOSE:
            return
    constants = {"time": time, "bins": bins, "turn": np.array(2 * FFT), "step": step, "window": window}

    def named(name: str) -> str:
        return name if name in there else f"fourier.{name}"

    def node(kind: str, inputs: list[str], output: str, **attributes: Any) -> Any:
        names = [named(one) for one in inputs], [named(output)]
        return helper.make_node(kind, *names, name=f"{named(output)}.node", **attributes)

    nodes = [
        node("Mul", ["time", "bins"], "steps"),
        node("Mod", ["steps", "turn"], "rest"),
        node("Cast", ["rest"], "turned", to=TensorProto.FLOAT),
        node("Mul", ["turned", "step"], "angle"),
        node("Cos", ["angle"], "cos"),
        node("Mul", ["cos", "window"], COSINES),
        node("Sin", ["angle"], "sin"),
        node("Mul", ["sin", "window"], SINES),
        *graph.graph.node,
    ]
    kept = [one for one in graph.graph.initializer if one.name not in there]
    kept += [numpy_helper.from_array(np.asarray(value), named(name)) for name, value in constants.items()]
    del graph.graph.initializer[:], graph.graph.node[:]
    graph.graph.initializer.extend(kept)
    graph.graph.node.extend(nodes)
