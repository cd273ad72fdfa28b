"""Python as the base is installed: whatever only the lab has cannot be imported."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable

from shortvox.errors import LAB

WITHOUT = """
import sys

class Without:
    def find_spec(self, name, path=None, target=None):
        if any((name + ".").startswith(left + ".") for left in {left_out}):
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Without())
{statement}
"""


def without_the_lab(statement: str, *arguments: object, rooms: Iterable[str] = ()) -> subprocess.CompletedProcess[str]:
    """Run a statement in a new interpreter without the lab's packages and without some modules of our own."""
    code = WITHOUT.format(left_out=[*sorted(LAB), *sorted(rooms)], statement=statement)
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
