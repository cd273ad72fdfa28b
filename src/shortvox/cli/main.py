"""The `shortvox` program: registers the verbs and turns every error into one line and an exit code."""

from __future__ import annotations

import os
import sys

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # must be set before torch starts its threads

import typer

from shortvox import __version__
from shortvox.cli import corpus, evaluate, models, study, train
from shortvox.cli.metrics import metrics
from shortvox.errors import ShortvoxError
from shortvox.memory import tune_allocator
from shortvox.progress import note

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Speaker verification that still works when the speaker says one word.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(corpus.app, name="corpus")
app.command()(study.study)
app.command()(study.demo)
app.command()(train.train)
app.command()(evaluate.evaluate)
app.command()(evaluate.embed)
app.command()(metrics)
app.command()(models.models)


def _version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit()


@app.callback()
def root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Show the version."),
) -> None:
    """Exit codes: 0 done, 2 your mistake, 130 interrupted, 1 anything else."""


def main() -> None:
    """Entry point of the `shortvox` command."""
    tune_allocator()
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit code; one line on stderr says what went wrong."""
    try:
        code = app(args=arguments, prog_name="shortvox", standalone_mode=False)
    except ShortvoxError as error:
        note(f"error: {error}")
        return 2
    except typer.TyperException as error:
        if message := error.format_message():  # none where a verb alone has shown its help
            note(f"error: {message} (see --help)")
        return 2
    except typer.Exit as leaving:
        code = leaving.exit_code
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:
        return 1
    except Exception as error:
        if os.environ.get("SHORTVOX_DEBUG"):
            raise
        note(f"internal error: {type(error).__name__}: {error}; set SHORTVOX_DEBUG=1 to see where, and report it")
        return 1
    if code == 130:
        note("interrupted; the same command continues where it stopped (train: add --resume)")
    return code if isinstance(code, int) else 0
