from __future__ import annotations

from pathlib import Path

import pytest

from shortvox.config import Settings, override_all, parse, parse_assignments, read_yaml, write_yaml
from shortvox.errors import ConfigError
from shortvox.registry import Registry
from shortvox.studies.settings import StudySettings, SystemSettings
from shortvox.training.settings import TrainSettings


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"optimizer": {}}, "where: unknown key 'optimizer'; did you mean 'optimiser'?"),
        ({"optimiser": {"learning": 1, "lr": 1e-3}}, "where: unknown key 'optimiser.learning'"),
        ({"augment": {"noise_snrs": [0, 1]}}, "unknown key 'augment.noise_snrs'; did you mean 'noise_snr'?"),
        ({"model": {"head": {"scales": 1}}}, "unknown key 'model.head.scales'; did you mean 'scale'?"),
        ({"batch": 1}, "where: batch: "),
        ({"steps": "many"}, "where: steps: "),
        ({"steps": None}, "where: steps: none are given; give a number of steps, or epochs"),
    ],
)
def test_mistakes_name_the_key_and_the_nearest(values: dict, told: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse(TrainSettings, values, "where")
    assert told in str(raised.value)
    assert "\n" not in str(raised.value)


class Several(Settings):
    systems: tuple[SystemSettings, ...] | None = None


@pytest.mark.parametrize(
    ("kind", "values", "told"),
    [
        (
            StudySettings,
            {"systems": {"teacher": {"steps": 1, "cropp": "2s"}}},
            "unknown key 'systems.teacher.cropp'; did you mean 'crop'?",
        ),
        (
            StudySettings,
            {"notes_table": {"colums": [], "rows": {}}},
            "unknown key 'notes_table.colums'; did you mean 'columns'?",
        ),
        (StudySettings, {"train": {"optimiser": {"lrr": 1}}}, "unknown key 'train.optimiser.lrr'; did you mean 'lr'?"),
        (
            Several,
            {"systems": [{"steps": 1, "crop": "2s", "haed": "frozen"}]},
            "unknown key 'systems.0.haed'; did you mean 'head'?",
        ),
    ],
)
def test_suggestions_reach_into_dicts_tuples_and_optional_settings(
    kind: type[Settings], values: dict, told: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        parse(kind, values, "where")
    assert str(raised.value) == f"where: {told}"


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"model": {"backbone": "ecapa-46"}}, "where: unknown backbone 'ecapa-46'; did you mean 'ecapa-64'?"),
        ({"model": {"head": {"name": "aamm"}}}, "where: unknown head 'aamm'; did you mean 'aam'?"),
        ({"crop": "3"}, "where: crop: '3' is none of"),
    ],
)
def test_a_wrong_name_is_told_with_its_place_and_the_nearest(values: dict, told: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse(TrainSettings, values, "where")
    assert str(raised.value).startswith(told)
    assert "\n" not in str(raised.value)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        parse(TrainSettings, {}, "where").seed = 1


def test_assignments() -> None:
    parsed = parse_assignments(["a.b=1", "c=x", "d=[1, 2]", "e=", "f=a=b", "g=1e-3", "h.i=false"])
    assert parsed == {"a.b": 1, "c": "x", "d": [1, 2], "e": None, "f": "a=b", "g": parsed["g"], "h.i": False}
    assert override_all({"a": {"b": 0, "k": 2}, "z": 1}, parsed)["a"] == {"b": 1, "k": 2}


def test_a_rate_in_scientific_notation_is_a_number() -> None:
    values = override_all({}, parse_assignments(["optimiser.lr=1e-3"]))
    assert parse(TrainSettings, values, "--set").optimiser.lr == 1e-3


@pytest.mark.parametrize("text", ["a", "=1", "a=[1"])
def test_bad_assignments(text: str) -> None:
    with pytest.raises(ConfigError, match="--set"):
        parse_assignments([text])


def test_a_key_among_dotted_ones_is_one_more() -> None:
    assert override_all({"set": {"a.b": 1}}, {"set.a.c": 2, "set.d.e": 3}) == {"set": {"a.b": 1, "a.c": 2, "d.e": 3}}
    assert override_all({"systems": {"v1": {}, "v1.5": {}}}, {"systems.v1.steps": 2})["systems"]["v1"] == {"steps": 2}


def test_overriding_below_a_value_is_refused_and_leaves_the_original() -> None:
    original = {"a": {"b": 1}}
    with pytest.raises(ConfigError, match="'b' is a value"):
        override_all(original, {"a.b.c": 2})
    override_all(original, {"a.b": 5})
    assert original == {"a": {"b": 1}}


def test_yaml_round_trip_and_faults(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    values = parse(TrainSettings, {"seed": 3}, "x").model_dump(mode="json")
    path.write_text(write_yaml(values))
    assert parse(TrainSettings, read_yaml(path), str(path)).seed == 3
    for content, told in [("a: [1", "line"), ("- 1\n", "expected 'key: value' lines"), ("", "expected 'key: value'")]:
        path.write_text(content)
        with pytest.raises(ConfigError, match=told):
            read_yaml(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError):
        read_yaml(path)
    with pytest.raises(ConfigError, match="no such file"):
        read_yaml(tmp_path / "absent.yaml")


def test_a_registry_names_each_once() -> None:
    things: Registry[type] = Registry("thing")
    things("one")(Settings)
    assert things["one"] is Settings
    assert list(things) == ["one"]
    with pytest.raises(ValueError, match="registered twice"):
        things("one")(Settings)
    with pytest.raises(ConfigError, match="unknown thing 'none'"):
        things["none"]


def test_a_mapping_changes_the_keys_that_it_names() -> None:
    values = {"optimiser": {"lr": 1.0, "clip": 5.0}, "segments": None, "teachers": {"long": {"model": "m"}}}
    changes = {"optimiser": {"lr": 2.0}, "segments": {"length": "1s"}, "teachers": {}}
    changed = override_all(values, changes)
    assert changed == {"optimiser": {"lr": 2.0, "clip": 5.0}, "segments": {"length": "1s"}, "teachers": {}}
    assert values["optimiser"] == {"lr": 1.0, "clip": 5.0}
    assert override_all({"train.lr": 1}, {"set": {"a": 1}}) == {"train.lr": 1, "set": {"a": 1}}
