"""Kind of encoder: a model in the box, by its name."""

from __future__ import annotations

from dataclasses import replace

from shortvox.box import NAMES, box_folder, in_the_box
from shortvox.encoders.encoder import Encoder
from shortvox.encoders.graph import open_graph
from shortvox.encoders.kind import Kind, kind


def open_boxed(spec: str) -> Encoder:
    """The model of that name, with the calibration that it came with; nothing is kept beside it.

    Raises EncoderError where the installation lacks it, or it is damaged.
    """
    encoder = open_graph(str(box_folder(spec)))
    return replace(encoder, name=spec, kind="model in the box", source=spec, home=None, remedy="install shortvox again")


kind("boxed")(Kind(in_the_box, open_boxed, f"a model in the box ({', '.join(NAMES)})"))
