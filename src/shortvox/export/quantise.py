"""Static quantisation to int8: weights by output channel, activations by the range that speech shows them in."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from shortvox.errors import ModelError
from shortvox.export.graph import FRONT_END, folded

QUANTISED = ("MatMul", "Conv")  # over frames; a Gemm runs once for each utterance, where int8 would save nothing


def quantised(graph: Any, speech: Iterable[np.ndarray]) -> Any:
    """An int8 copy of an onnx.ModelProto, its activations calibrated on waveforms (samples,) of `speech`.

    In QDQ form. The front end stays as it is. A matrix product takes int8 and gives float32, so that biases, batch
    norms and sums lose nothing; weights have seven bits, because on processors without VNNI eight would overflow the
    16-bit sums of their products.
    """
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Speech(CalibrationDataReader):
        def __init__(self) -> None:
            self._left = iter(speech)

        def get_next(self) -> dict[str, np.ndarray] | None:
            waveform = next(self._left, None)
            if waveform is None:
                return None
            return {"waveforms": waveform[None], "lengths": np.array([len(waveform)], dtype=np.int64)}

    with tempfile.TemporaryDirectory() as folder, _quiet_quantiser():
        path = Path(folder) / "int8.onnx"
        own = folded(graph)  # because it wants the matrices as they are multiplied
        try:
            quantize_static(
                own,
                path,
                Speech(),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=list(QUANTISED),
                per_channel=True,
                reduce_range=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                nodes_to_exclude=[node.name for node in own.graph.node if node.name.startswith(FRONT_END)],
                extra_options={"OpTypesToExcludeOutputQuantization": ["MatMul"]},
            )
        except ValueError as error:
            raise ModelError(
                f"int8: onnxruntime cannot quantise the graph ({error}); export it without --int8"
            ) from error
        made = onnx.load(path)
    del made.graph.value_info[:]
    return made


@contextmanager
def _quiet_quantiser() -> Iterator[None]:
    """Without its advice to simplify the graph first, which it is."""

    def unwanted(record: logging.LogRecord) -> bool:
        return "pre-processing before quantization" not in record.getMessage()

    root = logging.getLogger()
    root.addFilter(unwanted)
    try:
        yield
    finally:
        root.removeFilter(unwanted)
