"""One training of a study, in a process of its own: train, calibrate, embed the test crops."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any

import torch

from shortvox.config import parse
from shortvox.errors import in_one_line
from shortvox.evaluation.scorer import make_scorer
from shortvox.evaluation.settings import ScoringSettings, TestSettings
from shortvox.files import write_json
from shortvox.memory import tune_memory
from shortvox.quiet import keep_stderr
from shortvox.studies.data import DataSource
from shortvox.studies.training import train_and_calibrate
from shortvox.training.folder import training_folder
from shortvox.training.settings import TrainSettings
from shortvox.training.trainer import OnStep

PATIENCE = 60.0  # seconds that a worker has to write its checkpoint when it should stop


@dataclass(frozen=True)
class Step:
    """One system and seed. `key` identifies everything that its model depends on, ancestors and teachers included.

    `needs` are the folders of the steps that come before it.
    """

    system: str
    seed: int
    settings: dict[str, Any]
    folder: Path
    key: str
    init: Path | None
    needs: tuple[Path, ...]
    source: DataSource
    test: dict[str, Any]
    scorings: tuple[dict[str, Any], ...]
    cache: Path

    @property
    def done(self) -> bool:
        return is_done(self.folder)


def is_done(folder: Path) -> bool:
    return (folder / "step.json").exists()


def step_key(settings: TrainSettings, corpus: str, *, parent: str | None, teachers: Mapping[str, str]) -> str:
    """Hash of what decides a trained model: settings, training data, the model it starts from and its teachers."""
    decisive = [settings.essential(), corpus, parent, dict(teachers)]
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:12]


def do_step(step: Step, report: OnStep) -> None:
    """Train, calibrate, embed the test crops; `report(done, steps, status)` hears how far it is."""
    settings = parse(TrainSettings, step.settings, step.system)
    if settings.threads:
        torch.set_num_threads(settings.threads)
    # A worker of a study that was killed notices it at its next step, and writes a checkpoint: wait for that.
    with training_folder(step.folder, resume=True, patience=PATIENCE):
        data = step.source.open()
        test_settings = parse(TestSettings, step.test, "test")
        model = train_and_calibrate(
            settings,
            data.train,
            data.validation,
            step.folder,
            init=step.init,
            resume=True,
            test=test_settings,
            cache=step.cache,
            on_step=report,
        )
        test = step.source.test_set(data, test_settings)
        report(settings.steps, settings.steps, "embedding the test crops")
        for scoring in step.scorings:
            make_scorer(
                model,
                parse(ScoringSettings, scoring, step.system),
                test,
                test_settings,
                cohort=data.train,
                cache=step.cache,
            )
        shutil.rmtree(step.folder / "checkpoints", ignore_errors=True)
        write_json(step.folder / "step.json", {"system": step.system, "seed": step.seed, "key": step.key})


def run_step(step: Step, messages: Queue[tuple[str, int, Any]]) -> None:
    """Body of a worker process. Puts (name, steps done, status), and last (name, -1, how it ended)."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears Ctrl-C and asks each worker to stop
    tune_memory()
    keep_stderr()
    parent = os.getppid()
    name = f"{step.system}#{step.seed}"

    def report(done: int, steps: int, status: str) -> None:
        nonlocal parent
        if os.getppid() != parent:  # nobody is left to train for: ask, once, for a checkpoint and the end
            parent = os.getppid()
            os.kill(os.getpid(), signal.SIGTERM)
        messages.put((name, done, status))

    try:
        do_step(step, report)
        messages.put((name, -1, "done"))
    except KeyboardInterrupt:
        messages.put((name, -1, "interrupted"))
    except Exception as error:
        told = in_one_line(error)
        messages.put((name, -1, f"bug: {type(error).__name__}: {error}" if told is None else f"failed: {told}"))
        if os.environ.get("SHORTVOX_DEBUG"):
            raise
