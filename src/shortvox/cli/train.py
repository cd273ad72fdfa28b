"""`shortvox train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from shortvox.box import model_path
from shortvox.cli.options import AsJson, Cache, Corpora, Set, audio_cache
from shortvox.config import override_all, parse, parse_assignments, read_yaml
from shortvox.corpora.corpus import load_corpora
from shortvox.corpora.speech import SpeechData
from shortvox.effect import idle, refuse_idle
from shortvox.models.folder import load_model
from shortvox.models.sidefiles import read_history
from shortvox.printing import show_json
from shortvox.progress import note, progress_bar
from shortvox.studies.training import train_and_calibrate
from shortvox.training.distributed import leads
from shortvox.training.folder import training_folder
from shortvox.training.settings import TrainSettings


def train(
    config: Annotated[
        Path, typer.Argument(help="YAML file of training settings; one that holds {} takes the defaults.")
    ],
    corpus: Corpora,
    out: Annotated[Path, typer.Option(help="Model folder to make.")],
    init: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Model to start from: default, tiny, a folder or a graph of ours."),
    ] = None,
    set_: Set = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue from the last checkpoint in --out.")] = False,
    cache: Cache = None,
    as_json: AsJson = False,
) -> None:
    """Train a model, or continue one: the folder it leaves is what evaluate, embed and --init take."""
    settings = parse(TrainSettings, override_all(read_yaml(config), parse_assignments(set_ or [])), str(config))
    refuse_idle(idle(settings), str(config))
    start = None if init is None else model_path(init)
    with training_folder(out, resume=resume, leads=leads()):
        for folder in (start, *(teacher.model for teacher in settings.teachers.values())):
            if folder is not None:
                load_model(folder)  # a wrong one must fail before hours of audio are decoded
        data = SpeechData.open(load_corpora(corpus), audio_cache(cache, out / "audio"))
        held = settings.validation.speakers
        learning, validation = data.hold_out(held) if held else (data, None)
        settings = settings.counted(len(learning.corpus))
        with progress_bar(shown=leads()) as bar:
            task = bar.add_task("Training", total=settings.steps, note="")
            train_and_calibrate(
                settings,
                learning,
                validation,
                out,
                init=start,
                resume=resume,
                on_step=lambda done, steps, status: bar.update(task, completed=done, note=status),
            )
    if not leads():
        return
    history = read_history(out).model_dump(mode="json")
    wrapped = history["wrapped"]  # None: somebody has deleted it, to work without
    told = "" if wrapped is None else f"; {wrapped} crops came from files shorter than the crop and were wrapped"
    note(f"model written to {out}{told}")
    if as_json:
        facts = ("step", "seconds_heard", "wall_seconds", "wrapped", "loss", "validation")
        show_json({"model": str(out), **{fact: history[fact] for fact in facts}})
