"""What the user names is of one kind, in whatever order the kinds were imported."""

from __future__ import annotations

from pathlib import Path

import pytest

from shortvox.encoders.kind import kind
from shortvox.encoders.opening import kind_of


@pytest.mark.parametrize(
    ("files", "name", "expected"),
    [
        (["config.yaml", "model.safetensors"], "", "folder"),
        (["model.onnx", "export.json"], "", "graph"),
        (["config.yaml", "model.onnx"], "", "folder"),
        ([], "", "folder"),  # which names what is missing
        (["theirs.onnx"], "theirs.onnx", "graph"),
        ([], "nowhere.onnx", "graph"),
        ([], "kept.npz", "kept"),
    ],
)
def test_one_kind_takes_it(files: list[str], name: str, expected: str, tmp_path: Path) -> None:
    for file in files:
        (tmp_path / file).touch()
    spec = str(tmp_path / name) if name else str(tmp_path)
    assert [each for each in kind if kind[each].takes(spec)] == [expected]
    assert kind_of(spec) == expected


def test_a_factory_is_one() -> None:
    assert [each for each in kind if kind[each].takes("python:a.onnx:b")] == ["factory"]


def test_a_name_in_the_box_is_one_whatever_lies_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for made in (False, True):
        assert [each for each in kind if kind[each].takes("tiny")] == ["boxed"]
        if not made:
            (tmp_path / "tiny").mkdir()
    assert kind_of("./tiny") == kind_of(Path("tiny")) == "folder"
