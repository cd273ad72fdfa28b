"""A study as data: systems, how each is trained, and what is measured. Adding one adds no code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, field_serializer, field_validator, model_validator

from shortvox.config import Settings, nearest_name, override_all, parse
from shortvox.effect import idle, refuse_idle, refuse_idle_in_systems
from shortvox.errors import ConfigError, ModelError
from shortvox.evaluation.settings import ScoringSettings, TestSettings
from shortvox.models.settings import ModelSettings
from shortvox.studies.budget import Epochs, Length, count_steps, parse_length
from shortvox.studies.given import GIVEN, OF_ALL_SYSTEMS, refuse_given, without_given
from shortvox.training.settings import MOST_EPOCHS, MOST_STEPS, TrainSettings, TransferSettings


class SystemSettings(Settings):
    """One system of a study, trained, or, with `of`, only tested: another one's models, scored in another way.

    `steps` is a number, a name from `budget`, or a sum such as T+S; `epochs` may stand in its place.
    """

    about: str = ""
    start: str | None = Field(None, description="the system whose model this one starts from")
    steps: str | Annotated[int, Field(le=MOST_STEPS)] | None = None
    epochs: float | None = Field(None, gt=0, le=MOST_EPOCHS)
    crop: str | None = None
    head: Literal["trained", "frozen"] = "trained"
    teachers: dict[str, str] = Field(default_factory=dict, description="teachers by name: the systems they are")
    set: dict[str, Any] = Field(default_factory=dict, description="further training settings, dotted keys")
    of: str | None = Field(None, description="the system whose models this one tests; it trains nothing")
    scoring: dict[str, Any] = Field(default_factory=dict, description="changes of test.scoring, dotted keys")

    @property
    def needs(self) -> tuple[str, ...]:
        """Systems that must be trained before this one: the one it starts from, and its teachers."""
        return tuple(dict.fromkeys([*([self.start] if self.start else []), *self.teachers.values()]))

    @field_validator("set")
    @classmethod
    def _further(cls, changes: dict[str, Any]) -> dict[str, Any]:
        refuse_given(changes, GIVEN | OF_ALL_SYSTEMS)
        return changes

    @model_validator(mode="after")
    def _each_teacher_named_once(self) -> SystemSettings:
        named = {f"teachers.{name}.model": "`teachers` names the system it is" for name in self.teachers}
        refuse_given(self.set, named)
        return self

    @model_validator(mode="after")
    def _trained_or_tested(self) -> SystemSettings:
        if self.of is None:
            if self.steps is not None and self.epochs is not None:
                raise ValueError("epochs: steps are given too; give one of them and set the other to null")
            if self.crop is None or (self.steps is None and self.epochs is None):
                raise ValueError(
                    f"{'crop' if self.crop is None else 'steps'} is missing; a system needs steps or epochs, and crop; "
                    "or `of` and the name of the system whose models it tests"
                )
            return self
        training = {
            name
            for name, field in type(self).model_fields.items()
            if name not in ("of", "scoring", "about")
            and getattr(self, name) != field.get_default(call_default_factory=True)
        }
        if training:
            raise ValueError(
                f"{min(training)}: a system with `of` is only tested; give it `scoring` and `about`, or leave `of` out"
            )
        return self


Figure = Annotated[float, Field(ge=-1e6, le=1e6)]


class Expected(Settings):
    """The training corpus that the epochs of a preset are meant for."""

    corpus: str
    utterances: int = Field(ge=1, le=10**9)


class NotesTable(Settings):
    """The research notes' own figures, percent EER unless `title` says otherwise. A row of null has none."""

    title: str = ""
    about: str = ""
    columns: tuple[str, ...]
    rows: dict[str, tuple[Figure | None, ...] | None]
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
    budget: dict[str, Length]
    expects: Expected | None = None
    seeds: int = Field(1, ge=1, le=100)
    train: TrainSettings = TrainSettings()
    systems: dict[SystemName, SystemSettings] = Field(min_length=1)
    test: TestSettings = TestSettings()
    test_speakers: float = Field(0.2, gt=0, lt=1, description="share of speakers to test on, where no list is given")
    compare: tuple[tuple[str, str], ...] | None = None
    notes_table: NotesTable | None = None

    @field_validator("train", mode="before")
    @classmethod
    def _shared(cls, values: Any) -> Any:
        if isinstance(values, Mapping):
            try:
                refuse_given(values)
            except ValueError as error:
                raise ConfigError(f"train.{error}") from None
        return values

    @field_serializer("train", mode="wrap")
    def _as_read(self, train: TrainSettings, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return without_given(dump(train))

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
    """A named study with its resolved settings, for a corpus of so many training utterances where it is known."""

    name: str
    settings: StudySettings
    utterances: int | None = None

    def on(self, utterances: int) -> Study:
        """This study on a corpus of so many training utterances, so that epochs are steps."""
        return replace(self, utterances=utterances)

    def corpus_note(self) -> str | None:
        """What to tell the user when the corpus is another than the one that the study's numbers are meant for."""
        meant, found = self.settings.expects, self.utterances
        if meant is None or found is None or 0.8 * meant.utterances <= found <= 1.25 * meant.utterances:
            return None
        return (
            f"the settings of this study are meant for {meant.corpus} ({meant.utterances:,} utterances); this corpus "
            f"has {found:,} to train on, so an epoch has another number of steps"
        )

    def steps(self, system: str) -> int:
        """Steps of one system's own training."""
        own = self.settings.systems[system]
        try:
            terms = [Epochs(epochs=own.epochs)] if own.epochs else parse_length(str(own.steps), self.settings.budget)
        except ConfigError as error:
            raise ConfigError(f"study {self.name}: systems.{system}.steps: {error}") from None
        return count_steps(terms, self.utterances, self._timeless(system, 0).items)

    def epochs(self, system: str) -> float | None:
        """Passes over the training utterances along the whole line of ancestors; None where no corpus is known."""
        if self.utterances is None:
            return None
        trained = self.trained(system)
        start = self.settings.systems[trained].start
        own = self.steps(trained) * self._timeless(trained, 0).items / self.utterances
        return own + ((self.epochs(start) or 0.0) if start else 0.0)

    def total_steps(self, system: str) -> int:
        """Steps along the whole line of ancestors."""
        trained = self.trained(system)
        start = self.settings.systems[trained].start
        return self.steps(trained) + (self.total_steps(start) if start else 0)

    def fewer_or_more(self, system: str) -> Literal["fewer", "more"] | None:
        """Which a system's steps in all are beside the number that most systems have, the larger of equally many."""
        totals = [self.total_steps(name) for name in self.order()]
        usual = max(totals, key=lambda steps: (totals.count(steps), steps))
        own = self.total_steps(system)
        return None if own == usual else "fewer" if own < usual else "more"

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
        start = self.settings.systems[system].start
        begin = self.total_steps(start) if start else 0  # not over again what it heard before
        return self._timeless(system, seed, folders).model_copy(update={"steps": self.steps(system), "begin": begin})

    def _timeless(self, system: str, seed: int, folders: Mapping[str, Path] | None = None) -> TrainSettings:
        """The training settings of one system but for its place and length in steps."""
        own = self.settings.systems[system]
        values = {**self.settings.train.model_dump(), "seed": seed, "crop": own.crop}
        models = {
            f"teachers.{name}.model": (folders or {}).get(taught_by, Path(taught_by))
            for name, taught_by in own.teachers.items()
        }
        changes = {**own.set, "transfer.head": own.head, **models}
        return parse(TrainSettings, override_all(values, changes), f"study {self.name}: systems.{system}")

    def check(self) -> None:
        """Raise ConfigError for what is wrong with a system's own settings, before anything is trained."""
        if self.utterances is None:
            return self.on(1).check()  # whatever the corpus
        for name in self.order():
            own, settings = self.settings.systems[name], self.training(name, 0)
            where = f"study {self.name}: systems.{name}"
            try:
                settings.model.check()
            except ModelError as error:
                raise ConfigError(f"{where}: {error}") from None
            lacking = [teacher for teacher, said in settings.teachers.items() if said.model is None]
            if lacking:
                raise ConfigError(f"{where}.teachers: name the system, or set the model folder, of '{lacking[0]}'")
            if own.start:
                _same_model(where, settings.model, own.start, self.training(own.start, 0).model)
            elif settings.transfer != TransferSettings():
                raise ConfigError(f"{where}.start: is missing; head: frozen and transfer need a system to start from")
        self.settings.test.names()
        self._check_effects()

    def _check_effects(self) -> None:
        """Raise ConfigError for a setting that was asked for and has no effect."""
        where, systems, test = f"study {self.name}", self.settings.systems, self.settings.test
        trained = {name: idle(self.training(name, 0)) for name in self.order()}
        refuse_idle_in_systems(trained, {name: systems[name].set for name in trained}, where, "train", "set")
        scored = {name: idle(self.scoring(name)) for name in systems}
        own = {name: systems[name].scoring for name in systems}
        refuse_idle_in_systems(scored, own, where, "test.scoring", "scoring")
        refuse_idle(idle(test.model_copy(update={"scoring": ScoringSettings()})), f"{where}: test")


def _same_model(where: str, own: ModelSettings, start: str, before: ModelSettings) -> None:
    assert own.head is not None  # the settings of a training see to it
    assert before.head is not None
    for part, mine, its in (
        ("backbone", own.backbone, before.backbone),
        ("frontend", own.frontend, before.frontend),
        ("head.name", own.head.name, before.head.name),
    ):
        if mine != its:
            raise ConfigError(f"{where}.start: '{start}' has model.{part} {its}, here it is {mine}; make them the same")
