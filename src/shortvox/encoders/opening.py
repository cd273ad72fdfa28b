"""`open_encoder(SPEC)`: an encoder by what the user names. No two kinds take the same."""

from __future__ import annotations

from pathlib import Path

from shortvox.encoders import folder as folder  # one line for each file of kinds

from shortvox.encoders import graph as graph  # isort: skip
from shortvox.encoders import boxed as boxed  # isort: skip
from shortvox.encoders import factory as factory  # isort: skip
from shortvox.encoders import kept as kept  # isort: skip
from shortvox.box import in_the_box
from shortvox.encoders.encoder import Encoder
from shortvox.encoders.kind import kind
from shortvox.errors import EncoderError


def kind_of(spec: str | Path) -> str:
    """The name of the kind of a specification; raises EncoderError, which says what there is, where none takes it."""
    text = _as_text(spec)
    for name in kind:
        if kind[name].takes(text):
            return name
    raise EncoderError(f"{spec}: no encoder; expected {', '.join(kind[name].told for name in kind)}")


def open_encoder(spec: str | Path, device: str = "cpu") -> Encoder:
    """The encoder that a specification names, once it has checked itself.

    `default` or `tiny`, the models in the box (which a Path never names); a model folder of shortvox (needs torch), a
    folder that `export` made, an .onnx file of any speaker encoder, `python:package.module:factory`, or a .npz file
    that `embed` wrote. Raises EncoderError, in one line with the file and the remedy, for anything else, and ModelError
    for a faulty model folder. `device` (`auto`, `cpu`, `cuda`, `cuda:N`) is where a model folder is run; the others
    choose for themselves.
    """
    name, text = kind_of(spec), _as_text(spec)
    return folder.open_folder(text, device) if name == "folder" else kind[name].open(text)


def _as_text(spec: str | Path) -> str:
    return f"./{spec}" if isinstance(spec, Path) and in_the_box(str(spec)) else str(spec)
