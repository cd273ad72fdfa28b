"""What a command spends: processor time and the most memory it held."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

# A process counts as its own what the one that started it held, until it becomes another program. So the command is
# started by a small process, which counts it.
_COUNT = """
import json, resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
spent = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([spent.ru_utime + spent.ru_stime, spent.ru_maxrss * 1024]))
"""


@dataclass(frozen=True)
class Spent:
    seconds: float  # of processors
    memory: int  # bytes at the peak


def spent_by(command: Sequence[str]) -> Spent:
    """Run a command to its end; raises CalledProcessError where it fails."""
    done = subprocess.run([sys.executable, "-S", "-c", _COUNT, *command], check=True, stdout=subprocess.PIPE)
    return Spent(*json.loads(done.stdout))
