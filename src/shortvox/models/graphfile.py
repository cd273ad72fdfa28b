"""The model in a graph that `export` made: its settings from the metadata, its weights by their names.

A weight stands in the graph under `WEIGHTS` and its name in a model folder, as it is or in fewer bits, with nodes
behind it that make it float32 again:

    NAME                            float32
    NAME/half                       float16
    NAME/int8, NAME/scale           int8, and what each row is multiplied by
    NAME/columns                    and, where it is there, each column (float16)
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from shortvox.box import GRAPH, is_export
from shortvox.config import first_problem
from shortvox.errors import ConfigError, ModelError
from shortvox.files import is_folder
from shortvox.models.settings import ModelSettings
from shortvox.textfiles import read_content

WEIGHTS = "backbone/"
HALF, INT8, SCALE, COLUMNS = "/half", "/int8", "/scale", "/columns"
MOST_BYTES = 2**31 - 1  # of a protobuf
_AGAIN = "export the model again, or name its folder"


def graph_at(place: Path) -> Path | None:
    """The graph that a path names: an .onnx file, or that of a folder which `export` made. None for a model folder."""
    if place.suffix == ".onnx":
        return place
    return place / GRAPH if is_folder(place) and is_export(place) else None


def read_graph(path: Path) -> tuple[ModelSettings, dict[str, Tensor]]:
    """Settings and float32 weights as a model folder names them; raises ModelError as `read_graph_settings`."""
    proto = _opened(path)
    return _settings(proto, path), _weights(proto)


def read_graph_settings(path: Path) -> ModelSettings:
    """The settings of the model, without a head.

    Raises ModelError for what is no graph, for another maker's, and for one that does not say what its model is.
    """
    return _settings(_opened(path), path)


def _settings(proto: Any, path: Path) -> ModelSettings:
    said = {entry.key: entry.value for entry in proto.metadata_props}
    if said.get("framework") != "shortvox":
        raise ModelError(
            f"{path}: not a graph that shortvox export made; only those hold a model that can be trained on"
        )
    if "settings" not in said:
        raise ModelError(f"{path}: does not say what its model is, as graphs of shortvox 0.1.0 did not; {_AGAIN}")
    try:
        return ModelSettings.model_validate_json(said["settings"])
    except (ValidationError, ConfigError) as error:
        reason = first_problem(error) if isinstance(error, ValidationError) else error
        raise ModelError(f"{path}: its settings are not those of this version ({reason}); {_AGAIN}") from None


def _opened(path: Path) -> Any:
    import onnx
    from google.protobuf.message import DecodeError

    content = read_content(path, ModelError, "a graph that shortvox export made", most=MOST_BYTES)
    try:
        return onnx.load_model_from_string(content)
    except DecodeError:
        raise ModelError(f"{path}: not an ONNX file, or damaged; copy it again, or export it again") from None


def _weights(proto: Any) -> dict[str, Tensor]:
    from onnx import numpy_helper

    there = {one.name: one for one in proto.graph.initializer if one.name.startswith(WEIGHTS)}

    def values(name: str) -> Tensor:
        return torch.from_numpy(numpy_helper.to_array(there[name]).copy())

    found = {}
    for name in there:
        bare = name.removesuffix(HALF).removesuffix(INT8)
        own = values(name).float() if name != bare else values(name)
        if name.endswith(INT8):
            for scale in (SCALE, COLUMNS):
                own = own * values(bare + scale).float() if bare + scale in there else own
        found[bare.removeprefix(WEIGHTS)] = own
    return found
