"""A model on disk: one folder with weights, head, speaker names, settings and card. No pickle.

What reads a model folder takes a graph that `export` made as well: the encoder without its head.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from pydantic import Field
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from shortvox.config import Settings, parse, read_yaml, write_yaml
from shortvox.errors import ModelError
from shortvox.files import ensure_writable, require_folder, write_bytes, write_text
from shortvox.models import parameter_count
from shortvox.models.graphfile import graph_at, read_graph, read_graph_settings
from shortvox.models.settings import ModelSettings
from shortvox.models.sidefiles import read_names
from shortvox.models.speaker_model import SpeakerModel, load_tensors, misfit
from shortvox.scoring.calibrationfile import CALIBRATION, read_calibration

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


def read_settings(folder: Path) -> ModelSettings:
    """The settings of the model in `folder`.

    Raises ModelError for a folder that is no model, lacks a file or comes from another version.
    """
    if (graph := graph_at(folder)) is not None:
        return read_graph_settings(graph)
    require_folder(folder, ModelError, "a model folder")
    try:
        missing = [name for name in FILES if not (folder / name).is_file()]
    except OSError as error:
        raise ModelError(f"{folder}: cannot be opened ({error.strerror or error}); expected a model folder") from None
    if missing:
        raise ModelError(f"{folder}: not a whole model folder, {', '.join(missing)} missing; copy or train it again")
    values = read_yaml(folder / "config.yaml")
    if values.get("format") != FORMAT:
        raise ModelError(
            f"{folder}/config.yaml: model format {values.get('format')!r}, this version reads {FORMAT}; "
            "train it again or use the version of shortvox that wrote it"
        )
    return parse(ModelFile, values, f"{folder}/config.yaml").model


def load_model(folder: Path) -> SpeakerModel:
    """The model in `folder`, in evaluation mode.

    Raises ModelError as `read_settings`, and for a model that does not fit itself.
    """
    if (graph := graph_at(folder)) is not None:
        return _load_graph(graph)
    settings = read_settings(folder)
    speakers = read_names(folder / "speakers.txt")
    if speakers and settings.head is None:
        raise ModelError(f"{folder}/speakers.txt: names rows of a head, and config.yaml says that there is none")
    model = _fresh(settings, speakers)
    load_tensors(model.modules(), _read_weights(folder / "model.safetensors", model))
    return replace(model, calibration=read_calibration(folder / CALIBRATION), folder=folder).eval()


def _load_graph(path: Path) -> SpeakerModel:
    settings, tensors = read_graph(path)
    model = _fresh(settings, ())
    if (problem := misfit(tensors, model.tensors(), extra=True)) is not None:
        raise ModelError(
            f"{path}: does not hold the weights of backbone {settings.backbone} ({problem}), as a graph that computes "
            "with int8 does not; name model.onnx of that export, or the model's folder"
        )
    own = {name: tensors[name] for name in model.tensors()}
    _refuse_unsound(own, path)
    load_tensors(model.modules(), own)
    return replace(model, calibration=read_calibration(path.parent / CALIBRATION), folder=path.parent).eval()


def _fresh(settings: ModelSettings, speakers: tuple[str, ...]) -> SpeakerModel:
    """A model to be filled, which leaves torch's generator as it was."""
    generator_state = torch.get_rng_state()
    try:
        return SpeakerModel.fresh(settings, speakers)
    finally:
        torch.set_rng_state(generator_state)


def _read_weights(path: Path, model: SpeakerModel) -> dict[str, Tensor]:
    """The tensors in a file, when they are those of `model` and can be weights."""
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise ModelError(f"{path}: damaged ({error}); copy or train it again") from None
    if (problem := misfit(tensors, model.tensors())) is not None:
        raise ModelError(
            f"{path}: the weights do not fit backbone {model.settings.backbone} with {len(model.speakers)} head rows "
            f"({problem}); config.yaml, speakers.txt and the weights must come from one training"
        )
    _refuse_unsound(tensors, path)
    return tensors


def _refuse_unsound(tensors: Mapping[str, Tensor], path: Path) -> None:
    for name, tensor in tensors.items():
        if not bool(torch.isfinite(tensor).all()):
            raise ModelError(f"{path}: {name} holds values that are not finite; train it again")
        if name.endswith("running_var") and bool((tensor < 0).any()):
            raise ModelError(f"{path}: {name} holds a negative variance; copy or train it again")


def write_card(model: SpeakerModel, *, trained_on: str, steps: int, epochs: float, seconds: float, ran_on: str) -> str:
    """`card.md`: what the model is, for the person who finds the folder."""
    return (
        f"{describe(model)}"
        f"- trained on: {trained_on}\n"
        f"- steps: {steps} ({epochs:g} epochs); seconds of speech heard: {seconds:,.0f}\n"
        f"- trained with: {ran_on}\n"
    )


def describe(model: SpeakerModel) -> str:
    """The first lines of a card: title, backbone, head, front end."""
    frontend, head = model.settings.frontend, model.settings.head
    bank = "log-mel bands" if frontend.features == "kaldi" else f"bands as {frontend.features} has them"
    changed = [f"{key} {getattr(frontend, key)}" for key in ("window", "edges", "scale") if key in frontend.identity()]
    return (
        f"# {model.settings.backbone} speaker model\n\n"
        f"- backbone: {model.settings.backbone}, {parameter_count(model.backbone):,} parameters, "
        f"{model.backbone.dim}-dimensional embeddings\n"
        f"- head: {'none' if head is None else f'{head.name}, {len(model.speakers)} rows (speakers.txt)'}\n"
        f"- front end: {', '.join([f'{frontend.bands} {bank}', *changed])}, CMN {frontend.cmn}, "
        f"VAD {frontend.vad}, 16 kHz\n"
    )
