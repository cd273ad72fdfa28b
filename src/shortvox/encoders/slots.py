"""Which inputs and output of a graph are used, and which sizes it has fixed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shortvox.encoders.sidecar import GraphSettings
from shortvox.errors import EncoderError


@dataclass(frozen=True)
class Slots:
    """Names of the input, of the input that takes lengths with its type, and of the output; sizes, None for any."""

    input: str
    lengths: str | None
    lengths_type: str
    output: str
    batch: int | None
    steps: int | None


def find_slots(session: Any, settings: GraphSettings, path: Path) -> Slots:
    """Raises EncoderError where inputs and outputs are not what the settings say, or several without a name chosen."""
    beside = path.with_suffix(".yaml").name
    inputs = {one.name: one for one in session.get_inputs()}
    outputs = {one.name: one for one in session.get_outputs()}
    for key, name, there in (
        ("input", settings.input, inputs),
        ("lengths", settings.lengths, inputs),
        ("output", settings.output, outputs),
    ):
        if name is not None and name not in there:
            what = "output" if key == "output" else "input"
            raise EncoderError(f"{path}: no {what} '{name}'; it has {_listed(there)}; correct {key} in {beside}")
    lengths = settings.lengths or _lengths_of_nemo(inputs, settings)
    others = [name for name in inputs if name != lengths]
    if settings.input is None and len(others) != 1:
        raise EncoderError(f"{path}: {len(inputs)} inputs, {_listed(inputs)}; name input and lengths in {beside}")
    taken = settings.input or others[0]
    if needless := [name for name in others if name != taken]:
        raise EncoderError(
            f"{path}: takes '{needless[0]}' too, which nothing gives; export it without, or name it as lengths in "
            f"{beside}"
        )
    output = settings.output or _output(outputs, settings, path)
    _refuse_input(inputs[taken], settings, path)
    if outputs[output].shape and len(outputs[output].shape) != 2:
        raise EncoderError(
            f"{path}: output '{output}' has shape {outputs[output].shape}, not (batch, dim); export it with one vector "
            "for each row"
        )
    type_ = "int64" if lengths is None else str(inputs[lengths].type).removeprefix("tensor(").removesuffix(")")
    if type_ not in ("int32", "int64"):
        raise EncoderError(f"{path}: input '{lengths}' takes {type_}; lengths are int64 or int32; export it again")
    shape = inputs[taken].shape
    time = 2 if settings.features != "waveform" and settings.layout == "bands-frames" else 1
    batch, steps = (axis if isinstance(axis, int) and axis > 0 else None for axis in (shape[0], shape[time]))
    if batch not in (None, 1):
        raise EncoderError(f"{path}: takes batches of {batch} only; export it with a dynamic batch axis, or one of 1")
    return Slots(taken, lengths, type_, output, batch, steps)


def _lengths_of_nemo(inputs: Mapping[str, Any], settings: GraphSettings) -> str | None:
    """The second input of NeMo's graphs, which takes numbers of frames, by its type."""
    whole = [name for name, one in inputs.items() if "int" in one.type]
    return whole[0] if settings.features == "nemo" and len(inputs) == 2 and len(whole) == 1 else None


def _output(outputs: Mapping[str, Any], settings: GraphSettings, path: Path) -> str:
    """The only output, or the only one that has as many dimensions as the metadata say of the embedding."""
    if len(outputs) == 1:
        return next(iter(outputs))
    fitting = [name for name, one in outputs.items() if settings.dim is not None and one.shape[-1:] == [settings.dim]]
    if len(fitting) != 1:
        raise EncoderError(
            f"{path}: {len(outputs)} outputs, {_listed(outputs)}; name the embedding's as output in "
            f"{path.with_suffix('.yaml').name}"
        )
    return fitting[0]


def _refuse_input(taken: Any, settings: GraphSettings, path: Path) -> None:
    """Raises EncoderError for an input of other numbers, rank or bands than what is given to it."""
    waveform = settings.features == "waveform"
    wanted = "(batch, samples)" if waveform else f"(batch, {settings.layout.replace('-', ', ')})"
    if taken.type != "tensor(float)":
        raise EncoderError(
            f"{path}: input '{taken.name}' takes {taken.type}, not float32; export it with inputs of float32"
        )
    if len(taken.shape) != (2 if waveform else 3):
        raise EncoderError(
            f"{path}: input '{taken.name}' has shape {taken.shape}, and features: {settings.features} gives {wanted}; "
            "correct features, or export it with that input"
        )
    axis = None if waveform else taken.shape[1 if settings.layout == "bands-frames" else 2]
    if isinstance(axis, int) and axis != settings.bands:
        raise EncoderError(
            f"{path}: input '{taken.name}' has shape {taken.shape}, which {wanted} with {settings.bands} bands does "
            f"not fit; correct bands or layout in {path.with_suffix('.yaml').name}"
        )


def _listed(named: Mapping[str, Any]) -> str:
    return ", ".join(f"'{name}' {one.shape}" for name, one in list(named.items())[:6])
