"""Known layouts become manifests; the recordings stay where they are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from recordings import write_tones

from shortvox.corpora.audio import read_audio
from shortvox.corpora.corpus import load_corpus
from shortvox.corpora.importers import IMPORTERS, import_corpus
from shortvox.corpora.store import open_store
from shortvox.errors import CorpusError


def test_voxceleb(tmp_path: Path) -> None:
    source = tmp_path / "vox1"
    for name in (
        "dev/wav/id10001/Y8hIVOBuels/00001.wav",
        "test/wav/id10270/5r0dWxy17C8/00001.wav",
        "test/wav/id10270/5r0dWxy17C8/00002.wav",
        "stray.wav",
    ):
        write_tones(source / name, seconds=0.5)
    (source / "vox1_meta.csv").write_text(
        "VoxCeleb1 ID\tVGGFace1 ID\tGender\tNationality\tSet\nid10270\tEartha_Kitt\tf\tUSA\ttest\n"
    )
    imported = import_corpus("voxceleb", source, tmp_path / "out")
    corpus = imported.corpus
    assert [u.id for u in corpus.utterances] == [
        "id10001/Y8hIVOBuels/00001.wav",
        "id10270/5r0dWxy17C8/00001.wav",
        "id10270/5r0dWxy17C8/00002.wav",
    ]
    u = corpus.utterances[1]
    assert (u.speaker, u.session, u.gender, u.duration, u.column("nationality")) == (
        "id10270",
        "5r0dWxy17C8",
        "f",
        0.5,
        "USA",
    )
    assert imported.passed_over == ("stray.wav",) and imported.unreadable == ()
    assert (tmp_path / "out" / "audio").resolve() == source
    assert u.path.is_relative_to(tmp_path / "out") and len(read_audio(u.path)) == 8000


def test_librispeech(tmp_path: Path) -> None:
    source = tmp_path / "LibriSpeech" / "dev-clean"
    write_tones(source / "84" / "121123" / "84-121123-0000.flac", seconds=0.5)
    write_tones(source / "84" / "121550" / "84-121550-0007.flac", seconds=0.5)
    (source.parent / "SPEAKERS.TXT").write_text("; ID |SEX| SUBSET\n84   | F | dev-clean | 8.0 | Christie Nowak\n")
    corpus = import_corpus("librispeech", source, tmp_path / "out").corpus
    assert [(u.id, u.speaker, u.session, u.gender) for u in corpus.utterances] == [
        ("84-121123-0000", "84", "121123", "f"),
        ("84-121550-0007", "84", "121550", "f"),
    ]


def test_tree(tmp_path: Path) -> None:
    for name in ("ann/mon/am/1.wav", "ann/2.wav", "ben/1.wav", "ben/1.flac", "ben/.hidden.wav", "top.wav"):
        write_tones(tmp_path / "voices" / name, seconds=0.5)
    (tmp_path / "voices" / "ben" / "notes.txt").write_text("no audio")
    (tmp_path / "voices" / "ben" / "damaged.wav").write_text("not a recording")
    imported = import_corpus("tree", tmp_path / "voices", tmp_path / "out")
    assert [(u.id, u.speaker, u.session) for u in imported.corpus.utterances] == [
        ("ann/2", "ann", ""),
        ("ann/mon/am/1", "ann", "mon/am"),
        ("ben/1.flac", "ben", ""),
        ("ben/1.wav", "ben", ""),
        ("ben/damaged", "ben", ""),
    ]
    assert imported.passed_over == ("top.wav",) and imported.unreadable == ("ben/damaged",)


def test_recordings_below_the_output_need_no_link(tmp_path: Path) -> None:
    write_tones(tmp_path / "voices" / "ann" / "1.wav", seconds=0.5)
    assert import_corpus("tree", tmp_path / "voices", tmp_path).corpus.utterances[0].path.is_file()
    assert not (tmp_path / "audio").exists()
    assert import_corpus("tree", tmp_path / "voices", tmp_path / "voices").corpus.speakers == ("ann",)


def test_an_output_inside_the_source_does_not_go_round_in_circles(tmp_path: Path) -> None:
    write_tones(tmp_path / "ann" / "1.wav", seconds=0.5)
    import_corpus("tree", tmp_path, tmp_path / "corpus")
    (tmp_path / "corpus" / "manifest.csv").unlink()
    assert len(import_corpus("tree", tmp_path, tmp_path / "corpus").corpus) == 1


def kaldi(folder: Path, **files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in {"utt2spk": "u1 ann\nu2 ben\n", **files}.items():
        (folder / name.replace("wav_scp", "wav.scp")).write_text(text)
    return folder


def test_kaldi(tmp_path: Path) -> None:
    one, two = write_tones(tmp_path / "raw" / "a b.wav"), write_tones(tmp_path / "data" / "c.wav")
    source = kaldi(tmp_path / "data", wav_scp=f"u1 {one}\nu2\tc.wav\n", spk2gender="ann f\nben m\n")
    corpus = import_corpus("kaldi", source, tmp_path / "out").corpus
    assert [(u.id, u.speaker, u.gender, u.path.resolve()) for u in corpus.utterances] == [
        ("u1", "ann", "f", one),
        ("u2", "ben", "m", two),
    ]


def test_kaldi_segments(tmp_path: Path) -> None:
    write_tones(tmp_path / "data" / "r.wav", seconds=3)
    source = kaldi(tmp_path / "data", wav_scp="r r.wav\n", segments="u1 r 0.5 1.75\nu2 r 2.0 -1\n")
    corpus = import_corpus("kaldi", source, tmp_path / "out").corpus
    assert [(u.start, u.duration) for u in load_corpus(tmp_path / "out").utterances] == [(0.5, 1.25), (2.0, 1.0)]
    assert list(open_store(corpus).lengths) == [20000, 16000]


def test_the_channel_of_a_kaldi_segment(tmp_path: Path) -> None:
    write_tones(tmp_path / "data" / "call.wav", channels=2)
    source = kaldi(tmp_path / "data", wav_scp="call call.wav\n", segments="u1 call 0 1 0\nu2 call 0 1\t1\n")
    import_corpus("kaldi", source, tmp_path / "out")
    assert [(u.speaker, u.channel) for u in load_corpus(tmp_path / "out").utterances] == [("ann", 0), ("ben", 1)]


@pytest.mark.parametrize(
    ("channels", "segments", "expected"),
    [
        (2, "u1 call 0 1 0\nu2 call 0 1\n", r"segments: row 2: .*call\.wav has 2 channels.* as fifth field"),
        (2, "u1 call 0 1 0\nu2 call 0 1 2\n", r"segments: row 2: no channel 2: .*call\.wav has 2"),
        (1, "u1 call 0 1 1\n", r"segments: row 1: no channel 1: .*call\.wav has 1"),
        (2, "u1 call 0 1 A\n", "segments: row 1: 'A' is not a channel"),
        (2, "u1 call 0 1 -1\n", "segments: row 1: '-1' is not a channel"),
        (2, "u1 call 0 1 0 0\n", r"segments: row 1: expected `utterance recording start end \[channel\]`"),
    ],
)
def test_a_channel_that_kaldi_would_refuse(tmp_path: Path, channels: int, segments: str, expected: str) -> None:
    write_tones(tmp_path / "data" / "call.wav", channels=channels)
    source = kaldi(tmp_path / "data", wav_scp="call call.wav\n", segments=segments)
    with pytest.raises(CorpusError, match=expected):
        import_corpus("kaldi", source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"wav_scp": "u1 touch PROOF |\n"}, r"wav\.scp: row 1: a command"),
        ({"wav_scp": "u1 a.wav\nu3 b.wav\n"}, r"wav\.scp: row 2: utterance u3 has no speaker"),
        ({"wav_scp": "u1 a.wav\nu1 b.wav\n"}, "row 2: u1 is also in row 1"),
        ({"wav_scp": "u1\n"}, "row 1: 'u1' stands alone"),
        ({"wav_scp": "r a.wav\n", "segments": "u1 q 0 1\n"}, "segments: row 1: recording q is not in wav.scp"),
        ({"wav_scp": "r a.wav\n", "segments": "u1 r 2 1\n"}, "segments: row 1: from 2 s to 1 s is no piece"),
        ({"wav_scp": "r a.wav\n", "segments": "u1 r 2 x\n"}, "segments: row 1: expected"),
        ({}, r"wav\.scp: cannot be read"),
    ],
)
def test_kaldi_mistakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], expected: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CorpusError, match=expected):
        import_corpus("kaldi", kaldi(tmp_path / "data", **files), tmp_path / "out")
    assert not (tmp_path / "PROOF").exists() and not (tmp_path / "out").exists()


def test_kaldi_fields_stand_apart_by_tabs_too_and_a_missing_recording_is_told(tmp_path: Path) -> None:
    write_tones(tmp_path / "my corpus" / "a.wav", seconds=1.0)
    (tmp_path / "wav.scp").write_text("r1\tmy corpus/a.wav\nr2 my corpus/gone.wav\n")
    (tmp_path / "utt2spk").write_text("u1\tann\nu2\tann\nu3 bob\n")
    (tmp_path / "segments").write_text("u1 r1 0 0.5\nu2 r1 0.5 -1\nu3 r2 0 0.5\n")
    imported = import_corpus("kaldi", tmp_path, tmp_path / "out")
    assert [(u.id, u.speaker, u.duration) for u in imported.corpus.utterances] == [
        ("u1", "ann", 0.5),
        ("u2", "ann", 0.5),
        ("u3", "bob", 0.5),
    ]
    assert imported.unreadable == ("u3",)


def test_a_name_that_is_no_text_is_told(tmp_path: Path) -> None:
    path = write_tones(tmp_path / "source" / "ann" / "a.wav", seconds=0.5)
    try:
        path.rename(os.fsdecode(os.fsencode(path.parent) + b"/caf\xe9.wav"))
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    with pytest.raises(CorpusError, match=r"caf.*not UTF-8; rename"):
        import_corpus("tree", tmp_path / "source", tmp_path / "out")


def test_a_folder_that_cannot_be_listed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tones(tmp_path / "source" / "ann" / "a.wav", seconds=0.5)
    listing = os.scandir

    def refuse(folder: str) -> object:
        if str(folder).endswith("ann"):
            raise PermissionError(13, "Permission denied", str(folder))
        return listing(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(CorpusError, match="ann: cannot be listed"):
        import_corpus("tree", tmp_path / "source", tmp_path / "out")


@pytest.mark.parametrize("layout", [name for name in IMPORTERS if name != "kaldi"])
def test_nothing_found(tmp_path: Path, layout: str) -> None:
    (tmp_path / "source").mkdir()
    with pytest.raises(CorpusError, match=f"no recordings in the {layout} layout"):
        import_corpus(layout, tmp_path / "source", tmp_path / "out")


def test_unknown_layout_missing_source_and_a_manifest_in_the_way(tmp_path: Path) -> None:
    write_tones(tmp_path / "voices" / "ann" / "1.wav", seconds=0.5)
    with pytest.raises(CorpusError, match="choose one of voxceleb, librispeech, kaldi, tree"):
        import_corpus("timit", tmp_path, tmp_path / "out")
    with pytest.raises(CorpusError, match="no such folder"):
        import_corpus("tree", tmp_path / "nowhere", tmp_path / "out")
    import_corpus("tree", tmp_path / "voices", tmp_path / "out")
    with pytest.raises(CorpusError, match=r"manifest\.csv: already there"):
        import_corpus("tree", tmp_path / "voices", tmp_path / "out")
