"""What a command ends with, for scripts. docs/errors.md has them too."""

from __future__ import annotations

DONE = 0  # also: the same voice, somebody found
BUG = 1
MISTAKE = 2
DIFFERENT = 3  # another voice, nobody found
TOO_LITTLE_SPEECH = 4  # nothing could be decided, an enrolment was refused
INTERRUPTED = 130
READER_GONE = 141
