from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from shortvox.corpora.corpus import Corpus
from shortvox.corpora.utterance import Utterance
from shortvox.errors import ConfigError
from shortvox.frontend.filterbank import HOP
from shortvox.training.crops import FixedCrop, FullUtterance, RandomCrop, parse_crop
from shortvox.training.samplers import sampler
from shortvox.training.settings import TrainSettings

DOMAINS = TrainSettings(batch=2).model_copy(update={"sampler": "domains", "domain": "tongue"})


def corpus_of(counts: list[int], tongues: str = "ab") -> Corpus:
    """Speaker number n with counts[n] utterances, who speaks tongues[n], and so on in turn."""
    return Corpus(
        "made",
        Path("/"),
        tuple(
            Utterance(f"{s}-{u}", f"s{s}", Path(f"/{s}-{u}.wav"), extra=(("tongue", tongues[s % len(tongues)]),))
            for s, count in enumerate(counts)
            for u in range(count)
        ),
    )


@settings(max_examples=30, deadline=None)
@given(counts=st.lists(st.integers(1, 6), min_size=2, max_size=8), seed=st.integers(0, 99), epoch=st.integers(0, 5))
def test_every_utterance_once_an_epoch(counts: list[int], seed: int, epoch: int) -> None:
    draw = sampler["utterances"](corpus_of(counts), TrainSettings(seed=seed))
    size = sum(counts)
    assert sorted(draw(item) for item in range(epoch * size, (epoch + 1) * size)) == list(range(size))


@settings(max_examples=30, deadline=None)
@given(counts=st.lists(st.integers(1, 6), min_size=2, max_size=8), seed=st.integers(0, 99), epoch=st.integers(0, 5))
def test_every_speaker_once_an_epoch(counts: list[int], seed: int, epoch: int) -> None:
    corpus = corpus_of(counts)
    draw = sampler["speakers"](corpus, TrainSettings(seed=seed))
    drawn = [draw(item) for item in range(epoch * len(counts), (epoch + 1) * len(counts))]
    assert sorted(corpus.utterances[p].speaker for p in drawn) == sorted(corpus.speakers)


def test_speakers_utterances_are_drawn_alike() -> None:
    draw = sampler["speakers"](corpus_of([1, 4]), TrainSettings(seed=0))
    counts = Counter(draw(item) for item in range(4000))
    assert counts[0] == 2000
    assert all(400 < counts[position] < 600 for position in (1, 2, 3, 4))


@pytest.mark.parametrize("name", list(sampler))
def test_an_item_depends_on_seed_and_number_only(name: str) -> None:
    corpus = corpus_of([3, 2, 5, 4])
    forward, backward = (sampler[name](corpus, DOMAINS.model_copy(update={"seed": 4})) for _ in range(2))
    expected = [forward(item) for item in range(200)]
    assert [backward(item) for item in reversed(range(200))] == expected[::-1]
    other = sampler[name](corpus, DOMAINS.model_copy(update={"seed": 5}))
    assert [other(item) for item in range(200)] != expected


@settings(max_examples=30, deadline=None)
@given(
    counts=st.lists(st.integers(1, 6), min_size=3, max_size=9),
    seed=st.integers(0, 99),
    each=st.integers(2, 4),
    batch=st.integers(2, 3),
)
def test_a_balanced_batch_has_no_speaker_twice(counts: list[int], seed: int, each: int, batch: int) -> None:
    corpus = corpus_of(counts)
    draw = sampler["balanced"](corpus, TrainSettings(seed=seed, batch=batch, per_speaker=each, sampler="balanced"))
    seen: set[str] = set()
    for step in range(len(counts) // batch):  # one epoch
        drawn = [draw(item) for item in range(step * batch * each, (step + 1) * batch * each)]
        turns = [drawn[at : at + each] for at in range(0, len(drawn), each)]
        speakers = [{corpus.utterances[position].speaker for position in turn} for turn in turns]
        assert all(len(names) == 1 for names in speakers)
        names = set().union(*speakers)
        assert len(names) == batch
        assert not names & seen
        seen |= names
        for turn in turns:
            available = len(corpus.by_speaker()[corpus.utterances[turn[0]].speaker])
            assert len(set(turn)) == min(each, available)


def test_a_batch_of_the_domains_sampler_comes_from_one_domain_or_from_what_is_left_of_them() -> None:
    tongues = "aaaaaaabbbbbbbc"
    corpus = corpus_of([2] * len(tongues), tongues)
    chosen = DOMAINS.model_copy(update={"batch": 3, "per_speaker": 2})
    draw = sampler["domains"](corpus, chosen)
    orders = set()
    for epoch in range(5):
        batches = []
        for step in range(epoch * 5, epoch * 5 + 5):
            drawn = [draw(item) for item in range(step * 6, step * 6 + 6)]
            speakers = [corpus.utterances[position].speaker for position in drawn[::2]]
            assert [corpus.utterances[position].speaker for position in drawn[1::2]] == speakers
            batches.append(speakers)
        assert sorted(name for batch in batches for name in batch) == sorted(corpus.speakers)
        spoken = sorted("".join(sorted(tongues[int(name[1:])] for name in batch)) for batch in batches)
        assert spoken == ["aaa", "aaa", "abc", "bbb", "bbb"]
        orders.add(str(batches))
    assert len(orders) == 5


@pytest.mark.parametrize(("tongues", "told"), [("a", "only 'a'"), ([""], "nothing")])
def test_domains_have_to_be_there(tongues: str, told: str) -> None:
    with pytest.raises(ConfigError, match=f"made has {told} in its column 'tongue'; name a column"):
        sampler["domains"](corpus_of([2, 2, 2], tongues), DOMAINS)


def test_a_balanced_batch_needs_enough_speakers() -> None:
    with pytest.raises(ConfigError, match="batch of 4 speakers cannot be made of the 3 in made; lower batch"):
        sampler["balanced"](corpus_of([2, 2, 2]), TrainSettings(batch=4))


@pytest.mark.parametrize(
    ("text", "crop"),
    [
        ("2s", FixedCrop(2.0)),
        ("200f", FixedCrop(2.0)),
        ("1.5s", FixedCrop(1.5)),
        ("1-2s", RandomCrop(1.0, 2.0)),
        ("200-400f", RandomCrop(2.0, 4.0)),
        ("0.3-4s log", RandomCrop(0.3, 4.0, log=True)),
        ("2-2s", FixedCrop(2.0)),
        ("1f", FixedCrop(0.01)),
        ("full", FullUtterance()),
    ],
)
def test_crops_are_read(text: str, crop: object) -> None:
    assert parse_crop(text) == crop


@pytest.mark.parametrize("log", [False, True])
def test_the_law_of_random_lengths(log: bool) -> None:
    """Of 3 to 11 frames each is as likely as the next, or (log) n frames as likely as log((n + 1) / n)."""
    rng = np.random.default_rng(0)
    crop = RandomCrop(0.03, 0.11, log=log)
    drawn = np.array([crop.samples(rng) for _ in range(20_000)])
    frames = np.arange(3, 12)
    counts = np.array([(drawn == HOP * n).sum() for n in frames])
    assert counts.sum() == len(drawn)
    law = np.log((frames + 1) / frames) if log else np.ones(len(frames))
    assert chisquare(counts, len(drawn) * law / law.sum()).pvalue > 0.01


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2",
        "s",
        "-1s",
        "2 s",
        "two",
        "1-s",
        "2-1s",
        "0s",
        "0.5f",
        "1-2",
        "nans",
        "2m",
        "2s log",
        "full log",
        "1-2slog",
    ],
)
def test_crops_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="crop: ") as raised:
        parse_crop(text)
    assert repr(text) in str(raised.value)
    assert "\n" not in str(raised.value)
