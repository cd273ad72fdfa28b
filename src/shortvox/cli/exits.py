"""What a command ends with, for scripts. docs/errors.md has them too."""

from __future__ import annotations

import typer

from shortvox.verification.decision import Outcome

DONE = 0  # also: the same voice, somebody found
BUG = 1
MISTAKE = 2
DIFFERENT = 3  # another voice, nobody found
TOO_LITTLE_SPEECH = 4  # nothing could be decided, an enrolment was refused
INTERRUPTED = 130
READER_GONE = 141

CODES = {Outcome.SAME: DONE, Outcome.DIFFERENT: DIFFERENT, Outcome.TOO_LITTLE_SPEECH: TOO_LITTLE_SPEECH}


def end_with(outcome: Outcome) -> None:
    """End the program with the code of an outcome."""
    if code := CODES[outcome]:
        raise typer.Exit(code)
