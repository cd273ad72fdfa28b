"""Our models beside the encoders that packages carry: one command, the same trials and crops.

    PEERS=peers python -m benchmarks.pretrained --corpora corpora --out runs/pretrained \\
        --train corpora/train --training runs/a --training runs/b --markdown tables.md

Stopped at any moment, the same command goes on: every embedding and every test is kept in --out.
"""

from __future__ import annotations

import argparse
import datetime
import os
import sys
import warnings
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # before torch and onnxruntime read it

import torch
from benchmarks.pretrained.languages import unheard
from benchmarks.pretrained.measuring import Measuring
from benchmarks.pretrained.plan import PARTS, Plan, read_plan
from benchmarks.pretrained.remembering import remembering
from benchmarks.pretrained.speed import speeds
from benchmarks.pretrained.tables import for_terminal, markdown

from shortvox import __version__
from shortvox.corpora.audio import SAMPLE_RATE
from shortvox.corpora.crop import centre
from shortvox.encoders.encoder import Encoder
from shortvox.encoders.opening import open_encoder
from shortvox.environment import environment
from shortvox.errors import ConfigError, in_one_line
from shortvox.files import ensure_writable, write_json, write_text
from shortvox.locks import one_writer
from shortvox.memory import tune_memory
from shortvox.printing import show_json, show_table

RESULTS = "pretrained.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpora", type=Path, required=True, help="folder with the test corpora and noise")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", action="append", choices=PARTS, help="a part; may be repeated; by default all")
    parser.add_argument("--train", type=Path, help="corpus that ours were trained on, for the languages")
    parser.add_argument("--training", type=Path, action="append", default=[], help="a training that ours are made of")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change the plan (plan.yaml)")
    parser.add_argument("--cache", type=Path, help="decoded audio; by default in --out")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout and nothing else there")
    parser.add_argument("--markdown", type=Path, help="write the tables there, too")
    asked = parser.parse_args()
    warnings.simplefilter("ignore")  # of the peers' old packages
    try:
        results = compare(asked)
        if asked.markdown:
            write_text(asked.markdown, markdown(results))
    except Exception as error:
        if (told := in_one_line(error)) is None:
            raise
        print(told, file=sys.stderr)
        sys.exit(2)
    show_json(results) if asked.json else show_table(for_terminal(results))


def compare(asked: argparse.Namespace) -> dict[str, Any]:
    """The content of pretrained.json, which is written after every part."""
    plan = read_plan(asked.set)
    parts = asked.only or PARTS
    if (asked.train is None) != (not asked.training):
        raise ConfigError("--train: the languages need both it and --training; give both or neither")
    tune_memory()
    torch.set_num_threads(1)
    out: Path = ensure_writable(asked.out)
    with one_writer(out):
        fresh = {name: open_encoder(spec) for name, spec in plan.encoders.items()}
        known = {name: remembering(encoder, out / "embeddings") for name, encoder in fresh.items()}
        measuring = Measuring(plan, known, asked.corpora, out, asked.cache or out / "audio")
        results: dict[str, Any] = {
            "plan": plan.model_dump(mode="json", exclude={"ours", "peers"}),
            "ours": list(plan.ours),
            "encoders": {name: {"dim": one.dim, "fingerprint": one.fingerprint} for name, one in fresh.items()},
            "version": __version__,
            "environment": environment(),
            "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        }
        for part in parts:
            if part == "clean":
                results[part] = measuring.clean()
            elif part == "degraded":
                results[part] = measuring.degraded()
            elif part == "groups":
                groups = plan.groups.languages
                spoken = unheard(asked.train, asked.training, groups, measuring.cache) if asked.train else None
                results[part] = measuring.groups(spoken)
            else:
                results[part] = _speed(plan, measuring, fresh, known)
            write_json(out / RESULTS, results)
    return results


def _speed(plan: Plan, measuring: Measuring, fresh: dict[str, Encoder], known: dict[str, Encoder]) -> dict[str, Any]:
    test = measuring.open(measuring.corpora / plan.tests[0])
    second = test.data.store.read(*centre(test.data.store, int(test.trials.test[0]), SAMPLE_RATE))
    peers = dict.fromkeys(name for name in (plan.half_of, plan.third_of) if name in fresh)
    return {"encoders": speeds(fresh, known, second, plan.speed.rounds), "ratios_to": list(peers)}


if __name__ == "__main__":
    main()
