from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from shortvox.cli.main import run
from shortvox.cli.metrics import metrics as metrics_command
from shortvox.evaluation import metrics
from shortvox.evaluation.scorefile import ScoreTable, write_scores
from shortvox.evaluation.summary import score_figures

IDS = [f"s{s}-{i}" for s in range(22) for i in range(2)]
SPEAKERS = {name: name.split("-")[0] for name in IDS}


@pytest.fixture
def table() -> ScoreTable:
    pairs = [(a, b) for a in IDS for b in IDS if a != b]
    label = np.array([SPEAKERS[a] == SPEAKERS[b] for a, b in pairs])
    score = np.random.default_rng(0).normal(size=len(pairs)) + 4 * label - 2
    return ScoreTable.of_ids([a for a, _ in pairs], [b for _, b in pairs], score.tolist(), label.tolist())


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer()
    app.command()(metrics_command)
    return app


def test_the_command_prints_one_json_object(app: typer.Typer, table: ScoreTable, tmp_path: Path) -> None:
    write_scores(tmp_path / "scores.tsv", table)
    (tmp_path / "utt2spk").write_text("".join(f"{name} {speaker}\n" for name, speaker in SPEAKERS.items()))
    arguments = [str(tmp_path / "scores.tsv"), "--json", "--draws", "100"]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert json.loads(result.stdout) == score_figures(table, draws=100)
    assert "resample trials" in result.stderr
    named = CliRunner().invoke(app, [*arguments, "--speakers", str(tmp_path / "utt2spk")], catch_exceptions=False)
    assert json.loads(named.stdout) == score_figures(table, SPEAKERS, draws=100)


def test_the_command_prints_a_table_in_percent_and_draws_the_det_curve(
    app: typer.Typer, table: ScoreTable, tmp_path: Path
) -> None:
    write_scores(tmp_path / "scores.parquet", table)
    det = tmp_path / "det.svg"
    arguments = [str(tmp_path / "scores.parquet"), "--det", str(det), "--draws", "100"]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert f"{100 * metrics.eer(table.score, table.label):.3f}" in result.stdout
    assert "<svg" in det.read_text()


def test_what_the_command_refuses_names_the_file(
    table: ScoreTable, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    targets = tmp_path / "targets.tsv"
    targets.write_text("enrol\ttest\tscore\tlabel\na\tb\t1\t1\n")
    assert run(["metrics", str(targets)]) == 2
    assert f"error: {targets}: no non-target trials" in capsys.readouterr().err
    write_scores(tmp_path / "scores.tsv", table)
    (tmp_path / "utt2spk").write_text(f"{IDS[0]} someone\n")
    assert run(["metrics", str(tmp_path / "scores.tsv"), "--speakers", str(tmp_path / "utt2spk")]) == 2
    assert f"scores.tsv: row 2: utterance {IDS[1]!r} is missing from {tmp_path / 'utt2spk'}" in capsys.readouterr().err
    for option in ("--draws", "--seed"):
        assert run(["metrics", str(tmp_path / "scores.tsv"), option, "10000000000000"]) == 2
        assert option in capsys.readouterr().err
