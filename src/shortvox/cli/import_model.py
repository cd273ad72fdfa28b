"""`shortvox import-model`: a model folder of a published checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from shortvox.cli.options import AsJson
from shortvox.export.importers import import_model as make_folder
from shortvox.printing import show_json
from shortvox.progress import note


def import_model(
    kind: Annotated[
        str, typer.Argument(help="wespeaker, 3d-speaker, speechbrain or voxceleb_trainer.", metavar="KIND")
    ],
    checkpoint: Annotated[Path, typer.Argument(help="File of torch.save with the network's weights.")],
    out: Annotated[Path, typer.Argument(help="Model folder to make.")],
    as_json: AsJson = False,
) -> None:
    """Make a model folder of a published checkpoint: an encoder that evaluate, embed, export and --init take."""
    made = make_folder(kind, checkpoint, out)
    if made.left_out:
        note(f"left out, as no part of the network: {', '.join(made.left_out)}")
    note(f"{made.model.settings.backbone} written to {out}")
    if as_json:
        settings = made.model.settings.model_dump(mode="json")
        show_json({"model": str(out), "settings": settings, "left_out": list(made.left_out)})
