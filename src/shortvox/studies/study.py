"""A study as data: systems, how each is trained, and what is measured. Adding one adds no code."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from shortvox.config import Settings, nearest_name, override_all, parse, read_yaml
from shortvox.errors import ConfigError
from shortvox.evaluation.settings import ScoringSettings, TestSettings
from shortvox.training.settings import TrainSettings

FOLDER = Path(__file__).parent


class SystemSettings(Settings):
    """One system of a study, trained, or, with `of`, only tested: another one's models, scored in another way.

    `steps` is a number, a name from `budget`, or a sum such as T+S.
    """

    about: str = ""
    start: str | None = Field(None, description="the system whose model this one starts from")
    steps: str | int | None = None
    crop: str | None = None
    head: Literal["trained", "frozen"] = "trained"
    teachers: dict[str, str] = Field(default_factory=dict, description="teachers by name: the systems they are")
    fewer_steps: bool = Field(False, description="shown, but trained for fewer steps than the rest")
    set: dict[str, Any] = Field(default_factory=dict, description="further training settings, dotted keys")
    of: str | None = Field(None, description="the system whose models this one tests; it trains nothing")
    scoring: dict[str, Any] = Field(default_factory=dict, description="changes of test.scoring, dotted keys")

    @property
    def needs(self) -> tuple[str, ...]:
        """Systems that must be trained before this one: the one it starts from, and its teachers."""
        return tuple(dict.fromkeys([*([self.start] if self.start else []), *self.teachers.values()]))

    @model_validator(mode="after")
    def _trained_or_tested(self) -> SystemSettings:
        if self.of is None:
            missing = [key for key in ("steps", "crop") if getattr(self, key) is None]
            if missing:
                raise ValueError(
                    f"{missing[0]} is missing; a system needs steps and crop, or `of` and the name of the "
                    "system whose models it tests"
                )
            return self
        training = self.model_fields_set - {"of", "scoring", "about"}
        if training:
            raise ValueError(
                f"{min(training)}: a system with `of` is only tested; give it `scoring` and `about`, or leave `of` out"
            )
        return self


class NotesTable(Settings):
    """The research notes' own figures, percent EER unless `title` says otherwise. A row of null has none."""

    title: str = ""
    about: str = ""
    columns: tuple[str, ...]
    rows: dict[str, tuple[float | None, ...] | None]
    digits: int = Field(2, ge=0, le=4, description="decimals at least")
    more: tuple[NotesTable, ...] = Field((), description="further tables of the notes")

    @model_validator(mode="after")
    def _rectangular(self) -> NotesTable:
        for name, figures in self.rows.items():
            if figures is not None and len(figures) != len(self.columns):
                raise ValueError(f"row {name} has {len(figures)} figures under {len(self.columns)} columns")
        return self


# Names folders on disk.
SystemName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.+-]*$", max_length=64)]


class StudySettings(Settings):
    """The whole of a study's YAML file, presets resolved."""

    title: str
    about: str
    budget: dict[str, int]
    seeds: int = Field(1, ge=1, le=100)
    train: TrainSettings = TrainSettings()
    systems: dict[SystemName, SystemSettings] = Field(min_length=1)
    test: TestSettings = TestSettings()
    test_speakers: float = Field(0.2, gt=0, lt=1, description="share of speakers to test on, where no list is given")
    compare: tuple[tuple[str, str], ...] | None = None
    notes_table: NotesTable | None = None

    @model_validator(mode="after")
    def _compares_known(self) -> StudySettings:
        for name in (name for pair in self.compare or () for name in pair):
            if name not in self.systems:
                raise ValueError(f"compare: no system '{name}'{nearest_name(name, self.systems)}")
        return self

    @model_validator(mode="after")
    def _tests_trained(self) -> StudySettings:
        trained = [name for name, system in self.systems.items() if system.of is None]
        for name, system in self.systems.items():
            for key, other in (
                ("of", system.of),
                ("start", system.start),
                *((f"teachers.{teacher}", taught_by) for teacher, taught_by in system.teachers.items()),
            ):
                if other in self.systems and other not in trained:
                    raise ValueError(
                        f"systems.{name}.{key}: '{other}' is only tested; name the system that it tests, "
                        f"'{self.systems[other].of}'"
                    )
            if system.of is not None and system.of not in self.systems:
                raise ValueError(f"systems.{name}.of: no system '{system.of}'{nearest_name(system.of, trained)}")
        return self


@dataclass(frozen=True)
class Study:
    """A named study with its resolved settings."""

    name: str
    settings: StudySettings

    def steps(self, system: str) -> int:
        """Steps of one system's own training."""
        text = str(self.settings.systems[system].steps)
        total = 0
        for term in text.replace(" ", "").split("+"):
            if re.fullmatch(r"\d+", term):
                total += int(term)
            elif term in self.settings.budget:
                total += self.settings.budget[term]
            else:
                raise ConfigError(
                    f"study {self.name}: systems.{system}.steps: '{term}' is no number and not in budget"
                    f"{nearest_name(term, self.settings.budget)}"
                )
        return total

    def total_steps(self, system: str) -> int:
        """Steps along the whole line of ancestors."""
        trained = self.trained(system)
        start = self.settings.systems[trained].start
        return self.steps(trained) + (self.total_steps(start) if start else 0)

    def trained(self, system: str) -> str:
        """The system whose training gives the models that `system` tests: itself, or what `of` names."""
        return self.settings.systems[system].of or system

    def scoring(self, system: str) -> ScoringSettings:
        """How a system's models are scored: the test's way, with the changes of what it tests and then its own."""
        own = self.settings.systems[system]
        below = self.scoring(own.of) if own.of else self.settings.test.scoring
        values = override_all(below.model_dump(), own.scoring)
        return parse(ScoringSettings, values, f"study {self.name}: systems.{system}.scoring")

    def scorings(self, system: str) -> tuple[ScoringSettings, ...]:
        """All ways in which the models of a trained system are scored."""
        return tuple(self.scoring(name) for name in self.settings.systems if self.trained(name) == system)

    def order(self) -> tuple[str, ...]:
        """Systems that are trained, in the study's own order, but each after those it starts from and hears from.

        Raises ConfigError for an unknown system or a circle.
        """
        placed: list[str] = []
        waiting = {name: system for name, system in self.settings.systems.items() if system.of is None}
        while waiting:
            able = [name for name, system in waiting.items() if set(system.needs) <= set(placed)]
            if not able:
                lacking = {name: [n for n in system.needs if n not in placed] for name, system in waiting.items()}
                unknown = {name: n for name, needs in lacking.items() for n in needs if n not in self.settings.systems}
                name, needed = next(iter((unknown or {name: needs[0] for name, needs in lacking.items()}).items()))
                key = "start" if waiting[name].start == needed else "teachers"
                reason = f"unknown{nearest_name(needed, self.settings.systems)}" if unknown else "part of a circle"
                raise ConfigError(f"study {self.name}: systems.{name}.{key}: '{needed}' is {reason}")
            placed.append(able[0])
            del waiting[able[0]]
        return tuple(placed)

    def training(self, system: str, seed: int, folders: Mapping[str, Path] | None = None) -> TrainSettings:
        """The resolved training settings of one system and seed; `folders` has its teachers' models by system."""
        own = self.settings.systems[system]
        values = {
            **self.settings.train.model_dump(),
            "seed": seed,
            "steps": self.steps(system),
            "begin": self.total_steps(own.start) if own.start else 0,  # not over again what it heard before
            "crop": own.crop,
        }
        models = {
            f"teachers.{name}.model": (folders or {}).get(taught_by, Path(taught_by))
            for name, taught_by in own.teachers.items()
        }
        changes = {"transfer.head": own.head, **own.set, **models}
        return parse(TrainSettings, override_all(values, changes), f"study {self.name}: systems.{system}")


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


def _only(study: str, systems: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """The named systems, in the study's own order."""
    if not isinstance(names, list):
        raise ConfigError(f"study {study}: only: expected a list of systems such as [{', '.join(list(systems)[:2])}]")
    for name in names:
        if name not in systems:
            raise ConfigError(f"study {study}: only: no system '{name}'{nearest_name(name, systems)}")
    return {name: system for name, system in systems.items() if name in names}


def load_study(name: str, *, preset: str | None = None, changes: Mapping[str, Any] | None = None) -> Study:
    """A study by name, or by the path of a YAML file, with a preset and then dotted `changes` laid over it.

    Names of the budget may be changed without their prefix (`T=100`); `only` keeps some of the systems.
    Raises ConfigError for an unknown study, preset or key.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else FOLDER / f"{name.replace('-', '_')}.yaml"
    if not path.exists() and path.parent == FOLDER:
        raise ConfigError(f"no study '{name}'{nearest_name(name, study_names())}")
    values = read_yaml(path)
    presets, budget = values.pop("presets", None) or {}, values.get("budget") or {}
    if not isinstance(presets, dict) or not all(isinstance(changes, dict) for changes in presets.values()):
        raise ConfigError(f"study {name}: presets: expected NAME: {{key: value, …}}")
    if preset is not None:
        if preset not in presets:
            raise ConfigError(f"study {name}: no preset '{preset}'{nearest_name(preset, presets)}")
        values = override_all(values, presets[preset])
    in_budget = {f"budget.{key}" if key in budget else key: value for key, value in (changes or {}).items()}
    values = override_all(values, in_budget)
    if "only" in values and isinstance(values.get("systems"), dict):
        kept = _only(name, values["systems"], values.pop("only"))
        dropped = set(values["systems"]) - set(kept)
        values["systems"] = kept
        if isinstance(values.get("compare"), list):
            values["compare"] = [pair for pair in values["compare"] if not dropped.intersection(pair)]
    study = Study(path.stem.replace("_", "-"), parse(StudySettings, values, f"study {name}"))
    for system in study.order():
        study.training(system, 0)  # raises what is wrong with a system's own settings
    for system in study.settings.systems:
        study.scoring(system)
    study.settings.test.names()
    return study
