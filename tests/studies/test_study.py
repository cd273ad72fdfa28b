"""Studies as data: reading, resolving and planning, without any training."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from shortvox.config import write_yaml
from shortvox.errors import ConfigError, ModelError
from shortvox.models import backbone
from shortvox.models.folder import save_model
from shortvox.models.settings import ModelSettings
from shortvox.models.speaker_model import SpeakerModel
from shortvox.studies.catalogue import FOLDER, list_studies, load_study, study_names
from shortvox.studies.data import DataSource
from shortvox.studies.runner import StudyRun, plan

TINY: dict[str, Any] = {
    "title": "Tiny",
    "about": "a test",
    "budget": {"T": 4, "S": 2},
    "train": {"batch": 8, "model": {"backbone": "ecapa-64"}},
    "systems": {  # the student before the teacher, on purpose
        "student": {"start": "teacher", "steps": "S", "crop": "0.5s", "head": "frozen"},
        "teacher": {"steps": "T", "crop": "1s"},
        "scratch": {"steps": "T + S", "crop": "0.5-1s", "set": {"optimiser.lr": 0.01}},
    },
    "test": {"lengths": ["full", 1]},
    "presets": {"less": {"only": ["teacher", "scratch"], "train.batch": 4}},
}


def write(folder: Path, **changes: Any) -> str:
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump({**TINY, **changes}, sort_keys=False))
    return str(path)


def keys(path: str, folder: Path, corpus: str = "c", **changes: Any) -> dict[str, str]:
    """Key of each system's training when `changes` are set."""
    study = load_study(path, changes=changes)
    run = StudyRun(out=folder, source=DataSource((folder,), folder), jobs=1, command="")
    return {step.system: step.key for step in plan(study, run, corpus)}


@pytest.mark.parametrize("name", study_names())
def test_every_study_that_comes_with_the_package_loads_with_every_preset(name: str) -> None:
    presets = yaml.safe_load((FOLDER / f"{name.replace('-', '_')}.yaml").read_text())["presets"]
    for preset in (None, *presets):
        study = load_study(name, preset=preset).on(10_000)
        assert study.name == name
        for system in study.order():
            training = study.training(system, 1)
            assert training.seed == 1
            with torch.device("meta"):
                assert backbone[training.model.backbone]().bands == training.model.frontend.bands


def test_the_study_of_other_makers_encoders_loads() -> None:
    study = load_study(str(Path(__file__).parents[2] / "benchmarks/peers/study.yaml"))
    assert study.order() == ()
    assert all(study.encoder(name) for name in study.settings.systems)


def test_the_study_of_augmentation_changes_nothing_else() -> None:
    study = load_study(str(Path(__file__).parents[2] / "benchmarks/voices/study.yaml"))
    trained = [name for name in study.settings.systems if study.encoder(name) is None]
    settings = {name: study.training(name, 0).model_dump(exclude={"augment"}) for name in trained}
    assert len(trained) == 4
    assert all(of == settings["augmented"] for of in settings.values())
    kinds = {name: set(study.training(name, 0).augment.kinds) for name in trained}
    assert kinds["clean"] == set()
    assert kinds["codec"] - kinds["augmented"] == {"codec"}
    assert kinds["speeds"] == kinds["augmented"]


def test_the_frozen_head_study_compares_at_equal_steps() -> None:
    study = load_study("frozen-fc")
    assert study.order()[0] == "teacher"
    totals = {name: study.total_steps(name) for name in study.settings.systems if name != "teacher"}
    assert set(totals.values()) == {1350}
    assert study.total_steps("teacher") == 900
    assert {name: study.fewer_or_more(name) for name in study.settings.systems} == {
        **dict.fromkeys(study.settings.systems),
        "teacher": "fewer",
    }
    assert study.training("frozen-fc", 0).transfer.head == "frozen"
    assert study.training("from-teacher", 0).transfer.head == "trained"
    (listed,) = (entry for entry in list_studies() if entry["name"] == "frozen-fc")
    assert listed["systems"] == list(study.settings.systems)


@pytest.mark.parametrize("name", study_names())
def test_the_systems_of_a_small_study_have_equal_steps(name: str) -> None:
    study = load_study(name, preset="small")
    trained = {study.trained(system) for system in study.settings.systems if study.encoder(system) is None}
    unequal = {system for system in trained if study.fewer_or_more(system)}
    assert unequal <= {"teacher", "specialist", "aam-200f-long", "concat-random-long"}


def test_a_study_is_a_file(tmp_path: Path) -> None:
    study = load_study(write(tmp_path))
    assert study.order() == ("teacher", "student", "scratch")
    assert study.steps("scratch") == 6
    assert study.total_steps("student") == 6
    scratch = study.training("scratch", 3)
    assert (scratch.seed, scratch.steps, scratch.crop, scratch.optimiser.lr) == (3, 6, "0.5-1s", 0.01)
    assert (scratch.begin, study.training("student", 3).begin) == (0, 4)


EPOCHS = {
    "budget": {"T": {"epochs": 3}, "S": 2},
    "systems": {
        "teacher": {"steps": "T", "crop": "1s"},
        "student": {"start": "teacher", "steps": "S", "crop": "1s", "set": {"batch": 4}},
        "scratch": {"steps": "T+S", "crop": "1s"},
        "longer": {"epochs": 4.5, "crop": "1s", "set": {"batch": 4}},
        "pairs": {"steps": "T", "crop": "1s", "set": {"sampler": "balanced", "per_speaker": 3}},
        "longer-tta": {"of": "longer", "scoring": {"embedding.name": "tta"}},
    },
}


def test_epochs_are_steps_once_the_corpus_is_known(tmp_path: Path) -> None:
    study = load_study(write(tmp_path, **EPOCHS, train={"batch": 8}))
    with pytest.raises(ValueError, match="only for a corpus"):
        study.steps("teacher")
    assert study.steps("student") == 2
    known = study.on(100)
    steps = {name: known.total_steps(name) for name in EPOCHS["systems"]}
    # 3 x 100 / 8, rounded up; the balanced sampler takes 8 x 3 crops a step
    assert steps == {"teacher": 38, "student": 40, "scratch": 40, "longer": 113, "pairs": 13, "longer-tta": 113}
    student = known.training("student", 0)
    assert (student.steps, student.epochs, student.begin) == (2, None, 38)
    assert known.epochs("student") == pytest.approx((38 * 8 + 2 * 4) / 100)
    assert known.epochs("longer-tta") == pytest.approx(4.52)
    assert study.epochs("student") is None
    assert study.on(96).steps("teacher") == 36  # without a remainder, nothing is rounded up
    other = load_study(write(tmp_path, **EPOCHS), changes={"T": 7, "systems.longer.epochs": 1})
    assert (other.steps("teacher"), other.on(50).steps("longer")) == (7, 13)
    assert load_study(write(tmp_path, **EPOCHS), changes={"T.epochs": 2}).on(96).steps("pairs") == 8


def test_systems_with_other_steps_than_most_are_told(tmp_path: Path) -> None:
    def told(**steps: int) -> list[str | None]:
        systems = {name: {"steps": number, "crop": "1s"} for name, number in steps.items()}
        study = load_study(write(tmp_path, systems={**systems, "a-tta": {"of": "a"}}))
        assert study.fewer_or_more("a-tta") == study.fewer_or_more("a")
        return [study.fewer_or_more(name) for name in systems]

    assert told(a=5, b=5, c=5) == [None, None, None]
    assert told(a=5, b=4, c=5, d=6) == [None, "fewer", None, "more"]
    assert told(a=4, b=6) == ["fewer", None]
    assert told(a=4, b=6, c=6, d=4, e=9) == ["fewer", None, None, "fewer", "more"]


def test_presets_and_changes(tmp_path: Path) -> None:
    path = write(tmp_path)
    less = load_study(path, preset="less")
    assert list(less.settings.systems) == ["teacher", "scratch"]
    assert less.settings.train.batch == 4
    changed = load_study(path, changes={"T": 7, "train.optimiser.lr": 0.5, "only": ["teacher"]})
    assert changed.steps("teacher") == 7
    assert changed.training("teacher", 0).optimiser.lr == 0.5
    assert list(changed.settings.systems) == ["teacher"]


def test_a_key_changes_for_what_depends_on_it_and_for_nothing_else(tmp_path: Path) -> None:
    path = write(tmp_path)
    before = keys(path, tmp_path)
    everything = {"teacher", "student", "scratch"}

    def redone(corpus: str = "c", **changes: Any) -> set[str]:
        after = keys(path, tmp_path, corpus, **changes)
        return {name for name in before if after[name] != before[name]}

    assert redone() == set()
    assert redone(S=3) == {"student", "scratch"}
    assert redone(T=5) == everything
    assert redone(**{"systems.teacher.crop": "2s"}) == {"teacher", "student"}
    assert redone(**{"systems.student.head": "trained"}) == {"student"}
    assert redone(corpus="d") == everything
    assert redone(**{"test.lengths": ["full"]}) == set()
    watched = {"speakers": 2, "every": 3}
    assert redone(**{"train.validation": watched}) == set()  # which speakers are left to train on is in the corpus
    assert redone(**{"train.checkpoint_every": 7, "train.workers": 2, "train.device": "cpu"}) == set()
    assert redone(title="Other", **{"systems.teacher.about": "x"}) == set()


TAUGHT = {
    **TINY["systems"],
    "taught": {
        "start": "teacher",
        "steps": "S",
        "crop": "1s",
        "teachers": {"long": "scratch"},
        "set": {"teachers.long.teaches": ["crop"], "teachers.long.posterior": 0.5},
    },
}


def test_teachers_are_systems_that_come_first(tmp_path: Path) -> None:
    path = write(tmp_path, systems={"taught": TAUGHT["taught"], **TAUGHT})
    study = load_study(path)
    order = study.order()
    assert order.index("taught") > max(order.index("teacher"), order.index("scratch"))
    steps = {
        step.system: step
        for step in plan(
            study, StudyRun(out=tmp_path, source=DataSource((tmp_path,), tmp_path), jobs=1, command=""), "c"
        )
    }
    assert steps["taught"].needs == (steps["teacher"].folder, steps["scratch"].folder)
    said = steps["taught"].settings["teachers"]["long"]
    assert (said["model"], said["posterior"]) == (str(steps["scratch"].folder), 0.5)
    before = keys(path, tmp_path)
    other = keys(path, tmp_path, **{"systems.scratch.crop": "2s"})
    assert {name for name in before if before[name] != other[name]} == {"scratch", "taught"}
    elsewhere = tmp_path / "elsewhere"
    assert keys(path, elsewhere) == before  # a folder's name decides nothing


def test_a_teacher_from_outside_is_told_by_its_weights(tmp_path: Path) -> None:
    settings = ModelSettings(backbone="ecapa-64")
    for seed, name in enumerate(("first", "second")):
        torch.manual_seed(seed)
        save_model(tmp_path / name, SpeakerModel.fresh(settings, ("a", "b")), card="")
    shutil.copytree(tmp_path / "first", tmp_path / "copy")

    def taught_by(name: str) -> dict[str, str]:
        said = {"long": {"model": str(tmp_path / name), "teaches": ["crop"]}}
        systems = {**TINY["systems"], "scratch": {**TINY["systems"]["scratch"], "set": {"teachers": said}}}
        return keys(write(tmp_path, systems=systems), tmp_path)

    assert taught_by("first") == taught_by("copy")
    assert {name for name, key in taught_by("second").items() if key != taught_by("first")[name]} == {"scratch"}
    with pytest.raises(ModelError, match="no such folder; expected a model folder"):
        taught_by("third")


def test_studies_with_one_store_share_what_is_done(tmp_path: Path) -> None:
    def placed(**changes: Any) -> dict[str, Path]:
        run = StudyRun(
            out=tmp_path / "out", store=tmp_path / "store", jobs=1, command="", source=DataSource((tmp_path,), tmp_path)
        )
        return {step.system: step.folder for step in plan(load_study(path, changes=changes), run, "c")}

    path = write(tmp_path)
    scratch = placed()["scratch"]
    assert scratch.parent == tmp_path / "store" / "systems"
    other = scratch.with_name(scratch.name.replace("scratch", "baseline"))
    other.mkdir(parents=True)
    assert placed()["scratch"] == scratch  # what another study has only begun is its own affair
    (other / "step.json").write_text("{}")
    assert placed()["scratch"] == other
    assert placed(T=5)["scratch"].name.startswith("scratch-seed0-")
    scratch.mkdir()
    assert placed()["scratch"] == scratch  # begun here before, and continued


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("train.steps", 7, "name of the budget such as T"),
        ("train.epochs", 3, r"set systems\.NAME\.steps or \.epochs"),
        ("train.crop", "9s", r"set systems\.NAME\.crop"),
        ("train.seed", 5, "--seeds"),
        ("train.begin", 3, "cannot be set"),
        ("train.transfer.head", "frozen", r"set systems\.NAME\.head"),
    ],
)
@pytest.mark.parametrize("way", ["set", "preset"])
def test_what_each_system_has_of_its_own_is_not_swallowed(
    key: str, value: Any, told: str, way: str, tmp_path: Path
) -> None:
    path = write(tmp_path, presets={"p": {key: value}})
    how: dict[str, Any] = {"preset": "p"} if way == "preset" else {"changes": {key: value}}
    with pytest.raises(ConfigError, match=rf"{key}: .*{told}"):
        load_study(path, **how)


@pytest.mark.parametrize("name", study_names())
def test_the_study_that_a_run_writes_can_be_run_again(name: str, tmp_path: Path) -> None:
    presets = {entry["name"]: entry["presets"] for entry in list_studies()}[name]
    study = load_study(name, preset="voxceleb" if "voxceleb" in presets else presets[-1])
    written = tmp_path / "study.yaml"
    written.write_text(write_yaml(study.settings.model_dump(mode="json")))
    assert load_study(str(written)).settings == study.settings


def test_seeds_are_trainings_of_their_own(tmp_path: Path) -> None:
    run = StudyRun(out=tmp_path, source=DataSource((tmp_path,), tmp_path), jobs=1, command="")
    steps = plan(load_study(write(tmp_path), changes={"seeds": 2}), run, "c")
    assert len({step.folder for step in steps}) == len(steps) == 6
    placed = [step.folder for step in steps]
    for step in steps:
        assert step.init is None or placed.index(step.init) < placed.index(step.folder)
        assert step.init is None or f"seed{step.seed}" in step.init.name


TESTED: dict[str, Any] = {
    **TINY["systems"],
    "student-tta": {"of": "student", "about": "TTA", "scoring": {"embedding.name": "tta", "embedding.crops": 3}},
    "student-norm": {"of": "student", "scoring": {"norm": {"name": "as-norm1"}}},
    "teacher": {**TINY["systems"]["teacher"], "scoring": {"frontend.cmn": "none"}},
    "teacher-norm": {"of": "teacher", "scoring": {"norm.name": "s-norm"}},
}


def test_a_system_may_be_another_one_s_models_scored_in_another_way(tmp_path: Path) -> None:
    path = write(tmp_path, systems=TESTED, test={"lengths": [1], "scoring": {"measure": "distance"}})
    study = load_study(path)
    assert set(study.order()) == {"student", "teacher", "scratch"}
    assert study.trained("student-tta") == study.trained("student") == "student"
    assert study.total_steps("student-tta") == study.total_steps("student") == 6
    tta, normed = study.scoring("student-tta"), study.scoring("teacher-norm")
    assert (tta.measure, tta.embedding.name, tta.embedding.crops, tta.norm.name) == ("distance", "tta", 3, "none")
    assert (normed.frontend.cmn, normed.norm.name) == ("none", "s-norm")  # laid over what it tests
    assert study.scoring("student-norm").norm.name == "as-norm1"
    assert study.scoring("scratch") == study.settings.test.scoring
    assert study.scorings("student") == tuple(map(study.scoring, ("student", "student-tta", "student-norm")))
    changed = load_study(path, changes={"systems.student-tta.scoring.embedding.crops": 4})
    tta = changed.scoring("student-tta").embedding
    assert (tta.name, tta.crops) == ("tta", 4)  # beside what the system says itself


def test_what_is_only_tested_trains_nothing(tmp_path: Path) -> None:
    before = keys(write(tmp_path), tmp_path)
    assert keys(write(tmp_path, systems=TESTED), tmp_path) == before
    run = StudyRun(out=tmp_path, source=DataSource((tmp_path,), tmp_path), jobs=1, command="")
    steps = plan(load_study(write(tmp_path, systems=TESTED)), run, "c")
    assert {step.system: len(step.scorings) for step in steps} == {"teacher": 2, "student": 3, "scratch": 1}


def test_an_encoder_from_elsewhere_is_only_tested(tmp_path: Path) -> None:
    before = keys(write(tmp_path), tmp_path)
    outside: dict[str, Any] = {
        "outside": {"encoder": "python:lab.nets:make", "scoring": {"measure": "distance"}},
        "outside-tta": {"of": "outside", "scoring": {"embedding.name": "tta"}},
    }
    path = write(tmp_path, systems={**TINY["systems"], **outside})
    assert keys(path, tmp_path) == before
    study = load_study(path)
    assert study.encoder("outside") == study.encoder("outside-tta") == "python:lab.nets:make"
    assert study.encoder("student") is None
    tta = study.scoring("outside-tta")
    assert (tta.measure, tta.embedding.name) == ("distance", "tta")
    only = load_study(path, changes={"only": ["outside", "outside-tta"]})
    assert only.order() == ()


def test_tables_of_the_notes(tmp_path: Path) -> None:
    table = {
        "columns": ["1", "full (TTA)"],
        "rows": {"a": [1.5, None], "b": None},
        "more": [{"title": "minDCF", "digits": 4, "columns": ["5"], "rows": {"a": [0.2194]}}],
    }
    found = load_study(write(tmp_path, notes_table=table)).settings.notes_table
    assert found is not None
    assert found.rows == {"a": (1.5, None), "b": None}
    assert found.more[0].rows == {"a": (0.2194,)}


def system(**changes: Any) -> dict[str, Any]:
    return {**TINY["systems"], "teacher": {**TINY["systems"]["teacher"], **changes}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"systems": system(start="student")}, "part of a circle"),
        ({"systems": system(start="nobody")}, "'nobody' is unknown"),
        ({"systems": system(steps="T+Q")}, "'Q' is no number of steps and not in budget"),
        ({"systems": system(steps=0)}, "steps: '0' is no number of steps"),
        ({"systems": system(crop="9x")}, "crop: '9x'"),
        ({"systems": system(set={"optimiser.lrr": 1})}, "did you mean 'lr'"),
        ({"systems": system(steps=None)}, "steps is missing"),
        ({"systems": system(of="student")}, "systems.teacher: crop: a system with `of` is only tested"),
        ({"systems": system(encoder="a.onnx")}, "systems.teacher: crop: a system with `encoder` is only tested"),
        ({"systems": {**TESTED, "x": {"encoder": "a.onnx", "of": "student"}}}, "x: encoder: `of` is given too"),
        (
            {"systems": {**TESTED, "x": {"encoder": "a.npz"}, "y": {"start": "x", "steps": 1, "crop": "1s"}}},
            "systems.y.start: 'x' is the encoder a.npz; only a model of shortvox",
        ),
        (
            {
                "systems": {
                    **TESTED,
                    "x": {"encoder": "python:a:b"},
                    "y": {"teachers": {"t": "x"}, "steps": 1, "crop": "1s"},
                }
            },
            "systems.y.teachers.t: 'x' is the encoder python:a:b; only a model of shortvox",
        ),
        ({"systems": {**TESTED, "x": {"of": "studnt"}}}, "systems.x.of: no system 'studnt'; did you mean 'student'"),
        ({"systems": {**TESTED, "x": {"of": "student-tta"}}}, "'student-tta' is only tested; .* 'student'"),
        ({"systems": {**TESTED, "x": {"start": "student-tta", "steps": 1, "crop": "1s"}}}, "x.start: 'student-tta' is"),
        (
            {"systems": {**TESTED, "x": {"of": "student", "scoring": {"nrm.name": "s-norm"}}}},
            "systems.x.scoring: unknown key 'nrm'; did you mean 'norm'",
        ),
        ({"systems": system(scoring={"norm.name": "as-norm"})}, "systems.teacher.scoring: .* did you mean 'as-norm"),
        ({"test": {"scoring": {"embeding": {}}}}, "unknown key 'test.scoring.embeding'; did you mean 'embedding'"),
        (
            {"notes_table": {"columns": [], "rows": {}, "more": [{"columns": ["1"], "rows": {"a": []}}]}},
            "more.0: row a",
        ),
        ({"systems": {"a/b": TINY["systems"]["teacher"]}}, "a/b"),
        ({"systems": {"..": TINY["systems"]["teacher"]}}, "pattern"),
        ({"systems": {}}, "systems"),
        ({"systems": system(teachers={"long": "scrach"})}, r"teacher\.teachers: 'scrach' is unknown; did you mean"),
        ({"systems": system(teachers={"long": "student"})}, "part of a circle"),
        ({"systems": system(teachers={"long": "scratch"})}, r"teachers\.long: there are no segments"),
        ({"systems": ["a"]}, "systems"),
        ({"systems": system(set={"steps": 3})}, r"set: steps: each system has its own; set systems\.NAME\.steps"),
        ({"systems": system(set={"seed": 3})}, r"set: seed: trainings have the seeds 0, 1, 2"),
        ({"systems": system(set={"transfer": {"head": "frozen"}})}, r"set: transfer\.head: .* systems\.NAME\.head"),
        ({"systems": system(set={"validation.speakers": 3})}, r"set: validation\.speakers: all systems have the same"),
        (
            {"systems": system(teachers={"long": "scratch"}, set={"teachers.long.model": "x"})},
            r"teachers\.long\.model: `teachers` names the system",
        ),
        (
            {"train": {"steps": 7}},
            r"tiny\.yaml: train\.steps: each system has its own; .* name of the budget such as T",
        ),
        ({"presets": {1: {"budget": {"T": 6}}}}, "a key that is no text; write '1' in quotes"),
        ({"presets": {"p": {1: 2}}}, "a key that is no text"),
        ({"budget": 5}, "budget: Input should be a valid dictionary"),
        ({"budget": ["T"]}, "budget: Input should be a valid dictionary"),
        ({"systems": system(head="frozen")}, r"teacher\.start: is missing; head: frozen"),
        ({"systems": system(set={"model.frontend.bands": 40})}, "teacher: backbone ecapa-64 takes 80 bands"),
        (
            {"systems": system(set={"model.backbone": "ecapa-128"})},
            r"student\.start: .* model\.backbone ecapa-128, here",
        ),
        ({"systems": system(set={"teachers": {"long": {"teaches": ["crop"]}}})}, r"teacher\.teachers: .* of 'long'"),
        ({"budget": {"T": -4, "S": 2}}, r"budget\.T: expected a number of steps from 1"),
        ({"budget": {"T": {"epoch": 3}, "S": 2}}, r"budget\.T: expected a number of steps .* or {epochs: NUMBER}"),
        ({"budget": {"T": {"epochs": 0}, "S": 2}}, r"budget\.T: expected"),
        ({"budget": {"T": True, "S": 2}}, r"budget\.T: expected"),
        ({"systems": system(epochs=3)}, "systems.teacher: epochs: steps are given too; give one of them"),
        ({"systems": system(steps=None, epochs=-1)}, "systems.teacher.epochs: Input should be greater than 0"),
        ({"systems": system(steps="9" * 5000)}, "systems.teacher.steps: '9999.*…' is no number of steps"),
        ({"presets": [1]}, "presets: expected"),
        ({"compare": [["teacher", "nobody"]]}, "no system 'nobody'"),
        ({"notes_table": {"columns": ["full"], "rows": {"teacher": [1, 2]}}}, "2 figures under 1 columns"),
        ({"test": {"protocols": ["full-shrt"]}}, "did you mean 'full-short'"),
        ({"test": {"lengths": [0.001]}}, "one frame"),
        ({"tests": {}}, "did you mean 'test'"),
        ({"train": {"btch": 8}}, "did you mean 'batch'"),
    ],
)
def test_what_a_study_cannot_be(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as raised:
        load_study(write(tmp_path, **changes))
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 300


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("frozen-fcc", {}, "did you mean 'frozen-fc'"),
        ("nowhere.yaml", {}, "no such file"),
        ("frozen-fc", {"preset": "smal"}, "did you mean 'small'"),
        ("frozen-fc", {"changes": {"only": ["techer"]}}, "did you mean 'teacher'"),
        ("frozen-fc", {"changes": {"only": None}}, "expected a list"),
        ("frozen-fc", {"changes": {"only": [1]}}, "only: expected a list of systems"),
        ("frozen-fc", {"changes": {"only": [["teacher"]]}}, "only: expected a list of systems"),
        ("frozen-fc", {"changes": {"only": [None]}}, "only: expected a list of systems"),
        ("frozen-fc", {"changes": {"only": ["teacher"], "compare": [5]}}, r"compare\.0: .* \(got 5\)"),
        ("frozen-fc", {"changes": {"only": ["teacher"], "compare": [[["a"], "b"]]}}, r"compare\.0\.0"),
        ("frozen-fc", {"changes": {"budget": 5, "T": 3}}, "budget.T: 'budget' is a value"),
        ("frozen-fc", {"changes": {"T": 10**5000}}, r"budget\.T: expected a number of steps"),
        ("frozen-fc", {"changes": {"systems.teacher.steps": 10**5000}}, r"systems\.teacher\.steps"),
        ("frozen-fc", {"changes": {"train.threads": 10**5000}}, r"train\.threads"),
        ("frozen-fc", {"changes": {"U": 3}}, "unknown key 'U'"),
    ],
)
def test_what_a_study_cannot_be_asked_for(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_study(name, **options)
