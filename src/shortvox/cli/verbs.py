"""The verbs of the command line: their names and help lines. What does a verb's work is imported when it is called."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from shortvox import __version__
from shortvox.errors import ReaderGone, ShortvoxError
from shortvox.memory import tune_memory
from shortvox.printing import show

# verb: where its function (or the app of its own verbs) is, and the first line of that function's docstring.
VERBS = {
    "verify": (
        "verify:verify",
        "Does who speaks in the others speak in the last recording? SAME, DIFFERENT or TOO_LITTLE_SPEECH, and why.",
    ),
    "enroll": (
        "speakers:enroll",
        "Keep a voice in a gallery, and say how much of what it needs is there. Exit code 4: it is not taken.",
    ),
    "identify": (
        "speakers:identify",
        "Say who of a gallery speaks. Exit code 3: nobody of it, 4: too little speech to say.",
    ),
    "speakers": ("speakers:app", "List, show, remove, export, import, migrate and rebuild voices."),
    "serve": (
        "serve:serve",
        "Serve verify, identify and enrolment over HTTP and WebSocket, with a page for the browser.",
    ),
    "demo": (
        "study:demo",
        "Recorded voices, verified and identified with the model in the box; then a small frozen-head study of them.",
    ),
    "adapt": (
        "adapt:adapt",
        "Adapt a speaker encoder to short speech, or to your own; test before and after, calibrate, export.",
    ),
    "calibrate": (
        "calibrate:calibrate",
        "Fit and keep maps from scores to log likelihood ratios, for both protocols at every length.",
    ),
    "grid": (
        "grid:grid",
        "Do decisions keep their error rates? At each length of speech, on speakers they were not calibrated on.",
    ),
    "evaluate": (
        "evaluate:evaluate",
        "EER, minDCF and calibrated costs of models at every length of test speech, with intervals.",
    ),
    "corpus": ("corpus:app", "Import, check, describe and split corpora."),
    "embed": ("embed:embed", "Write the unit-length embedding of every utterance, whole, as .npz, .csv or .parquet."),
    "train": (
        "train:train",
        "Train a model, or continue one: the folder it leaves is what evaluate, embed and --init take.",
    ),
    "study": (
        "study:study",
        "Run a study: train every system, test it at every length, write a report. The same command continues it.",
    ),
    "export": (
        "export:export",
        "Write a model as ONNX: waveforms in, embeddings out, front end inside, compared with torch at every length.",
    ),
    "import-model": (
        "import_model:import_model",
        "Make a model folder of a published checkpoint: an encoder that evaluate, embed, export and --init take.",
    ),
    "metrics": ("metrics:metrics", "EER, minDCF, actDCF, Cllr and minCllr of a score file, with 95 % intervals."),
    "models": ("models:models", "List the backbones with their parameters and embedding sizes."),
}


def imported(name: str) -> Any:
    """The function behind a verb, or the typer app of a group of verbs."""
    module, attribute = VERBS[name][0].split(":")
    return getattr(import_module(f"shortvox.cli.{module}"), attribute)


class Verb(TyperCommand):
    """A verb as the list of verbs shows it, which becomes the one that works when it is called."""

    def load(self) -> Any:
        """The command itself, of typer's own class."""
        found = imported(str(self.name))
        if isinstance(found, typer.Typer):
            return get_command(found)
        alone = typer.Typer(add_completion=False)
        alone.command(self.name)(found)
        return get_command(alone)

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        return self.load().make_context(*arguments, **options)


class Verbs(TyperGroup):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.commands = {name: Verb(name, help=line) for name, (_, line) in VERBS.items()}


app = typer.Typer(
    cls=Verbs,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Speaker verification that still works when the speaker says one word.",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        show(__version__)
        raise typer.Exit()


@app.callback()
def root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Show the version."),
) -> None:
    """Exit codes: 0 done or one voice, 3 another voice or nobody, 4 too little speech, 2 your mistake, 130 interrupted,
    1 a bug."""


def call(arguments: list[str]) -> int:
    """Run one command line and return its exit code; raises ShortvoxError for one that means nothing."""
    tune_memory()
    try:
        code = app(args=arguments, prog_name="shortvox", standalone_mode=False)
    except typer.TyperException as error:
        message = " ".join(error.format_message().split())
        if not message:  # a verb alone has shown its help
            return 2
        raise ShortvoxError(f"{message} (see --help)") from None
    except SystemExit:  # typer's way out where nobody reads its help
        raise ReaderGone from None
    return code if isinstance(code, int) else 0
