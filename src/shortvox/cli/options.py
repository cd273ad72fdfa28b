"""Options that several verbs share."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

Corpora = Annotated[list[Path], typer.Option("--corpus", help="Corpus folder; may be given several times.")]
ENCODERS = "default or tiny (in the box), model folder, exported folder, .onnx file or python:module:factory"
Specs = Annotated[
    list[str],
    typer.Option(
        "--model",
        metavar="SPEC",
        help=f"{ENCODERS}; may be given several times.",
    ),
]
Spec = Annotated[str, typer.Option("--model", metavar="SPEC", help=f"{ENCODERS}.")]
OwnCalibration = Annotated[
    Path | None, typer.Option("--calibration", help="File that calibrate wrote; by default the one beside the model.")
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on stdout and nothing else there.")]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Change a setting by its dotted key, as optimiser.lr=0.01; may be repeated."
    ),
]
Device = Annotated[str, typer.Option(help="Where model folders are run: auto, cpu, cuda or cuda:N.")]
OwnCache = Annotated[
    Path | None, typer.Option("--cache", help="Folder for decoded audio; by default recordings are read as they are.")
]
Cache = Annotated[
    Path | None,
    typer.Option(
        help="Folder for decoded audio, by default in the output; 'none' reads crops by seeking in the files instead.",
        show_default=False,
    ),
]


def audio_cache(cache: Path | None, default: Path | None) -> Path | None:
    """Where decoded audio is kept; None reads by seeking."""
    if cache is None:
        return default
    return None if str(cache) == "none" else cache


def command_line() -> str:
    """The command that is running, as one would type it."""
    program = Path(sys.argv[0]).name
    return shlex.join(["shortvox" if program.startswith(("__main__", "pytest")) else program, *sys.argv[1:]])
