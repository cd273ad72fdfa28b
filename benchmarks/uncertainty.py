"""Does a network's own estimate of how sure it is of a crop know more than the amount of speech in it?

    python benchmarks/uncertainty.py --train pretrain --test librispeech_test alphanumeric --noise NOISE

A layer on raw embeddings of a frozen model learns from crops of net speech, clean and augmented, how far from the
embedding of the whole clean utterance each lies. On other speakers it is compared with seconds of speech: how well they
predict the distance; what a calibration that knows of them, fitted on one test and applied to the other, makes of
trials of mixed crops; what they are worth as weights when three crops are averaged to an enrolment. Intervals (95 %)
are over speakers, of paired differences.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from degrade import DEGRADATIONS, ROOMS
from scipy.stats import spearmanr
from sklearn.linear_model import LogisticRegression
from torch import nn

from shortvox.box import model_path
from shortvox.corpora.corpus import load_corpus
from shortvox.corpora.crop import of_similar_length
from shortvox.corpora.speech import SpeechData
from shortvox.evaluation.bootstrap import SpeakerResampling, bootstrap_metrics, draw_speakers, interval
from shortvox.evaluation.metrics import cllr, eer
from shortvox.frontend.augment import Augmenter, AugmentSettings
from shortvox.models.folder import load_model
from shortvox.models.speaker_model import SpeakerModel
from shortvox.studies.catalogue import load_study
from shortvox.training.teachers import Uncertainty
from shortvox.verification.speech import find_speech

RATE = 16_000
SHORTEST, LONGEST = 0.3, 3.0  # seconds of a crop, whose logarithm is drawn evenly
WHOLE = 10.0  # seconds of an utterance that are heard at most
CROPS = 6  # of an utterance, every second one clean
TRIALS = 20_000  # of each side at most
STEPS, RATE_OF_LEARNING, HIDDEN = 400, 0.01, 32
KINDS = ("room", "playback", "noise", "babble", "telephone", "opus", "overload", "loss")

Spoil = Callable[[np.ndarray, int, np.random.Generator], np.ndarray]


@dataclass(frozen=True, eq=False)
class Heard:
    """Crops (n,) of a corpus: raw embeddings (n, dim), and 1 - cos to the embedding of the whole clean utterance."""

    speakers: np.ndarray
    utterances: np.ndarray
    seconds: np.ndarray
    clean: np.ndarray
    raw: np.ndarray
    distances: np.ndarray

    @property
    def units(self) -> np.ndarray:
        return unit(self.raw)


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def encoded(model: SpeakerModel, waves: list[np.ndarray]) -> np.ndarray:
    found = np.empty((len(waves), model.backbone.dim))
    for places in of_similar_length([len(wave) for wave in waves]):
        lengths = torch.tensor([len(waves[place]) for place in places])
        padded = nn.utils.rnn.pad_sequence([torch.from_numpy(waves[place]) for place in places], batch_first=True)
        with torch.inference_mode():
            found[places] = model.encode(padded, lengths).numpy()
    return found


def hear(model: SpeakerModel, data: SpeechData, per_speaker: int, spoil: Spoil, rng: np.random.Generator) -> Heard:
    """CROPS of the net speech of at most `per_speaker` utterances of each speaker."""
    chosen = [p for at in data.corpus.by_speaker().values() for p in rng.permutation(at)[:per_speaker].tolist()]
    wholes, crops, rows = [], [], []
    for position in chosen:
        net = find_speech(data.store.read(position), "energy").net[: round(WHOLE * RATE)]
        if len(net) < 2 * SHORTEST * RATE:
            continue
        for number in range(CROPS):
            drawn = np.exp(rng.uniform(np.log(SHORTEST), np.log(min(LONGEST, len(net) / RATE))))
            start = int(rng.integers(0, len(net) - (samples := int(drawn * RATE)) + 1))
            crop = net[start : start + samples]
            crops.append(spoil(crop, position, rng).astype(np.float32) if number % 2 else crop)
            rows.append((data.corpus.utterances[position].speaker, len(wholes), samples / RATE, number % 2 == 0))
        wholes.append(net)
    speakers, utterances, seconds, clean = (np.array(column) for column in zip(*rows, strict=True))
    raw, targets = encoded(model, crops), unit(encoded(model, wholes))
    distances = 1 - np.einsum("ij,ij->i", unit(raw), targets[utterances])
    return Heard(speakers, utterances, seconds, clean, raw, distances)


def curve(values: np.ndarray) -> np.ndarray:
    """What a parabola in the logarithm is made of, (n, 2)."""
    return np.stack([np.log(values), np.log(values) ** 2], axis=1)


PREDICTORS: dict[str, tuple[Callable[[Heard], np.ndarray], int]] = {  # features, and units of a hidden layer
    "seconds": (lambda heard: curve(heard.seconds), 0),
    "length": (lambda heard: curve(np.linalg.norm(heard.raw, axis=1)), 0),
    "layer": (lambda heard: heard.raw, 0),
    "layer, seconds": (lambda heard: np.hstack([heard.raw, curve(heard.seconds)]), 0),
    "two layers, seconds": (lambda heard: np.hstack([heard.raw, curve(heard.seconds)]), HIDDEN),
    "seconds, told whether clean": (lambda heard: np.hstack([curve(heard.seconds), heard.clean[:, None]]), 0),
}


def learn(features: np.ndarray, distances: np.ndarray, watched: np.ndarray, hidden: int) -> Callable:
    """Features (n, k) -> expected distances (n,), by the loss of a training; of all steps the best for `watched`."""
    torch.manual_seed(0)
    mean, deviation = features.mean(axis=0), features.std(axis=0)

    def scaled(x: np.ndarray) -> torch.Tensor:
        return torch.from_numpy((x - mean) / deviation).float()

    wide = features.shape[1]
    net = nn.Sequential(nn.Linear(wide, hidden), nn.ReLU(), Uncertainty(hidden)) if hidden else Uncertainty(wide)
    optimiser = torch.optim.AdamW(net.parameters(), lr=RATE_OF_LEARNING)
    inputs, wanted, held = scaled(features), torch.from_numpy(distances).float(), torch.from_numpy(watched)
    best, kept = np.inf, net.state_dict()
    for _ in range(STEPS):
        expected = net(inputs)
        losses = wanted / expected + expected.log()
        if (now := float(losses[held].detach().mean())) < best:
            best, kept = now, {name: tensor.clone() for name, tensor in net.state_dict().items()}
        optimiser.zero_grad()
        losses[~held].mean().backward()
        optimiser.step()
    net.load_state_dict(kept)
    return lambda x: net(scaled(x)).detach().numpy().astype(np.float64)


def drawn_trials(same: np.ndarray, fair: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Rows, columns and labels of fair trials, at most TRIALS of targets and of others."""
    chosen = np.concatenate([rng.permutation(np.argwhere(fair & side))[:TRIALS] for side in (same, ~same)])
    return *chosen.T, same[tuple(chosen.T)]


def drawn_cllrs(llrs: np.ndarray, drawn: SpeakerResampling) -> np.ndarray:
    """Cllr of every draw of speakers."""
    counts, sides = drawn.counts.astype(np.float64), []
    for at, sign in ((drawn.label, -1), (~drawn.label, 1)):
        weights = counts[drawn.first[at]] * (1 if sign < 0 else counts[drawn.second[at]])
        sides.append(np.logaddexp(0, sign * llrs[at]) @ weights / weights.sum(axis=0) / np.log(2))
    return (sides[0] + sides[1]) / 2


def show(title: str, found: dict[str, dict[str, tuple[float, np.ndarray]]]) -> None:
    """Figures by system, and of each but the first system the interval of its difference from the first's."""
    figures = list(next(iter(found.values())))
    print(f"\n| {title} |", " | ".join(figures), "|\n|---" + "|---" * len(figures) + "|")
    base = None
    for name, values in found.items():
        base = base or values
        cells = []
        for figure, (value, draws) in values.items():
            low, high = interval(draws - base[figure][1])
            cells.append(f"{value:.3f}" + ("" if values is base else f" ({low:+.3f} to {high:+.3f})"))
        print(" | ".join([f"| {name}", *cells]), "|")


def calibrated(tests: dict[str, Heard], expected: dict[str, dict[str, np.ndarray]], rng: np.random.Generator) -> None:
    """Trials of mixed crops by a logistic regression of cosine, expected cosine and their product."""
    designs: dict[str, dict[str, np.ndarray]] = {system: {} for system in (*PREDICTORS, "cosine alone")}
    trials = {}
    for test, heard in tests.items():
        same = heard.speakers[:, None] == heard.speakers
        fair = np.triu(heard.utterances[:, None] != heard.utterances)
        first, second, label = drawn_trials(same, fair, rng)
        trials[test] = label, draw_speakers(heard.speakers[first], heard.speakers[second], label)
        cosines = np.einsum("ij,ij->i", heard.units[first], heard.units[second])
        for system in designs:
            near = 1 - expected[test][system] if system in PREDICTORS else np.zeros(len(heard.raw))
            likely = near[first] * near[second]  # the cosine of one speaker, but for what differs between utterances
            designs[system][test] = np.stack([cosines, likely, cosines * likely], axis=1)
    for fitted, test in (tuple(tests), tuple(tests)[::-1]):
        label, drawn = trials[test]
        found = {}
        for system, design in designs.items():
            told = LogisticRegression(C=1e4, class_weight="balanced", max_iter=1000)
            llrs = told.fit(design[fitted], trials[fitted][0]).decision_function(design[test])
            found[system] = {
                "Cllr": (cllr(llrs, label), drawn_cllrs(llrs, drawn)),
                "EER, %": (100 * eer(llrs, label), 100 * bootstrap_metrics(llrs, label, drawn)["eer"]),
            }
        show(f"fitted on {fitted}, applied to {test}", found)


def enrolled(test: str, heard: Heard, expected: dict[str, np.ndarray], rng: np.random.Generator) -> None:
    """Three crops of three utterances averaged to an enrolment, weighted by one over their expected distance."""
    sets = []
    for speaker in np.unique(heard.speakers):
        own = np.flatnonzero(heard.speakers == speaker)
        for _ in range(20 if len(np.unique(heard.utterances[own])) > 3 else 0):  # another is tested
            mixed = rng.permutation(own)
            one_each = np.unique(heard.utterances[mixed], return_index=True)[1]
            sets.append(rng.permutation(mixed[one_each])[:3])
    chosen = np.array(sets)
    same = heard.speakers[chosen[:, 0]][:, None] == heard.speakers
    fair = ~(heard.utterances[chosen][:, :, None] == heard.utterances).any(axis=1)
    row, tested, label = drawn_trials(same, fair, rng)
    drawn = draw_speakers(heard.speakers[chosen[row, 0]], heard.speakers[tested], label)
    found = {}
    for system, far in {"equally": np.ones(len(heard.raw)), **expected}.items():
        centres = unit(np.einsum("nk,nkd->nd", 1 / far[chosen], heard.units[chosen]))
        scores = np.einsum("ij,ij->i", centres[row], heard.units[tested])
        found[system] = {"EER, %": (100 * eer(scores, label), 100 * bootstrap_metrics(scores, label, drawn)["eer"])}
    show(f"three crops of {test}", found)


def compare(train: Heard, tests: dict[str, Heard]) -> None:
    """All tables, from crops of training speakers and of two tests."""
    rng = np.random.default_rng(2)
    names = np.unique(train.speakers)
    watched = np.isin(train.speakers, rng.permutation(names)[: len(names) // 5])
    known = {name: learn(make(train), train.distances, watched, wide) for name, (make, wide) in PREDICTORS.items()}
    expected = {
        test: {name: known[name](make(heard)) for name, (make, _) in PREDICTORS.items()}
        for test, heard in tests.items()
    }
    for test, heard in tests.items():
        print(
            f"\n{test}: {len(heard.raw)} crops, mean distance {heard.distances[heard.clean].mean():.3f} clean,", end=" "
        )
        print(f"{heard.distances[~heard.clean].mean():.3f} degraded\n")
        print("| rank correlation, R² | clean | degraded | all |\n|---|---|---|---|")
        for name, values in expected[test].items():
            cells = []
            for part in (heard.clean, ~heard.clean, np.ones_like(heard.clean)):
                real, said = heard.distances[part], values[part]
                explained = 1 - ((real - said) ** 2).mean() / real.var()
                cells.append(f"{spearmanr(real, said).statistic:.2f}, {explained:.2f}")
            print(" | ".join([f"| {name}", *cells]) + " |")
    calibrated(tests, expected, rng)
    for test, heard in tests.items():
        enrolled(test, heard, expected[test], rng)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="default")
    parser.add_argument("--train", type=Path, required=True, help="corpus of many speakers")
    parser.add_argument("--test", type=Path, nargs=2, required=True, help="two corpora of others")
    parser.add_argument("--noise", type=Path, required=True, help="folder of noise")
    parser.add_argument("--speakers", type=int, default=800, help="to learn from, with an utterance each")
    parser.add_argument("--utterances", type=int, default=6, help="of a test speaker at most")
    parser.add_argument("--cache", type=Path)
    asked = parser.parse_args()
    if asked.utterances < 4:
        parser.error("--utterances: expected 4 or more, three to enrol and one to test")
    compare(*heard_corpora(asked))


def heard_corpora(asked: argparse.Namespace) -> tuple[Heard, dict[str, Heard]]:
    rng = np.random.default_rng(1)
    model = load_model(model_path(asked.model))
    data = SpeechData.open(load_corpus(asked.train), asked.cache)
    some = set(rng.permutation(data.corpus.speakers)[: asked.speakers].tolist())
    data = data.select(lambda u: u.speaker in some)
    training = load_study("adapt").settings.train.augment
    drawn = training.model_copy(update={"probability": 1.0, "noise": (asked.noise,)})
    train = hear(model, data, 1, Augmenter(drawn, data.corpus, data.store, seed=0), rng)
    tests = {}
    for folder in asked.test:
        data = SpeechData.open(load_corpus(folder), asked.cache)
        settings = AugmentSettings(kinds=(), noise=(asked.noise,), rooms=ROOMS)
        augmenter = Augmenter(settings, data.corpus, data.store, seed=1)

        def degraded(
            crop: np.ndarray, position: int, rng: np.random.Generator, by: Augmenter = augmenter
        ) -> np.ndarray:
            how = DEGRADATIONS[KINDS[rng.integers(len(KINDS))]]
            return how.apply(by, crop, position, how.level or 0.0, rng)

        tests[folder.name] = hear(model, data, asked.utterances, degraded, rng)
    return train, tests


if __name__ == "__main__":
    main()
