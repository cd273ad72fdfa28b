"""Studies by name, or by the path of a YAML file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shortvox.config import nearest_name, override_all, parse, read_yaml
from shortvox.errors import ConfigError
from shortvox.studies.settings import StudySettings
from shortvox.studies.study import Study

FOLDER = Path(__file__).parent


def study_names() -> tuple[str, ...]:
    return tuple(sorted(path.stem.replace("_", "-") for path in FOLDER.glob("*.yaml")))


def list_studies() -> list[dict[str, Any]]:
    """Name, title, question, systems and presets of every study that comes with the package."""
    listed = []
    for name in study_names():
        values = read_yaml(FOLDER / f"{name.replace('-', '_')}.yaml")
        listed.append(
            {
                "name": name,
                "title": values["title"],
                "about": values["about"],
                "systems": list(values["systems"]),
                "presets": list(values.get("presets", {})),
            }
        )
    return listed


def _only(study: str, systems: Mapping[str, Any], names: Any) -> dict[str, Any]:
    """The named systems, in the study's own order."""
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ConfigError(f"study {study}: only: expected a list of systems such as [{', '.join(list(systems)[:2])}]")
    for name in names:
        if name not in systems:
            raise ConfigError(f"study {study}: only: no system '{name}'{nearest_name(name, systems)}")
    return {name: system for name, system in systems.items() if name in names}


def _presets(study: str, presets: Any) -> dict[str, dict[str, Any]]:
    """The presets of a study, changes by dotted key."""
    if not isinstance(presets, dict) or not all(isinstance(changes, dict) for changes in presets.values()):
        raise ConfigError(f"study {study}: presets: expected NAME: {{key: value, …}}")
    return presets


def _names(pair: Any) -> set[str]:
    """The systems that a pair of `compare` names; what is no pair of names is refused later."""
    return set(pair) if isinstance(pair, list) and all(isinstance(name, str) for name in pair) else set()


def load_study(name: str, *, preset: str | None = None, changes: Mapping[str, Any] | None = None) -> Study:
    """A study by name, or by the path of a YAML file, with a preset and then dotted `changes` laid over it.

    Names of the budget may be changed without their prefix (`T=100`); `only` keeps some of the systems.
    Raises ConfigError for an unknown study, preset or key.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else FOLDER / f"{name.replace('-', '_')}.yaml"
    if not path.exists() and path.parent == FOLDER:
        raise ConfigError(f"no study '{name}'{nearest_name(name, study_names())}")
    values = read_yaml(path)
    presets = _presets(name, values.pop("presets", None) or {})
    budget = values.get("budget")
    if not isinstance(budget, dict):
        budget = {}  # named as what it is when the whole is parsed
    if preset is not None:
        if preset not in presets:
            raise ConfigError(f"study {name}: no preset '{preset}'{nearest_name(preset, presets)}")
        values = override_all(values, presets[preset])
    in_budget = {
        f"budget.{key}" if key.partition(".")[0] in budget else key: value for key, value in (changes or {}).items()
    }
    values = override_all(values, in_budget)
    if "only" in values and isinstance(values.get("systems"), dict):
        kept = _only(name, values["systems"], values.pop("only"))
        dropped = set(values["systems"]) - set(kept)
        values["systems"] = kept
        if isinstance(values.get("compare"), list):
            values["compare"] = [pair for pair in values["compare"] if not _names(pair) & dropped]
    study = Study(path.stem.replace("_", "-"), parse(StudySettings, values, f"study {name}"))
    study.check()
    return study
