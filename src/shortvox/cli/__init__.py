"""The command line: one thin command per verb. Exit codes: 0 done, 2 user's mistake, 130 interrupted, 1 else."""

from __future__ import annotations

from shortvox.cli.main import main

__all__ = ["main"]
