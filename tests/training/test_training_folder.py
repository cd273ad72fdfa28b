"""What may be trained into: nothing that is there is overwritten, and no training is mixed into another."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest
import trainings
from safetensors import safe_open
from trainings import PLAIN

from shortvox.corpora.speech import SpeechData
from shortvox.errors import ModelError, ShortvoxError
from shortvox.training.checkpoint import load_latest, save_checkpoint
from shortvox.training.folder import training_folder

pytestmark = pytest.mark.usefixtures("one_thread")
SHORT = {**PLAIN, "steps": 5, "checkpoint_every": 2}


@pytest.fixture(scope="module")
def begun(data: SpeechData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training whose last files are gone, as if it had been killed after its fourth step."""
    out = tmp_path_factory.mktemp("begun")
    trainings.run(SHORT, data, out)
    out.joinpath("whole").mkdir()
    for name in ("model.safetensors", "speakers.txt", "card.md", "config.yaml", "training.json"):
        (out / name).rename(out / "whole" / name)
    return out


@pytest.fixture
def copy(begun: Path, tmp_path: Path) -> Path:
    shutil.copytree(begun, tmp_path / "copy")
    return tmp_path / "copy"


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def weights(out: Path) -> bytes:
    return (out / "model.safetensors").read_bytes()


@pytest.mark.parametrize(
    "kept",
    [
        "model.safetensors",
        "config.yaml",
        "speakers.txt",
        "card.md",
        "training.json",
        "calibration.json",
        "checkpoints/step-00000005.safetensors",
    ],
)
@pytest.mark.parametrize("resume", [False, True])
def test_what_an_unknown_training_has_left_is_neither_replaced_nor_continued(
    kept: str, resume: bool, data: SpeechData, tmp_path: Path
) -> None:
    path = tmp_path / kept
    path.parent.mkdir(exist_ok=True)
    path.write_text("precious")
    before = content(tmp_path)
    with pytest.raises(ModelError, match=rf"holds {kept} of an unknown training .*; choose another --out"):
        trainings.run(SHORT, data, tmp_path, resume=resume)
    assert content(tmp_path) == before


def test_a_training_that_left_nothing_but_its_settings_is_no_obstacle(data: SpeechData, tmp_path: Path) -> None:
    with pytest.raises(ShortvoxError, match="cannot be dealt"):
        trainings.run({**SHORT, "accumulate": 3}, data, tmp_path)
    (tmp_path / "training.yaml").write_text("of another training")
    (tmp_path / "checkpoints").mkdir()
    trainings.run({**SHORT, "steps": 1}, data, tmp_path)
    assert (tmp_path / "config.yaml").exists()


def test_final_files_of_another_training_are_protected_though_it_has_no_checkpoint(
    copy: Path, data: SpeechData
) -> None:
    """As a kill between the last files leaves them."""
    shutil.rmtree(copy / "checkpoints")
    (copy / "whole" / "model.safetensors").rename(copy / "model.safetensors")
    before = content(copy)
    with pytest.raises(ModelError, match="has other settings"):
        trainings.run({**SHORT, "seed": 1}, data, copy, resume=True)
    assert content(copy) == before
    trainings.run(SHORT, data, copy, resume=True)
    assert (copy / "config.yaml").exists()


def test_a_damaged_history_is_told_before_work_and_a_missing_one_is_no_matter(data: SpeechData, tmp_path: Path) -> None:
    trainings.run({**SHORT, "steps": 1}, data, tmp_path)
    history = tmp_path / "training.json"
    history.write_text('{"loss": 5}')
    with pytest.raises(ModelError, match=r"training\.json: not a training's history \(loss: "):
        trainings.run({**SHORT, "steps": 1}, data, tmp_path, resume=True)
    history.unlink()
    trainings.run({**SHORT, "steps": 1}, data, tmp_path, resume=True)
    assert not history.exists()


def test_one_training_at_a_time(data: SpeechData, tmp_path: Path) -> None:
    """Two at once would take turns in writing checkpoints, and both say at the end that the model is written."""
    refused = []

    def second(resume: bool) -> None:
        with pytest.raises(ShortvoxError, match="another run is working in this folder") as caught:
            trainings.run(SHORT, data, tmp_path, resume=resume)
        refused.append(caught.value)

    def begin_another(done: int, steps: int, status: str) -> None:
        thread = threading.Thread(target=second, args=(done > 2,))
        thread.start()
        thread.join()

    trainings.run(SHORT, data, tmp_path, on_step=begin_another)
    assert len(refused) == 5
    assert not list(tmp_path.glob(".*"))


def test_ranks_that_do_not_lead_leave_the_folder_to_the_one_that_does(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("")
    with training_folder(tmp_path, resume=False, leads=False):
        assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]


def test_what_a_kill_left_of_a_checkpoint_is_removed_though_none_is_written_again(copy: Path, data: SpeechData) -> None:
    left = copy / "checkpoints" / ".step-00000004.safetensors.0123456789abcdef.tmp"
    left.write_bytes(b"half")
    trainings.run({**SHORT, "checkpoint_every": 100}, data, copy, resume=True)
    assert not left.exists()


def test_a_checkpoint_of_another_training_is_refused(copy: Path, data: SpeechData, tmp_path: Path) -> None:
    """Same network, another seed: it would be continued to weights that are neither training's."""
    trainings.run({**SHORT, "seed": 5}, data, tmp_path / "other")
    newest = "checkpoints/step-00000004.safetensors"
    shutil.copy(tmp_path / "other" / newest, copy / newest)
    with pytest.raises(ModelError, match="a checkpoint of another training; remove it"):
        trainings.run(SHORT, data, copy, resume=True)


def test_one_past_the_end_is_damaged_and_the_one_before_is_taken(
    copy: Path, data: SpeechData, capsys: pytest.CaptureFixture[str]
) -> None:
    newest = copy / "checkpoints" / "step-00000004.safetensors"
    run = safe_open(newest, framework="pt").metadata()["run"]
    found = load_latest(newest.parent, run)
    assert found is not None
    found.state["progress"]["step"] = 99
    save_checkpoint(newest.parent, 4, found)
    steps: list[int] = []
    trainings.run(SHORT, data, copy, resume=True, on_step=lambda done, *_: steps.append(done))
    assert f"{newest}: damaged checkpoint (at step 99 of 5); falling back" in capsys.readouterr().err
    assert steps == [3, 4, 5]
    assert weights(copy) == weights(copy / "whole")
