"""What stands beside the weights is used as it is, or named with a remedy: never half of it, and never for ever."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from shortvox.errors import ModelError
from shortvox.jsonfile import MOST_BYTES
from shortvox.models.sidefiles import History, read_history, read_names
from shortvox.scoring.calibration import Calibration
from shortvox.scoring.calibrationfile import read_calibration


def refusal(path: Path) -> str:
    with pytest.raises(ModelError) as caught:
        read_history(path.parent) if path.name == "training.json" else read_calibration(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert len(message) < 500
    return message


def fitted(length: str = "full", scale: str = "1", more: str = "") -> str:
    return f'{{"protocols": {{"full-short": {{"{length}": {{"scale": {scale}, "offset": 0{more}}}}}}}}}'


@pytest.mark.parametrize("text", [fitted(), fitted("1.5", "-2.5e3", ', "p_target": 0.01, "new": [1]'), fitted("1e-2")])
def test_a_calibration_is_read_as_it_is(tmp_path: Path, text: str) -> None:
    path = tmp_path / "calibration.json"
    assert read_calibration(path) is None
    path.write_text(text)
    content = read_calibration(path)
    assert content == json.loads(text)
    for fit in content["protocols"]["full-short"].values():
        Calibration.from_json(fit)


@pytest.mark.parametrize(
    "text",
    [
        *(fitted(length) for length in ("-1", "0", "nan", "inf", "1e999", "x", "", "Full")),
        *(fitted(scale=scale) for scale in ("1e308", "-1e13", "1e999", "9" * 400, '"1"', "true", "null", "[1]")),
        *(fitted(more=more) for more in (', "p_target": 0', ', "p_target": 1', ', "p_target": "x"')),
        '{"protocols": null}',
        '{"protocols": []}',
        '{"protocols": {"full-short": null}}',
        '{"protocols": {"full-short": {"1": {"scale": 1}}}}',
        '{"protocols": {}, "scoring": 5}',
        "{}",
        "[]",
        "5",
    ],
)
def test_what_is_no_calibration_is_told(tmp_path: Path, text: str) -> None:
    path = tmp_path / "calibration.json"
    path.write_text(text)
    message = refusal(path)
    assert "not a calibration of this version (" in message
    assert message.endswith("; delete it to work without")


@pytest.mark.parametrize("name", ["calibration.json", "training.json"])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe{\x00",
        b"\xe9",
        100_000 * b"[",
        100_000 * b'{"a":',
        b'{"step": ' + 5000 * b"9" + b"}",
        b'{"step": NaN}',
        b'{"new": -Infinity}',
    ],
    ids=range(9),
)
def test_what_is_no_json_is_told(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert refusal(tmp_path / name).endswith("not valid JSON; delete it to work without")


@pytest.mark.parametrize("name", ["calibration.json", "training.json"])
def test_what_is_no_file_is_told_at_once(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    os.mkfifo(path)
    assert "not a regular file" in refusal(path)
    path.unlink()
    path.mkdir()
    assert "a folder" in refusal(path)
    path.rmdir()
    path.symlink_to("nowhere")
    assert "no such file" in refusal(path)
    path.unlink()
    path.symlink_to("/dev/zero")
    assert "not a regular file" in refusal(path)
    path.unlink()
    with path.open("wb") as handle:
        handle.truncate(MOST_BYTES + 1)
    assert "larger than" in refusal(path)


def test_a_history_is_typed_and_what_it_lacks_is_none(tmp_path: Path) -> None:
    path = tmp_path / "training.json"
    assert read_history(tmp_path) == History()
    assert History().step is None
    path.write_text(
        '{"step": 7, "loss": [[5, 1.5], [7, 1]], "validation": [{"step": 7, "eer": 0.25}], "new": {"x": []}}'
    )
    history = read_history(tmp_path)
    assert (history.step, history.seconds_heard) == (7, None)
    assert history.model_dump(mode="json")["loss"] == [[5, 1.5], [7, 1.0]]
    assert json.dumps(history.validation) == '[{"step": 7, "eer": 0.25}]'


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('{"loss": 5}', "loss"),
        ('{"loss": "abc"}', "loss"),
        ('{"loss": [1, 2, 3]}', "loss.0"),
        ('{"loss": [[1], [2, 3, 4]]}', "loss.0"),
        ('{"loss": [[1, 1e308]]}', "loss.0.1"),
        ('{"validation": 3}', "validation"),
        ('{"validation": [{"step": "x"}]}', "validation.0.step"),
        ('{"step": "<script>"}', "step"),
        ('{"step": -1}', "step"),
        ('{"step": 1.5}', "step"),
        ('{"wrapped": {}}', "wrapped"),
        ('{"seconds_heard": 1e999}', "seconds_heard"),
        ('{"environment": [1]}', "environment"),
        ('{"environment": {"cpu": {}}}', "environment.cpu"),
    ],
)
def test_a_history_of_other_types_is_told(tmp_path: Path, text: str, key: str) -> None:
    (tmp_path / "training.json").write_text(text)
    assert f"not a training's history ({key}" in refusal(tmp_path / "training.json")


def test_names_of_rows(tmp_path: Path) -> None:
    path = tmp_path / "speakers.txt"
    path.write_bytes(b"anna\r\nbob\x85\xc2\x85x\ny\xe2\x80\xa8z\n".replace(b"bob\x85", b"bob"))
    assert read_names(path) == ("anna", "bob\x85x", "y\u2028z")
    for content, expected in (
        (b"a\nb\na\n", "'a' is the name of row 1 and of row 3"),
        (b"a\n\nb\n", "row 2 has no name"),
        (b" \n", "row 1 has no name"),
        (b"a\n\xe9\n", "row 2: not UTF-8"),
    ):
        path.write_bytes(content)
        with pytest.raises(ModelError, match=expected) as caught:
            read_names(path)
        assert str(path) in str(caught.value)
