"""The models in the box: graphs that come with the package, opened by name, without torch and without a network.

Each is a folder beside this file as `export` writes one, with its graph stored small (`docs/the-box.md`).
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from shortvox.errors import EncoderError
from shortvox.progress import note

NAMES = ("default", "tiny")
GRAPH = "model.onnx"  # in the folders here, and in any that `export` made
HERE = Path(__file__).parent


def in_the_box(spec: str) -> bool:
    """Whether a specification names a model in the box. `./default` names a folder that is called so."""
    return spec in NAMES


def box_folder(name: str) -> Path:
    """The folder of a model in the box; raises EncoderError where the installation lacks it.

    A file or folder that is called so where one works is told about, once.
    """
    folder = HERE / name
    if not (folder / GRAPH).is_file():
        raise EncoderError(f"{name}: the model in the box is missing ({folder / GRAPH}); install shortvox again")
    _tell_namesake(name, Path.cwd())
    return folder


def is_export(folder: Path) -> bool:
    """Whether a folder has a graph and is no model folder. One that may not be opened is neither."""
    graph, config = (os.path.exists(folder / name) for name in (GRAPH, "config.yaml"))  # noqa: PTH110 (Path's raises)
    return graph and not config


def model_path(spec: str | Path) -> Path:
    """Where the model is that a user names: in the box, or in a folder or file."""
    return box_folder(spec) if isinstance(spec, str) and in_the_box(spec) else Path(spec)


@cache
def _tell_namesake(name: str, here: Path) -> None:
    if (here / name).exists():
        note(f"{name}: the model in the box; what is called so in this folder is ./{name}")
