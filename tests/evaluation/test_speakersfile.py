from __future__ import annotations

from pathlib import Path

import pytest

from shortvox.corpora.manifest import write_manifest
from shortvox.corpora.utterance import Utterance
from shortvox.errors import ScoreError
from shortvox.evaluation.speakersfile import read_utt2spk


@pytest.mark.parametrize(
    "text",
    [
        "u1 s1\nu2 s2\n",
        "u1\ts1\nu2\ts2\n",
        "\ufeffu1   s1\r\n\r\nu2\ts2\r\n",
        "u1,s1\n\nu2,s2\n",
        "utterance speaker\nu1 s1\nu2 s2\n",
        "utterance,speaker,path\nu1,s1,x.wav\nu2,s2,y.wav\n",
        "speaker\tutterance\ns1\tu1\ns2\tu2\n",
        '"speaker","utterance"\n"s1","u1"\ns2,u2\n',
    ],
)
def test_speaker_files(tmp_path: Path, text: str) -> None:
    path = tmp_path / "speakers"
    path.write_text(text, newline="")
    assert read_utt2spk(path) == {"u1": "s1", "u2": "s2"}


def test_cells_of_a_manifest_may_hold_anything(tmp_path: Path) -> None:
    people = ["Weber, Anna", "Weber, Bela", 'J "x" A', "tab\tno", "x\u2028y"]
    utterances = [
        Utterance(f"a, {number}", person.replace("\t", " "), tmp_path / f"room, left {number}.wav")
        for number, person in enumerate(people)
    ]
    write_manifest(tmp_path, utterances)
    assert read_utt2spk(tmp_path / "manifest.csv") == {each.id: each.speaker for each in utterances}


def test_a_comma_in_a_name_of_utt2spk_is_part_of_it(tmp_path: Path) -> None:
    path = tmp_path / "utt2spk"
    path.write_text("u1 s1,x\nu2 s1\nu3 s\u00a02\n")
    assert read_utt2spk(path) == {"u1": "s1,x", "u2": "s1", "u3": "s\u00a02"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "speakers: names no utterance"),
        ("\n \n", "names no utterance"),
        ("utterance,speaker\n", "names no utterance"),
        ("u1 s1\nu2\n", "row 2: 1 columns"),
        ("u1 s1 x\n", "row 1: 3 columns"),
        ("u1 s1\nu1 s2\n", "row 2: utterance 'u1'"),
        ("u1,\n", "row 1: utterance 'u1'"),
        ("utterance,speaker,speaker\nu1,a,b\n", "row 1: a column stands twice"),
        ("utterance,speaker\nu1,a,b\n", "row 2: 3 columns"),
        ('utterance,speaker\n"u1,a\n', "not CSV"),
        ("utterance,speaker\n".encode("utf-16").decode("latin-1"), "UTF-16"),
    ],
)
def test_malformed_speaker_files(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "speakers"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ScoreError, match=message) as caught:
        read_utt2spk(path)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)
    with pytest.raises(ScoreError, match="nowhere"):
        read_utt2spk(tmp_path / "nowhere")
