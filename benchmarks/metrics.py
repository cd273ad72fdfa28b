"""EER and minDCF of ten million scores against scikit-learn's `roc_curve`; `shortvox metrics` on millions of trials.

`python benchmarks/metrics.py`: ratios at two shares of targets, checked against the peer before they are timed. Then
seconds of processor time and peak memory of the whole command on 3.5 million trials of 1251 speakers, as TSV.
"""

from __future__ import annotations

import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_curve
from spending import spent_by
from timing import ratio

from shortvox.evaluation.metrics import Sides

SCORES = 10_000_000
TRIALS = 3_500_000
SPEAKERS, EACH = 1251, 6


def scores(share: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    label = rng.random(SCORES) < share
    return rng.standard_normal(SCORES) + 2.0 * label, label


def both(score: np.ndarray, label: np.ndarray) -> tuple[float, float]:
    sides = Sides.of(score, label)
    return sides.eer(), sides.min_dcf(0.05)


def peer(score: np.ndarray, label: np.ndarray) -> tuple[float, float]:
    """What follows from the peer's curve; only the curve is timed."""
    false_alarm, hit, _ = roc_curve(label, score)
    miss = 1 - hit
    after = int(np.argmax(false_alarm >= miss))
    low, high = (miss - false_alarm)[[after - 1, after]]
    eer = miss[after - 1] + (miss[after] - miss[after - 1]) * low / (low - high)
    return float(eer), float((0.05 * miss + 0.95 * false_alarm).min() / 0.05)


def write_trials(folder: Path) -> None:
    """A score file of VoxCeleb-like names and its utt2spk."""
    rng = np.random.default_rng(0)
    owner = np.repeat(np.arange(SPEAKERS), EACH)
    names = [f"id{10000 + who}/{number:06d}abcd/{number % 37:05d}.wav" for number, who in enumerate(owner)]
    target = np.argwhere((owner[:, None] == owner[None]) & ~np.eye(len(owner), dtype=bool)).T
    other = rng.integers(len(owner), size=(2, TRIALS - target.shape[1]))
    pairs = np.concatenate([target, other[:, owner[other[0]] != owner[other[1]]]], axis=1)
    label = owner[pairs[0]] == owner[pairs[1]]
    score = 0.2 * rng.standard_normal(len(label)) + 0.5 * label
    with (folder / "scores.tsv").open("w") as file:
        file.write("enrol\ttest\tscore\tlabel\n")
        rows = zip(*pairs.tolist(), score.tolist(), label.tolist(), strict=True)
        file.writelines(f"{names[a]}\t{names[b]}\t{value:.6f}\t{int(said)}\n" for a, b, value, said in rows)
    (folder / "utt2spk").write_text(
        "".join(f"{name} id{10000 + who}\n" for name, who in zip(names, owner, strict=True))
    )


def main() -> None:
    for share in (0.5, 0.01):
        score, label = scores(share)
        assert np.allclose(both(score, label), peer(score, label), atol=1e-9)
        faster = ratio(partial(both, score, label), partial(roc_curve, label, score), rounds=3)
        print(f"10^7 scores, {share:.0%} targets: {faster:.1f} x the speed of scikit-learn's roc_curve")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_trials(folder)
        command = [sys.executable, "-m", "shortvox", "metrics", str(folder / "scores.tsv")]
        spent = spent_by([*command, "--speakers", str(folder / "utt2spk"), "--json"])
        print(
            f"shortvox metrics, 3.5 x 10^6 trials: {spent.seconds:.1f} s of processor, peak {spent.memory / 1e9:.2f} GB"
        )


if __name__ == "__main__":
    main()
