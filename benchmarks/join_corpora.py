"""Several corpora in one folder, where equal speaker names are one person: the training corpus of docs/findings.md.

`--corpus A --corpus B` counts speakers of different corpora as different people. Two LibriSpeech sets share theirs, so
their rows are put into one manifest here; recordings stay where they are, behind links.

    python benchmarks/join_corpora.py OUT CORPUS[:LEAST] ... [--without SPEAKERS.txt] [--domains[=PATTERN]]

LEAST leaves out the speakers of that corpus who have fewer utterances in all corpora together. --domains writes a
column `domain`: the name of the corpus, and what the first group of PATTERN finds in the utterance's name, such as the
language that Common Voice's names end with: --domains='-([a-z]{2,3}(?:-[A-Za-z]+)?)_[0-9]+$'.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

from shortvox.corpora.corpus import Corpus, load_corpus, write_manifest
from shortvox.corpora.split import read_speakers
from shortvox.corpora.utterance import Utterance


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("corpora", nargs="+", metavar="CORPUS[:LEAST]")
    parser.add_argument("--without", type=Path, help="file with speakers to leave out, one a line")
    parser.add_argument("--domains", nargs="?", const="$", metavar="PATTERN", type=re.compile)
    asked = parser.parse_args()
    left_out = frozenset(read_speakers(asked.without)) if asked.without else frozenset()
    parts = [(load_corpus(Path(folder)), int(least or 1)) for folder, _, least in map(split_least, asked.corpora)]
    counts = Counter(speaker for corpus, _ in parts for speaker in (u.speaker for u in corpus.utterances))
    rows: dict[str, Utterance] = {}
    asked.out.mkdir(parents=True)
    for corpus, least in parts:
        linked = asked.out.absolute() / corpus.name
        linked.symlink_to(corpus.root.resolve())
        for u in chosen(corpus, counts, least, left_out):
            moved = replace(u, path=linked / u.path.relative_to(corpus.root))
            rows.setdefault(u.id, moved if asked.domains is None else in_domain(moved, corpus.name, asked.domains))
    write_manifest(asked.out, rows.values())
    print(f"{len(rows)} utterances of {len({u.speaker for u in rows.values()})} speakers")


def split_least(text: str) -> tuple[str, str, str]:
    folder, colon, least = text.rpartition(":")
    return (folder, colon, least) if colon and least.isdigit() else (text, "", "")


def chosen(corpus: Corpus, counts: Counter[str], least: int, left_out: frozenset[str]) -> list[Utterance]:
    return [u for u in corpus.utterances if counts[u.speaker] >= least and u.speaker not in left_out]


def in_domain(u: Utterance, corpus: str, pattern: re.Pattern[str]) -> Utterance:
    found = pattern.search(u.id)
    named = f"{corpus} {found[1]}" if found and pattern.groups else corpus
    return replace(u, extra=(*u.extra, ("domain", named)))


if __name__ == "__main__":
    main()
