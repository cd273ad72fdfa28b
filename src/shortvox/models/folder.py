"""A model on disk: one folder with weights, head, speaker names, settings and card. No pickle."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import field_validator
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from shortvox.config import Settings, parse, read_yaml, write_yaml
from shortvox.errors import ModelError, ScoreError
from shortvox.files import ensure_writable, write_bytes, write_text
from shortvox.frontend.frontend import FrontEnd, FrontEndSettings
from shortvox.heads import Head, HeadSettings, head
from shortvox.models import Backbone, backbone, blueprint, parameter_count
from shortvox.scoring.calibration import Calibration

FORMAT = 1
FILES = ("model.safetensors", "config.yaml", "speakers.txt")


class ModelSettings(Settings):
    """Everything that makes a model but its weights."""

    backbone: str = "ecapa-128"
    head: HeadSettings = HeadSettings()
    frontend: FrontEndSettings = FrontEndSettings()

    @field_validator("backbone")
    @classmethod
    def _known_backbone(cls, name: str) -> str:
        backbone[name]  # an unknown one must fail before any work
        return name

    @field_validator("head")
    @classmethod
    def _known_head(cls, settings: HeadSettings) -> HeadSettings:
        head[settings.name]
        return settings

    def check(self, network: Backbone | None = None) -> None:
        """Raise ModelError where the front end gives another number of bands than the backbone takes."""
        wanted = (network or blueprint(self.backbone)).bands
        if wanted != self.frontend.bands:
            raise ModelError(
                f"backbone {self.backbone} takes {wanted} bands, the front end gives {self.frontend.bands}; "
                f"set model.frontend.bands={wanted}"
            )


class ModelFile(Settings):
    """What `config.yaml` of a model folder holds."""

    format: int
    model: ModelSettings


@dataclass(frozen=True)
class SpeakerModel:
    """Front end, backbone and head, with the names of the head's rows in order."""

    settings: ModelSettings
    frontend: FrontEnd
    backbone: Backbone
    head: Head
    speakers: tuple[str, ...]
    calibration: dict[str, Any] | None = None

    @classmethod
    def fresh(cls, settings: ModelSettings, speakers: tuple[str, ...]) -> SpeakerModel:
        """A model with random weights (torch's global generator)."""
        network = backbone[settings.backbone]()
        settings.check(network)
        classifier = head[settings.head.name].make(settings.head, dim=network.dim, speakers=len(speakers))
        return cls(settings, FrontEnd(settings.frontend), network, classifier, speakers)

    def modules(self) -> dict[str, nn.Module]:
        return {"backbone": self.backbone, "head": self.head}

    def tensors(self) -> dict[str, Tensor]:
        """Weights and buffers under `backbone.…` and `head.…`."""
        return tensors_of(self.modules())

    def fingerprint(self, *, with_head: bool = False) -> str:
        """Hash of what decides an embedding, or `with_head` of all that a training starts from."""
        digest = hashlib.sha256(json.dumps(self.settings.frontend.model_dump()).encode())
        head_state = self.head.state_dict(prefix="head.") if with_head else {}
        digest.update("\n".join(self.speakers if with_head else ()).encode())
        for name, tensor in sorted({**self.backbone.state_dict(), **head_state}.items()):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:24]

    def embed(self, waveforms: Tensor, lengths: Tensor | None = None, *, inside: Tensor | None = None) -> Tensor:
        """(batch, samples), lengths in samples -> unit-length embeddings (batch, dim).

        `inside` (batch, 2) bounds the frames that are embedded, in features of the whole waveforms; see `FrontEnd`.
        """
        features, counts = self.frontend(waveforms, lengths, inside=inside)
        return nn.functional.normalize(self.backbone(features, counts))

    def to(self, device: torch.device) -> SpeakerModel:
        for module in (self.frontend, self.backbone, self.head):
            module.to(device)
        return self

    def eval(self) -> SpeakerModel:
        for module in (self.frontend, self.backbone, self.head):
            module.eval()
        return self


def tensors_of(modules: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    """Weights and buffers of named modules, as `MODULE.NAME`."""
    return {
        f"{part}.{name}": tensor.detach()
        for part, module in modules.items()
        for name, tensor in module.state_dict().items()
    }


def load_tensors(modules: Mapping[str, nn.Module], tensors: Mapping[str, Tensor]) -> None:
    """Inverse of `tensors_of`; raises RuntimeError where names or shapes do not fit."""
    for part, module in modules.items():
        module.load_state_dict(
            {name.removeprefix(f"{part}."): t for name, t in tensors.items() if name.startswith(f"{part}.")}
        )


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
    return SpeakerModel(**{**model.__dict__, "calibration": read_calibration(folder / "calibration.json")}).eval()


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


def write_card(model: SpeakerModel, *, trained_on: str, steps: int, seconds: float) -> str:
    """`card.md`: what the model is, for the person who finds the folder."""
    return (
        f"# {model.settings.backbone} speaker model\n\n"
        f"- backbone: {model.settings.backbone}, {parameter_count(model.backbone):,} parameters, "
        f"{model.backbone.dim}-dimensional embeddings\n"
        f"- head: {model.settings.head.name}, {len(model.speakers)} rows (speakers.txt)\n"
        f"- front end: {model.settings.frontend.bands} log-mel bands, CMN {model.settings.frontend.cmn}, "
        f"VAD {model.settings.frontend.vad}, 16 kHz\n"
        f"- trained on: {trained_on}\n"
        f"- steps: {steps}; seconds of speech heard: {seconds:,.0f}\n"
    )
