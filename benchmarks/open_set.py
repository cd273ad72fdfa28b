"""Does the rate of false alarms hold as a gallery grows? Strangers against galleries of 10 to 100 000 voices.

    python benchmarks/open_set.py --gallery corpora/many --test corpora/alphanumeric --out runs/open-set --cache audio

Voices of the gallery are one recording each of the speakers of --gallery. Where these are too few, voices are made:
random directions with the mean and covariance of the real ones, with as much speech. Tests are the recordings of --test
but the first of each speaker, cut to lengths of net speech. Its speakers are strangers to the gallery; for the tests of
who is found, each is in it with the first recording. Intervals (95 %) are over the test speakers.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from shortvox.corpora.corpus import load_corpus
from shortvox.corpora.crop import of_similar_length
from shortvox.corpora.speech import SpeechData
from shortvox.environment import environment
from shortvox.files import write_json
from shortvox.progress import note
from shortvox.scoring.amount import AmountCalibration
from shortvox.verification.policy import shared_rate
from shortvox.verification.speech import find_speech
from shortvox.verification.verifier import Verifier

SIZES = (10, 100, 1000, 10_000, 100_000)
LENGTHS = (0.5, 1.0, 2.0, 0.0)  # seconds of net speech of a test; 0 is all of it
DRAWS = 20  # galleries of a size
BLOCK = 20_000  # voices scored at once
RATE = 16_000


def embeddings(verifier: Verifier, waves: list[np.ndarray]) -> np.ndarray:
    found = np.empty((len(waves), verifier.encoder.dim), np.float32)
    for places in of_similar_length([len(one) for one in waves]):
        found[places] = verifier.encoder.embed([waves[place] for place in places])
    return found


def nets(data: SpeechData, places: list[int]) -> list[np.ndarray]:
    return [find_speech(data.store.read(at)).net for at in places]


def made(real: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Directions (count, dim) float32 distributed as the real ones are."""
    values, axes = np.linalg.eigh(np.cov(real.T.astype(np.float64)))
    drawn = rng.standard_normal((count, len(values))) * np.sqrt(np.maximum(values, 0))
    found = drawn @ axes.T + real.mean(axis=0, dtype=np.float64)
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def best(tests: np.ndarray, voices: np.ndarray) -> np.ndarray:
    """The highest cosine of each test (n, dim) with any voice."""
    found = np.full(len(tests), -1.0)
    for first in range(0, len(voices), BLOCK):
        found = np.maximum(found, (tests @ voices[first : first + BLOCK].T).max(axis=1))
    return found


def over_speakers(hit: np.ndarray, speakers: np.ndarray, rng: np.random.Generator) -> dict[str, Any]:
    """Share of hits (galleries, tests), with its interval over speakers of the tests."""
    names, place = np.unique(speakers, return_inverse=True)
    each = hit.mean(axis=0)
    total, many = np.bincount(place, each), np.bincount(place)
    drawn = rng.integers(0, len(names), (1000, len(names)))
    shares = total[drawn].sum(axis=1) / many[drawn].sum(axis=1)
    low, high = np.quantile(shares, (0.025, 0.975))
    return {"value": float(each.mean()), "low": float(low), "high": float(high)}


def measure(
    calibration: AmountCalibration,
    real: np.ndarray,
    seconds: float,
    tests: dict[float, tuple[np.ndarray, np.ndarray, np.ndarray]],
    own: np.ndarray,
    max_fpr: float,
) -> list[dict[str, Any]]:
    """Rows for all sizes and lengths. `tests` has embeddings, seconds and speakers, `own` centres of the test speakers
    in order of name; every voice counts as one recording of `seconds`."""
    rng = np.random.default_rng(7)
    rows = []
    for size in SIZES:
        kinds = ["real", "made"] if size <= 1.1 * len(real) else ["made"]
        for kind in kinds:
            draws = DRAWS if size <= 1000 else 2
            accepted: dict[float, list[np.ndarray]] = {length: [] for length in tests}
            found: dict[float, list[np.ndarray]] = {length: [] for length in tests}
            for _ in range(draws):
                voices = rng.permutation(real)[:size] if kind == "real" else made(real, size, rng)
                for length, (embedded, heard, speakers) in tests.items():
                    reliability = calibration.reliability(seconds, 1, heard)
                    line = calibration.accept(shared_rate(max_fpr, size), reliability)
                    line = np.maximum(line, calibration.score(0.0, reliability))
                    top = best(embedded, voices)
                    accepted[length].append(top >= line)
                    _, who = np.unique(speakers, return_inverse=True)
                    mine = np.einsum("ij,ij->i", embedded, own[who])
                    found[length].append((mine >= line) & (mine > top))
            for length, (_, _, speakers) in tests.items():
                rows.append(
                    {
                        "size": size,
                        "voices": kind,
                        "seconds": length or "whole",
                        "false_alarms": over_speakers(np.stack(accepted[length]), speakers, rng),
                        "found": over_speakers(np.stack(found[length]), speakers, rng),
                    }
                )
                note(f"{size} {kind} {length:g} s: {rows[-1]['false_alarms']['value']:.4f}")
    return rows


def picture(rows: list[dict[str, Any]], max_fpr: float, out: Path) -> None:
    style: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": "shortvox", "font.size": 9}
    with matplotlib.rc_context(style):
        figure = Figure(figsize=(8, 3.4), layout="constrained")
        for axes, key, label in zip(
            figure.subplots(1, 2),
            ("false_alarms", "found"),
            ("strangers taken for somebody, %", "found, of who is in it, %"),
            strict=True,
        ):
            for number, length in enumerate(dict.fromkeys(row["seconds"] for row in rows)):
                for kind, line in (("real", "-"), ("made", ":")):
                    chosen = [row for row in rows if (row["seconds"], row["voices"]) == (length, kind)]
                    at = [row["size"] * 1.08**number for row in chosen]
                    value = np.array([[row[key][name] for name in ("value", "low", "high")] for row in chosen]).T * 100
                    error = np.maximum((value[0] - value[1], value[2] - value[0]), 0)
                    name = f"{length} s" if length != "whole" else "whole"
                    axes.errorbar(
                        at, value[0], error, color=f"C{number}", ls=line, marker="o", ms=3, label=f"{name}, {kind}"
                    )
            axes.set(xscale="log", xlabel="voices in the gallery", ylabel=label, ylim=(0, None))
        figure.axes[0].axhline(100 * max_fpr, color="#777777", ls="--", lw=1)
        figure.axes[1].legend(frameon=False, fontsize=7, ncols=2)
        with (out / "open-set.svg").open("w", encoding="utf-8") as file:
            FigureCanvasSVG(figure).print_svg(file, metadata={"Date": None, "Creator": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="default")
    parser.add_argument("--gallery", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--speakers", type=int, default=1000)
    parser.add_argument("--max-fpr", type=float, default=0.01)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    verifier = Verifier.load(asked.model)
    many = SpeechData.open(load_corpus(asked.gallery), asked.cache)
    enough = round(1.5 * RATE)
    longest = [max(at, key=lambda place: many.store.lengths[place]) for at in many.corpus.by_speaker().values()]
    rng = np.random.default_rng(1)
    chosen = [at for at in rng.permutation(longest).tolist() if many.store.lengths[at] > 2 * enough][: asked.speakers]
    waves = [wave for wave in nets(many, chosen) if len(wave) >= enough]
    real = embeddings(verifier, waves)
    seconds = float(np.median([len(wave) for wave in waves])) / RATE
    note(f"{len(real)} voices of the gallery, {seconds:.1f} s of speech each in the median")
    strangers = SpeechData.open(load_corpus(asked.test), asked.cache)
    first = [at[0] for _, at in sorted(strangers.corpus.by_speaker().items())]
    own = embeddings(verifier, nets(strangers, first))
    rest = [at for _, places in sorted(strangers.corpus.by_speaker().items()) for at in places[1:]]
    spoken = nets(strangers, rest)
    names = np.array([strangers.corpus.utterances[at].speaker for at in rest])
    tests = {}
    for length in LENGTHS:
        cut = [wave[: round(length * RATE)] if length else wave for wave in spoken]
        keep = np.array([len(one) >= max(round(length * RATE), enough if not length else 0) for one in cut])
        kept = [one for one, good in zip(cut, keep, strict=True) if good]
        tests[length] = (embeddings(verifier, kept), np.array([len(one) / RATE for one in kept]), names[keep])
    rows = measure(verifier.calibration, real, seconds, tests, own, asked.max_fpr)
    asked.out.mkdir(parents=True, exist_ok=True)
    picture(rows, asked.max_fpr, asked.out)
    facts = {"encoder": verifier.encoder.name, "space": verifier.space.key, "max_fpr": asked.max_fpr, "rows": rows}
    write_json(asked.out / "open-set.json", {**facts, "real": len(real), "environment": environment()})
    print("| voices | kind | test | false alarms, % | found, % |\n|---|---|---|---|---|")
    for row in rows:
        cells = [
            f"{100 * row[key]['value']:.2f} ({100 * row[key]['low']:.2f}–{100 * row[key]['high']:.2f})"
            for key in ("false_alarms", "found")
        ]
        print("|", " | ".join([str(row["size"]), row["voices"], str(row["seconds"]), *cells]), "|")


if __name__ == "__main__":
    main()
