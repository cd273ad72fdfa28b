"""A degraded copy of a corpus: the same rows, other sound, and the same sound again."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from benchmarks.degrade import DEGRADATIONS, degrade_corpus, main

from shortvox.corpora.corpus import Corpus, load_corpus
from shortvox.corpora.speech import SpeechData
from shortvox.errors import ConfigError, CorpusError
from shortvox.evaluation.triallist import read_trials
from shortvox.frontend.augment import power
from voices import make_voices


@pytest.fixture(scope="module")
def voices(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Three speakers with two utterances, a column of their own and a trial list."""
    corpus = make_voices(tmp_path_factory.mktemp("degrading"), speakers=3, each=2)
    rows = (corpus.root / "manifest.csv").read_text().splitlines()
    lines = [f"{rows[0]},accent", *(f"{row},{number}" for number, row in enumerate(rows[1:]))]
    (corpus.root / "manifest.csv").write_text("\n".join(lines) + "\n")
    (corpus.root / "test_trials.txt").write_text("1 v0-0 v0-1\n0 v0-0 v1-1\n0 v0-1 v2-0\n")
    return load_corpus(corpus.root)


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("noise")
    soundfile.write(folder / "hiss.wav", 0.1 * np.random.default_rng(3).standard_normal(8000), 16000)
    return folder


def degraded(voices: Corpus, out: Path, name: str, noise: Path, **options: object) -> Corpus:
    degrade_corpus(voices.root, out, name, noise=noise if name == "noise" else None, **options)
    return load_corpus(out)


def speech(corpus: Corpus, position: int) -> np.ndarray:
    return SpeechData.open(corpus).store.read(position)


@pytest.mark.parametrize("name", DEGRADATIONS)
def test_every_degradation_keeps_the_rows_and_changes_the_sound(
    voices: Corpus, noise: Path, tmp_path: Path, name: str
) -> None:
    made = degraded(voices, tmp_path / "a", name, noise)
    kept = [(u.id, u.speaker, u.session, u.extra) for u in voices.utterances]
    assert [(u.id, u.speaker, u.session, u.extra) for u in made.utterances] == kept
    assert (tmp_path / "a/test_trials.txt").read_text() == (voices.root / "test_trials.txt").read_text()
    for position in range(len(voices)):
        clean, heard = speech(voices, position), speech(made, position)
        assert len(heard) == len(clean)
        assert np.corrcoef(clean, heard)[0, 1] < 0.999
    again = degraded(voices, tmp_path / "b", name, noise)
    other = degraded(voices, tmp_path / "c", name, noise, seed=1)
    assert again.fingerprint() == made.fingerprint()
    assert (other.fingerprint() == made.fingerprint()) == (name in ("gsm", "opus", "mp3"))  # which draw nothing


@pytest.mark.parametrize("name", ["noise", "babble"])
def test_noise_is_at_the_level_asked_for(voices: Corpus, noise: Path, tmp_path: Path, name: str) -> None:
    made = degraded(voices, tmp_path, name, noise, level=12.0)
    for position in range(len(voices)):
        clean, heard = speech(voices, position), speech(made, position)
        added = heard * (clean @ clean / (clean @ heard)) - clean  # what was written more quietly is made as loud again
        assert 10 * np.log10(power(clean) / power(added)) == pytest.approx(12.0, abs=1.0)


def test_an_utterance_is_degraded_alike_in_any_corpus(voices: Corpus, noise: Path, tmp_path: Path) -> None:
    rows = (voices.root / "manifest.csv").read_text().splitlines()
    (tmp_path / "part").mkdir()
    for folder in ("v0", "v1", "v2"):
        (tmp_path / "part" / folder).symlink_to(voices.root / folder)
    (tmp_path / "part/manifest.csv").write_text("\n".join([rows[0], *rows[3:]]) + "\n")
    everything = degraded(voices, tmp_path / "a", "room", noise)
    part = degraded(load_corpus(tmp_path / "part"), tmp_path / "b", "room", noise)
    np.testing.assert_array_equal(speech(everything, 2), speech(part, 0))


def test_only_the_test_side_is_degraded_where_a_recording_is_on_both(
    voices: Corpus, noise: Path, tmp_path: Path
) -> None:
    listed = voices.root / "test_trials.txt"
    made = degraded(voices, tmp_path, "overload", noise, trials=listed)
    before, after = read_trials(listed, voices), read_trials(tmp_path / "test_trials.txt", made)
    assert after.label.tolist() == before.label.tolist()
    for was, now in zip(before.enrol, after.enrol, strict=True):
        assert made.utterances[now].id == voices.utterances[was].id
        np.testing.assert_array_equal(speech(made, int(now)), speech(voices, int(was)))
    for was, now in zip(before.test, after.test, strict=True):
        assert made.utterances[now].id == f"{voices.utterances[was].id}~overload"
        assert made.utterances[now].extra == voices.utterances[was].extra
        assert np.abs(speech(made, int(now))).max() < 0.6 * np.abs(speech(voices, int(was))).max()
    assert len(made) == len(voices) + len(set(before.test.tolist()))


def test_what_cannot_be_done_is_said(
    voices: Corpus, noise: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ConfigError, match="room draws its own"):
        degrade_corpus(voices.root, tmp_path / "a", "room", level=3.0)
    for name, folder in (("noise", None), ("room", noise)):
        with pytest.raises(ConfigError, match="name a folder of noise"):
            degrade_corpus(voices.root, tmp_path / "a", name, noise=folder)
    with pytest.raises(CorpusError, match="holds a corpus already"):
        degrade_corpus(voices.root, voices.root, "room")
    monkeypatch.setattr(
        sys, "argv", ["degrade.py", str(voices.root), str(tmp_path), "--with", "room", "--only", "test"]
    )
    with pytest.raises(SystemExit, match="2"):
        main()
    assert capsys.readouterr().err.count("\n") == 1
