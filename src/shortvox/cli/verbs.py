"""The verbs of the command line."""

from __future__ import annotations

import typer

from shortvox import __version__
from shortvox.cli import corpus, evaluate, models, study, train
from shortvox.cli.metrics import metrics
from shortvox.errors import ReaderGone, ShortvoxError
from shortvox.memory import tune_allocator
from shortvox.printing import show

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
        show(__version__)
        raise typer.Exit()


@app.callback()
def root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Show the version."),
) -> None:
    """Exit codes: 0 done, 2 your mistake, 130 interrupted, 1 a bug."""


def call(arguments: list[str]) -> int:
    """Run one command line and return its exit code; raises ShortvoxError for one that means nothing."""
    tune_allocator()
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
