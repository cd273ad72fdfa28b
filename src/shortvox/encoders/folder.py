"""Kind of encoder: a model folder of shortvox, run by torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from shortvox.box import in_the_box, is_export
from shortvox.corpora.crop import of_similar_length
from shortvox.encoders.batches import embedded, padded
from shortvox.encoders.encoder import Encoder
from shortvox.encoders.kind import Kind, kind
from shortvox.files import is_folder

SHORTEST = 160  # samples: one frame


def open_folder(spec: str, device: str = "cpu") -> Encoder:
    """The model in a folder, on `auto`, `cpu`, `cuda` or `cuda:N`. Raises ModelError for a faulty one, ConfigError for
    a device that is not there.
    """
    import torch

    from shortvox.device import chosen_device
    from shortvox.models.folder import load_model

    where = chosen_device(device)
    model = load_model(Path(spec)).to(where)

    def feed(waveforms: list[np.ndarray]) -> np.ndarray:
        taken, lengths = padded(waveforms)
        own = None if (lengths == lengths[0]).all() else torch.from_numpy(lengths).to(where)
        with torch.inference_mode():
            return model.require_unit_length(model.embed(torch.from_numpy(taken).to(where), own).cpu().numpy())

    def run(waveforms: Sequence[np.ndarray]) -> np.ndarray:
        return embedded(waveforms, of_similar_length([len(one) for one in waveforms]), feed)

    return Encoder(
        name=Path(spec).resolve().name,
        kind="model folder",
        source=spec,
        dim=model.backbone.dim,
        fingerprint=model.fingerprint(),
        shortest=SHORTEST,
        run=run,
        home=Path(spec),
        calibration=model.calibration,
        remedy="train the model again, with a lower optimiser.lr, or copy it again",
    )


def _takes(spec: str) -> bool:
    """Any folder but one that `export` made: what is missing in it is then named."""
    return not in_the_box(spec) and is_folder(Path(spec)) and not is_export(Path(spec))


kind("folder")(Kind(_takes, open_folder, "a model folder"))
