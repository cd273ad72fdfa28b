"""Error rates of all encoders on one test, in the few figures that are kept and shown."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.degrade import degrade_corpus
from benchmarks.pretrained.plan import Plan

from shortvox.corpora.corpus import load_corpus
from shortvox.corpora.manifest import MANIFEST
from shortvox.corpora.speech import SpeechData
from shortvox.encoders.encoder import Encoder
from shortvox.errors import ScoreError
from shortvox.evaluation.evaluate import System, evaluate
from shortvox.evaluation.settings import TestSettings
from shortvox.evaluation.testset import TestSet
from shortvox.evaluation.triallist import only_tried, read_trials
from shortvox.files import write_json
from shortvox.progress import note

TRIALS = "test_trials.txt"
COST = "0.05"  # prior of targets in the minDCF that is shown


class Measuring:
    """Measures tests once and keeps each one's figures in `out/measured`, by all that decides them."""

    def __init__(self, plan: Plan, encoders: Mapping[str, Encoder], corpora: Path, out: Path, cache: Path) -> None:
        self.plan, self.encoders, self.corpora, self.out, self.cache = plan, encoders, corpora, out, cache

    def clean(self) -> dict[str, Any]:
        """Figures by test."""
        own = self.plan.clean
        settings = TestSettings(
            lengths=own.lengths, protocols=own.protocols, crop_seeds=own.crop_seeds, draws=self.plan.draws
        )
        return {
            name: self._measured(f"clean-{name}", self.open(self.corpora / name), settings) for name in self.plan.tests
        }

    def degraded(self) -> dict[str, Any]:
        """Figures by test and degradation; the copies of the tests are made where they are missing."""
        settings = self._one_sided(self.plan.degraded.lengths)
        found: dict[str, dict[str, Any]] = {name: {} for name in self.plan.degraded.tests}
        for kind in self.plan.degraded.kinds:
            for name in self.plan.degraded.tests:
                folder, clean = self.out / "corpora" / f"{name}-{kind}", self.corpora / name
                if not (folder / MANIFEST).exists():
                    noise = self.corpora / self.plan.degraded.noise if kind == "noise" else None
                    degrade_corpus(clean, folder, kind, noise=noise, trials=clean / TRIALS)
                found[name][kind] = self._measured(f"degraded-{name}-{kind}", self.open(folder), settings)
        return found

    def groups(self, languages: SpeechData | None) -> dict[str, Any]:
        """Figures by column, test and value: trials between people of one group. None for what is not known."""
        settings = self._one_sided(self.plan.groups.lengths)
        found: dict[str, Any] = {}
        for column in self.plan.groups.columns:
            by_test = {
                name: self._by(column, self.open(self.corpora / name), settings, name) for name in self.plan.tests
            }
            found[column] = {name: values for name, values in by_test.items() if values} or None
        if languages is not None:
            whole = TestSettings(max_nontarget=100_000_000)
            found["language"] = {
                languages.corpus.name: self._by("language", TestSet.make(languages, whole), settings, "languages")
            }
        return found

    def open(self, folder: Path) -> TestSet:
        corpus = load_corpus(folder)
        tried, trials = only_tried(corpus, read_trials(folder / TRIALS, corpus))
        return TestSet.make(SpeechData.open(tried, self.cache), TestSettings(), trials)

    def _one_sided(self, lengths: Sequence[str | float]) -> TestSettings:
        return TestSettings(lengths=tuple(lengths), protocols=("full-short",), draws=self.plan.draws)

    def _by(self, column: str, test: TestSet, settings: TestSettings, name: str) -> dict[str, Any]:
        values = np.array([utterance.column(column) for utterance in test.data.corpus.utterances])
        found = {}
        for value in sorted(set(values) - {""}):
            try:
                inside = test.trials.where((values[test.trials.enrol] == value) & (values[test.trials.test] == value))
            except ScoreError:  # nobody there to compare with
                note(f"{name}: {column} {value}: no target or no non-target trials; left out")
                continue
            found[str(value)] = self._measured(f"{column}-{name}-{value}", replace(test, trials=inside), settings)
        return found

    def _measured(self, name: str, test: TestSet, settings: TestSettings) -> dict[str, Any]:
        fingerprints = {name: encoder.fingerprint for name, encoder in self.encoders.items()}
        trials = [array.tolist() for array in (test.trials.enrol, test.trials.test, test.trials.label)]
        parts = [
            fingerprints,
            self.plan.pairs,
            test.data.corpus.fingerprint(),
            trials,
            settings.model_dump(mode="json"),
        ]
        key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
        path = self.out / "measured" / f"{name.replace('/', '_').replace(' ', '_')}.json"
        if path.exists() and (kept := json.loads(path.read_text(encoding="utf-8")))["key"] == key:
            return kept["figures"]
        note(f"{name}: {len(test.trials)} trials")
        systems = {name: System((encoder,)) for name, encoder in self.encoders.items()}
        found = evaluate(systems, test, settings, pairs=self.plan.pairs)
        figures = {one["protocol"]: short_form(one) for one in found.get("protocols", {"": found}).values()}
        write_json(path, {"key": key, "figures": figures})
        return figures


def short_form(found: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of one protocol's part of results.json."""
    systems = {
        name: {
            length: {
                "eer": one["eer"],
                "interval": one["intervals"]["eer"],
                "min_dcf": one["min_dcf"][COST],
                "min_dcf_interval": one["intervals"][f"min_dcf_{COST}"],
                "short_fraction": one["short_fraction"],
            }
            for length, one in system["lengths"].items()
        }
        for name, system in found["systems"].items()
    }
    kept = ("a", "b", "length", "difference", "interval", "p_holm", "significant", "indicative")
    comparisons = [{key: row[key] for key in kept} for row in found["comparisons"]]
    return {"trials": found["trials"], "bootstrap": found["bootstrap"], "systems": systems, "comparisons": comparisons}
