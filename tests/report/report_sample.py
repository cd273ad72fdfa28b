"""Made-up results in the shape of results.json. Test data only: nothing here was measured."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
from scipy.stats import norm

LENGTHS = ("full", "5", "3", "2", "1.5", "1")
SYSTEMS = (
    "teacher",
    "continued",
    "from-teacher",
    "frozen-fc",
    "random-from-teacher",
    "scratch-1s",
    "scratch-random",
    "scratch-2s",
)
BASE = {"full": 5.2, "5": 5.6, "3": 6.6, "2": 8.3, "1.5": 10.1, "1": 13.0}
FACTOR = dict(zip(SYSTEMS, (1.12, 1.02, 0.90, 0.91, 0.89, 0.97, 0.94, 1.0), strict=True))


def det_curve(eer: float) -> list[list[float]]:
    """Gaussian scores of equal variance with this EER."""
    threshold = np.linspace(-3, 3, 60)
    separation = -2 * norm.ppf(eer)
    alarms, misses = norm.sf(threshold + separation / 2), norm.cdf(threshold - separation / 2)
    return [[float(a), float(m)] for a, m in zip(alarms, misses, strict=True)]


DRAWS = 67_200


def compared(difference: float, half: float, n: int, speakers: int) -> dict[str, Any]:
    """One of `n` comparisons, corrected as if all had the same p."""
    p = max(2 / (DRAWS + 1), float(2 * norm.sf(abs(difference) / (half / 1.96))))
    adjusted = min(1.0, n * p)
    return {
        "difference": difference,
        "interval": [difference - half, difference + half],
        "p": p,
        "p_holm": adjusted,
        "significant": adjusted < 0.05 and speakers >= 20,
        "indicative": speakers < 20,
        "resolution": n * 2 / (DRAWS + 1),
    }


def measured(rng: np.random.Generator, name: str, length: str, harder: float, speakers: int) -> dict[str, Any]:
    seeds = [float(BASE[length] * harder * FACTOR[name] * rng.normal(1, 0.03) / 100) for _ in range(3)]
    eer = float(np.mean(seeds))
    short = {"5": 0.38, "3": 0.12}.get(length, 0.0)
    return {
        "eer": eer,
        "min_dcf": {"0.05": 4.4 * eer, "0.01": min(1.0, 6.6 * eer)},
        "act_dcf": {"0.05": 4.9 * eer, "0.01": min(1.0, 7.2 * eer)},
        "cllr": 3.4 * eer,
        "min_cllr": 3.1 * eer,
        "intervals": {"eer": [eer * 0.84, eer * 1.19], "min_dcf_0.05": [3.9 * eer, 5.0 * eer]},
        "indicative": speakers < 20,
        "n_target": 1520,
        "n_nontarget": 40000,
        "n_short": int(short * 390),
        "short_fraction": short,
        "long_only": {"eer": eer * 0.93 if short < 0.3 else None, "n_target": 900, "n_nontarget": 22000},
        "seeds": [
            {
                "seed": seed,
                "eer": value,
                "min_dcf": {"0.05": 4.4 * value},
                "crop_seeds": [value] if harder == 1 or length == "full" else [0.9 * value, value, 1.1 * value],
            }
            for seed, value in enumerate(seeds)
        ],
        "spread_degrees": float(18 + 260 * eer * FACTOR[name] ** 0.5),
        "det": det_curve(eer),
        "same_family": {"eer": eer * 1.3, "n_nontarget": 7000},
        "band_limited": {"eer": eer * 1.08},
    }


def protocol(seed: int, harder: float, speakers: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    systems: dict[str, Any] = {}
    for name in SYSTEMS:
        steps = 900 if name == "teacher" else 1350
        drift = {"continued": 6.1, "from-teacher": 14.8, "frozen-fc": 0.0, "random-from-teacher": 11.9}.get(name)
        systems[name] = {
            "total_steps": steps,
            "seconds_heard": 96.0 * steps * 1.5,
            "wall_seconds": 0.4 * steps,
            "fewer_steps": name == "teacher",
            "parameters": 614_912,
            "head_drift_degrees": drift,
            "head_drift_seeds": [] if drift is None else [drift * factor for factor in (0.97, 1.0, 1.03)],
            "validation": [
                {"step": step, "eer": float(0.08 + 0.3 * np.exp(-step / 300) * FACTOR[name])}
                for step in range(90, steps + 1, 90)
            ],
            "loss": [
                [step, float(1 + 8 * np.exp(-step / 350) * FACTOR[name] + rng.normal(0, 0.15))]
                for step in range(1, steps, 3)
            ],
            "lengths": {length: measured(rng, name, length, harder, speakers) for length in LENGTHS},
        }
    comparisons = []
    names = [(a, b, length) for a, b in combinations(SYSTEMS, 2) for length in LENGTHS]
    for a, b, length in names:
        at = systems[a]["lengths"][length], systems[b]["lengths"][length]
        comparisons.append(
            {
                "a": a,
                "b": b,
                "length": length,
                **compared(at[0]["eer"] - at[1]["eer"], 0.010, len(names), speakers),
                "trainings": 3,
                "min_dcf": {
                    "0.05": compared(at[0]["min_dcf"]["0.05"] - at[1]["min_dcf"]["0.05"], 0.04, len(names), speakers)
                },
            }
        )
    return {
        "systems": systems,
        "comparisons": comparisons,
        "bootstrap": {"draws": DRAWS, "over": "speakers and 3 trainings", "trainings": 3},
        "trials": {
            "note": "All ordered pairs across sessions; non-targets capped with seed 0.",
            "n_target": 1520,
            "n_nontarget": 40000,
            "speakers": speakers,
        },
    }


def shared(synthetic: bool = False) -> dict[str, Any]:
    return {
        "title": "Does freezing the classifier head help short speech?",
        "about": "A model trained on 2 s crops is adapted to 1 s crops, head trained or frozen. TEST DATA.",
        "synthetic": synthetic,
        "headline": {"a": "frozen-fc", "b": "from-teacher"},
        "corpus": {
            "train": {
                "speakers": 451,
                "utterances": 21500,
                "hours": 62.4,
                "sources": ["corpus-a", "corpus-b"],
            },
            "test": {"speakers": 40, "utterances": 390, "hours": 0.9, "sources": ["corpus-a"]},
            "licences": [{"package": "corpus-a", "licence": "CC BY 4.0", "speakers": ["anna", "ben"]}],
            "notes": [
                "Language and channel go with the speaker, so impostors are easier than in real use.",
                "Rows of made-up figures: this page exists to test its own layout.",
            ],
        },
        "notes_table": {
            "about": "Printed elsewhere, on other data.",
            "columns": list(LENGTHS),
            "rows": {
                "teacher (2 s)": [2.879, 3.118, 3.738, 4.793, 5.636, 8.075],
                "student (1 s)": [3.489, 3.680, 4.115, 4.857, 5.525, 7.338],
                "student from teacher": [2.805, 2.975, 3.441, 4.210, 4.973, 6.569],
                "same, FC frozen": [2.837, 2.985, 3.542, 4.242, 5.037, 6.591],
                "random 1–2 s": [None] * 6,
            },
        },
        "settings": {"seed": 0, "training": {"batch": 96, "optimiser": "adamw"}, "lengths": list(LENGTHS)},
        "command": "shortvox study frozen-fc --corpus DIR --out runs/study --seeds 3 --set steps.T=900",
        "version": "0.1.0",
        "date": "2026-11-20T10:00:00+00:00",
    }


def two_protocols(speakers: int = 40, synthetic: bool = False) -> dict[str, Any]:
    return {
        **shared(synthetic),
        "protocols": {"full-short": protocol(1, 1.0, speakers), "short-short": protocol(2, 1.45, speakers)},
    }


def one_protocol(speakers: int = 40) -> dict[str, Any]:
    return {**shared(), "protocol": "full-short", **protocol(1, 1.0, speakers)}


def small() -> dict[str, Any]:
    """One protocol cut down to the main pair and two lengths: quick to draw."""
    results, names, lengths = one_protocol(), ("from-teacher", "frozen-fc"), ("full", "1")
    results["systems"] = {
        name: {
            **results["systems"][name],
            "lengths": {length: results["systems"][name]["lengths"][length] for length in lengths},
        }
        for name in names
    }
    results["comparisons"] = [
        found
        for found in results["comparisons"]
        if found["a"] in names and found["b"] in names and found["length"] in lengths
    ]
    return results
