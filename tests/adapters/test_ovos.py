"""Who may wake a listener."""

from __future__ import annotations

import importlib
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from hearing import VERIFIER, said
from shortvox.gallery.gallery import Gallery
from shortvox.verification.voiceprint import Voiceprint

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # ovos-plugin-manager imports aifc, and more
ROOT = Path(__file__).parents[2]
RATE = 16000
SHORT = 0.1  # seconds: nothing can be said of it
Make = Callable[..., Any]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    with Gallery.open(tmp_path / "home.db", VERIFIER) as voices:
        for name, speaker in (("alice", 4), ("bob", 7)):
            voiceprint = VERIFIER.enrol([said(speaker, 3, 1), said(speaker, 3, 2)])
            assert isinstance(voiceprint, Voiceprint)
            voices.add(name, voiceprint)
    return tmp_path / "home.db"


@pytest.fixture
def make(adapter: ModuleType, home: Path) -> Make:
    return lambda **config: adapter.SpeakerVerifier({"gallery": str(home), **config})


def chunk(samples: np.ndarray) -> bytes:
    return (samples * 32767).astype("<i2").tobytes()


ALICE, BOB, STRANGER = (chunk(said(speaker, 2, 5)) for speaker in (4, 7, 0))
LITTLE = chunk(said(4, SHORT, 5))


def test_who_is_in_the_gallery_passes(make: Make) -> None:
    verifier = make(enabled=True, module="shortvox-verifier")
    assert [verifier.verify(one) for one in (ALICE, BOB, STRANGER, LITTLE)] == [True, True, False, False]


def test_of_the_gallery_some_may_pass(make: Make) -> None:
    verifier = make(speakers=["bob"])
    assert [verifier.verify(one) for one in (ALICE, BOB, STRANGER)] == [False, True, False]


def test_too_little_speech_may_pass(make: Make) -> None:
    verifier = make(too_little="accept")
    assert [verifier.verify(one) for one in (STRANGER, LITTLE)] == [False, True]


def test_the_rate_is_taken(make: Make) -> None:
    assert not make(max_fpr=1e-300).verify(ALICE)


def test_another_sample_rate_is_heard_as_it_was_said(make: Make) -> None:
    samples = np.frombuffer(ALICE, "<i2")
    twice = np.repeat(samples, 2).tobytes()  # at 32 kHz
    assert make(sample_rate=2 * RATE).verify(twice)
    assert not make().verify(twice)


def test_without_a_configuration_everybody_passes(adapter: ModuleType) -> None:
    """The listener builds what is installed, whether anybody wants it or not."""
    for config in (None, {}, {"enabled": True}):
        assert adapter.SpeakerVerifier(config).verify(STRANGER) is True
    assert {level for level, _ in adapter.LOG.told} == {"warning"}


@pytest.mark.parametrize(
    ("config", "told"),
    (
        ({"galery": "x"}, "unknown key 'galery'; did you mean 'gallery'"),
        ({"speakers": ["alica"]}, "nobody is called 'alica'; did you mean 'alice'"),
        ({"speakers": []}, "speakers"),
        ({"gallery": "nowhere.db"}, "nowhere.db"),
        ({"gallery": ""}, "gallery"),
        ({"max_fpr": 0}, "max_fpr"),
        ({"too_little": "maybe"}, "too_little"),
        ({"sample_rate": 0}, "sample_rate"),
    ),
)
def test_with_a_configuration_that_cannot_be_used_nobody_passes(
    make: Make, adapter: ModuleType, config: dict[str, Any], told: str
) -> None:
    """An exception would let everybody pass."""
    assert make(**config).verify(ALICE) is False
    ((level, line),) = adapter.LOG.told
    assert level == "error" and told in line and line.endswith("; nobody passes")


def test_what_cannot_be_heard_does_not_pass(make: Make, adapter: ModuleType) -> None:
    verifier = make(too_little="accept")
    assert not verifier.verify(ALICE[:-1])  # half a sample
    assert verifier.verify(b"")  # nothing was said
    verifier._gallery.close()
    assert not verifier.verify(ALICE)
    assert [level for level, _ in adapter.LOG.told if level != "debug"] == ["error", "error"]


def test_the_entry_point_is_the_class(adapter: ModuleType) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["opm.wake_word.verifier"] == {
        adapter.NAME: f"{adapter.__name__}:{adapter.SpeakerVerifier.__name__}"
    }


def test_the_plugin_manager_finds_it(adapter: ModuleType) -> None:
    wakewords = pytest.importorskip("ovos_plugin_manager.wakewords")
    templates = importlib.import_module("ovos_plugin_manager.templates.hotwords")
    if adapter.NAME not in wakewords.find_wake_word_verifier_plugins():
        pytest.skip("shortvox is not installed here")
    found = wakewords.load_wake_word_verifier_plugin(adapter.NAME)
    assert issubclass(found, templates.HotWordVerifier) and found({}).verify(STRANGER)
