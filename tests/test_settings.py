"""What holds for every settings class of the package, also for one that is added later."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import pytest
from pydantic.fields import FieldInfo

import shortvox
from shortvox.config import Settings, parse
from shortvox.errors import ConfigError
from shortvox.evaluation.settings import TestSettings
from shortvox.studies.settings import StudySettings
from shortvox.training.settings import TrainSettings

# Numbers that something else bounds, with what it says of one beyond.
BOUNDED_ELSEWHERE = {
    "TestSettings.lengths": lambda: parse(TestSettings, {"lengths": [1e300]}, "test").names(),
    "StudySettings.budget": lambda: parse(
        StudySettings, {"budget": {"T": 10**30}, "title": "", "about": "", "systems": {}}, "study"
    ),
    "SystemSettings.steps": lambda: parse(TrainSettings, {"steps": 10**30}, "systems.a"),  # what they become
}


def settings_classes(base: type[Settings] = Settings) -> Iterator[type[Settings]]:
    for found in base.__subclasses__():
        if found.__module__.startswith("shortvox."):
            yield found
        yield from settings_classes(found)


def every_class() -> list[type[Settings]]:
    for module in pkgutil.walk_packages(shortvox.__path__, "shortvox."):
        # adapters need packages that call shortvox, and that it does not need
        if not module.name.endswith("__main__") and not module.name.startswith("shortvox.adapters."):
            importlib.import_module(module.name)
    return sorted(set(settings_classes()), key=lambda kind: kind.__name__)


def numbers(annotation: Any, limits: list[Any]) -> Iterator[list[Any]]:
    """What limits each number that an annotation allows: `tuple[Annotated[float, Field(ge=0)], int]` has two."""
    if get_origin(annotation) is Annotated:
        inner, *own = get_args(annotation)
        yield from numbers(inner, [*limits, *(limit for one in own for limit in _metadata(one))])
    elif get_args(annotation):
        alternatives = get_origin(annotation) in (Union, UnionType)
        for inner in get_args(annotation):
            yield from numbers(inner, limits if alternatives else [])
    elif annotation in (int, float):
        yield limits


def _metadata(one: Any) -> list[Any]:
    return list(one.metadata) if isinstance(one, FieldInfo) else [one]


def test_every_number_has_a_lower_and_an_upper_bound() -> None:
    classes = every_class()
    assert {TrainSettings, TestSettings, StudySettings} < set(classes)
    unbounded = [
        f"{kind.__name__}.{name}"
        for kind in classes
        for name, field in kind.model_fields.items()
        for limits in numbers(field.annotation, list(field.metadata))
        if not all(any(hasattr(one, a) or hasattr(one, b) for one in limits) for a, b in (("ge", "gt"), ("le", "lt")))
    ]
    assert set(unbounded) == set(BOUNDED_ELSEWHERE)


@pytest.mark.parametrize("name", BOUNDED_ELSEWHERE)
def test_the_others_are_bounded_elsewhere(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"\b{name.partition('.')[2]}"):
        BOUNDED_ELSEWHERE[name]()


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"batch": 10**12}, "batch"),
        ({"batch": 10_000, "crop": "3-6s"}, "batch"),
        ({"batch": 10, "crop": "3000s", "sampler": "balanced"}, "batch"),
        ({"optimiser": {"lr": 1e300}}, "optimiser.lr"),
        ({"augment": {"noise_snr": [-4000, -4000]}}, "augment.noise_snr.0"),
        ({"augment": {"rooms": 10**8}}, "augment.rooms"),
        ({"teachers": {"t": {"temperature": 1e-300}}}, "teachers.t.temperature"),
        ({"segments": {"loss": {"kl": 1e12}}}, "segments.loss.kl"),
    ],
)
def test_a_number_beyond_its_bounds_is_told_with_its_key(values: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError, match=rf"^c\.yaml: {key}: (Input should be |.* crops of)"):
        parse(TrainSettings, values, "c.yaml")
