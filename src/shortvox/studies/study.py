"""A study as data: systems, how each is trained, and what is measured. Adding one adds no code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from shortvox.box import model_path
from shortvox.config import nearest_name, override_all, parse
from shortvox.effect import idle, refuse_idle, refuse_idle_in_systems
from shortvox.errors import ConfigError, ModelError
from shortvox.evaluation.settings import ScoringSettings
from shortvox.files import is_folder
from shortvox.models.folder import read_settings
from shortvox.models.settings import ModelSettings
from shortvox.studies.budget import Epochs, count_steps, parse_length
from shortvox.studies.settings import StudySettings
from shortvox.training.parts import TransferSettings
from shortvox.training.settings import TrainSettings


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

    def encoder(self, system: str) -> str | None:
        """The encoder from elsewhere that a system tests; None where the study trains what it tests."""
        return self.settings.systems[self.trained(system)].encoder

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
        start = self.parent(trained)
        own = self.steps(trained) * self._timeless(trained, 0).items / self.utterances
        return own + ((self.epochs(start) or 0.0) if start else 0.0)

    def total_steps(self, system: str) -> int:
        """Steps along the whole line of ancestors."""
        trained = self.trained(system)
        start = self.parent(trained)
        return self.steps(trained) + (self.total_steps(start) if start else 0)

    def fewer_or_more(self, system: str) -> Literal["fewer", "more"] | None:
        """Which a system's steps in all are beside the number that most systems have, the larger of equally many."""
        totals = [self.total_steps(name) for name in self.order()]
        usual = max(totals, key=lambda steps: (totals.count(steps), steps))
        own = self.total_steps(system)
        return None if own == usual else "fewer" if own < usual else "more"

    def trained(self, system: str) -> str:
        """The system whose models, or encoder, `system` tests: itself, or what `of` names."""
        return self.settings.systems[system].of or system

    def parent(self, system: str) -> str | None:
        """The system of this study whose trained model one starts from; None where it starts from anything else."""
        start = self.settings.systems[system].start
        return start if start and start not in self.given() else None

    def given(self) -> dict[str, Path]:
        """The encoders from elsewhere by system, as paths: from a model of ours, others may start or learn."""
        return {name: model_path(own.encoder) for name, own in self.settings.systems.items() if own.encoder is not None}

    def _before(self, system: str) -> ModelSettings | None:
        """The settings of the model that a system starts from; None where there is none, or no folder yet."""
        if parent := self.parent(system):
            return self._timeless(parent, 0).model
        folder = self.given().get(self.settings.systems[system].start or "")
        there = folder is not None and (is_folder(folder) or folder.suffix == ".onnx")
        return read_settings(folder) if folder is not None and there else None

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
        waiting = {name: system for name, system in self.settings.systems.items() if system.is_trained}
        while waiting:
            there = {*placed, *self.given()}
            able = [name for name, system in waiting.items() if set(system.needs) <= there]
            if not able:
                lacking = {name: [n for n in system.needs if n not in there] for name, system in waiting.items()}
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
        start = self.parent(system)
        begin = self.total_steps(start) if start else 0  # not over again what it heard before
        return self._timeless(system, seed, folders).model_copy(update={"steps": self.steps(system), "begin": begin})

    def _timeless(self, system: str, seed: int, folders: Mapping[str, Path] | None = None) -> TrainSettings:
        """The training settings of one system but for its place and length in steps."""
        own = self.settings.systems[system]
        values = {**self.settings.train.model_dump(), "seed": seed, "crop": own.crop}
        if own.start in self.given() and (before := self._before(system)) is not None:
            its = before.model_dump(include={"backbone", "frontend"})
            values = override_all(values, {f"model.{part}": value for part, value in its.items()})
        models = {
            f"teachers.{name}.model": {**self.given(), **(folders or {})}.get(taught_by, Path(taught_by))
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
            if (before := self._before(name)) is not None:
                if settings.transfer.rows == "new":
                    before = before.model_copy(update={"head": None})
                _same_model(where, settings.model, str(own.start), before)
            elif not own.start and settings.transfer != TransferSettings():
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
    for part, mine, its in (
        ("backbone", own.backbone, before.backbone),
        ("frontend", own.frontend, before.frontend),
        ("head.name", own.head and own.head.name, before.head and before.head.name),
    ):
        if mine != its and None not in (mine, its):
            raise ConfigError(f"{where}.start: '{start}' has model.{part} {its}, here it is {mine}; make them the same")
