"""The program that docs/other-languages.md prints, for who writes it again elsewhere."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shortvox.box import NAMES, box_folder
from shortvox.scoring.amount import AmountCalibration
from shortvox.verification.policy import Comparison, Rates

PAGE = (Path(__file__).parents[2] / "docs/other-languages.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


(PROGRAM,) = blocks("python")
(EXAMPLE,) = map(json.loads, blocks("json"))
FITS = [
    EXAMPLE["amounts"],
    *(json.loads((box_folder(name) / "calibration.json").read_text())["amounts"] for name in NAMES),
]
SPACE: dict[str, Any] = {"__name__": "page"}
exec(PROGRAM, SPACE)


def test_the_program_prints_what_the_page_says(tmp_path: Path) -> None:
    """On the standard library alone."""
    (tmp_path / "decide.py").write_text(PROGRAM, encoding="utf-8")
    (tmp_path / "calibration.json").write_text(json.dumps(EXAMPLE), encoding="utf-8")
    commands, printed = blocks("sh"), blocks("text")
    assert len(commands) == len(printed) == 2
    for command, text in zip(commands, printed, strict=True):
        python, *words = shlex.split(command)
        assert python == "python"
        done = subprocess.run([sys.executable, "-I", *words], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "") and done.stdout == text


@given(
    st.sampled_from(FITS),
    st.floats(-1, 1),
    st.floats(0.05, 100),
    st.integers(1, 9),
    st.floats(0.05, 50),
    st.floats(1e-6, 0.5),
    st.floats(1e-4, 0.5),
)
def test_the_program_decides_as_a_verifier(
    fit: dict[str, Any], score: float, enrolled: float, recordings: int, tested: float, max_fpr: float, max_miss: float
) -> None:
    calibration = AmountCalibration.from_json(fit, "page")
    found = SPACE["decide"](fit, score, enrolled, recordings, tested, max_fpr, max_miss)
    expected = Rates(max_fpr, max_miss).decide(calibration, score, Comparison(enrolled, recordings, tested))
    for name in ("llr", "accept", "reject"):
        assert found[name] == pytest.approx(getattr(expected, name), abs=1e-9)
    assert expected.llr is not None and expected.accept is not None and expected.reject is not None
    if min(abs(expected.llr - line) for line in (expected.accept, expected.reject)) > 1e-9:
        assert found["outcome"] == expected.outcome
