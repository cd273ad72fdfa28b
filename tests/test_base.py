"""The base: what `pip install shortvox` gives has no torch, and what the lab needs is imported when it is needed."""

from __future__ import annotations

import pkgutil
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import shortvox
from shortvox.cli.verbs import VERBS
from shortvox.errors import LAB, SERVE, ShortvoxError, in_one_line
from without import without_the_lab

ROOT = Path(__file__).parents[1]
BASE_VERBS = frozenset({"corpus", "embed", "enroll", "identify", "serve", "speakers", "verify"})
LAB_VERBS = sorted(VERBS.keys() - BASE_VERBS)
LAB_ROOMS = frozenset(
    f"shortvox.{room}"
    for room in (
        *("frontend", "models", "heads", "training", "evaluation", "report", "studies", "export", "demo"),
        "adapters",  # for who has the packages that they adapt to
        *("device", "ranks"),
        *(f"cli.{VERBS[verb][0].partition(':')[0]}" for verb in LAB_VERBS),
    )
)


def of_the_lab(name: str) -> bool:
    return any(f"{name}.".startswith(f"{room}.") for room in LAB_ROOMS)


def test_the_base_imports_nothing_of_the_lab() -> None:
    names = [found.name for found in pkgutil.walk_packages(shortvox.__path__, "shortvox.")]
    base = [name for name in names if not of_the_lab(name) and name != "shortvox.__main__"]
    assert {"shortvox.errors", "shortvox.corpora.audio", "shortvox.scoring.calibration", "shortvox.cli.verbs"} <= {
        *base
    }
    statement = """
from importlib import import_module
for name in sys.argv[1:]:
    try:
        import_module(name)
    except ImportError as error:
        print(f"{name}: {error}")
"""
    ended = without_the_lab(statement, *base, rooms=LAB_ROOMS)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_the_lab_is_what_its_extra_installs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extra = {re.split("[<>=]", needed)[0].lower() for needed in project["optional-dependencies"]["train"]}
    assert extra == LAB
    assert not extra & {re.split("[<>=]", needed)[0].lower() for needed in project["dependencies"]}


@pytest.mark.parametrize("verb", LAB_VERBS)
def test_a_verb_of_the_lab_says_how_to_install_it(verb: str) -> None:
    ended = without_the_lab("from shortvox.cli import main; main()", verb, "--help")
    assert ended.returncode == 2
    assert re.fullmatch(
        r"error: this needs the lab \(\w+ is not installed\); pip install 'shortvox\[train\]'\n", ended.stderr
    )


def test_the_service_says_how_to_install_it() -> None:
    ended = without_the_lab("from shortvox.cli import main; main()", "serve", rooms=SERVE)
    told = r"error: this needs the service \(\w+ is not installed\); pip install 'shortvox\[serve\]'\n"
    assert ended.returncode == 2 and re.fullmatch(told, ended.stderr)


def test_what_else_cannot_be_imported_is_another_matter() -> None:
    assert "install it again" in str(in_one_line(ImportError("libc.so", name="torch")))
    assert "install it again" in str(in_one_line(ModuleNotFoundError("No module named 'numpy'", name="numpy")))
    assert in_one_line(ShortvoxError("torch")) == "torch"


def test_help_imports_nothing_that_it_does_not_need() -> None:
    """In modules, not seconds."""
    program = "import sys; from shortvox.cli.main import run; run(sys.argv[1:]); print(*sys.modules, file=sys.stderr)"

    def imported(*arguments: str) -> set[str]:
        command = [sys.executable, "-c", program, *arguments]
        modules = subprocess.run(command, capture_output=True, text=True, check=True).stderr.split()
        assert "typer" in modules
        return {name.partition(".")[0] for name in modules}

    for option in ("--help", "--version"):
        assert not imported(option) & {*LAB, "numpy", "pydantic", "yaml", "soundfile", "onnxruntime"}
    assert not imported("embed", "--help") & {*LAB, "onnxruntime"}
