from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from shortvox.config import override_all, parse, parse_assignments, read_yaml
from shortvox.errors import ConfigError
from shortvox.plainyaml import DEEPEST, dump_yaml, parse_yaml
from shortvox.training.settings import TrainSettings

BOMB = "".join(
    f"{key}: &{key} [{', '.join([inner] * 9)}]\n"
    for key, inner in zip("abcdefgh", ["x", *(f"*{k}" for k in "abcdefg")], strict=True)
)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (BOMB, "where, line 6: f: anchors that multiply; write the values out"),
        ("seed: {b: &a [*a]}", "where, line 1: seed.b: an anchor that holds itself"),
        ("&t {steps: *t}", "where, line 1: steps: an anchor that holds itself"),
        ("steps: " + "[" * 2000 + "]" * 2000, f"where, line 1: nested more than {DEEPEST} deep"),
        ("steps: " + "[" * 200_000, f"where, line 1: nested more than {DEEPEST} deep"),
        ("{" * 2000, f"where, line 1: nested more than {DEEPEST} deep"),
        ("a: 1\nb: 2\na: 3\n", "where, line 3: key 'a' twice; remove one"),
        ("a: {b: 1, 'b': 2}", "where, line 1: key 'b' twice; remove one"),
        ("1: 2", "where, line 1: a key that is no text; write '1' in quotes"),
        ("on: 2", "where, line 1: a key that is no text; write 'on' in quotes"),
        ("null: 2", "where, line 1: a key that is no text; write 'null' in quotes"),
        ("? [1, 2]\n: 3", "where, line 1: a key that is no text; a value stands in its place"),
        ("a: [1", "where, line 1: not valid YAML"),
        ("a: !!python/object/apply:os.system ['id']", "where, line 1: not valid YAML"),
        ("a: \x01", "where: not valid YAML"),
        ("a: 2020-13-45", "where: not valid YAML (month must be in 1..12)"),
        ("a: " + "9" * 5000, "where: not valid YAML (Exceeds the limit"),
    ],
)
def test_what_is_refused(text: str, told: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_yaml(text, "where")
    assert str(raised.value).startswith(told)


def test_a_chain_of_anchors_is_no_deeper_than_it_may_be() -> None:
    chain = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 1000))
    with pytest.raises(ConfigError, match="anchors that multiply"):
        parse_yaml(chain, "where")


def test_anchors_and_merges_of_an_ordinary_size_are_read() -> None:
    text = "a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: *a\n"
    assert parse_yaml(text, "where") == {"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 3}, "c": {"x": 1, "y": 2}}


@pytest.mark.parametrize("value", [{"1": None, "on": [1, 2.5]}, {"a": {"é": "\u2028", "'": '"'}}])
def test_what_is_written_is_read(value: Any) -> None:
    assert parse_yaml(dump_yaml(value), "where") == value


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("steps: 5\n".encode("utf-16"), "UTF-16"),
        (b"crop: \xe9\n", "row 1: not UTF-8"),
        (b"a: " + b"x" * 2**20, "larger than"),
        (b"\x1f\x8b\x08\x00", "compressed"),
    ],
)
def test_files_that_are_no_settings(content: bytes, told: str, tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=told) as raised:
        read_yaml(path)
    assert str(raised.value).startswith(str(path))


def test_a_byte_order_mark_is_no_part_of_a_key(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes(b"\xef\xbb\xbfsteps: 5\n")
    assert read_yaml(path) == {"steps": 5}


def test_a_named_pipe_or_a_device_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    for path in (tmp_path / "pipe.yaml", Path("/dev/zero"), tmp_path):
        with pytest.raises(ConfigError, match=str(path)):
            read_yaml(path)


def test_assignments_are_read_by_the_same_rules() -> None:
    for value in ("[" * 5000, "{a: 1, a: 2}", "&a [*a]"):
        with pytest.raises(ConfigError, match=r"^--set seed="):
            parse_assignments([f"seed={value}"])
    with pytest.raises(ConfigError, match="--set: seed: ") as raised:
        parse(TrainSettings, override_all({}, parse_assignments(["seed=[" + "x," * 50_000 + "]"])), "--set")
    assert len(str(raised.value)) < 200
