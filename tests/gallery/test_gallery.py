"""What a gallery promises whoever keeps it: names, spaces, states, rebuilds; on every engine."""

from __future__ import annotations

import base64
import os
import tempfile
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gallery.fakes import DIM, QUIET, ROOM, FakeVerifier, person, unit, voice_of
from shortvox.errors import GalleryError, UnknownVoiceError, VoiceTakenError
from shortvox.gallery import gallery as module
from shortvox.gallery.gallery import Gallery
from shortvox.gallery.profile import State
from shortvox.gallery.sealed import KEY
from shortvox.verification.decision import Outcome

Address = Callable[[str], str]
NEW_MODEL = replace(ROOM, encoder="encoder 2")
NEW_CALIBRATION = replace(ROOM, calibration="calibration 2")


@pytest.fixture
def here(tmp_path: Path) -> str:
    """The address of a gallery where the engine does not matter."""
    return str(tmp_path / "g.db")


def opened(address: str, space=ROOM, **options: bool) -> Gallery:  # type: ignore[no-untyped-def]
    return Gallery.open(address, FakeVerifier(space), **options)  # type: ignore[arg-type]


def sound_of(seed: int) -> np.ndarray:
    """(samples,) that the fake verifier hears as person `seed`, also after it was kept in 16 bits."""
    return (0.5 * np.tile(person(seed), 20)).astype(np.float32)


def test_who_was_enrolled_is_recognised_and_nobody_else_is(address: Address) -> None:
    with opened(address("g")) as gallery:
        for seed in range(10):
            gallery.add(f"p{seed}", voice_of(seed, (1.0, 5.0)))
        found = gallery.identify(person(4))
        assert (found.name, found.reason, found.outcome, found.voices) == ("p4", None, Outcome.SAME, 10)
        assert found.candidates[0].name == "p4"
        assert len(found.candidates) == module.SHOWN
        assert sorted(found.candidates, key=lambda each: -each.llr) == [*found.candidates]
        assert found.decision is not None
        assert found.decision.llr == found.candidates[0].llr
        stranger = gallery.identify(person(77))
        assert (stranger.name, stranger.reason, stranger.outcome) == (None, "nobody", Outcome.DIFFERENT)
        assert gallery.verify("p4", person(4)).outcome is Outcome.SAME
        assert gallery.verify("p4", person(5)).outcome is Outcome.DIFFERENT


def test_what_was_not_heard_is_a_reason(here: str) -> None:
    with opened(here) as gallery:
        silence = np.zeros(DIM, np.float32)
        found = gallery.identify(silence)
        assert (found.name, found.reason, found.refusal, found.decision) == (None, "silence", QUIET, None)
        assert found.outcome is Outcome.TOO_LITTLE_SPEECH
        assert gallery.identify(person(1)).reason == "empty"
        gallery.add("alice", voice_of(1))
        assert gallery.verify("alice", silence).outcome is Outcome.TOO_LITTLE_SPEECH
        assert gallery.profile("alice").state is State.NEVER_COMPARED


def test_one_line_for_all_voices_together(here: str) -> None:
    """A gallery of more voices asks for more: the false-alarm rate is that of all comparisons together."""
    with opened(here) as gallery:
        gallery.add("p0", voice_of(0))
        one = gallery.identify(person(0), max_fpr=0.1).decision
        for seed in range(1, 20):
            gallery.add(f"p{seed}", voice_of(seed))
        many = gallery.identify(person(0), max_fpr=0.1).decision
        assert one is not None and many is not None
        assert one.accept == pytest.approx(np.log(10))
        assert many.accept == pytest.approx(np.log(10 * 20))


def test_the_best_is_so_by_its_likelihood_ratio_and_not_by_its_cosine(here: str) -> None:
    with opened(here) as gallery:
        nearer, less = unit(person(0) + 0.02 * person(1)), unit(person(0) + 0.05 * person(1))
        voice = voice_of(0)
        gallery.add("long", replace(voice, embeddings=nearer[None], seconds=(500.0,)))
        gallery.add("short", replace(voice, embeddings=less[None], seconds=(1.0,)))
        best, second = gallery.identify(person(0)).candidates
        assert (best.name, second.name) == ("short", "long")
        assert best.score < second.score


def test_states_and_counts_are_kept(address: Address) -> None:
    with opened(address("g")) as gallery:
        for seed in range(3):
            gallery.add(f"p{seed}", voice_of(seed))
        gallery.identify(person(0))
        gallery.identify(unit(person(0) + 0.2 * person(9)))
        far = gallery.verify("p1", person(2))
        assert [each.state for each in gallery.profiles()] == ["matching", "closest so far", "never compared"]
    with opened(address("g")) as gallery:
        gallery.identify(person(0))
        matching, closest, never = gallery.profiles()
        assert (matching.compared, matching.matched) == (3, 3)
        assert (closest.compared, closest.matched, closest.closest) == (1, 0, far.llr)
        assert (never.compared, never.closest) == (0, None)
        gallery.identify(person(0))
        gallery.add("p0", voice_of(0), replace=True)
        assert gallery.profile("p0").state is State.NEVER_COMPARED


def test_what_was_told_at_enrolment_is_kept(here: str) -> None:
    before = datetime.now(UTC)
    with opened(here) as gallery:
        told = gallery.add("alice", voice_of(1, (1.0, 2.5)), consent="signed, folder 7")
        assert told.consent == "signed, folder 7"
        assert before - timedelta(seconds=1) <= told.enrolled_at <= datetime.now(UTC)
        assert (told.recordings, told.net_speech, told.percent, told.keeps_audio) == (2, 3.5, 35, False)
    with Gallery.open(here) as gallery:
        assert gallery.profile("alice") == replace(told, percent=None)


@pytest.mark.parametrize("name", ["", "x" * 201, "a\nb", "a\x00b", "\x7f", "a\x85b", "\ud800"])
def test_what_is_no_name_is_refused(tmp_path: Path, name: str) -> None:
    with opened(str(tmp_path / "g.db")) as gallery:
        for call in (
            lambda: gallery.add(name, voice_of(1)),
            lambda: gallery.profile(name),
            lambda: gallery.remove(name),
        ):
            with pytest.raises(GalleryError, match="expected 1 to 200 characters"):
                call()
        assert not [*gallery.profiles()]


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=210))
def test_any_text_is_a_name_or_refused(name: str) -> None:
    with tempfile.TemporaryDirectory() as folder, opened(f"{folder}/g.db") as gallery:
        try:
            kept = gallery.add(name, voice_of(1)).name
        except GalleryError as error:
            assert "expected 1 to 200 characters" in str(error)
            assert not [*gallery.profiles()]
            return
        assert kept == unicodedata.normalize("NFC", name)
        assert gallery.identify(person(1)).name == kept
        gallery.remove(name)
        assert not [*gallery.profiles()]


def test_one_word_is_one_name_however_it_is_composed(here: str) -> None:
    with opened(here) as gallery:
        gallery.add("Zoe\u0308", voice_of(1))
        assert gallery.profile("Zo\u00eb").name == "Zo\u00eb"
        with pytest.raises(VoiceTakenError, match="is enrolled already"):
            gallery.add("Zo\u00eb", voice_of(2))


def test_a_name_that_is_not_there_has_a_neighbour(here: str) -> None:
    with opened(here) as gallery:
        gallery.add("alice", voice_of(1))
        for call in (gallery.profile, gallery.remove, lambda name: gallery.verify(name, person(1))):
            with pytest.raises(UnknownVoiceError, match="nobody is called 'alcie'; did you mean 'alice'"):
                call("alcie")
        with pytest.raises(UnknownVoiceError, match="`shortvox speakers list`"):
            gallery.export("x.zip", ["zzz"])
        assert not Path("x.zip").exists()


def test_a_note_too_long_is_refused(address: Address) -> None:
    with opened(address("g")) as gallery:
        with pytest.raises(GalleryError, match="consent of 'alice': expected a note of at most 2000 characters"):
            gallery.add("alice", voice_of(1), consent="x" * 2001)
        gallery.add("alice", voice_of(1), consent="字" * 2000)
        assert gallery.profile("alice").consent == "字" * 2000


def test_voices_of_another_space_are_refused_with_the_command(address: Address) -> None:
    with opened(address("g")) as gallery:
        gallery.add("alice", voice_of(1))
        with pytest.raises(GalleryError, match="another encoder"):
            gallery.add("bob", voice_of(2, space=NEW_MODEL))
        here = gallery.address
    with pytest.raises(GalleryError) as told:
        opened(address("g"), replace(NEW_MODEL, detector="detector 2"))
    assert str(told.value) == (
        f"{here}: holds voices of another model (another encoder, detector); `shortvox speakers rebuild {here}` enrols "
        "them again from what audio was kept"
    )
    with opened(address("g")) as gallery:
        gallery.remove("alice")
    with opened(address("g"), NEW_MODEL) as gallery:  # nobody is left who could not be compared
        gallery.add("bob", voice_of(2, space=NEW_MODEL))
        assert gallery.space == NEW_MODEL


def test_a_rebuild_hears_what_was_kept_and_names_the_others(address: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY, base64.b64encode(os.urandom(32)).decode())
    with opened(address("g")) as gallery:
        gallery.add("alice", voice_of(1), consent="yes", audio=[sound_of(1), sound_of(1)])
        gallery.add("bob", voice_of(2), consent="no audio")
        gallery.add("carla", voice_of(3), audio=[np.zeros(100, np.float32)])
        gallery.identify(person(1))
        before = gallery.profile("alice")
        assert before.keeps_audio
    with Gallery.open(address("g")) as gallery:
        done = gallery.rebuild(FakeVerifier(NEW_MODEL))  # type: ignore[arg-type]
        assert done.rebuilt == ("alice",)
        assert done.left == {"bob": "no audio was kept", "carla": "nothing is said"}
        assert gallery.space == NEW_MODEL
        after = gallery.profile("alice")
        assert (after.enrolled_at, after.consent, after.keeps_audio) == (before.enrolled_at, "yes", True)
        assert (after.recordings, after.state) == (2, State.NEVER_COMPARED)
    with opened(address("g"), NEW_MODEL) as gallery:
        assert [each.state for each in gallery.profiles()] == ["never compared", "other model", "other model"]
        found = gallery.identify(person(1))
        assert (found.name, found.voices) == ("alice", 1)
        assert gallery.identify(person(2)).name is None
        with pytest.raises(GalleryError, match="'bob' was enrolled with another model"):
            gallery.verify("bob", person(2))
        with pytest.raises(VoiceTakenError):
            gallery.add("bob", voice_of(2, space=NEW_MODEL))
        gallery.add("bob", voice_of(2, space=NEW_MODEL), replace=True)
        gallery.remove("carla")
        assert [each.name for each in gallery.profiles()] == ["alice", "bob"]
        assert gallery.identify(person(2)).name == "bob"


def test_a_rebuild_with_another_key_changes_nothing(here: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY, base64.b64encode(os.urandom(32)).decode())
    with opened(here) as gallery:
        gallery.add("alice", voice_of(1), audio=[sound_of(1)])
        monkeypatch.setenv(KEY, base64.b64encode(os.urandom(32)).decode())
        done = gallery.rebuild(FakeVerifier(NEW_MODEL))  # type: ignore[arg-type]
        assert "sealed with another key" in done.left["alice"]
        assert gallery.space == ROOM
        assert gallery.identify(person(1)).name == "alice"


def test_another_calibration_needs_no_audio(here: str) -> None:
    with opened(here) as gallery:
        gallery.add("alice", voice_of(1, (1.0, 2.0)))
    with Gallery.open(here) as gallery:
        assert gallery.rebuild(FakeVerifier(NEW_CALIBRATION)).rebuilt == ("alice",)  # type: ignore[arg-type]
    with opened(here, NEW_CALIBRATION) as gallery:
        assert gallery.identify(person(1)).name == "alice"


def test_audio_needs_a_key_before_anything_is_stored(here: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY, raising=False)
    with opened(here) as gallery:
        with pytest.raises(GalleryError, match="there is no key"):
            gallery.add("alice", voice_of(1), audio=[sound_of(1)])
        assert not [*gallery.profiles()]


def test_an_import_is_whole_or_refused(address: Address, tmp_path: Path) -> None:
    with opened(address("g")) as gallery:
        for seed in range(3):
            gallery.add(f"p{seed}", voice_of(seed), consent="yes")
        assert gallery.export(tmp_path / "two.zip", ["p2", "p1", "p2"]) == 2
        with pytest.raises(VoiceTakenError):
            gallery.import_(tmp_path / "two.zip")
        gallery.remove("p1")
        with pytest.raises(VoiceTakenError):
            gallery.import_(tmp_path / "two.zip")
        assert [each.name for each in gallery.profiles()] == ["p0", "p2"]
        assert gallery.import_(tmp_path / "two.zip", replace=True) == 2
        assert [each.name for each in gallery.profiles()] == ["p0", "p1", "p2"]
    with opened(address("other"), NEW_MODEL) as other:
        other.add("x", voice_of(8, space=NEW_MODEL))
        with pytest.raises(GalleryError, match=r"two\.zip: cannot be taken over"):
            other.import_(tmp_path / "two.zip")
    with pytest.raises(GalleryError, match="is this gallery itself"), opened(address("g")) as gallery:
        gallery.migrate(address("g"))


def test_a_gallery_only_to_be_read_still_identifies(address: Address) -> None:
    with opened(address("g")) as gallery:
        gallery.add("alice", voice_of(1))
    with opened(address("g"), read_only=True) as gallery:
        assert gallery.identify(person(1)).name == "alice"
        assert gallery.profile("alice").state is State.NEVER_COMPARED
        for call in (lambda: gallery.add("bob", voice_of(2)), lambda: gallery.remove("alice")):
            with pytest.raises(GalleryError, match="read"):
                call()


def test_counts_that_cannot_be_written_cost_no_decision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with opened(str(tmp_path / "g.db")) as gallery:
        gallery.add("alice", voice_of(1))
        monkeypatch.setattr(module, "_OFTEN", 0.0)
        gallery._engine._base.execute("PRAGMA query_only = ON")  # type: ignore[attr-defined]
        assert gallery.identify(person(1)).name == "alice"
        assert "what was compared is not counted" in capsys.readouterr().err
        gallery._engine._base.execute("PRAGMA query_only = OFF")  # type: ignore[attr-defined]
        assert gallery.identify(person(1)).name == "alice"
        assert gallery.profile("alice").compared == 1


def test_without_a_verifier_nobody_is_heard(here: str) -> None:
    with Gallery.open(here) as gallery:
        gallery.add("alice", voice_of(1))
        for call in (lambda: gallery.identify(person(1)), lambda: gallery.verify("alice", person(1))):
            with pytest.raises(GalleryError, match="opened without a verifier"):
                call()


def test_a_gallery_that_is_not_there_is_not_made(address: Address) -> None:
    with pytest.raises(GalleryError, match="no such gallery; `shortvox enroll` makes one"):
        Gallery.open(address("g"), create=False)


def test_threads_share_a_gallery(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with opened(str(tmp_path / "g.db")) as gallery, ThreadPoolExecutor(8) as pool:

        def work(seed: int) -> str | None:
            gallery.add(f"p{seed}", voice_of(seed))
            if seed % 4 == 0:
                gallery.remove(f"p{seed}")
            return gallery.identify(person(seed)).name

        found = [*pool.map(work, range(60))]
        assert found == [None if seed % 4 == 0 else f"p{seed}" for seed in range(60)]
        assert sum(each.compared for each in gallery.profiles()) >= 45
