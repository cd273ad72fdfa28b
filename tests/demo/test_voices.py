"""The whole way from a package archive to two corpora, with an apt and a dpkg-deb of our own on the PATH."""

from __future__ import annotations

import errno
import hashlib
import importlib.util
import json
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
from sources import RATE, word

from shortvox import files
from shortvox.corpora.corpus import load_corpus
from shortvox.demo import fetch, recorded, synthetic, voices
from shortvox.demo.apt import Apt, AptError
from shortvox.demo.clips import write_flac
from shortvox.demo.packages import Package, Voice
from shortvox.errors import ShortvoxError

APT = """#!{python}
import hashlib, os, pathlib, shutil, sys
words = [w for w in sys.argv[1:] if not w.startswith("-")]
archive = pathlib.Path({archive!r})
assert sys.argv[1] == "-c" and "Sandbox" in pathlib.Path(sys.argv[2]).read_text()
with (archive / "calls").open("a") as calls:
    print(*words[1:], file=calls)
if words[1] == "update":
    sys.exit(0)
paths = [archive / (word + "_1%3a2.0_all.deb") for word in words[2:]]
for path in paths:
    if not path.exists():
        print("E: Unable to locate package " + path.name, file=sys.stderr)
        sys.exit(100)
for path in paths:
    if "--print-uris" in sys.argv:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        print("'somewhere/" + path.name + "'", path.name, path.stat().st_size, "SHA256:" + digest)
        continue
    shutil.copy(path, path.name)
    if (archive / "broken").exists():
        with open(path.name, "r+b") as f:
            f.write(b"broken")
"""
DPKG_DEB = """#!{python}
import sys, tarfile
assert sys.argv[1] == "-x"
with tarfile.open(sys.argv[2]) as archive:
    archive.extractall(sys.argv[3], filter="data")
"""
TRAIN = {"aa": (110, 0.95), "bb": (170, 1.0), "cc": (230, 1.1), "dd": (290, 1.2), "ee": (140, 1.05)}
TEST = {"ff": (120, 1.0), "gg": (180, 0.9), "hh": (240, 1.1), "ii": (300, 1.2)}


def _package(archive: Path, name: str, people: dict[str, tuple[float, float]], rate: int) -> None:
    root = archive / "root" / name
    for number, (person, (pitch, tract)) in enumerate(people.items()):
        rng = np.random.default_rng([number, rate])
        folder = root / "usr/share/speech" / person
        folder.mkdir(parents=True)
        for clip in range(24):
            soundfile.write(folder / f"{clip}.wav", word(rng, pitch, tract, 1.5, rate), rate)
        shutil.copy(folder / "0.wav", folder / "copy.wav")
        soundfile.write(folder / "quiet.wav", np.full(rate, 1e-4), rate)
    licence = root / "usr/share/doc" / name / "copyright"
    licence.parent.mkdir(parents=True)
    licence.write_text(f"Licence of {name}", encoding="utf-8")
    with tarfile.open(archive / f"{name}_1%3a2.0_all.deb", "w") as packed:
        packed.add(root, ".")


def _catalogue(name: str, split: str, clips: int) -> Package:
    voice = Voice(f"{split}-{{label}}", r"/speech/(?P<label>\w+)/")
    return Package(name, f"family-{split}", split, "MIT", clips, (voice,))


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder, tools = tmp_path / "archive", tmp_path / "bin"
    folder.mkdir()
    tools.mkdir()
    for name, text in (("apt-get", APT), ("dpkg-deb", DPKG_DEB)):
        (tools / name).write_text(text.format(python=sys.executable, archive=str(folder)), encoding="utf-8")
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tools))
    return folder


@pytest.fixture
def people(archive: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    _package(archive, "train-voices", TRAIN, RATE)
    _package(archive, "test-voices", TEST, 8000)
    catalogue = (
        _catalogue("train-voices", "train", 130),
        _catalogue("lost-voices", "test", 10),
        _catalogue("test-voices", "test", 104),
    )
    monkeypatch.setattr(fetch, "PACKAGES", catalogue)
    return archive


def test_packages_become_two_corpora(people: Path, tmp_path: Path) -> None:
    made = voices.prepare_demo_voices(tmp_path / "demo")
    assert not made.synthetic
    train, test = load_corpus(made.train), load_corpus(made.test)
    assert set(test.speakers) == {f"test-{name}" for name in TEST}
    assert len(train.speakers) >= 4
    for speaker in {f"train-{name}" for name in TRAIN} ^ set(train.speakers):
        assert any(n.startswith(f"{speaker}: dropped") for n in made.notes)
    for u in (*train.utterances, *test.utterances):
        info = soundfile.info(u.path)
        assert (info.samplerate, info.channels) == (RATE, 1)
        assert info.duration == pytest.approx(u.duration, abs=1e-3)
    assert all(len(own) >= 4 for own in test.by_speaker().values())
    assert {u.column("bandwidth") for u in test.utterances} == {"8k"}
    assert {u.column("bandwidth") for u in train.utterances} == {"16k"}
    assert {u.column("family") for u in test.utterances} == {"family-test"} != {u.session for u in test.utterances}
    assert any(n.startswith("lost-voices: skipped") for n in made.notes)
    assert any("9 a copy of another" in n and "9 silent" in n for n in made.notes)
    assert [licence["version"] for licence in made.licences] == ["1:2.0", "1:2.0"]
    assert made.licences[0]["speakers"] == list(train.speakers)
    text = (tmp_path / "demo" / made.licences[1]["file"]).read_text(encoding="utf-8")
    assert text == "Licence of test-voices"


def test_a_second_call_does_nothing_and_an_interrupted_one_keeps_the_archives(
    people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(recorded, "_convert", interrupt)
        voices.prepare_demo_voices(tmp_path / "demo")
    assert not (tmp_path / "demo" / "voices.json").exists()
    first = voices.prepare_demo_voices(tmp_path / "demo")
    calls = (people / "calls").read_text(encoding="utf-8").splitlines()
    assert calls.count("download train-voices") == 3  # asked about twice, fetched once
    before = {p: p.read_bytes() for p in first.test.rglob("*.flac")}
    assert voices.prepare_demo_voices(tmp_path / "demo") == first
    assert (people / "calls").read_text(encoding="utf-8").splitlines() == calls
    (tmp_path / "demo" / "voices.json").unlink()
    voices.prepare_demo_voices(tmp_path / "demo")
    assert {p: p.read_bytes() for p in first.test.rglob("*.flac")} == before


def test_a_damaged_download_is_not_kept(people: Path, tmp_path: Path) -> None:
    (people / "broken").touch()
    apt = Apt(tmp_path / "store")
    found = apt.find(["lost-voices", "test-voices"])
    archive = found["test-voices"]
    assert archive.version == "1:2.0" and "lost-voices" not in found
    with pytest.raises(AptError, match="test-voices: could not be downloaded"):
        apt.download(archive, lambda arrived: None)
    assert apt.held(archive) is None
    (people / "broken").unlink()
    path = apt.download(archive, lambda arrived: None)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == archive.sha256


@pytest.mark.parametrize(
    "name", ['x";APT::Update::Pre-Invoke {"cmd"};"', 'quote"', "line\nend", "back\\slash", "\x1b[31m", "no\udcff"]
)
def test_a_folder_whose_name_could_be_configuration_is_refused(name: str, people: Path, tmp_path: Path) -> None:
    with pytest.raises(ShortvoxError, match="apt's configuration cannot hold this name") as raised:
        Apt(tmp_path / name / "store")
    assert not isinstance(raised.value, AptError)  # which would make synthetic voices instead
    assert not list(tmp_path.glob("*/store"))


@pytest.mark.skipif(shutil.which("apt-config") is None, reason="apt's own reader of its configuration is not here")
def test_apt_reads_other_names_as_they_are(tmp_path: Path) -> None:
    folder = tmp_path / "a b#//';{}$(x)é*"
    Apt(folder)
    words = ["apt-config", "-c", str(folder / "apt" / "apt.conf"), "dump", "Dir::State"]
    told = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert f'Dir::State "{folder}/apt/state/";' in told.splitlines()


def test_a_full_disk_is_one_line_that_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(ShortvoxError, match=r"a\.flac: cannot be written \(No space left on device\)"):
        write_flac(tmp_path / "new" / "a.flac", np.zeros(160, np.float32))
    assert not list((tmp_path / "new").iterdir())
    monkeypatch.undo()
    write_flac(tmp_path / "new" / "a.flac", np.full(160, 0.25, np.float32))
    assert soundfile.info(tmp_path / "new" / "a.flac").frames == 160


def test_a_package_that_is_not_what_it_was_is_named_and_skipped(
    people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bigger = tuple(_catalogue(p.name, p.split, 2 * p.clips) for p in fetch.PACKAGES)
    monkeypatch.setattr(fetch, "PACKAGES", bigger)
    (tmp_path / "out").mkdir()
    with pytest.raises(fetch.Unavailable, match=r"test-voices: skipped, it holds 104 clips"):
        recorded.build(tmp_path / "store", tmp_path / "out", seed=0, least_speakers=4)


def _stand_in(out: Path, *, seed: int) -> synthetic.Synthetic:
    for part in ("train", "test", "licences"):
        (out / part).mkdir()
    return synthetic.Synthetic({"package": "espeakng-loader"}, ())


@pytest.mark.parametrize("case", ["no apt", "no packages", "few speakers"])
def test_synthetic_voices_stand_in(case: str, people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synthetic, "build", _stand_in)
    if case == "no apt":
        monkeypatch.setenv("PATH", str(tmp_path))
    for name in {"no packages": ["train-voices", "test-voices"], "few speakers": ["test-voices"]}.get(case, []):
        (people / f"{name}_1%3a2.0_all.deb").unlink()
    made = voices.prepare_demo_voices(tmp_path / "demo")
    reason = {"no apt": "not found", "no packages": "none of the packages", "few speakers": "0 test speakers"}[case]
    assert made.synthetic and made.notes[0].startswith("SYNTHETIC") and reason in made.notes[0]
    assert json.loads((tmp_path / "demo" / "voices.json").read_text(encoding="utf-8"))["synthetic"] is True


needs_espeak = pytest.mark.skipif(importlib.util.find_spec("espeakng_loader") is None, reason="no espeakng-loader")


@needs_espeak
def test_espeak_speaks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synthetic, "UTTERANCES", {"train": 4, "test": 4})
    synthetic.build(tmp_path, seed=0, train=4, test=4)
    test = load_corpus(tmp_path / "test")
    assert len(test.speakers) == 4 and not set(test.speakers) & set(load_corpus(tmp_path / "train").speakers)
    for u in test.utterances:
        samples, rate = soundfile.read(u.path)
        assert rate == RATE and len(samples) >= 6 * RATE and np.sqrt(np.mean(samples**2)) > 0.01


@needs_espeak
def test_a_voice_that_espeak_lacks_is_an_error_of_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = synthetic.SyntheticVoice("x", "m1", 50, 50, 160, 1.0)
    with pytest.raises(ShortvoxError, match="espeak-ng failed with status"):
        synthetic.write_voice(made, tmp_path, str(tmp_path / "no-library.so"), str(tmp_path), 0, 4)


def test_voices_differ_and_are_seeded() -> None:
    made = synthetic.voices(34, 0)
    assert made == synthetic.voices(34, 0) != synthetic.voices(34, 1)
    assert len({(v.variant, v.stretch) for v in made}) == 34
