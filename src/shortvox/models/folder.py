"""A model on disk: one folder with weights, head, speaker names, settings and card. No pickle."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from pydantic import Field
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from shortvox.config import Settings, parse, read_yaml, write_yaml
from shortvox.environment import environment, in_words
from shortvox.errors import ModelError, ScoreError
from shortvox.files import ensure_writable, write_bytes, write_text
from shortvox.models import parameter_count
from shortvox.models.settings import ModelSettings
from shortvox.models.speaker_model import SpeakerModel, load_tensors
from shortvox.scoring.calibration import Calibration

FORMAT = 1
FILES = ("model.safetensors", "config.yaml", "speakers.txt")


class ModelFile(Settings):
    """What `config.yaml` of a model folder holds."""

    format: int = Field(ge=1, le=FORMAT)
    model: ModelSettings


def save_model(folder: Path, model: SpeakerModel, *, card: str) -> None:
    """Write the folder; `config.yaml` comes last, so a folder that has it is whole."""
    ensure_writable(folder)
    tensors = {name: tensor.cpu().contiguous() for name, tensor in model.tensors().items()}
    write_bytes(folder / "model.safetensors", save(tensors))
    write_text(folder / "speakers.txt", "".join(f"{name}\n" for name in model.speakers))
    write_text(folder / "card.md", card)
    settings = ModelFile(format=FORMAT, model=model.settings)
    write_text(folder / "config.yaml", write_yaml(settings.model_dump()))


def load_model(folder: Path) -> SpeakerModel:
    """The model in `folder`, in evaluation mode.

    Raises ModelError for a folder that is no model, lacks a file, comes from another version or does not fit itself.
    """
    missing = [name for name in FILES if not (folder / name).is_file()]
    if not folder.is_dir():
        raise ModelError(f"{folder}: no such model folder")
    if missing:
        raise ModelError(f"{folder}: not a whole model folder, {', '.join(missing)} missing; copy or train it again")
    values = read_yaml(folder / "config.yaml")
    if values.get("format") != FORMAT:
        raise ModelError(
            f"{folder}/config.yaml: model format {values.get('format')!r}, this version reads {FORMAT}; "
            "train it again or use the version of shortvox that wrote it"
        )
    settings = parse(ModelFile, values, f"{folder}/config.yaml").model
    speakers = _read_speakers(folder / "speakers.txt")
    generator_state = torch.get_rng_state()
    model = SpeakerModel.fresh(settings, speakers)
    torch.set_rng_state(generator_state)
    try:
        tensors = load_file(folder / "model.safetensors")
        load_tensors(model.modules(), tensors)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{folder}/model.safetensors: damaged ({error}); copy or train it again") from None
    except RuntimeError:
        raise ModelError(
            f"{folder}/model.safetensors: the weights do not fit backbone {settings.backbone} with "
            f"{len(speakers)} head rows; config.yaml, speakers.txt and the weights must come from one training"
        ) from None
    broken = [name for name, tensor in tensors.items() if not bool(torch.isfinite(tensor).all())]
    if broken:
        raise ModelError(f"{folder}/model.safetensors: {broken[0]} holds values that are not finite; train it again")
    return replace(model, calibration=read_calibration(folder / "calibration.json")).eval()


def read_history(folder: Path) -> dict[str, Any]:
    """What `training.json` says of the training that made the model; {} for a model that came without it."""
    path = folder / "training.json"
    return _read_json(path, "delete it to work without the training's history") if path.exists() else {}


def _read_speakers(path: Path) -> tuple[str, ...]:
    try:
        return tuple(path.read_bytes().decode("utf-8").split("\n")[:-1])
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{path}: cannot be read ({error}); copy the model again") from None


def read_calibration(path: Path) -> dict[str, Any] | None:
    """The content of a `calibration.json`, None where there is none; raises ModelError for anything else."""
    if not path.exists():
        return None
    remedy = "delete it to work without calibration"
    content = _read_json(path, remedy)
    try:
        for fitted in content["protocols"].values():
            for length, values in fitted.items():
                float(length.replace("full", "inf"))
                Calibration.from_json(values, str(path))
    except (KeyError, ValueError, AttributeError, ScoreError):
        raise ModelError(f"{path}: not a calibration of this version; {remedy}") from None
    return content


def _read_json(path: Path, remedy: str) -> dict[str, Any]:
    """The object in a JSON file of a model folder; raises ModelError naming the remedy."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        content = None
    if not isinstance(content, dict):
        raise ModelError(f"{path}: not valid JSON; {remedy}")
    return content


def write_card(model: SpeakerModel, *, trained_on: str, steps: int, epochs: float, seconds: float) -> str:
    """`card.md`: what the model is, for the person who finds the folder."""
    return (
        f"# {model.settings.backbone} speaker model\n\n"
        f"- backbone: {model.settings.backbone}, {parameter_count(model.backbone):,} parameters, "
        f"{model.backbone.dim}-dimensional embeddings\n"
        f"- head: {model.settings.head.name}, {len(model.speakers)} rows (speakers.txt)\n"
        f"- front end: {model.settings.frontend.bands} log-mel bands, CMN {model.settings.frontend.cmn}, "
        f"VAD {model.settings.frontend.vad}, 16 kHz\n"
        f"- trained on: {trained_on}\n"
        f"- steps: {steps} ({epochs:g} epochs); seconds of speech heard: {seconds:,.0f}\n"
        f"- trained with: {in_words(environment())}\n"
    )
