"""What a study's YAML file holds: systems, how each is trained or where it comes from, and what is measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, field_serializer, field_validator, model_validator

from shortvox.config import Settings, nearest_name
from shortvox.errors import ConfigError
from shortvox.evaluation.settings import TestSettings
from shortvox.studies.budget import Length
from shortvox.studies.given import GIVEN, OF_ALL_SYSTEMS, refuse_given, without_given
from shortvox.training.settings import MOST_EPOCHS, MOST_STEPS, TrainSettings


class SystemSettings(Settings):
    """One system of a study: trained; or only tested, as another one's models scored in another way (`of`), or as an
    encoder from elsewhere (`encoder`).

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
    encoder: str | None = Field(None, min_length=1, description="an encoder that is only tested, as evaluate takes one")
    scoring: dict[str, Any] = Field(default_factory=dict, description="changes of test.scoring, dotted keys")

    @property
    def is_trained(self) -> bool:
        return self.of is None and self.encoder is None

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
        if self.is_trained:
            if self.steps is not None and self.epochs is not None:
                raise ValueError("epochs: steps are given too; give one of them and set the other to null")
            if self.crop is None or (self.steps is None and self.epochs is None):
                raise ValueError(
                    f"{'crop' if self.crop is None else 'steps'} is missing; a system needs steps or epochs, and crop; "
                    "or `of` and the name of the system whose models it tests, or `encoder`"
                )
            return self
        training = {
            name
            for name, field in type(self).model_fields.items()
            if name not in ("of", "encoder", "scoring", "about")
            and getattr(self, name) != field.get_default(call_default_factory=True)
        }
        by = "of" if self.of else "encoder"
        if self.of and self.encoder:
            raise ValueError("encoder: `of` is given too; give one of them")
        if training:
            raise ValueError(
                f"{min(training)}: a system with `{by}` is only tested; give it `scoring` and `about`, or leave `{by}` "
                "out"
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
        own = [name for name, system in self.systems.items() if system.of is None]
        for name, system in self.systems.items():
            for key, other in (
                ("of", system.of),
                ("start", system.start),
                *((f"teachers.{teacher}", taught_by) for teacher, taught_by in system.teachers.items()),
            ):
                if other in self.systems and other not in own:
                    raise ValueError(
                        f"systems.{name}.{key}: '{other}' is only tested; name the system that it tests, "
                        f"'{self.systems[other].of}'"
                    )
                spec = self.systems[other].encoder if key != "of" and other in self.systems else None
                if spec and (spec.startswith("python:") or spec.endswith(".npz")):
                    raise ValueError(
                        f"systems.{name}.{key}: '{other}' is the encoder {spec}; only a model of shortvox can be "
                        "trained further or teach, so import it (import-model) or name another"
                    )
            if system.of is not None and system.of not in self.systems:
                raise ValueError(f"systems.{name}.of: no system '{system.of}'{nearest_name(system.of, own)}")
        return self
