"""Every verb as a script sees it: exit code, one JSON object on stdout, one line on stderr for a mistake."""

from __future__ import annotations

import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
from typer import Typer
from typer.main import get_command

from shortvox import progress
from shortvox.cli import verbs
from shortvox.cli.main import run
from shortvox.corpora.corpus import Corpus
from shortvox.errors import ShortvoxError
from shortvox.models.folder import load_model
from voices import make_voices

Capture = pytest.CaptureFixture[str]
QUICK = ["--lengths", "full,1", "--set", "draws=100", "--set", "crop_seeds=1"]


def one_object(capsys: Capture, *arguments: object) -> dict[str, Any]:
    """What a command that succeeds prints with --json: one line, one object, every number finite."""
    capsys.readouterr()
    assert run([*map(str, arguments), "--json"]) == 0
    printed = capsys.readouterr().out
    assert printed.count("\n") == 1

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} in JSON")

    content = json.loads(printed, parse_constant=refuse)
    assert isinstance(content, dict)
    return content


def mistake(capsys: Capture, *arguments: object) -> str:
    """The one line that a command which refuses its input prints."""
    capsys.readouterr()
    assert run([*map(str, arguments)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = [line for line in captured.err.splitlines() if line.startswith("error: ")]
    assert captured.err.rstrip().endswith(line)
    assert "Traceback" not in captured.err
    return line


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A corpus of one's own, to spoil."""
    return make_voices(tmp_path / "broken", speakers=3, each=2).root


def test_exit_codes(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    def ends_with(error: BaseException) -> int:
        def fail(**options: object) -> None:
            raise error

        monkeypatch.setattr(verbs, "app", fail)
        return run([])

    assert ends_with(ShortvoxError("a mistake")) == 2
    assert capsys.readouterr().err == "error: a mistake\n"
    assert ends_with(KeyboardInterrupt()) == 130
    assert "continues where it stopped" in capsys.readouterr().err
    monkeypatch.delenv("SHORTVOX_DEBUG", raising=False)
    assert ends_with(ZeroDivisionError("oops")) == 1
    assert "internal error: ZeroDivisionError: oops" in capsys.readouterr().err


def test_as_a_program() -> None:
    """Through the interpreter, once: the rest runs in this process."""
    done = subprocess.run([sys.executable, "-m", "shortvox", "study", "list", "--json"], capture_output=True, text=True)
    assert done.returncode == 0
    assert "frozen-fc" in {study["name"] for study in json.loads(done.stdout)["studies"]}


def test_help_and_lists(capsys: Capture) -> None:
    for arguments in ("--help", "demo --help", "study --help", "--version", "study list", "models"):
        assert run(arguments.split()) == 0
    assert "ecapa-512" in one_object(capsys, "models")["models"]
    assert one_object(capsys, "study", "list")["studies"]


def test_a_verb_alone_shows_its_help(capsys: Capture) -> None:
    for arguments in ([], ["corpus"]):
        assert run(arguments) == 2
        captured = capsys.readouterr()
        assert "Commands" in captured.out
        assert captured.err == ""


def test_every_verb_has_help(capsys: Capture) -> None:
    for name in verbs.VERBS:
        found = verbs.imported(name)
        alone = not isinstance(found, Typer)
        for verb in [name] if alone else [f"{name} {one}" for one in get_command(found).commands]:
            assert run([*verb.split(), "--help"]) == 0
            assert "--json" in capsys.readouterr().out, verb


def test_every_verb_is_listed_with_what_it_says_of_itself(capsys: Capture) -> None:
    assert run(["--help"]) == 0
    listed = " ".join(re.sub("[│╭╮╰╯─]", " ", capsys.readouterr().out).split())
    for name, (_, line) in verbs.VERBS.items():
        assert f" {name} {line}" in listed
        found = verbs.imported(name)
        about = found.info.help if isinstance(found, Typer) else inspect.getdoc(found)
        assert about.split("\n")[0] == line
    assert "No such command 'metrcs'. Did you mean 'metrics'?" in mistake(capsys, "metrcs")


def test_evaluate(model_folder: Path, corpus: Corpus, tmp_path: Path, capsys: Capture) -> None:
    other = tmp_path / "other"
    shutil.copytree(model_folder, other)
    (other / "calibration.json").unlink()
    (other / "training.json").unlink()
    results = one_object(
        capsys,
        "evaluate",
        "--model",
        model_folder,
        "--model",
        other,
        "--corpus",
        corpus.root,
        "--out",
        tmp_path / "out",
        "--by",
        "session",
        *QUICK,
    )
    assert results == json.loads((tmp_path / "out/results.json").read_text())
    assert "<html" in (tmp_path / "out/report.html").read_text()
    assert set(results) >= {"title", "protocols", "corpus", "settings", "command", "version", "date", "environment"}
    for name in ("full-short", "short-short"):
        one = results["protocols"][name]
        assert list(one["systems"]) == ["model", "other"]
        assert set(one["systems"]["model"]) >= {"total_steps", "seconds_heard", "parameters", "head_drift_degrees"}
        assert one["systems"]["model"]["total_steps"] == 6
        assert one["systems"]["other"]["total_steps"] is None
        assert [where["cpu"] for where in one["systems"]["model"]["trained_on"]] == [results["environment"]["cpu"]]
        assert one["systems"]["other"]["trained_on"] == []
        assert one["systems"]["model"]["lengths"]["1"]["cllr"] is not None
        assert one["systems"]["other"]["lengths"]["1"]["cllr"] is None
        assert set(one["by"]["session"]) == {"day0", "day1"}
        assert {row["length"] for row in one["comparisons"]} == {"full", "1"}


def test_evaluate_one_protocol_with_a_list(model_folder: Path, corpus: Corpus, tmp_path: Path, capsys: Capture) -> None:
    trials = tmp_path / "trials.txt"
    trials.write_text("1 v0-0 v0-1\n0 v0-0 v1-0\n1 v1-0 v1-1\n0 v2-0 v1-0\n")
    results = one_object(
        capsys,
        "evaluate",
        "--model",
        model_folder,
        "--corpus",
        corpus.root,
        "--out",
        tmp_path / "o",
        "--protocol",
        "full-short",
        "--trials",
        trials,
        *QUICK,
    )
    assert results["protocol"] == "full-short"
    assert (results["trials"]["n_target"], results["trials"]["n_nontarget"]) == (2, 2)
    assert results["trials"]["note"].startswith("trials.txt")


def test_evaluate_with_a_cohort_and_score_files(
    model_folder: Path, corpus: Corpus, tmp_path: Path, capsys: Capture
) -> None:
    cohort = make_voices(tmp_path / "others", speakers=12, each=2).root
    manifest = cohort / "manifest.csv"  # other people than those of the corpus: speakers v6 to v11
    rows = manifest.read_text().splitlines(keepends=True)
    manifest.write_text("".join(row for row in rows if not row.startswith(tuple(f"v{n}-" for n in range(6)))))
    results = one_object(
        capsys,
        "evaluate",
        "--model",
        model_folder,
        "--corpus",
        corpus.root,
        "--cohort",
        cohort,
        "--out",
        tmp_path / "o",
        "--scores",
        *QUICK,
        "--set",
        "scoring.norm.name=as-norm1",
        "--set",
        "scoring.norm.top=3",
        "--set",
        "scoring.transforms=[centring]",
        "--set",
        "scoring.cohort.utterances=1",
    )
    system = results["protocols"]["full-short"]["systems"]["model"]
    assert system["scoring"]["cohort"] == {"speakers": 6, "utterances": 6, "norm": "as-norm1", "top": 3}
    assert system["lengths"]["1"]["cllr"] is None  # the model's calibration is for other scores
    files = sorted((tmp_path / "o/scores/model").iterdir())
    assert [path.name for path in files] == [
        f"{how}-{length}.parquet" for how in ("full-short", "short-short") for length in ("1", "full")
    ]
    figures = one_object(capsys, "metrics", files[0], "--speakers", corpus.root / "manifest.csv")
    assert figures["eer"] == pytest.approx(system["lengths"]["1"]["eer"])


def test_cohorts_that_cannot_be_used(model_folder: Path, corpus: Corpus, tmp_path: Path, capsys: Capture) -> None:
    command = ("evaluate", "--model", model_folder, "--corpus", corpus.root, "--out", tmp_path / "o", *QUICK)
    normed = ("--set", "scoring.norm.name=s-norm")
    assert "--cohort DIR" in mistake(capsys, *command, *normed)
    assert "only score normalisation" in mistake(capsys, *command, "--cohort", corpus.root)
    line = mistake(capsys, *command, *normed, "--cohort", corpus.root)
    assert "speaker 'v0' is in --cohort and in the test" in line
    assert not (tmp_path / "o/audio").exists()  # told before anything is decoded


def test_embed(model_folder: Path, corpus: Corpus, tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "vectors.parquet"
    said = one_object(capsys, "embed", "--model", model_folder, "--corpus", corpus.root, "--out", out)
    facts = {"encoder": "model", "fingerprint": load_model(model_folder).fingerprint()}
    assert said == {"embeddings": str(out), "utterances": len(corpus), "dim": 128, **facts}
    table = pq.read_table(out)
    assert table.column_names == ["utterance", "speaker", "embedding"]
    assert str(table.schema.field("embedding").type.value_type) == "float"
    assert table["utterance"].to_pylist() == [utterance.id for utterance in corpus.utterances]
    assert table["speaker"].to_pylist() == [utterance.speaker for utterance in corpus.utterances]
    np.testing.assert_allclose(np.linalg.norm(table["embedding"].to_pylist(), axis=1), 1, atol=1e-5)
    command = ("embed", "--model", model_folder, "--corpus", corpus.root, "--out", out)
    assert "none of auto, cpu, cuda" in mistake(capsys, *command, "--device", "gpu")


def test_embed_without_a_cache(
    model_folder: Path, corpus: Corpus, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command = ("embed", "--model", model_folder, "--corpus", corpus.root)
    one_object(capsys, *command, "--out", "a.parquet")
    one_object(capsys, *command, "--out", "b.parquet", "--cache", "none")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.parquet", "b.parquet"]
    assert pq.read_table("a.parquet").equals(pq.read_table("b.parquet"))


def garbage(path: Path) -> None:
    path.write_bytes(np.random.default_rng(0).bytes(400))


Spoil = Callable[[Path], object]


def write_sound(samples: np.ndarray) -> Spoil:
    return lambda path: soundfile.write(path, samples, 16000, subtype="FLOAT")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:4000]), "truncated"),
        (lambda path: path.write_bytes(b""), "empty"),
        (garbage, "corrupt"),
        (lambda path: path.unlink(), "missing"),
        (write_sound(np.zeros(0)), "empty"),
        (write_sound(np.zeros(16000)), "silent"),
        (write_sound(np.full(16000, np.nan)), "non-finite"),
    ],
)
def test_recordings_that_cannot_be_used(
    broken: Path, model_folder: Path, tmp_path: Path, capsys: Capture, spoil: Spoil, message: str
) -> None:
    spoil(broken / "v1/0.wav")
    config = tmp_path / "train.yaml"
    config.write_text("{steps: 2, batch: 2, model: {backbone: ecapa-64}}")
    model, out = ("--model", model_folder), ("--out", tmp_path / "o")
    for command in (
        ("evaluate", *model, *out, *QUICK),
        ("embed", *model, "--out", tmp_path / "e.parquet"),
        ("train", config, *out),
        ("study", "frozen-fc", *out),
    ):
        line = mistake(capsys, *command, "--corpus", broken)
        assert message in line
        assert "v1/0.wav" in line


def replaced(old: str, new: str) -> Spoil:
    return lambda path: path.write_text(path.read_text().replace(old, new))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.unlink(), "no such file"),
        (lambda path: path.write_bytes(b""), "empty"),
        (garbage, "not UTF-8"),
        (replaced("speaker", "spkr"), "column speaker is missing"),
        (replaced("v1-0", "v0-0"), "row 4: column utterance: 'v0-0' is also in row 2"),
        (replaced("v1/0.wav", "../0.wav"), "row 4: column path"),
        (replaced("v1-0,v1", "v1-0,"), "row 4: column speaker: empty"),
        (lambda path: path.write_text("utterance,speaker,path\na,b," + 5000 * "x" + "\n"), "longer than 4096"),
    ],
)
def test_manifests_that_cannot_be_used(
    broken: Path, model_folder: Path, tmp_path: Path, capsys: Capture, spoil: Spoil, message: str
) -> None:
    spoil(broken / "manifest.csv")
    line = mistake(capsys, "evaluate", "--model", model_folder, "--corpus", broken, "--out", tmp_path / "o", *QUICK)
    assert message in line
    assert str(broken) in line


def test_the_check_survives_a_name_that_no_file_can_have(broken: Path, capsys: Capture) -> None:
    (broken / "manifest.csv").write_text("utterance,speaker,path\na,b," + 5000 * "x" + "\n")
    assert run(["corpus", "check", str(broken), "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["counts"] == {"malformed row": 1}


def test_too_few_speakers(model_folder: Path, tmp_path: Path, capsys: Capture) -> None:
    config = tmp_path / "train.yaml"
    config.write_text("{steps: 2, batch: 2, model: {backbone: ecapa-64}}")
    one = make_voices(tmp_path / "one", speakers=1, each=2).root
    out = ("--out", tmp_path / "o")
    assert "no non-target" in mistake(capsys, "evaluate", "--model", model_folder, "--corpus", one, *out, *QUICK)
    assert "at least two" in mistake(capsys, "train", config, "--corpus", one, *out)
    assert "at least two" in mistake(capsys, "study", "frozen-fc", "--corpus", one, *out)
    alone = make_voices(tmp_path / "alone", speakers=5, each=1).root
    held = ("--set", "validation.speakers=2")
    assert "no target" in mistake(capsys, "evaluate", "--model", model_folder, "--corpus", alone, *out, *QUICK)
    assert "0 have two or more" in mistake(capsys, "train", config, "--corpus", alone, *out, *held)


def test_a_trial_list_from_a_pipe_is_read_once(
    model_folder: Path, corpus: Corpus, tmp_path: Path, capsys: Capture
) -> None:
    reader, writer = os.pipe()
    os.write(writer, b"1 v0-0 v0-1\n0 v0-0 v1-1\n0 v0-0 v1-1\n")
    os.close(writer)
    where = ("--corpus", corpus.root, "--out", tmp_path / "o", "--protocol", "full-short")
    assert run([*map(str, ("evaluate", "--model", model_folder, *where, "--trials", f"/dev/fd/{reader}", *QUICK))]) == 0
    os.close(reader)
    trials = json.loads((tmp_path / "o" / "results.json").read_text())["trials"]
    assert (trials["n_target"], trials["n_nontarget"], trials["speakers"]) == (1, 2, 2)
    assert f"/dev/fd/{reader}: 1 trials are there again" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"1 v0-0 v0-1\n0 v0-0 zz\n", "row 2: utterance 'zz'"),
        (b"1 v0-0 v0-1\n", "no non-target"),
        (b"0 v0-0 v1-1\n", "no target"),
        (b"", "no target"),
        (b"\xff\xfe\x00", "UTF-16, not UTF-8"),
        (b"1 v0-0\n", "row 1: 2 fields"),
        (b"7 v0-0 v0-1\n", "row 1: label '7'"),
        (b"0 v0-0 v0-1\n", "row 1: label 0"),
    ],
)
def test_trial_lists_that_cannot_be_used(
    model_folder: Path, corpus: Corpus, tmp_path: Path, capsys: Capture, text: bytes, message: str
) -> None:
    trials = tmp_path / "trials.txt"
    trials.write_bytes(text)
    assert message in mistake(
        capsys,
        "evaluate",
        "--model",
        model_folder,
        "--corpus",
        corpus.root,
        "--out",
        tmp_path / "o",
        "--trials",
        trials,
        *QUICK,
    )


@pytest.mark.parametrize(
    ("name", "spoil", "message"),
    [
        ("config.yaml", lambda path: path.unlink(), "config.yaml missing"),
        ("speakers.txt", lambda path: path.unlink(), "speakers.txt missing"),
        ("model.safetensors", lambda path: path.unlink(), "model.safetensors missing"),
        ("config.yaml", replaced("format: 1", "format: 2"), "model format 2"),
        ("config.yaml", replaced("ecapa-64", "ecapa-65"), "did you mean 'ecapa-64'"),
        ("config.yaml", replaced("ecapa-64", "ecapa-128"), "do not fit backbone ecapa-128"),
        ("config.yaml", lambda path: path.write_text(""), "expected 'key: value'"),
        ("config.yaml", garbage, "config.yaml: row 1: not UTF-8"),
        ("speakers.txt", garbage, "not UTF-8"),
        ("speakers.txt", lambda path: path.write_text("a\nb\n"), "2 head rows"),
        ("model.safetensors", garbage, "damaged"),
        ("model.safetensors", lambda path: path.write_bytes(path.read_bytes()[:5000]), "damaged"),
        ("calibration.json", garbage, "not valid JSON"),
        ("calibration.json", lambda path: path.write_text('{"protocols": 5}'), "not a calibration"),
        (
            "calibration.json",
            lambda path: path.write_text('{"protocols": {"full-short": {"x": {}}}}'),
            "not a calibration",
        ),
        ("training.json", garbage, "not valid JSON"),
        ("training.json", lambda path: path.write_text("[]"), "not a training's history"),
    ],
)
def test_models_that_cannot_be_used(
    model_folder: Path, corpus: Corpus, tmp_path: Path, capsys: Capture, name: str, spoil: Spoil, message: str
) -> None:
    model = tmp_path / "model"
    shutil.copytree(model_folder, model, ignore=shutil.ignore_patterns("audio"))
    spoil(model / name)
    assert message in mistake(capsys, "evaluate", "--model", model, "--corpus", corpus.root, "--out", tmp_path / "o")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--lengths", "0.001"], "one frame"),
        (["--lengths", "abc"], "neither"),
        (["--protocol", "full-shrt"], "mean"),
        (["--by", "sesion"], "did you mean 'session'"),
        (["--set", "drws=3"], "did you mean 'draws'"),
        (["--set", "scoring.norm.nam=x"], "did you mean 'name'"),
        (["--set", "scoring.measure=cosin"], "'cosine'"),
        (["--set", "draws=0"], "draws"),
        (["--set", "draws"], "expected key=value"),
        (["--set", "seed=2020-13-45"], "YAML"),
        (["--set", "draws=x"], "draws"),
        (["--modle", "x"], "--model"),
        (["--out", "/proc/no"], "cannot be written"),
    ],
)
def test_what_evaluate_refuses(
    model_folder: Path, corpus: Corpus, tmp_path: Path, capsys: Capture, options: list[str], message: str
) -> None:
    assert message in mistake(
        capsys, "evaluate", "--model", model_folder, "--corpus", corpus.root, "--out", tmp_path / "o", *options
    )


@pytest.mark.parametrize("key", ["max_nontarget=5", "same_gender=true"])
def test_a_study_refuses_what_a_trial_list_leaves_without_effect(tmp_path: Path, capsys: Capture, key: str) -> None:
    listed = ("--trials", tmp_path / "trials", "--set", f"test.{key}")
    line = mistake(capsys, "study", "frozen-fc", "--corpus", tmp_path, "--out", tmp_path / "o", *listed)
    assert f"test.{key.partition('=')[0]}: has no effect here" in line


def test_what_demo_refuses(tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "demo"
    assert "not both" in mistake(capsys, "demo", "--corpus", tmp_path, "--synthetic", "--out", out)
    assert "--corpus DIR" in mistake(capsys, "demo", "--test-speakers", tmp_path / "list", "--synthetic", "--out", out)
    assert not out.exists()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("stps: 3", "did you mean 'steps'"),
        ("optimiser: {lrr: 3}", "did you mean 'lr'"),
        ("", "key: value"),
        ("a: [", "not valid YAML"),
        ("steps: 2020-13-45", "not valid YAML"),
        ("steps: 0", "steps"),
        ("seed: -1", "seed"),
        ("seed: 99999999999999999999", "seed"),
        ("crop: 0.001s", "one frame"),
        ("crop: 3", "crop"),
        ("crop: 99999s", "at most"),
        ("model: {backbone: ecapa-3}", "unknown backbone"),
        ("device: meta", "device"),
        ("threads: 99999999", "threads"),
        ("augment: {speeds: [0]}", "speeds"),
        ("augment: {speeds: []}", "speeds"),
        ("augment: {noise_snr: [5, 1]}", "lower bound"),
        ("augment: {noise: [/no/such]}", "no such folder"),
        ("optimiser: {lr: .inf}", "lr"),
        ("validation: {speakers: 1}", "at least two"),
        ("validation: {speakers: 99}", "99 validation speakers"),
    ],
)
def test_what_train_refuses(corpus: Corpus, tmp_path: Path, capsys: Capture, config: str, message: str) -> None:
    path = tmp_path / "train.yaml"
    path.write_text(config)
    assert message in mistake(
        capsys, "train", path, "--corpus", corpus.root, "--out", tmp_path / "o", "--set", "model.frontend.bands=80"
    )


def test_a_training_tells_a_log_how_far_it_is(
    corpus: Corpus, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "LOG_SECONDS", 0.0)
    config = tmp_path / "train.yaml"
    config.write_text("{steps: 3, batch: 2, crop: 0.3s, model: {backbone: ecapa-64}, augment: {kinds: []}}")
    assert run(["train", str(config), "--corpus", str(corpus.root), "--out", str(tmp_path / "o")]) == 0
    assert re.search(r"^Training: 2 of 3, about \d+ s left, loss \d", capsys.readouterr().err, re.MULTILINE)


def test_a_start_that_failed_can_be_corrected(
    model_folder: Path, tmp_path: Path, broken: Path, capsys: Capture
) -> None:
    config = tmp_path / "train.yaml"
    config.write_text("{steps: 1, batch: 2, crop: 0.3s, model: {backbone: ecapa-64}, augment: {kinds: []}}")
    manifest = broken / "manifest.csv"
    manifest.write_text(manifest.read_text().replace(",v2,", ",nobody,"))
    command = ("train", config, "--corpus", broken, "--out", tmp_path / "o", "--init", model_folder)
    assert "training speaker 'nobody' has no row" in mistake(capsys, *command)
    said = one_object(capsys, *command, "--set", "transfer.missing=centroid")
    assert said["step"] == 1
    assert "already holds a training" in mistake(capsys, *command)
