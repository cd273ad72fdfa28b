"""A training that was killed or stopped, and resumed, ends with the same weights, bit for bit."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import trainings
from safetensors.torch import load_file
from trainings import PLAIN, RICH

from shortvox.corpora.corpus import Corpus
from shortvox.corpora.speech import SpeechData
from shortvox.environment import environment
from shortvox.errors import ModelError
from shortvox.models.sidefiles import read_history
from shortvox.training import trainer
from shortvox.training.trainer import OnStep

pytestmark = pytest.mark.usefixtures("one_thread")
SCRIPT = Path(trainings.__file__)


@pytest.fixture(scope="module")
def uninterrupted(data: SpeechData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("uninterrupted")
    trainings.run(RICH, data, out)
    return out


def steps_kept(out: Path) -> list[int]:
    return sorted(int(path.stem.removeprefix("step-")) for path in (out / "checkpoints").glob("*.safetensors"))


def assert_same(out: Path, expected: Path) -> None:
    """Weights to the last bit, and the history as far as it does not tell the time."""
    ours, theirs = load_file(out / "model.safetensors"), load_file(expected / "model.safetensors")
    assert ours.keys() == theirs.keys()
    for name, tensor in theirs.items():
        assert ours[name].numpy().tobytes() == tensor.numpy().tobytes(), name
    histories = [json.loads((folder / "training.json").read_text()) for folder in (out, expected)]
    for history in histories:
        assert history.pop("wall_seconds") > 0
    assert histories[0] == histories[1]


def test_killed_in_the_middle_of_a_step(corpus: Corpus, data: SpeechData, uninterrupted: Path, tmp_path: Path) -> None:
    job = {"settings": RICH, "out": str(tmp_path / "run"), "kill": 7}
    ended = subprocess.run([sys.executable, SCRIPT, corpus.root, json.dumps([job])], capture_output=True, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
    assert steps_kept(tmp_path / "run") == [5]
    assert not (tmp_path / "run" / "model.safetensors").exists()
    resumed_at: list[int] = []
    trainings.run(RICH, data, tmp_path / "run", resume=True, on_step=lambda done, *_: resumed_at.append(done))
    assert resumed_at[0] == 6
    assert_same(tmp_path / "run", uninterrupted)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_asked_to_stop(number: signal.Signals, data: SpeechData, uninterrupted: Path, tmp_path: Path) -> None:
    handler = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt):
        trainings.run(RICH, data, tmp_path, on_step=lambda done, *_: done == 8 and signal.raise_signal(number))
    assert signal.getsignal(number) is handler
    assert steps_kept(tmp_path) in ([5, 8], [5, 9])
    trainings.run({**RICH, "workers": 1, "checkpoint_every": 3}, data, tmp_path, resume=True)
    assert len(steps_kept(tmp_path)) == 2
    assert_same(tmp_path, uninterrupted)


def stop_after(step: int) -> OnStep:
    return lambda done, *_: done == step and signal.raise_signal(signal.SIGTERM)


def test_where_it_ran_is_kept(
    data: SpeechData,
    uninterrupted: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    here, elsewhere = environment(), {**environment(), "cpu": "Another", "gpu": "A GPU"}
    for computed_on, last in ((elsewhere, 8), (here, 10), (elsewhere, 12)):
        with monkeypatch.context() as moved, pytest.raises(KeyboardInterrupt):
            moved.setattr(trainer, "environment", lambda device, computed_on=computed_on: computed_on)
            trainings.run(RICH, data, tmp_path, resume=True, on_step=stop_after(last))
    trainings.run(RICH, data, tmp_path, resume=True)
    history = read_history(tmp_path)
    assert [left for _, left in history.earlier] == [elsewhere, here, elsewhere]
    assert [step for step, _ in history.earlier] == sorted(step for step, _ in history.earlier)
    assert history.environments() == [elsewhere, here]
    card = (tmp_path / "card.md").read_text()
    assert f"A GPU, torch {here['torch']}, shortvox {here['shortvox']} to step 9, then {here['cpu']} (" in card
    assert "a training that ran on Another" in capsys.readouterr().err
    ours, theirs = (load_file(folder / "model.safetensors") for folder in (tmp_path, uninterrupted))
    assert all(torch.equal(ours[name], tensor) for name, tensor in theirs.items())


def test_a_truncated_checkpoint_falls_back_to_the_one_before(
    data: SpeechData, uninterrupted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(KeyboardInterrupt):
        trainings.run(RICH, data, tmp_path, on_step=lambda done, *_: done == 11 and signal.raise_signal(signal.SIGTERM))
    older, newer = sorted((tmp_path / "checkpoints").glob("*"))
    newer.write_bytes(newer.read_bytes()[:-100])
    trainings.run(RICH, data, tmp_path, resume=True)
    assert f"{newer}: damaged checkpoint" in capsys.readouterr().err
    assert older.name == "step-00000010.safetensors"
    assert_same(tmp_path, uninterrupted)


def test_validation_and_bookkeeping_change_no_weight(data: SpeechData, uninterrupted: Path, tmp_path: Path) -> None:
    rest, _ = data.hold_out(2)
    trainings.run({**RICH, "validation": {}, "workers": 2, "checkpoint_every": 100}, rest, tmp_path)
    ours, theirs = load_file(tmp_path / "model.safetensors"), load_file(uninterrupted / "model.safetensors")
    assert all(ours[name].equal(tensor) for name, tensor in theirs.items())


def test_validation_is_at_every_nth_step_and_at_the_end(uninterrupted: Path) -> None:
    history = json.loads((uninterrupted / "training.json").read_text())
    assert [entry["step"] for entry in history["validation"]] == [4, 8, 12, 14]
    assert all(0 <= entry["eer"] <= 1 for entry in history["validation"])
    assert [step for step, _ in history["loss"]] == [10, 14]
    assert history["step"] == 14
    assert history["seconds_heard"] == pytest.approx(14 * 4 * 0.4, rel=0.2)


def test_a_finished_training_is_returned_and_not_repeated(data: SpeechData, uninterrupted: Path) -> None:
    before = (uninterrupted / "model.safetensors").stat().st_mtime_ns
    model = trainings.run(RICH, data, uninterrupted, resume=True)
    assert (uninterrupted / "model.safetensors").stat().st_mtime_ns == before
    assert len(model.speakers) == 8


def test_two_trainings_do_not_share_a_folder(data: SpeechData, uninterrupted: Path) -> None:
    with pytest.raises(ModelError, match="already holds a training; add --resume"):
        trainings.run(RICH, data, uninterrupted)
    with pytest.raises(ModelError, match="has other settings"):
        trainings.run({**RICH, "seed": 1}, data, uninterrupted, resume=True)


def test_the_seed_matters(data: SpeechData, tmp_path: Path) -> None:
    weights = []
    for name, seed in (("first", 0), ("again", 0), ("other", 1)):
        model = trainings.run({**PLAIN, "steps": 2, "seed": seed}, data, tmp_path / name)
        weights.append(model.tensors()["backbone.embedding.weight"])
    assert weights[0].equal(weights[1])
    assert not weights[0].equal(weights[2])
