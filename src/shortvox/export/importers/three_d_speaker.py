"""3D-Speaker (Chen et al., 2024): CAM++ with embeddings of 192 or 512."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from shortvox.errors import ModelError
from shortvox.export.importers.campplus import campplus, is_campplus
from shortvox.export.importers.kind import Kind, kind
from shortvox.export.importers.layout import Pieces
from shortvox.frontend.frontend import FrontEndSettings


def recognise(found: Mapping[str, Tensor]) -> tuple[str, Pieces]:
    if not is_campplus(found):
        raise ModelError("not a CAM++, the one network of 3D-Speaker that is known")
    return campplus(found)


kind("3d-speaker")(Kind(toolkit="3D-Speaker", frontend=FrontEndSettings(edges="snip", scale=1.0), recognise=recognise))
