"""TensorBoard gets what a training knows, when asked."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import trainings
from trainings import PLAIN

from shortvox.corpora.speech import SpeechData
from shortvox.errors import ConfigError
from shortvox.training.tracking import Tracker


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # tensorboard's own
def test_a_training_is_written_to_tensorboard(data: SpeechData, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    values = {**PLAIN, "steps": 3, "tensorboard": True, "validation": {"speakers": 2, "every": 2, "utterances": 2}}
    trainings.run(values, data, tmp_path)
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert set(events.Tags()["scalars"]) == {"loss", "learning rate", "eer", "eer_full"}
    assert [event.step for event in events.Scalars("eer")] == [2, 3]
    assert [event.step for event in events.Scalars("loss")] == [3]


def test_nothing_is_written_unasked(tmp_path: Path) -> None:
    tracker = Tracker(tmp_path, enabled=False)
    tracker.write(1, {"loss": 1.0})
    tracker.close()
    assert not any(tmp_path.iterdir())


def test_without_tensorboard_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ConfigError, match=r"pip install 'shortvox\[tensorboard\]'"):
        Tracker(tmp_path, enabled=True)
