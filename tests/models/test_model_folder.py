from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from shortvox.corpora.crop import whole
from shortvox.corpora.speech import SpeechData
from shortvox.errors import ConfigError, ModelError, ShortvoxError
from shortvox.models.embedding import embed_crops
from shortvox.models.folder import load_model, save_model
from shortvox.models.segmented import embed_segmented, mean_embedding
from shortvox.models.settings import ModelSettings
from shortvox.models.speaker_model import SpeakerModel

SETTINGS = ModelSettings(backbone="ecapa-64")
NAMES = ("anna", "bob#0.9", "çelik ölü", "d e", "x\ry")


@pytest.fixture
def model() -> SpeakerModel:
    torch.manual_seed(3)
    return SpeakerModel.fresh(SETTINGS, NAMES).eval()


@pytest.fixture
def folder(model: SpeakerModel, tmp_path: Path) -> Path:
    save_model(tmp_path / "model", model, card="# a model\n")
    return tmp_path / "model"


def refusal(folder: Path) -> str:
    with pytest.raises(ModelError) as raised:
        load_model(folder)
    message = str(raised.value)
    assert "\n" not in message
    assert str(folder) in message
    return message


def test_a_model_without_a_head_is_a_model(tmp_path: Path) -> None:
    encoder = SpeakerModel.fresh(ModelSettings(backbone="ecapa-64", head=None), ()).eval()
    save_model(tmp_path / "encoder", encoder, card="# an encoder\n")
    loaded = load_model(tmp_path / "encoder")
    assert loaded.settings.head is None
    assert loaded.speakers == ()
    assert loaded.fingerprint(with_head=True) == encoder.fingerprint(with_head=True)
    waveform = torch.randn(1, 4000)
    assert torch.equal(loaded.embed(waveform), encoder.embed(waveform))
    (tmp_path / "encoder" / "speakers.txt").write_text("anna\n")
    assert "there is none" in refusal(tmp_path / "encoder")


def test_round_trip(model: SpeakerModel, folder: Path, data: SpeechData) -> None:
    torch.manual_seed(11)
    expected = torch.rand(1)
    torch.manual_seed(11)
    loaded = load_model(folder)
    assert torch.equal(torch.rand(1), expected)  # loading leaves the global generator alone
    assert loaded.speakers == NAMES
    assert loaded.settings == SETTINGS
    assert not loaded.backbone.training
    for name, tensor in model.tensors().items():
        assert torch.equal(loaded.tensors()[name], tensor)
    waveform = torch.from_numpy(data.store.read(0))[None]
    assert torch.equal(loaded.embed(waveform), model.embed(waveform))
    assert loaded.embed(waveform).norm().item() == pytest.approx(1.0, abs=1e-5)
    assert not list(folder.glob(".*"))
    assert not [path for path in folder.iterdir() if path.suffix in {".pt", ".pth", ".pkl", ".bin"}]


def test_fingerprint_follows_backbone_and_front_end_and_nothing_else(model: SpeakerModel, folder: Path) -> None:
    loaded = load_model(folder)
    fingerprint = model.fingerprint()
    assert loaded.fingerprint() == fingerprint
    with torch.no_grad():
        loaded.head.weight.add_(1.0)
    assert loaded.fingerprint() == fingerprint
    with torch.no_grad():
        next(loaded.backbone.parameters()).view(-1)[0].add_(1e-3)
    assert loaded.fingerprint() != fingerprint
    other = SpeakerModel(
        **{**model.__dict__, "settings": ModelSettings(backbone="ecapa-64", frontend={"bands": 80, "cmn": "none"})}
    )
    assert other.fingerprint() != fingerprint


def test_a_folder_from_before_a_front_end_setting_takes_its_default(folder: Path) -> None:
    config = folder / "config.yaml"
    written = config.read_text()
    config.write_text(written.replace("    vad: none\n", ""))
    assert config.read_text() != written
    assert load_model(folder).settings == SETTINGS


def test_missing_folder_and_file(folder: Path) -> None:
    assert "no such folder; expected a model folder" in refusal(folder / "absent")
    (folder / "speakers.txt").unlink()
    assert "speakers.txt missing" in refusal(folder)


def test_another_version(folder: Path) -> None:
    config = folder / "config.yaml"
    config.write_text(config.read_text().replace("format: 1", "format: 99"))
    assert "model format 99, this version reads 1" in refusal(folder)


@pytest.mark.parametrize("kept", [0, 5, 1000, -1])
def test_truncated_weights(folder: Path, kept: int) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:kept])
    assert "damaged" in refusal(folder)


def rewrite(folder: Path, change: Callable[[dict[str, Tensor]], object]) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")


def every(kind: torch.dtype) -> Callable[[dict[str, Tensor]], object]:
    return lambda tensors: tensors.update({name: tensor.to(kind) for name, tensor in tensors.items()})


@pytest.mark.parametrize("kind", [torch.int8, torch.bool, torch.complex64, torch.float8_e4m3fn])
def test_weights_of_another_type_would_be_converted_in_silence(folder: Path, kind: torch.dtype) -> None:
    rewrite(folder, every(kind))
    assert f"is stored as {kind}, not float32".replace("torch.", "") in refusal(folder)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_less_or_more_precision_are_not_those_that_were_trained(folder: Path, kind: torch.dtype) -> None:
    rewrite(folder, every(kind))
    assert "not float32" in refusal(folder)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda tensors: tensors.pop("backbone.embedding.weight"), "backbone.embedding.weight is missing"),
        (lambda tensors: tensors.pop("head.weight"), "head.weight is missing"),
        (lambda tensors: tensors.update({"backbone.new": torch.zeros(1)}), "backbone.new has no place"),
        (lambda tensors: tensors.update({"other.new": torch.zeros(1)}), "other.new has no place"),
        (lambda tensors: tensors.update({"head.weight": torch.zeros(5)}), "head.weight has shape (5,), not (5, 128)"),
        (lambda tensors: tensors["head.weight"].fill_(float("nan")), "head.weight holds values that are not finite"),
        (lambda tensors: tensors["backbone.norm.running_var"].sub_(2), "holds a negative variance"),
    ],
)
def test_weights_that_no_training_leaves(
    folder: Path, change: Callable[[dict[str, Tensor]], object], reason: str
) -> None:
    rewrite(folder, change)
    assert reason in refusal(folder)


@pytest.mark.parametrize("factor", [1e30, 0.0])
def test_a_model_that_gives_no_direction_is_named_where_embeddings_are_made(
    folder: Path, data: SpeechData, factor: float
) -> None:
    """Finite weights that overflow to NaN, or embeddings of zeros only."""
    rewrite(folder, lambda tensors: [tensor.mul_(factor) for tensor in tensors.values()])
    model = load_model(folder)
    crops = [whole(data.store, position) for position in range(3)]
    embedders = (embed_crops, partial(embed_segmented, frames=40, overlap=0.0, bring=mean_embedding))
    for embedder in embedders:
        with pytest.raises(ModelError) as caught:
            embedder(model, data.store, crops)
        assert str(caught.value).startswith(f"{folder}: 3 of 3 embeddings are not finite or have no direction")


def test_a_folder_that_may_not_be_opened(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "is_file", refused)  # root may open everything
    assert "cannot be opened (Permission denied)" in refusal(folder)
    assert "File name too long" in refusal(folder / ("x" * 300))


def test_a_pipe_in_the_place_of_a_file(folder: Path) -> None:
    (folder / "speakers.txt").unlink()
    os.mkfifo(folder / "speakers.txt")
    assert "speakers.txt missing" in refusal(folder)


def test_wrong_speaker_count(folder: Path) -> None:
    with (folder / "speakers.txt").open("a") as names:
        names.write("one too many\n")
    assert "6 head rows" in refusal(folder)


def test_weights_of_another_backbone(folder: Path) -> None:
    config = folder / "config.yaml"
    config.write_text(config.read_text().replace("ecapa-64", "ecapa-128"))
    assert "do not fit backbone ecapa-128" in refusal(folder)


def test_unknown_backbone_and_key_suggest_the_nearest(folder: Path) -> None:
    config = folder / "config.yaml"
    whole = config.read_text()
    config.write_text(whole.replace("ecapa-64", "ecapa-46"))
    with pytest.raises(ShortvoxError, match="unknown backbone 'ecapa-46'; did you mean 'ecapa-64'"):
        load_model(folder)
    config.write_text(whole.replace("margin:", "margni:"))
    with pytest.raises(ConfigError, match=r"unknown key 'model\.head\.margni'; did you mean 'margin'"):
        load_model(folder)


def test_bands_of_front_end_and_backbone_must_agree() -> None:
    with pytest.raises(ModelError, match=r"takes 80 bands, the front end gives 64; set model\.frontend\.bands=80"):
        SpeakerModel.fresh(ModelSettings(backbone="ecapa-64", frontend={"bands": 64}), NAMES)
