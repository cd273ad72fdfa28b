"""What the documentation prints must exist: links, commands, options, settings and their defaults, the example."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from shortvox.cli.verbs import Verb, app
from shortvox.encoders.sidecar import GraphSettings
from shortvox.evaluation.settings import TestSettings
from shortvox.studies.catalogue import list_studies
from shortvox.studies.settings import SystemSettings
from shortvox.training.branches import SegmentSettings, TeacherSettings
from shortvox.training.settings import TrainSettings

ROOT = Path(__file__).parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"\]\(([^)\s]+)\)")
SETTING = re.compile(r"^\| `([\w.]+)` \| ([^|]+) \|", re.MULTILINE)


def each_page() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())


def anchors(page: Path) -> set[str]:
    """GitHub's names for a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def commands(text: str) -> Iterator[list[str]]:
    """The words of every `shortvox …` command in code blocks and in code within a line."""
    code = "\n".join([*re.findall(r"```sh\n(.*?)```", text, re.DOTALL), *re.findall(r"`(shortvox [^`]+)`", text)])
    for line in code.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        for at, word in enumerate(words):
            if word == "shortvox":
                yield words[at + 1 :]
                break


def options_of(words: list[str]) -> tuple[str, set[str]]:
    """The verb that `words` begin with, and every option it has."""
    command: Any = get_command(app)
    name = "shortvox"
    for word in words:
        if word.startswith("-") or not hasattr(command, "commands"):
            break
        if word == "VERB":
            break
        assert word in command.commands, f"`{name} {word}` is no command"
        command, name = command.commands[word], f"{name} {word}"
        command = command.load() if isinstance(command, Verb) else command
    return name, {option for parameter in command.params for option in parameter.opts} | {"--help", "-h"}


@each_page()
def test_relative_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        if link.startswith(("http://", "https://")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{link} in {page.name} leads nowhere"
        assert not anchor or anchor in anchors(target), f"{link} in {page.name}: no such heading"


@each_page()
def test_every_option_of_a_printed_command_exists(page: Path) -> None:
    for words in commands(page.read_text(encoding="utf-8")):
        name, known = options_of(words)
        for word in words:
            if word.startswith("--"):
                assert word.partition("=")[0] in known, f"`{name}` has no {word}"


@each_page()
def test_every_printed_setting_can_be_set(page: Path) -> None:
    studies = {entry["name"]: entry for entry in list_studies()}
    for words in commands(page.read_text(encoding="utf-8")):
        for option, value in pairwise(words):
            if option == "--preset":
                assert value == "NAME" or any(value in study["presets"] for study in studies.values())
            if option != "--set" or value in ("KEY=VALUE", "k=v"):
                continue
            key = value.partition("=")[0]
            train = leaves(TrainSettings()) | {f"segments.{k}": v for k, v in leaves(SegmentSettings()).items()}
            keys = {"train": train, "evaluate": leaves(TestSettings())}.get(
                words[0],
                {f"train.{k}": v for k, v in train.items()}
                | {f"test.{k}": v for k, v in leaves(TestSettings()).items()}
                | dict.fromkeys(("T", "S", "only", "seeds", "compare", "test_speakers")),
            )
            of_a_system = re.fullmatch(r"systems\.[\w-]+\.(\w+)", key)
            if of_a_system and words[0] == "study":
                assert of_a_system[1] in SystemSettings.model_fields
                continue
            assert key in keys, f"--set {value} in `shortvox {' '.join(words)}`"


def test_settings_reference_has_every_setting_with_its_default() -> None:
    page = ROOT / "docs/training.md"
    assert section(page, "## Settings") == leaves(TrainSettings())
    assert section(page, "## Segments") == leaves(SegmentSettings())
    assert section(page, "## Teachers") == leaves(TeacherSettings())


def test_test_settings_have_their_defaults() -> None:
    documented = section(ROOT / "docs/evaluation.md", "## Settings")
    actual = leaves(TestSettings())
    assert documented == {key: actual[key] for key in actual if key not in ("protocols", "lengths")}


def test_what_can_be_said_beside_a_graph_is_documented() -> None:
    text = (ROOT / "docs/your-own-encoder.md").read_text(encoding="utf-8")
    table = text.split("| key | default | meaning |")[1].split("\n\n")[0]
    found: dict[str, str] = {}
    for keys, defaults in re.findall(r"^\|([^|]+)\|([^|]*)\|", table, re.MULTILINE)[1:]:
        found |= zip(words_of(keys), words_of(defaults), strict=True)
    fields = GraphSettings.model_fields
    assert set(found) == set(fields)
    assert {key: yaml.safe_load(default) for key, default in found.items() if default} == {
        key: field.default for key, field in fields.items() if not field.is_required() and field.default is not None
    }


def words_of(cell: str) -> list[str]:
    """What is printed as code in a cell of a table; one empty word where nothing is."""
    return re.findall(r"`([^`]+)`", cell) or [""]


def test_the_example_backbone_works(tmp_path: Path) -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    example = re.findall(r"```python\n(.*?)```", text, re.DOTALL)[0]
    check = """
import torch
from shortvox.models import backbone
network = backbone["tdnn-128"]().eval()
alone, beside = torch.randn(1, 37, 80), torch.randn(1, 50, 80)
padded = network(torch.cat([alone, beside], dim=1), torch.tensor([37]))
assert torch.cosine_similarity(padded, network(alone)).item() > 0.9999
assert network(torch.zeros(1, 1, 80)).isfinite().all()
"""
    script = tmp_path / "example.py"
    script.write_text(example, encoding="utf-8")
    formatted = ["ruff", "format", "--check", "--config", str(ROOT / "pyproject.toml"), str(script)]
    assert subprocess.run([sys.executable, "-m", *formatted], capture_output=True, check=False).returncode == 0
    script.write_text(example + check, encoding="utf-8")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def leaves(settings: Any, prefix: str = "") -> dict[str, Any]:
    """Dotted key -> default, as YAML would hold it."""
    found: dict[str, Any] = {}
    for key, value in settings.model_dump(mode="json").items() if not isinstance(settings, dict) else settings.items():
        found |= leaves(value, f"{prefix}{key}.") if isinstance(value, dict) and value else {f"{prefix}{key}": value}
    return found


def section(page: Path, heading: str) -> dict[str, Any]:
    """Dotted key -> documented default, from the table below a heading."""
    text = page.read_text(encoding="utf-8").split(f"\n{heading}\n")[1].split("\n## ")[0]
    return {key: yaml.safe_load(default.strip().strip("`")) for key, default in SETTING.findall(text)}
