from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from shortvox.corpora.corpus import Corpus
from shortvox.corpora.utterance import Utterance
from shortvox.errors import ConfigError
from shortvox.evaluation.protocols import SideCrops, length_samples, parse_lengths, protocol

LENGTHS = np.array([48_000, 16_001, 16_000, 15_999, 160], dtype=np.int64)


@dataclass(frozen=True)
class Lengths:
    """A store without audio: cutting asks for nothing but lengths."""

    lengths: np.ndarray

    def read(self, position: int, start: int = 0, samples: int | None = None) -> np.ndarray:
        raise AssertionError("cutting must not read audio")


def corpus_of(names: list[str]) -> Corpus:
    return Corpus("c", Path("/c"), tuple(Utterance(name, name[0], Path(f"/c/{name}.wav")) for name in names))


CORPUS = corpus_of(["a1", "a2", "b1", "b2", "c1"])


def cut(name: str, length: str, seeds: int = 5) -> list[SideCrops]:
    return protocol[name].cut(CORPUS, Lengths(LENGTHS), length, seeds)


def test_full_short_keeps_the_enrolment_whole_and_takes_the_centre_of_the_test() -> None:
    (sides,) = cut("full-short", "1")
    assert [(crop.start, crop.samples) for crop in sides.enrol] == [(0, n) for n in LENGTHS]
    assert [(crop.start, crop.samples) for crop in sides.test] == [
        (16_000, 16_000),
        (0, 16_000),
        (0, 16_000),
        (0, 15_999),
        (0, 160),
    ]
    assert [crop.position for crop in sides.test] == [0, 1, 2, 3, 4]


def test_short_short_cuts_both_sides_inside_the_file() -> None:
    cuts = cut("short-short", "1")
    assert len(cuts) == 5
    for sides in cuts:
        assert sides.enrol == sides.test
        for crop, available in zip(sides.test, LENGTHS, strict=True):
            assert crop.samples == min(16_000, available)
            assert 0 <= crop.start <= available - crop.samples
    assert len({sides.test[0].start for sides in cuts}) == 5  # a seed is another place


def test_a_random_crop_depends_on_seed_and_utterance_id_only() -> None:
    names = [utterance.id for utterance in CORPUS.utterances]
    backwards = protocol["short-short"].cut(corpus_of(names[::-1]), Lengths(LENGTHS[::-1]), "1", 3)
    alone = protocol["short-short"].cut(corpus_of(names[:1]), Lengths(LENGTHS[:1]), "1", 3)
    for sides, reversed_sides, alone_sides in zip(cut("short-short", "1", 3), backwards, alone, strict=True):
        places = [(crop.start, crop.samples) for crop in sides.test]
        assert places == [(crop.start, crop.samples) for crop in reversed_sides.test][::-1]
        assert places[:1] == [(crop.start, crop.samples) for crop in alone_sides.test]


@pytest.mark.parametrize("name", ["full-short", "short-short"])
def test_full_length_is_the_whole_file_on_both_sides_and_needs_one_seed(name: str) -> None:
    (sides,) = cut(name, "full")
    assert sides.enrol == sides.test
    assert [(crop.start, crop.samples) for crop in sides.test] == [(0, n) for n in LENGTHS]


def test_lengths() -> None:
    assert parse_lengths("full, 5,1.50,1s,5.0,full") == ("full", "5", "1.5", "1")
    assert parse_lengths(["full", 2, 0.01]) == ("full", "2", "0.01")
    assert length_samples("1.5") == 24_000


@pytest.mark.parametrize("text", ["", "full,", "0", "0.005", "-1", "nan", "inf", "abc", "1e9", "3600"])
def test_what_is_no_length(text: str) -> None:
    with pytest.raises(ConfigError, match="lengths: "):
        parse_lengths(text)


def test_an_unknown_protocol_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'full-short'"):
        protocol["full-shrt"]
