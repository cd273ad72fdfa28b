from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from shortvox.encoders.encoder import probe
from shortvox.encoders.opening import open_encoder
from shortvox.errors import EncoderError

LAB = '''
import numpy as np
import torch

def spectrum(waveform):
    """A vector for each sound, of 8 numbers, whatever its loudness."""
    power = np.abs(np.fft.rfft(waveform, 512)) ** 2
    return np.log(power[1:].reshape(8, -1).mean(axis=1) + 1e-6)

def plain():
    print("loading weights")
    return spectrum

class Batched:
    name = "lab-net"
    shortest = 400
    fingerprint = "v1"

    def embed(self, waveforms):
        return torch.tensor(np.stack([spectrum(one) for one in waveforms]), requires_grad=True)

def batched():
    return Batched()

class Lists(Batched):
    def embed(self, waveforms):
        return [torch.from_numpy(spectrum(one)) for one in waveforms]

def lists():
    return Lists()

def raises():
    raise RuntimeError("no weights\\nanywhere")

def nothing():
    return None

class Broken:
    shortest = 400

    def __init__(self, change):
        self.embed = lambda waveforms: change(np.stack([spectrum(one) for one in waveforms]))

def one_vector():
    return Broken(lambda found: found[0])

def too_many():
    return Broken(lambda found: np.concatenate([found, found]))

def nan():
    return Broken(lambda found: found * np.nan)

def zeros():
    return Broken(lambda found: found * 0)

def words():
    return Broken(lambda found: ["a"] * len(found))

def complex_():
    return Broken(lambda found: found * 1j)

def later():
    def embed(waveform):
        raise ValueError("what is this?")
    return embed

def matrix():
    return lambda waveform: spectrum(waveform)[None]

def dropout():
    rng = np.random.default_rng(0)
    return lambda waveform: spectrum(waveform) + 5 * rng.standard_normal(8)

def padded():
    """Pads a batch without a mask."""
    def embed(waveforms):
        most = max(map(len, waveforms))
        return np.stack([np.sort(np.pad(one, (0, most - len(one))))[:: most // 8][:8] for one in waveforms])
    return Broken.__new__(Broken), embed

def unmasked():
    made, embed = padded()
    made.embed = embed
    return made

def wrong_shortest():
    made = Batched()
    made.shortest = "0.1 s"
    return made

def leaves():
    raise SystemExit("usage: …")

class Thorny(Batched):
    @property
    def name(self):
        raise RuntimeError("no name yet")

def thorny():
    return Thorny()

value = 3
'''


@pytest.fixture(autouse=True)
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A module in the working folder."""
    (tmp_path / "lab_of_test.py").write_text(LAB)
    (tmp_path / "needy_of_test.py").write_text("import not_there_of_test\n")
    (tmp_path / "faulty_of_test.py").write_text("1 / 0\n")
    monkeypatch.chdir(tmp_path)
    path = list(sys.path)
    yield
    assert sys.path == path
    for name in ("lab_of_test", "needy_of_test", "faulty_of_test"):
        sys.modules.pop(name, None)


SOUNDS = [probe(16_000), probe(8_000, 1), probe(16_000, 2)]


@pytest.mark.parametrize("name", ["plain", "batched", "lists"])
def test_a_callable_or_an_object_with_embed_is_an_encoder(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    encoder = open_encoder(f"python:lab_of_test:{name}")
    assert (encoder.dim, encoder.kind, encoder.home) == (8, "Python factory", None)
    assert (encoder.name, encoder.shortest) == (("plain", 1600) if name == "plain" else ("lab-net", 400))
    spectrum = sys.modules["lab_of_test"].spectrum
    for sound, vector in zip(SOUNDS, encoder.embed(SOUNDS), strict=True):
        expected = spectrum(sound)
        np.testing.assert_allclose(vector, expected / np.linalg.norm(expected), atol=1e-6)
    assert capsys.readouterr().out == ""  # stdout is for results


class _Resemblyzer(ModuleType):
    class VoiceEncoder:
        def __init__(self, device: str) -> None:
            assert device == "cpu"

        def embed_utterance(self, waveform: np.ndarray) -> np.ndarray:
            return np.abs(np.fft.rfft(waveform, 30))


class _SpeechBrain(ModuleType):
    class EncoderClassifier:
        @classmethod
        def from_hparams(cls, source: str) -> torch.nn.Module:
            assert source == "speechbrain/spkrec-ecapa-voxceleb"
            network = torch.nn.Module()
            network.encode_batch = lambda waveforms: torch.fft.rfft(waveforms, 30).abs()[:, None]  # type: ignore[assignment]
            return network


def test_the_examples_of_the_documentation_are_encoders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With packages in the place of those that they wrap."""
    page = (Path(__file__).parents[2] / "docs/your-own-encoder.md").read_text(encoding="utf-8")
    examples = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (tmp_path / "examples_of_test.py").write_text("\n".join(examples[:2]))
    monkeypatch.setitem(sys.modules, "resemblyzer", _Resemblyzer("resemblyzer"))
    for name in ("speechbrain", "speechbrain.inference", "speechbrain.inference.speaker"):
        monkeypatch.setitem(sys.modules, name, _SpeechBrain(name))
    monkeypatch.setitem(sys.modules, "examples_of_test", None)
    monkeypatch.delitem(sys.modules, "examples_of_test")  # and again when the test is over
    for name in ("resemblyzer", "speechbrain"):
        assert open_encoder(f"python:examples_of_test:{name}").dim == 16


def test_new_weights_are_another_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, batched = (open_encoder(f"python:lab_of_test:{name}").fingerprint for name in ("plain", "batched"))
    assert open_encoder("python:lab_of_test:plain").fingerprint == plain
    lab = sys.modules["lab_of_test"]
    old = lab.spectrum
    monkeypatch.setattr(lab, "spectrum", lambda waveform: old(waveform) + np.linspace(0, 0.3, 8))
    assert open_encoder("python:lab_of_test:plain").fingerprint != plain
    assert open_encoder("python:lab_of_test:batched").fingerprint == batched  # it says what it is
    monkeypatch.setattr(lab.Batched, "fingerprint", "v2")
    assert open_encoder("python:lab_of_test:batched").fingerprint != batched


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("lab_of_test", "expected python:package.module:factory"),
        ("lab_of_test:", "expected python:package.module:factory"),
        ("gone_of_test.nets:make", "no module 'gone_of_test'; install its package"),
        ("needy_of_test:make", "needy_of_test needs the module 'not_there_of_test'; install it"),
        ("faulty_of_test:make", r"faulty_of_test cannot be imported \(ZeroDivisionError"),
        ("lab_of_test:gone", "lab_of_test has no 'gone'"),
        ("lab_of_test:value", "'value' is int, not a function"),
        ("lab_of_test:spectrum", "raised TypeError: .*missing 1 required positional argument"),
        ("lab_of_test:raises", "raised RuntimeError: no weights anywhere; correct the factory"),
        ("lab_of_test:leaves", "raised SystemExit: usage: …; correct the factory"),
        ("lab_of_test:thorny", "raised RuntimeError: no name yet; correct the factory"),
        ("lab_of_test:nothing", "returned NoneType, which is neither callable nor has embed"),
        ("lab_of_test:one_vector", r"shape \(8,\) for 1 waveforms"),
        ("lab_of_test:too_many", r"shape \(2, 8\) for 1 waveforms, not \(1, dim\)"),
        ("lab_of_test:nan", "1 of 1 embeddings are not finite or have no direction"),
        ("lab_of_test:zeros", "1 of 1 embeddings are not finite or have no direction"),
        ("lab_of_test:words", "no numbers but array of <U1"),
        ("lab_of_test:complex_", "no numbers but array of complex"),
        ("lab_of_test:later", r"raised ValueError: what is this\?"),
        ("lab_of_test:matrix", r"shape \(1, 8\) for one waveform, not \(dim,\)"),
        ("lab_of_test:dropout", "the same sound twice gives different embeddings"),
        ("lab_of_test:unmasked", "alone and beside a longer one gives different embeddings"),
        ("lab_of_test:wrong_shortest", "shortest is '0.1 s', not a number of samples"),
    ],
)
def test_a_faulty_factory_is_told_in_one_line(spec: str, told: str) -> None:
    with pytest.raises(EncoderError, match=told) as error:
        open_encoder(f"python:{spec}")
    assert str(error.value).startswith(f"python:{spec}")
    assert "\n" not in str(error.value)
