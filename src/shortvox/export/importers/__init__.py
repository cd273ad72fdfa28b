"""Published checkpoints become model folders: one file for each toolkit, which importing this package registers."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from shortvox.corpora.audio import SAMPLE_RATE
from shortvox.errors import ModelError
from shortvox.export.importers import speechbrain as speechbrain
from shortvox.export.importers import three_d_speaker as three_d_speaker
from shortvox.export.importers import voxceleb_trainer as voxceleb_trainer
from shortvox.export.importers import wespeaker as wespeaker
from shortvox.export.importers.checkpoint import read_checkpoint
from shortvox.export.importers.kind import Kind, kind
from shortvox.export.importers.layout import fitted
from shortvox.files import ensure_writable
from shortvox.locks import one_writer
from shortvox.models.folder import describe, save_model
from shortvox.models.settings import ModelSettings
from shortvox.models.speaker_model import SpeakerModel

__all__ = ["Import", "Kind", "from_tensors", "import_model", "kind"]


@dataclass(frozen=True)
class Import:
    """A model, and the names in its checkpoint that are no part of it."""

    model: SpeakerModel
    left_out: tuple[str, ...]


def import_model(name: str, checkpoint: Path, out: Path) -> Import:
    """Make the model folder `out`, without a head, of a checkpoint of the kind `name`.

    Raises ConfigError for an unknown kind, and ModelError for a checkpoint that needs more than weights, is of another
    architecture, lacks a tensor, or has one too many or of another shape; and for a folder that is not empty.
    """
    chosen = kind[name]
    if out.is_dir() and any(out.iterdir()):
        raise ModelError(f"{out}: is not empty; name a new folder for the model")
    tensors = read_checkpoint(checkpoint)
    try:
        imported = from_tensors(chosen, tensors)
    except ModelError as error:
        raise ModelError(f"{checkpoint}: {error}") from None
    with one_writer(ensure_writable(out)):
        save_model(out, imported.model, card=_card(imported, chosen, checkpoint))
    return imported


def from_tensors(chosen: Kind, tensors: Mapping[str, Tensor]) -> Import:
    """The model that the tensors of a checkpoint make; raises ModelError for those that make none."""
    left_out = tuple(name for name in tensors if name.startswith(chosen.left_out))
    network = {name: tensor for name, tensor in tensors.items() if name not in left_out}
    misnamed = [name for name in network if not name.startswith(chosen.prefix)]
    if misnamed:
        raise ModelError(f"{misnamed[0]} does not begin with {chosen.prefix}, as names of {chosen.toolkit} do")
    found = {name.removeprefix(chosen.prefix): tensor for name, tensor in network.items()}
    backbone, pieces = chosen.recognise(found)
    state = torch.get_rng_state()
    model = SpeakerModel.fresh(ModelSettings(backbone=backbone, head=None, frontend=chosen.frontend), ())
    torch.set_rng_state(state)
    model.backbone.load_state_dict(fitted(model.backbone, backbone, pieces, found))
    with torch.inference_mode():
        noise = torch.randn(1, SAMPLE_RATE, generator=torch.Generator().manual_seed(0)) / 10
        model.eval().require_unit_length(model.embed(noise).numpy())
    return Import(model, left_out)


def _card(imported: Import, chosen: Kind, checkpoint: Path) -> str:
    with checkpoint.open("rb") as file:
        checksum = hashlib.file_digest(file, "sha256").hexdigest()
    left_out = f"- left out of it: {', '.join(imported.left_out)}\n" if imported.left_out else ""
    return (
        f"{describe(imported.model)}"
        f"- imported from: {checkpoint.name} of {chosen.toolkit}, SHA-256 {checksum}\n"
        f"{left_out}"
        "- trained by: the checkpoint's makers; their licence holds for these weights too\n"
    )
