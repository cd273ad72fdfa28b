"""Whom a study trains on and whom it tests: disjoint speakers, however the corpora are given."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from shortvox.corpora.stats import corpus_facts
from shortvox.errors import CorpusError
from shortvox.studies.data import DataSource, StudyData
from voices import make_voices


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight speakers, `v0` to `v7`."""
    return make_voices(tmp_path_factory.mktemp("recorded") / "voices", speakers=8, each=2).root


def part(recorded: Path, folder: Path, *speakers: str) -> Path:
    """A copy of the corpus with some of its speakers."""
    shutil.copytree(recorded, folder)
    header, *rows = (folder / "manifest.csv").read_text().splitlines()
    kept = [row for row in rows if row.split(",")[1] in speakers]
    (folder / "manifest.csv").write_text("\n".join([header, *kept]) + "\n")
    return folder


def speakers(data: StudyData) -> tuple[set[str], set[str], set[str]]:
    held = set(data.validation.corpus.speakers) if data.validation else set()
    return set(data.train.corpus.speakers), held, set(data.test.corpus.speakers)


def test_a_share_of_the_speakers_is_the_test(recorded: Path) -> None:
    data = DataSource((recorded,), None, share=0.25, validation_speakers=20).open()
    train, held, test = speakers(data)
    assert (len(train), len(held), len(test)) == (6, 0, 2)  # a quarter of six is too few to calibrate on
    assert not train & test
    source = DataSource((recorded,), None, share=0.25, validation_speakers=20)
    assert "20 validation speakers were asked for and 0 held out" in (source.validation_note(data) or "")


def test_named_speakers_are_the_test(recorded: Path, tmp_path: Path) -> None:
    (tmp_path / "list").write_text("v1\n\nv3\n")
    source = DataSource(
        (part(recorded, tmp_path / "a", *(f"v{n}" for n in range(8))),),
        None,
        test_speakers=tmp_path / "list",
        validation_speakers=2,
    )
    train, held, test = speakers(source.open())
    assert test == {"v1", "v3"}
    assert not held & train and not test & (train | held)
    with pytest.raises(CorpusError, match="no speaker 'v9'"):
        (tmp_path / "list").write_text("v9\n")
        source.open()


def test_a_list_that_can_be_read_only_once_is_no_list_for_several_workers(recorded: Path) -> None:
    for option in ("trials", "test_speakers"):
        with pytest.raises(CorpusError, match="/dev/stdin: a stream, which can be read only once; write it to a file"):
            DataSource((recorded,), None, **{option: Path("/dev/stdin")}).open()


def test_several_corpora_and_others_to_test_on(recorded: Path, tmp_path: Path) -> None:
    a, b = part(recorded, tmp_path / "x/set", "v0", "v1", "v2"), part(recorded, tmp_path / "y/set", "v3", "v4")
    c = part(recorded, tmp_path / "z/set", "v5", "v6")
    data = DataSource((a, b), None, test_corpora=(c,), validation_speakers=0).open()
    assert speakers(data)[0] == {"x/set/v0", "x/set/v1", "x/set/v2", "y/set/v3", "y/set/v4"}
    assert speakers(data)[2] == {"v5", "v6"}
    facts = corpus_facts(data.train.corpus, data.train.store)
    assert (facts["sources"], facts["speakers"], facts["utterances"]) == (["x/set", "y/set"], 5, 10)
    only = data.train.select(lambda utterance: utterance.speaker.startswith("y/"))
    assert corpus_facts(only.corpus, only.store)["sources"] == ["y/set"]


@pytest.mark.parametrize("folders", [["a"], ["a", "b"], ["one/set", "two/set"]])
def test_nobody_is_on_both_sides_whatever_the_prefix(recorded: Path, tmp_path: Path, folders: list[str]) -> None:
    trained = tuple(part(recorded, tmp_path / name, f"v{n}", f"v{n + 4}") for n, name in enumerate(folders))
    tested = part(recorded, tmp_path / "tested", "v4", "v7")
    with pytest.raises(CorpusError, match="speaker 'v4' is in training and in test"):
        DataSource(trained, None, test_corpora=(tested,)).open()


def test_no_recording_is_on_both_sides(recorded: Path, tmp_path: Path) -> None:
    tested = tmp_path / "tested"
    tested.mkdir()
    (tested / "audio").symlink_to(recorded, target_is_directory=True)
    (tested / "manifest.csv").write_text("utterance,speaker,path\na,ann,audio/v0/0.wav\nb,bob,audio/v1/0.wav\n")
    with pytest.raises(CorpusError, match=r"0.wav is in training and in test"):
        DataSource((recorded,), None, test_corpora=(tested,)).open()


def test_what_a_trial_list_does_not_name_is_not_read(recorded: Path, tmp_path: Path) -> None:
    tested = part(recorded, tmp_path / "tested", "v6", "v7")
    (tested / "v7/1.flac").write_bytes(b"")
    trained = part(recorded, tmp_path / "trained", "v0", "v1")
    (tmp_path / "trials").write_text("1 v6-0 v6-1\n0 v6-0 v7-0\n")
    source = DataSource((trained,), None, test_corpora=(tested,), trials=tmp_path / "trials", validation_speakers=0)
    assert {u.id for u in source.open().test.corpus.utterances} == {"v6-0", "v6-1", "v7-0"}
    facts = corpus_facts(source.open().test.corpus, source.open().test.store)
    assert (facts["name"], facts["sources"]) == ("tested", ["tested"])


def test_names_with_slashes_are_no_sources(recorded: Path, tmp_path: Path) -> None:
    """VoxCeleb's ids are speaker/video/file."""
    folder = part(recorded, tmp_path / "vox", "v0", "v1")
    manifest = folder / "manifest.csv"
    manifest.write_text(manifest.read_text().replace("v0-", "v0/video/").replace("v1-", "v1/video/"))
    data = DataSource(
        (folder,), None, test_corpora=(part(recorded, tmp_path / "t", "v5", "v6"),), validation_speakers=0
    ).open()
    assert corpus_facts(data.train.corpus, data.train.store)["sources"] == ["vox"]
