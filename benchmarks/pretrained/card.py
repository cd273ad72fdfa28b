"""`card.md` of a model in the box, out of what its trainings and the comparison wrote: no figure is typed by hand.

    python -m benchmarks.pretrained.card --name default --results runs/pretrained/pretrained.json \\
        --export src/shortvox/box/default --training runs/a --training runs/b --train corpora/train \\
        --licences corpora/README.md --made-of words_en=speech_commands --origin models/campplus --out card.md
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.pretrained.tables import Table, length_name, rate, tables

from shortvox.config import read_yaml
from shortvox.corpora.corpus import load_corpus
from shortvox.corpora.utterance import Utterance
from shortvox.environment import where_it_ran
from shortvox.errors import ConfigError, CorpusError, in_one_line
from shortvox.files import write_text
from shortvox.models.folder import load_model
from shortvox.textfiles import read_text

SHORT = ("0.3", "0.5", "1")  # lengths that the weak points are told of
USES = """\
- It compares voices; it does not tell who somebody is without an enrolment, nor what is said.
- It is no protection against recordings that are played back, nor against synthetic or converted voices.
- Do not use it to find, follow or identify people who have not agreed to it, and do not let it decide alone about
  access, work, money, health or the law.
- A threshold is the user's: choose it on speech like that which it will hear."""
COMMON_VOICE = """\
Common Voice ids are accounts: a training saw pseudonymous ids only, and nobody tried to find out who a speaker is, as
its terms ask. One or two in a hundred may be one person under two ids."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", required=True, help="of the model, as the comparison calls it")
    parser.add_argument("--results", type=Path, required=True, help="pretrained.json of the comparison")
    parser.add_argument("--export", type=Path, required=True, help="folder that `export` made")
    parser.add_argument("--training", type=Path, action="append", required=True, help="a training it is made of")
    parser.add_argument("--mean", type=Path, help="folder that mean_of_models.py made of them, where it did")
    parser.add_argument("--train", type=Path, required=True, help="corpus of these trainings")
    parser.add_argument("--licences", type=Path, required=True, help="README.md with a row for each corpus")
    parser.add_argument("--made-of", action="append", default=[], metavar="FOLDER=CORPUS", help="a corpus derived")
    parser.add_argument("--origin", type=Path, help="folder of the model it began as; without, random weights")
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    try:
        derived = dict(text.split("=", 1) for text in asked.made_of)
        results = json.loads(read_text(asked.results, ConfigError, "the results of a comparison"))
        if asked.name not in results["encoders"]:
            raise ConfigError(f"{asked.results}: no encoder '{asked.name}'; it has {', '.join(results['encoders'])}")
        report = json.loads(read_text(asked.export / "export.json", ConfigError, "what `export` wrote"))
        sections = [
            f"# {asked.name}",
            *_what(report, asked.origin),
            *_trainings(asked.training, asked.mean),
            *_data(asked.train, asked.licences, derived),
            *_figures(asked.name, results),
            "## What it is bad at",
            "\n".join(f"- {line}" for line in weak_points(asked.name, results)),
            "## What it must not be used for",
            USES,
        ]
        write_text(asked.out, "\n\n".join(sections) + "\n")
    except Exception as error:
        if (told := in_one_line(error)) is None:
            raise
        print(told, file=sys.stderr)
        sys.exit(2)


def _what(report: Mapping[str, Any], origin: Path | None) -> Iterator[str]:
    began = "random weights" if origin is None else first_line(origin / "card.md")
    sizes = ", ".join(
        f"`{file}` {one['bytes'] / 1e6:.1f} MB ({one['precision']})" for file, one in report["graphs"].items()
    )
    yield "\n".join(
        [
            f"- backbone {report['backbone']}, {report['parameters']:,} parameters, {report['dim']} dimensions",
            f"- began as: {began}",
            f"- graph: {sizes}; fingerprint {report['fingerprint']}",
            "- input: speech at 16 kHz, from 0.3 s up; output: an embedding of unit length; compare by cosine",
        ]
    )


def _trainings(folders: Sequence[Path], mean: Path | None) -> Iterator[str]:
    yield "## How it was trained"
    rows = []
    teachers: dict[str, str] = {}
    names = {load_model(folder).fingerprint(with_head=True): folder.name for folder in folders}
    for folder in folders:
        training = read_yaml(folder / "training.yaml")
        settings, init = training["settings"], names.get(training["identity"]["init"])
        history = json.loads(read_text(folder / "training.json", ConfigError, "a training's history"))
        for name, teacher in settings["teachers"].items():
            told = f"hears {teacher['hears']}, target: {teacher.get('target', 'utterance')}"
            teachers[f"{name}: {first_line(Path(teacher['model']) / 'card.md')}"] = told
        rows.append(
            (
                folder.name if init is None else f"{folder.name}, from {init}",
                f"{history['step']} x {settings['batch']}",
                settings["crop"],
                str(settings["seed"]),
                f"{history['seconds_heard'] / 3600:.1f}",
                f"{history['wall_seconds'] / 3600:.1f}",
                where_it_ran(history.get("earlier", ()), history["environment"]),
            )
        )
    header = ("training", "steps x speakers", "crops", "seed", "hours heard", "hours of time", "on")
    if mean is not None:
        title = f"{first_line(mean / 'card.md')}."
    elif len(rows) == 1:
        title = "One training."
    else:
        raise ConfigError(f"--training: {len(rows)} are given; name with --mean what was made of them")
    yield Table(title, header, tuple(rows)).markdown()
    if teachers:
        yield "Teachers: " + "; ".join(f"{name} ({told})" for name, told in teachers.items()) + "."


def _data(train: Path, licences: Path, derived: Mapping[str, str]) -> Iterator[str]:
    yield "## Data"
    known = licence_table(licences)
    parts: dict[str, list[Utterance]] = defaultdict(list)
    corpus = load_corpus(train)
    for u in corpus.utterances:
        parts[u.path.relative_to(corpus.root).parts[0]].append(u)
    rows = []
    for folder, own in sorted(parts.items()):
        source = derived.get(folder, folder)
        if source not in known:
            raise CorpusError(f"{licences}: no row for {source}, which {train} has speech of; add it, or --made-of")
        hours = sum(u.duration or 0.0 for u in own) / 3600
        what, licence = known[source]
        rows.append((source, str(len({u.speaker for u in own})), str(len(own)), f"{hours:.1f}", what, licence))
    total = sum(u.duration or 0.0 for u in corpus.utterances) / 3600
    title = f"{len(corpus.speakers)} speakers, {len(corpus)} utterances, {total:.1f} h in all."
    yield Table(title, ("corpus", "speakers", "utterances", "hours", "what it is", "licence"), tuple(rows)).markdown()
    if any("common voice" in row[4].lower() for row in rows):
        yield COMMON_VOICE


def _figures(name: str, results: Mapping[str, Any]) -> Iterator[str]:
    yield "## How good it is"
    yield (
        "Intervals of 95 % resample speakers. Differences in bold are significant after Holm's correction. Nobody in "
        "these tests was in a training; the Common Voice speakers watched them. They are development tests: settings "
        "were chosen by such figures, which flatters a model."
    )
    yield from (table.markdown() for table in tables(among(results, [name, results["plan"]["half_of"]])))
    for column, found in (results.get("groups") or {}).items():
        if found is None:
            yield f"By {column}: not known; no test corpus tells it."


def among(results: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """The results of these encoders alone."""

    def kept(value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        if "systems" in value and "comparisons" in value:
            systems = {name: own for name, own in value["systems"].items() if name in names}
            pairs = [row for row in value["comparisons"] if row["a"] in names and row["b"] in names]
            return {**value, "systems": systems, "comparisons": pairs}
        return {key: kept(inner) for key, inner in value.items()}

    found = {part: kept(results.get(part)) for part in ("clean", "degraded", "groups")}
    speed = results.get("speed")
    if speed:
        peers = list(speed["ratios_to"])
        found["speed"] = {
            **speed,
            "encoders": {name: one for name, one in speed["encoders"].items() if name in {*names, *peers}},
        }
    return found


def weak_points(name: str, results: Mapping[str, Any]) -> Iterator[str]:
    """The worst of its own figures, in words."""
    for test, by_protocol in (results.get("clean") or {}).items():
        own = by_protocol.get("short-short", {}).get("systems", {}).get(name, {})
        told = [f"{rate(own[length])} % at {length_name(length)}" for length in SHORT if length in own]
        if told:
            yield f"both sides short, on {test}: EER {', '.join(told)}"
    for test, by_kind in (results.get("degraded") or {}).items():
        length = "1"
        found = [
            (one["full-short"]["systems"][name][length]["eer"], kind, one["full-short"]["systems"][name][length])
            for kind, one in by_kind.items()
            if length in one["full-short"]["systems"][name]
        ]
        worst = [f"{kind} {rate(one)} %" for _, kind, one in sorted(found, reverse=True, key=lambda row: row[0])[:3]]
        if worst:
            yield f"heard through a bad channel, 1 s of {test}: EER with {', '.join(worst)}"
    for column, by_test in (results.get("groups") or {}).items():
        for test, by_value in (by_test or {}).items():
            found = [(value, one["full-short"]["systems"][name].get("1")) for value, one in by_value.items()]
            rates = [f"{value} {rate(one)} %" for value, one in found if one]
            if len(rates) > 1:
                yield f"people of one {column} among themselves, 1 s of {test}: EER {', '.join(rates)}"


def licence_table(readme: Path) -> dict[str, tuple[str, str]]:
    """(what it is, licence) by folder, of the README's table `| `folder` | … | what | licence |`."""
    rows = {}
    for line in read_text(readme, CorpusError, "a README of corpora").splitlines():
        cells = [cell.strip().replace("**", "") for cell in line.strip().strip("|").split("|")]
        if len(cells) >= 3 and cells[0].startswith("`") and cells[0].endswith("`"):
            rows[cells[0].strip("`")] = (cells[-2], cells[-1])
    return rows


def first_line(card: Path) -> str:
    """What a model's card says first."""
    lines = read_text(card, ConfigError, "a model's card").strip().splitlines()
    return lines[0].lstrip("# ") if lines else card.parent.name


if __name__ == "__main__":
    main()
