"""Small trainings for the tests; also a script, for those that need a process of their own."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from shortvox.config import parse
from shortvox.corpora.corpus import load_corpus
from shortvox.corpora.speech import SpeechData
from shortvox.evaluation.validation import Validator
from shortvox.models.speaker_model import SpeakerModel
from shortvox.training.settings import TrainSettings
from shortvox.training.trainer import OnStep, train

sys.path.append(str(Path(__file__).parents[1]))  # as pytest does, where this is a script
from voices import Broken

PLAIN: dict[str, Any] = {
    "steps": 6,
    "batch": 4,
    "crop": "40f",
    "threads": 1,
    "device": "cpu",
    "checkpoint_every": 100,
    "model": {"backbone": "ecapa-64"},
    "optimiser": {"lr": 1e-3},
    "augment": {"probability": 0.0},
}
# Everything that could make a resumed training differ is on.
RICH: dict[str, Any] = {
    **PLAIN,
    "steps": 14,
    "checkpoint_every": 5,
    "average": 0.9,
    "accumulate": 2,
    "crop": "30-50f",
    "augment": {"probability": 0.8, "kinds": ["noise", "babble", "reverb"], "rooms": 2, "speeds": [1.0, 0.9]},
    "validation": {"speakers": 2, "every": 4, "utterances": 2},
}


def run(
    values: dict[str, Any],
    data: SpeechData,
    out: Path,
    *,
    init: Path | None = None,
    resume: bool = False,
    on_step: OnStep | None = None,
) -> SpeakerModel:
    """Train as the settings in `values` say, with validation where they ask for it."""
    settings = parse(TrainSettings, values, "test")
    validate = None
    if settings.validation.speakers:
        data, held = data.hold_out(settings.validation.speakers)
        validate = Validator(held, utterances=settings.validation.utterances)
    return train(settings, data, out, init=init, resume=resume, validate=validate, on_step=on_step)


def killer(step: int, number: int) -> OnStep:
    """Sends this process signal `number` from another thread, in the middle of the step after `step`."""

    def on_step(done: int, steps: int, status: str) -> None:
        if done == step:
            threading.Timer(0.02, os.kill, (os.getpid(), number)).start()

    return on_step


def stopper(step: int, rank: int) -> OnStep | None:
    """SIGTERM to one rank of several, whose only sign of life is the leader's callback."""
    if int(os.environ.get("RANK", "0")) != rank:
        return None
    return lambda done, steps, status: signal.raise_signal(signal.SIGTERM) if done == step else None


def work(job: dict[str, Any], data: SpeechData) -> None:
    """One training from `{settings, out, init?, broken?, port?, kill?, stop?}`; `broken` speech has pauses."""
    os.environ["MASTER_PORT"] = str(job.get("port", 0))
    on_step = None
    if "kill" in job:
        on_step = killer(job["kill"], signal.SIGKILL)
    if "stop" in job:
        on_step = stopper(job["stop"], rank=0)
    if job.get("broken"):
        data = SpeechData(data.corpus, Broken(data.store))
    run(job["settings"], data, Path(job["out"]), init=Path(job["init"]) if "init" in job else None, on_step=on_step)


def main() -> None:
    """`trainings.py CORPUS JOBS`: JOBS is a list in JSON."""
    data = SpeechData.open(load_corpus(Path(sys.argv[1])))
    for job in json.loads(sys.argv[2]):
        try:
            work(job, data)
        except KeyboardInterrupt:
            print("interrupted", flush=True)


if __name__ == "__main__":
    main()
