"""What a test listens with: a model of ours in torch, which can do all that a front end can, or any other encoder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from shortvox.encoders.encoder import Encoder
from shortvox.encoders.opening import kind_of, open_encoder
from shortvox.errors import ConfigError
from shortvox.evaluation.hearing import hearing
from shortvox.evaluation.settings import FrontEndChanges, ScoringSettings
from shortvox.frontend.frontend import FrontEnd
from shortvox.models import parameter_count
from shortvox.models.folder import load_model
from shortvox.models.sidefiles import History, read_history
from shortvox.models.speaker_model import SpeakerModel

Listener = SpeakerModel | Encoder


def open_listener(spec: str, device: torch.device) -> Listener:
    """The model in a folder of ours, on a device, or whatever encoder else the specification names."""
    return load_model(Path(spec)).to(device) if kind_of(spec) == "folder" else open_encoder(spec)


def name_of(listener: Listener) -> str | None:
    """A model's folder, as it is called, or what an encoder calls itself; None for a model in training."""
    if isinstance(listener, SpeakerModel):
        return None if listener.folder is None else listener.folder.resolve().name
    return listener.name


def fingerprint_of(listener: Listener) -> str:
    return listener.fingerprint() if isinstance(listener, SpeakerModel) else listener.fingerprint


def facts_of(listener: Listener) -> dict[str, Any]:
    """What `results.json` says of it: name, kind, dimension, fingerprint, and how many parameters it has, if known."""
    if isinstance(listener, SpeakerModel):
        known = {"kind": "model folder", "dim": listener.backbone.dim}
        parameters: int | None = parameter_count(listener.backbone)
    else:
        known, parameters = {"kind": listener.kind, "dim": listener.dim}, None
    encoder = {"name": name_of(listener), **known, "fingerprint": fingerprint_of(listener)}
    return {"encoder": encoder, "parameters": parameters}


def known_of(listener: Listener) -> dict[str, Any]:
    """`facts_of` one that is tested alone, and what the folder of a model says of the training that made it."""
    folder = listener.folder if isinstance(listener, SpeakerModel) else None
    history = History() if folder is None else read_history(folder)
    known = history.model_dump(mode="json")
    return {
        "about": "",
        **facts_of(listener),
        "total_steps": known["step"],
        "seconds_heard": known["seconds_heard"],
        "wall_seconds": known["wall_seconds"],
        "wrapped_files": known["wrapped"],
        "fewer_steps": False,
        "more_steps": False,
        "head_drift_degrees": None,
        "head_drift_seeds": None,
        "trained_on": history.environments(),
        "loss": known["loss"],
        "validation": known["validation"],
    }


def as_asked(listener: Listener, scoring: ScoringSettings) -> Listener:
    """The listener, hearing through the front end that a scoring asks for.

    Raises ConfigError where it asks an encoder for what only a model folder can do.
    """
    if isinstance(listener, SpeakerModel):
        return _with_front_end(listener, scoring.frontend)
    asked = {
        f"context={scoring.context}": scoring.context != "crop",
        f"embedding.name={scoring.embedding.name}": _needs_model(scoring),
        "frontend": scoring.frontend != FrontEndChanges(),
    }
    for setting, is_asked in asked.items():
        if is_asked:
            raise ConfigError(
                f"{listener.source}: scoring.{setting} needs a model folder of shortvox, and this is of another kind "
                f"({listener.kind}); leave the setting or the encoder out"
            )
    return listener


def _needs_model(scoring: ScoringSettings) -> bool:
    """Whether pieces are joined within the network, rather than each embedded."""
    return hearing[scoring.embedding.name](scoring.embedding).embedder is not None


def _with_front_end(model: SpeakerModel, changes: FrontEndChanges) -> SpeakerModel:
    """The model hearing through a front end that differs in what `changes` names."""
    named = changes.model_dump(exclude_none=True)
    if not named:
        return model
    frontend = model.settings.frontend.model_copy(update=named)
    device = next(model.backbone.parameters()).device
    return replace(
        model, settings=model.settings.model_copy(update={"frontend": frontend}), frontend=FrontEnd(frontend).to(device)
    )
