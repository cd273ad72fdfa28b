"""Runs a study: the graph of its trainings, several at a time, then the test and the report."""

from __future__ import annotations

import datetime
import multiprocessing
import os
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from queue import Empty
from typing import Any

from rich.progress import Progress

from shortvox.config import write_yaml
from shortvox.corpora.speech import SpeechData
from shortvox.errors import ConfigError, ShortvoxError
from shortvox.evaluation.evaluate import on_its_own
from shortvox.evaluation.listener import Listener, as_asked, open_listener
from shortvox.files import ensure_writable, write_json, write_text
from shortvox.locks import one_writer
from shortvox.models.folder import load_model
from shortvox.progress import note, progress_bar
from shortvox.report.render import write_report
from shortvox.studies.data import DataSource
from shortvox.studies.results import study_results
from shortvox.studies.step import PATIENCE, Step, is_done, run_step, step_key
from shortvox.studies.study import Study
from shortvox.training.averaging import averaged_steps
from shortvox.training.branches import TeacherSettings
from shortvox.training.distributed import chosen_device
from shortvox.training.interrupt import Interruptible


@dataclass(frozen=True)
class StudyRun:
    """What is done where: everything that a run needs beside the study itself.

    Results go to `out`, trainings and embeddings to `store`, which studies may share, one at a time.
    """

    out: Path
    source: DataSource
    jobs: int
    command: str
    store: Path | None = None  # `out` itself
    synthetic: bool = False
    notes: tuple[str, ...] = ()
    licences: tuple[Mapping[str, Any], ...] = ()
    scores: bool = False  # write score files too

    @property
    def home(self) -> Path:
        return self.store or self.out

    @property
    def embeddings(self) -> Path:
        return self.home / "embeddings"

    def calibrations(self, validation: SpeechData | None) -> Path:
        """Where calibrations of encoders from elsewhere are, of those fitted on these speakers."""
        return self.home / "calibrations" / (validation.corpus.fingerprint()[:12] if validation else "none")

    def folder(self, system: str, seed: int, key: str) -> Path:
        """Where the training of this key is; another study may have done it under another system's name."""
        own = self.home / "systems" / f"{system}-seed{seed}-{key}"
        others = sorted(own.parent.glob(f"*-seed{seed}-{key}"))
        return own if own.exists() else next(filter(is_done, others), own)


def run_study(study: Study, run: StudyRun) -> dict[str, Any]:
    """Train what is missing, test everything, write `results.json` and `report.html`; returns the results.

    Trainings already done with the same settings, data and ancestors are reused. Raises ShortvoxError when a training
    fails, after the others that were running have written their checkpoints.
    """
    with ExitStack() as only_one:
        for folder in (run.out, run.home):
            ensure_writable(folder)
        for folder in {run.out.resolve(), run.home.resolve()}:
            only_one.enter_context(one_writer(folder))
        encoders = open_encoders(study)
        data = run.source.open()
        study = study.on(len(data.train.corpus))
        test = run.source.test_set(data, study.settings.test)  # a bad trial list must fail before hours of training
        told = [line for line in (study.corpus_note(), run.source.validation_note(data)) if line is not None]
        for line in told:
            note(line)
        steps = plan(study, run, data.train.corpus.fingerprint())
        write_text(run.out / "study.yaml", write_yaml(study.settings.model_dump(mode="json")))
        started = time.monotonic()
        train_all(steps, jobs=run.jobs)
        note(f"trainings done ({time.monotonic() - started:.0f} s); testing {len(study.settings.systems)} systems")
        results = study_results(
            study,
            steps,
            data,
            test,
            cache=run.embeddings,
            encoders=encoders,
            calibrations=run.calibrations(data.validation),
            scores=run.out / "scores" if run.scores else None,
        )
        results |= {
            "synthetic": run.synthetic,
            "command": run.command,
            "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        }
        on_its_own(results)
        results["corpus"] |= {
            "notes": [*run.notes, *told],
            "licences": [dict(entry) for entry in run.licences],
        }
        write_json(run.out / "results.json", results)
        write_report(results, run.out / "report.html")
        return results


def open_encoders(study: Study) -> dict[str, Listener]:
    """The encoders from elsewhere by system; raises ShortvoxError where one cannot be used or scored as asked."""
    device = chosen_device(study.settings.train.device)
    found: dict[str, Listener] = {}
    for name, system in study.settings.systems.items():
        if system.encoder is not None:
            found[name] = open_listener(system.encoder, device)
            for scoring in study.scorings(name):
                as_asked(found[name], scoring)
    return found


def plan(study: Study, run: StudyRun, corpus: str) -> list[Step]:
    """All steps of all seeds, seed by seed, each after those it needs; raises ConfigError for too few."""
    steps: list[Step] = []
    given = study.given()
    needed = {name for system in study.order() for name in study.settings.systems[system].needs}
    known = {name: _known(folder) for name, folder in given.items() if name in needed}
    share = max(1, len(os.sched_getaffinity(0)) // run.jobs) if hasattr(os, "sched_getaffinity") else 1
    for seed in range(study.settings.seeds):
        by_system: dict[str, Step] = {}
        folders, keys = dict(given), dict(known)
        for name in study.order():
            own = study.settings.systems[name]
            settings = study.training(name, seed, folders)
            try:
                averaged_steps(settings)  # the number of steps may follow from the corpus
            except ConfigError as error:
                raise ConfigError(f"study {study.name}: systems.{name}: train.{error}") from None
            settings = settings.model_copy(update={"threads": settings.threads or share})
            key = step_key(
                settings,
                corpus,
                parent=keys[own.start] if own.start else None,
                teachers={
                    teacher: keys[own.teachers[teacher]] if teacher in own.teachers else _outside(said)
                    for teacher, said in settings.teachers.items()
                },
            )
            folders[name], keys[name] = run.folder(name, seed, key), key
            by_system[name] = Step(
                system=name,
                seed=seed,
                settings=settings.model_dump(mode="json"),
                folder=folders[name],
                key=key,
                init=folders[own.start] if own.start else None,
                needs=tuple(by_system[needed].folder for needed in own.needs if needed in by_system),
                source=run.source,
                test=study.settings.test.model_dump(mode="json"),
                scorings=tuple(scoring.model_dump(mode="json") for scoring in study.scorings(name)),
                cache=run.embeddings,
            )
        steps.extend(by_system.values())
    return steps


def _outside(teacher: TeacherSettings) -> str:
    """Identifies a teacher that is no system of the study."""
    assert teacher.model is not None  # the study was checked
    return _known(teacher.model)


def _known(folder: Path) -> str:
    """What a model from elsewhere is known by."""
    return load_model(folder).fingerprint(with_head=True)


def train_all(steps: Sequence[Step], *, jobs: int) -> None:
    """Run the steps that are not done, `jobs` at a time, each when what it needs is there."""
    waiting = [step for step in steps if not step.done]
    if len(waiting) < len(steps):
        note(f"{len(steps) - len(waiting)} of {len(steps)} trainings were done before and are reused")
    context = multiprocessing.get_context("spawn")
    messages = context.Queue()
    running: dict[str, BaseProcess] = {}
    with progress_bar() as bar:
        everything = bar.add_task("All trainings", total=sum(s.settings["steps"] for s in waiting), note="")
        watch = _Watch(bar, everything)
        try:
            while waiting or running:
                for step in _ready(waiting, running, jobs):
                    waiting.remove(step)
                    watch.start(step)
                    _start(context.Process(target=run_step, args=(step, messages)), _name(step), running)
                watch.hear(messages)
                for name, process in list(running.items()):
                    if not process.is_alive():
                        process.join()
                        watch.hear(messages)
                        del running[name]
                        watch.finish(name, process.exitcode)
        except BaseException:
            bar.stop()
            _stop(running)
            raise


class _Watch:
    """Turns workers' messages into progress bars, and failures into one error."""

    def __init__(self, bar: Progress, everything: Any) -> None:
        self.bar = bar
        self.everything = everything
        self.tasks: dict[str, Any] = {}
        self.steps: dict[str, Step] = {}
        self.ended: dict[str, str] = {}
        self.seen: dict[str, int] = {}

    def start(self, step: Step) -> None:
        name = _name(step)
        self.steps[name] = step
        title = f"  {step.system}, seed {step.seed}"
        self.tasks[name] = self.bar.add_task(title, total=step.settings["steps"], note="starting")

    def hear(self, messages: Any) -> None:
        """Take all messages that are there, waiting a moment for the first."""
        wait = 0.2
        while True:
            try:
                name, done, status = messages.get(timeout=wait)
            except Empty:
                return
            wait = 0.0
            if done < 0:
                self.ended[name] = status
                continue
            self.bar.update(self.tasks[name], completed=done, note=status)
            # A resumed training starts in the middle: its first message counts from there.
            self.bar.advance(self.everything, done - self.seen.get(name, 0))
            self.seen[name] = done

    def finish(self, name: str, exit_code: int | None) -> None:
        self.bar.remove_task(self.tasks[name])
        ended = self.ended.get(name) or _killed(exit_code)
        if ended == "interrupted":
            raise KeyboardInterrupt
        if ended.startswith("failed: "):
            raise ShortvoxError(f"{name}: {ended.removeprefix('failed: ')}")
        if ended != "done":
            raise RuntimeError(f"training {name}: {ended.removeprefix('bug: ')}")


def _killed(exit_code: int | None) -> str:
    """How a worker ended that could not say it itself. A crash of a library is a bug; a kill comes from outside."""
    crashes = (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL)
    if exit_code is None or exit_code >= 0 or -exit_code in crashes:
        return f"bug: the process ended with code {exit_code}"
    return (
        f"failed: its process was killed by signal {-exit_code}: out of memory? lower train.batch or --jobs; the same "
        "command continues from the last checkpoint"
    )


def _ready(waiting: Sequence[Step], running: Mapping[str, BaseProcess], jobs: int) -> list[Step]:
    """The next steps whose ancestor and teachers are trained, as many as there is room for."""
    free = jobs - len(running)
    able = [s for s in waiting if all(is_done(folder) for folder in s.needs)]
    return able[: max(0, free)]


def _start(process: BaseProcess, name: str, running: dict[str, BaseProcess]) -> None:
    """Start a worker that leaves Ctrl-C to this process from its first moment, or it would print a traceback where it
    imports. A signal to this process waits until the worker can be stopped with the others."""
    with Interruptible() as interrupt:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # inherited
        try:
            process.start()
            running[name] = process
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    if interrupt.requested:
        raise KeyboardInterrupt


def _stop(running: Mapping[str, BaseProcess]) -> None:
    """Ask the workers to write a checkpoint and end; wait for them, but not if interrupted once more."""
    if running:
        note("stopping: waiting for the trainings to write their checkpoints; the same command continues from there")
    for process in running.values():
        process.terminate()
    deadline = time.monotonic() + PATIENCE
    try:
        for process in running.values():
            process.join(max(0.0, deadline - time.monotonic()))
    finally:
        for process in running.values():
            if process.is_alive():
                process.kill()


def _name(step: Step) -> str:
    return f"{step.system}#{step.seed}"
