from __future__ import annotations

import ast
import collections
import json
import math
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import checkpoints
import numpy as np
import pytest
import torch
from checkpoints import State
from torch import Tensor
from torch.nn.functional import normalize

import shortvox
from shortvox.cli.main import run
from shortvox.errors import ConfigError, ModelError
from shortvox.export.importers import from_tensors, import_model, kind
from shortvox.export.importers.checkpoint import named_weights
from shortvox.models.folder import load_model
from voices import voice

# kind, backbone, state, the network as a plain function
CHECKPOINTS: dict[str, tuple[str, str, Callable[[], State], Callable[[State, Tensor], Tensor]]] = {
    "3d-speaker 192": (
        "3d-speaker",
        "campplus-192",
        partial(checkpoints.campplus_state, 192),
        checkpoints.campplus,
    ),
    "wespeaker CAM++": ("wespeaker", "campplus-512", partial(checkpoints.campplus_state, 512), checkpoints.campplus),
    "wespeaker c512": (
        "wespeaker",
        "ecapa-wespeaker-512",
        partial(checkpoints.wespeaker_ecapa_state, 512, context=False),
        checkpoints.wespeaker_ecapa,
    ),
    "wespeaker GLOB c512": (
        "wespeaker",
        "ecapa-wespeaker-context-512",
        partial(checkpoints.wespeaker_ecapa_state, 512, context=True),
        checkpoints.wespeaker_ecapa,
    ),
    "wespeaker GLOB c1024": (
        "wespeaker",
        "ecapa-wespeaker-context-1024",
        partial(checkpoints.wespeaker_ecapa_state, 1024, context=True),
        checkpoints.wespeaker_ecapa,
    ),
    "speechbrain": (
        "speechbrain",
        "ecapa-speechbrain-1024",
        checkpoints.speechbrain_ecapa_state,
        checkpoints.speechbrain_ecapa,
    ),
    "voxceleb_trainer": (
        "voxceleb_trainer",
        "se-resnet34-voxceleb-trainer",
        checkpoints.voxceleb_trainer_state,
        checkpoints.voxceleb_trainer,
    ),
}


def saved(state: object, folder: Path, name: str = "model.pt") -> Path:
    torch.save(state, folder / name)
    return folder / name


@pytest.fixture(scope="module")
def campplus(tmp_path_factory: pytest.TempPathFactory) -> State:
    return checkpoints.campplus_state(192)


WIDE = "wespeaker GLOB c1024"  # the code of the narrower one


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name == WIDE else name for name in CHECKPOINTS]
)
def test_embeddings_are_those_of_the_network_in_the_checkpoint(name: str) -> None:
    toolkit, backbone, make, network = CHECKPOINTS[name]
    state = make()
    model = from_tensors(kind[toolkit], named_weights(state)).model
    assert model.settings.backbone == backbone
    assert model.settings.head is None
    assert model.speakers == ()
    exact = {name: tensor.double() for name, tensor in state.items()}
    for seconds in (0.3, 1.0):
        waveform = voice(3, seconds, np.random.default_rng(1))
        waveform[: len(waveform) // 4] = 0  # a pause, so that floors matter
        with torch.inference_mode():
            features, _ = model.frontend(torch.from_numpy(waveform)[None])
            expected = normalize(network(exact, features.double())).float()
            found = model.embed(torch.from_numpy(waveform)[None])
        torch.testing.assert_close(found, expected, atol=5e-5, rtol=0)


def test_front_ends_are_those_that_the_checkpoints_were_trained_with() -> None:
    heard = {name: entry.frontend.model_dump() for name, entry in ((name, kind[name]) for name in kind)}
    kaldi = {"features": "kaldi", "bands": 80, "edges": "snip", "cmn": "utterance", "vad": "none"}
    assert heard["wespeaker"] == {**kaldi, "window": "hamming", "scale": 32768.0}
    assert heard["3d-speaker"] == {**kaldi, "window": "povey", "scale": 1.0}
    assert (heard["speechbrain"]["features"], heard["speechbrain"]["cmn"]) == ("speechbrain", "utterance")
    assert (heard["voxceleb_trainer"]["bands"], heard["voxceleb_trainer"]["cmn"]) == (64, "none")


def test_what_surrounds_the_weights_is_taken_off_and_what_is_no_network_is_told(
    campplus: State, tmp_path: Path
) -> None:
    plain = from_tensors(kind["3d-speaker"], named_weights(campplus))
    parallel = {f"module.{name}": tensor for name, tensor in campplus.items()}
    wrapped = import_model("3d-speaker", saved({"state_dict": parallel, "epoch": 3}, tmp_path), tmp_path / "wrapped")
    half = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in campplus.items()}
    halved = from_tensors(kind["3d-speaker"], named_weights(half))
    assert wrapped.model.fingerprint() == plain.model.fingerprint()
    assert load_model(tmp_path / "wrapped").fingerprint() == plain.model.fingerprint()
    assert halved.model.backbone.embedding.weight.dtype == torch.float32
    with_head = campplus | {"projection.weight": torch.zeros(9, 192)}
    assert import_model("wespeaker", saved(with_head, tmp_path), tmp_path / "w").left_out == ("projection.weight",)
    assert "projection.weight" in (tmp_path / "w" / "card.md").read_text()


Spoil = Callable[[State], object]


def changed(**tensors: Tensor) -> Spoil:
    return lambda state: state | {name.replace("__", "."): tensor for name, tensor in tensors.items()}


def without(*names: str) -> Spoil:
    return lambda state: {name: tensor for name, tensor in state.items() if name not in names}


BAD: dict[str, tuple[Spoil, str]] = {
    "a missing tensor": (without("head.bn1.bias"), r"head\.bn1\.bias is missing, which campplus-192 needs"),
    "several": (without("head.bn1.bias", "head.bn2.bias"), r"head\.bn1\.bias is missing \(and 1 more\)"),
    "one too many": (changed(head__bn9__bias=torch.zeros(3)), r"head\.bn9\.bias has no place in campplus-192"),
    "another shape": (
        changed(head__conv1__weight=torch.zeros(32, 1, 5, 5)),
        r"head\.conv1\.weight has shape \(32, 1, 5, 5\), which is not that of campplus-192",
    ),
    "another rank": (
        changed(xvector__tdnn__linear__weight=torch.zeros(128)),
        r"xvector\.tdnn\.linear\.weight has shape \(128,\)",
    ),
    "another dimension": (
        changed(xvector__dense__linear__weight=torch.zeros(256, 1024, 1)),
        "a CAM.. with embeddings of 256; known are 192 and 512",
    ),
    "integers": (changed(head__bn1__bias=torch.zeros(32, dtype=torch.int8)), r"head\.bn1\.bias is stored as int8"),
    "not finite": (changed(head__bn1__bias=torch.full((32,), math.nan)), r"head\.bn1\.bias holds values"),
    "negative variance": (changed(head__bn1__running_var=-torch.ones(32)), r"head\.bn1\.running_var holds a negative"),
    "another network": (lambda state: {"conv.weight": torch.zeros(3)}, "not a CAM.., the one network of 3D-Speaker"),
    "nothing": (lambda state: {}, "holds no weights by name"),
    "a list": (lambda state: [torch.zeros(3)], "holds no weights by name"),
    "more than weights": (
        lambda state: {"state_dict": state, "config": collections.Counter(), "path": Path("x")},
        r"needs more than weights \([\w.]+\), which could run any code",
    ),
}


@pytest.mark.parametrize("name", list(BAD))
def test_a_wrong_checkpoint_is_refused_in_one_line(name: str, campplus: State, tmp_path: Path) -> None:
    spoil, told = BAD[name]
    path = saved(spoil(campplus), tmp_path)
    with pytest.raises(ModelError, match=told) as raised:
        import_model("3d-speaker", path, tmp_path / "model")
    assert str(raised.value).startswith(f"{path}: ")
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("toolkit", "state", "told"),
    [
        ("wespeaker", {"conv1.weight": torch.zeros(3)}, "neither an ECAPA-TDNN nor a CAM"),
        ("wespeaker", checkpoints.wespeaker_ecapa_state(256, context=False), "an ECAPA-TDNN of 256 channels"),
        ("speechbrain", {"fc.conv.weight": torch.zeros(3)}, "not an ECAPA-TDNN, the one network of SpeechBrain"),
        ("voxceleb_trainer", {"__S__.conv1.weight": torch.zeros(3)}, "not a ResNetSE34V2"),
        ("voxceleb_trainer", {"conv1.weight": torch.zeros(3)}, r"conv1\.weight does not begin with __S__\."),
    ],
)
def test_another_architecture_is_refused(toolkit: str, state: State, told: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=told):
        import_model(toolkit, saved(state, tmp_path), tmp_path / "model")


def test_a_file_that_is_no_checkpoint_or_a_part_of_one_is_refused(campplus: State, tmp_path: Path) -> None:
    whole = saved(campplus, tmp_path).read_bytes()
    old = tmp_path / "old.pt"
    torch.save(campplus, old, _use_new_zipfile_serialization=False)
    for content in (b"", b"RIFF", b"hello\n" * 100, whole[: len(whole) // 2], whole[:-100], old.read_bytes()[:50_000]):
        path = tmp_path / "part.pt"
        path.write_bytes(content)
        with pytest.raises(ModelError, match="copy it again") as raised:
            import_model("3d-speaker", path, tmp_path / "model")
        assert "\n" not in str(raised.value)
    with pytest.raises(ModelError, match="no such file"):
        import_model("3d-speaker", tmp_path / "none.pt", tmp_path / "model")
    scripted = tmp_path / "scripted.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2)), scripted)
    with pytest.raises(ModelError, match="a TorchScript program, not weights"):
        import_model("3d-speaker", scripted, tmp_path / "model")


def test_nothing_is_written_over(campplus: State, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "notes.txt").write_text("mine")
    with pytest.raises(ModelError, match="is not empty; name a new folder"):
        import_model("3d-speaker", saved(campplus, tmp_path), tmp_path / "model")
    with pytest.raises(ConfigError, match="unknown kind of checkpoint '3dspeaker'; did you mean '3d-speaker'"):
        import_model("3dspeaker", tmp_path / "model.pt", tmp_path / "other")


def test_the_verb(campplus: State, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = saved(campplus, tmp_path)
    assert run(["import-model", "3d-speaker", str(path), str(tmp_path / "model"), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["settings"]["backbone"] == "campplus-192"
    assert said["left_out"] == []
    card = (tmp_path / "model" / "card.md").read_text()
    assert "imported from: model.pt of 3D-Speaker, SHA-256 " in card
    assert "head: none" in card
    path.write_bytes(b"nothing")
    assert run(["import-model", "3d-speaker", str(path), str(tmp_path / "other")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_pickles_are_opened_in_one_place_alone() -> None:
    root = Path(shortvox.__file__).parent
    opening: dict[str, list[str]] = {}
    for path in root.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = {alias.name for alias in node.names} | {getattr(node, "module", None)}
                found = names & {"pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
            else:
                loads = isinstance(node, ast.Call) and ast.unparse(node.func) in ("torch.load", "torch.jit.load")
                allows = isinstance(node, ast.keyword) and ast.unparse(node) == "allow_pickle=True"
                found = {ast.unparse(node)} if loads or allows else None
            if found:
                opening.setdefault(str(path.relative_to(root)), []).extend(map(str, found))
    assert opening == {"export/importers/checkpoint.py": ["torch.load(path, map_location='cpu', weights_only=True)"]}
