"""What an estimate of doubt is worth, on directions whose noise is known."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    module = importlib.import_module("uncertainty")
    monkeypatch.setattr(module, "TRIALS", 4000)
    monkeypatch.setattr(module, "STEPS", 200)
    return module


def crops_of(script: ModuleType, speakers: int, seed: int, tell: bool) -> object:
    """Speaker plus noise, which falls with seconds and is up to three times as much in spoilt crops; its last number
    tells of it, or of nothing."""
    rng = np.random.default_rng(seed)
    many = speakers * 5 * script.CROPS
    utterances = np.repeat(np.arange(speakers * 5), script.CROPS)
    whole = (
        rng.standard_normal((speakers, 20))[utterances // 5] + 0.3 * rng.standard_normal((speakers * 5, 20))[utterances]
    )
    seconds, clean = np.exp(rng.uniform(np.log(0.3), np.log(3), many)), np.arange(many) % 2 == 0
    noise = 0.5 / np.sqrt(seconds) * np.where(clean, 1, rng.uniform(1, 3, many))
    heard = whole + noise[:, None] * rng.standard_normal(whole.shape)
    cosines = (script.unit(heard) * script.unit(whole)).sum(axis=1)
    told = np.log(noise) if tell else rng.standard_normal(many)
    return script.Heard(
        np.array([f"s{seed}-{number}" for number in utterances // 5]),
        utterances,
        seconds,
        clean,
        np.hstack([heard, 0.3 * told[:, None]]),
        1 - cosines,
    )


@pytest.mark.parametrize("tell", [True, False])
def test_an_embedding_that_tells_of_its_noise_is_found_to(
    script: ModuleType, capsys: pytest.CaptureFixture[str], tell: bool
) -> None:
    tests = {name: crops_of(script, 20, seed, tell) for seed, name in enumerate(("one", "two"), start=1)}
    script.compare(crops_of(script, 60, 3, tell), tests)
    tables = {part.splitlines()[0]: part for part in capsys.readouterr().out.split("\n\n") if part.startswith("|")}
    assert len(tables) == 5  # the first is printed for each test
    rows = {
        title: {line.split(" | ")[0][2:]: line.split(" | ")[1:] for line in part.splitlines()[2:]}
        for title, part in tables.items()
    }
    explained = rows["| rank correlation, R² | clean | degraded | all |"]
    gain = float(explained["layer, seconds"][2].split()[0][:-1]) - float(explained["seconds"][2].split()[0][:-1])
    assert (gain > 0.15) == tell
    for fitted, applied in (("one", "two"), ("two", "one")):
        found = rows[f"| fitted on {fitted}, applied to {applied} | Cllr | EER, % |"]
        _, low, _, high = found["layer, seconds"][0].replace("(", "").replace(")", "").split()
        assert (float(high) < 0) == tell and (tell or float(low) > -0.02)
        assert float(found["cosine alone"][0].split()[0]) > float(found["seconds"][0].split()[0])
