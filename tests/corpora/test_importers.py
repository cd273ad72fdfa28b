"""Known layouts become manifests; the recordings stay where they are."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
from recordings import write_tones

from shortvox.corpora import importers, placing
from shortvox.corpora.audio import read_audio
from shortvox.corpora.corpus import load_corpus
from shortvox.corpora.importers import IMPORTERS, import_corpus
from shortvox.corpora.store import open_store
from shortvox.errors import CorpusError, ShortvoxError


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


def test_a_voxceleb_recording_in_two_formats_is_one_utterance(tmp_path: Path) -> None:
    source, names = tmp_path / "vox2", [f"id00012/{video}/0000{n}" for video in ("a", "b") for n in (1, 2)]
    for name in names:
        (source / "dev/aac" / name).parent.mkdir(parents=True, exist_ok=True)
        (source / "dev/aac" / f"{name}.m4a").write_bytes(b"")
        write_tones(source / "dev/wav" / f"{name}.wav", seconds=0.5)
        (source / "dev/wav" / f"{name}.mp3").write_bytes(b"")
    (source / "dev/aac/id00012/b/00003.m4a").write_bytes(b"")
    imported = import_corpus("voxceleb", source, tmp_path / "out")
    assert [u.id for u in imported.corpus.utterances] == [f"{n}.wav" for n in names] + ["id00012/b/00003.m4a"]
    assert imported.passed_over == tuple(f"dev/{n}" for name in names for n in (f"aac/{name}.m4a", f"wav/{name}.mp3"))
    assert list(imported.reasons) == ["audio files that hold a recording in another format"]
    write_tones(source / "test/wav" / f"{names[0]}.wav", seconds=0.5)
    with pytest.raises(CorpusError, match=r"id00012/a/00001\.wav exists twice"):
        import_corpus("voxceleb", source, tmp_path / "again")


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
    names = "ann/mon/am/1.wav ann/2.wav ben/1.wav ben/1.flac top.wav ben/.hidden.wav .cache/cal/1.wav ..odd/1.wav"
    for name in names.split():
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
    assert list(imported.reasons.values()) == [("top.wav",), ("..odd/", ".cache/", "ben/.hidden.wav")]
    assert imported.passed_over == ("top.wav", "..odd/", ".cache/", "ben/.hidden.wav")
    assert imported.unreadable == ("ben/damaged",)


def test_recordings_below_the_output_need_no_link(tmp_path: Path) -> None:
    write_tones(tmp_path / "voices" / "ann" / "1.wav", seconds=0.5)
    assert import_corpus("tree", tmp_path / "voices", tmp_path).corpus.utterances[0].path.is_file()
    assert not (tmp_path / "audio").exists()
    assert import_corpus("tree", tmp_path / "voices", tmp_path / "voices").corpus.speakers == ("ann",)


def test_links_that_give_nothing_new_are_told(tmp_path: Path) -> None:
    write_tones(tmp_path / "voices" / "ann" / "1.wav", seconds=0.5)
    (tmp_path / "voices" / "ann" / "up").symlink_to("..")
    (tmp_path / "voices" / "ben").symlink_to("ann")
    (tmp_path / "voices" / "eve").symlink_to(tmp_path / "another disk" / "eve")
    (tmp_path / "voices" / "notes.txt").write_text("no audio")
    imported = import_corpus("tree", tmp_path / "voices", tmp_path / "out")
    assert imported.corpus.speakers == ("ann",)
    assert imported.reasons == {
        "folders that are also there under another name": ("ann/up/", "ben/"),
        "links that lead nowhere": ("eve",),
    }


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
    sides = np.random.default_rng(0).uniform(-0.5, 0.5, (16000, 2)).astype(np.float32)
    (tmp_path / "data").mkdir()
    soundfile.write(tmp_path / "data" / "call.wav", sides, 16000, subtype="FLOAT")
    source = kaldi(tmp_path / "data", wav_scp="call call.wav\n", segments="u1 call 0 1 0\nu2 call 0 1\t1\n")
    import_corpus("kaldi", source, tmp_path / "out")
    assert [(u.speaker, u.channel) for u in load_corpus(tmp_path / "out").utterances] == [("ann", 0), ("ben", 1)]
    store = open_store(load_corpus(tmp_path / "out"))
    for side in (0, 1):
        np.testing.assert_allclose(store.read(side), sides[:, side], atol=1e-6)


def test_what_kaldi_tables_name_and_nothing_uses_is_told(tmp_path: Path) -> None:
    write_tones(tmp_path / "data" / "a.wav")
    source = kaldi(tmp_path / "data", wav_scp="u1 a.wav\n")
    imported = import_corpus("kaldi", source, tmp_path / "whole")
    assert imported.reasons == {"utterances of utt2spk that are not in wav.scp": ("u2",)} and len(imported.corpus) == 1
    (source / "wav.scp").write_text("u2 a.wav\nu3 a.wav\n")
    (source / "segments").write_text("u1 u2 0 1\n")
    assert import_corpus("kaldi", source, tmp_path / "pieces").reasons == {
        "utterances of utt2spk that are not in segments": ("u2",),
        "recordings of wav.scp that are in no segment": ("u3",),
    }


@pytest.mark.parametrize("marked", ["wav.scp", "utt2spk", "segments", "spk2gender"])
def test_a_byte_order_mark_changes_nothing(tmp_path: Path, marked: str) -> None:
    write_tones(tmp_path / "data" / "a.wav")
    tables = {"wav_scp": "r a.wav\n", "segments": "u1 r 0 1\nu2 r 1 2\n", "spk2gender": "ann f\nben m\n"}
    source = kaldi(tmp_path / "data", **tables)
    import_corpus("kaldi", source, tmp_path / "plain")
    (source / marked).write_bytes(b"\xef\xbb\xbf" + (source / marked).read_bytes())
    import_corpus("kaldi", source, tmp_path / "marked")
    assert (tmp_path / "marked/manifest.csv").read_text() == (tmp_path / "plain/manifest.csv").read_text()


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
        ({"wav_scp": "r a.wav\n", "segments": "u1 r 2 1\n"}, "segments: row 1: from 2 to 1 is no piece"),
        ({"wav_scp": "r a.wav\n", "segments": "u1 r 2 x\n"}, "segments: row 1: from 2 to x is no piece"),
        ({"wav_scp": "r a.wav\n", "segments": "u1 r 0 1e300\n"}, "segments: row 1: from 0 to 1e300 is no piece"),
        ({"wav_scp": "r a.wav\n", "segments": "u1 r nan 1\n"}, "segments: row 1: from nan to 1 is no piece"),
        (
            {"wav_scp": "r a.wav\n", "segments": "u1 r 1 1.0000001\n"},
            "segments: row 1: from 1 to 1.0000001 is no piece",
        ),
        ({"wav_scp": "r a.wav\n", "segments": "u1 r 1\n"}, "segments: row 1: expected `utterance recording start end"),
        ({"wav_scp": "u1 a.wav\n", "utt2spk": "u2 ben\nu1 ann extra\n"}, "utt2spk: row 2: u1 ann extra: 3 fields"),
        ({"wav_scp": "u1 a.wav\n", "spk2gender": "ann f 30\n"}, "spk2gender: row 1: ann f 30: 3 fields"),
        ({"wav_scp": "u\u00a01 a.wav\n", "utt2spk": "u\u00a01\u3000ann\n"}, "utt2spk: row 1: .* stands alone"),
        ({"wav_scp": "u\u00a01 a.wav\n"}, "wav.scp: row 1: utterance u\u00a01 has no speaker"),
        ({"wav_scp": "u1 a\0.wav\n"}, r"wav\.scp: row 1: 'u1 a.x00\.wav' holds a control character"),
        ({"wav_scp": "u1 a.wav\n", "utt2spk": "u1 \x1b[31m\n"}, r"utt2spk: row 1: .* holds a control character"),
        ({}, r"wav\.scp: no such file; expected a table of a Kaldi data directory"),
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


@pytest.mark.parametrize("name", ["ann/a\nb.wav", "ann/a\tb.wav", "ann /a.wav", "ann/a .wav", "ann/\x1b[31m.wav"])
def test_a_name_that_no_list_can_hold_is_told_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    measured: list[Path] = []
    monkeypatch.setattr(importers, "probe", measured.append)
    path = write_tones(tmp_path / "voices" / name, seconds=0.5)
    with pytest.raises(CorpusError) as caught:
        import_corpus("tree", tmp_path / "voices", tmp_path / "new" / "out")
    assert str(caught.value).startswith(repr(str(path))) and "\n" not in str(caught.value)
    assert not (tmp_path / "new").exists() and not measured
    monkeypatch.undo()
    path.rename(path.with_name("a.wav"))
    path.parent.rename(path.parent.with_name("ann"))
    assert len(import_corpus("tree", tmp_path / "voices", tmp_path / "new" / "out").corpus) == 1


def test_a_failed_import_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tones(tmp_path / "voices" / "ann" / "a.wav", seconds=0.5)

    def full(*_: object) -> None:
        raise ShortvoxError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(placing, "write_manifest", full)
        with pytest.raises(ShortvoxError, match="disk full"):
            import_corpus("tree", tmp_path / "voices", tmp_path / "new" / "out")
    assert not (tmp_path / "new").exists()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "audio").mkdir()
    with pytest.raises(CorpusError, match="audio: already there, and not a link"):
        import_corpus("tree", tmp_path / "voices", tmp_path / "out")
    assert [each.name for each in (tmp_path / "out").iterdir()] == ["audio"]


def test_a_source_or_output_that_cannot_be_opened(tmp_path: Path) -> None:
    long = "x" * 300
    with pytest.raises(CorpusError, match="cannot be opened"):
        import_corpus("tree", tmp_path / long, tmp_path / "out")
    write_tones(tmp_path / "voices" / "ann" / "a.wav", seconds=0.5)
    with pytest.raises(ShortvoxError, match="cannot be written"):
        import_corpus("tree", tmp_path / "voices", tmp_path / long)
    kaldi(tmp_path / "data", wav_scp=f"u1 {long}.wav\nu2 b.wav\n")
    assert import_corpus("kaldi", tmp_path / "data", tmp_path / "out").unreadable == ("u1", "u2")
