"""The mean of several models' weights, without a head; with --centre, less what domains share (transfer.centre).

    python benchmarks/mean_of_models.py models/mean runs/a runs/b=2 models/start=0.5 \\
        --centre corpora/train --domain language --held-out 60 --cache audio

A model counts once, or as often as `=WEIGHT` says. Izmailov et al., "Averaging weights leads to wider optima and better
generalization", 2018; Wortsman et al., "Model soups", 2022. `--held-out` leaves out as many of the speakers of --centre
as the trainings did that watched them. The statistics of batch norms are averaged too, which is right where the
trainings kept them (transfer.statistics: model), or of one model.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections import Counter
from pathlib import Path

import torch

from shortvox.corpora.corpus import load_corpora
from shortvox.corpora.speech import SpeechData
from shortvox.errors import ModelError, ShortvoxError
from shortvox.memory import tune_memory
from shortvox.models.folder import load_model, save_model
from shortvox.models.speaker_model import SpeakerModel, misfit
from shortvox.training.centring import centre_embeddings


def mean_of(parts: dict[Path, float]) -> SpeakerModel:
    """The weighted mean; raises ModelError where two models are not of one kind."""
    models = {path: load_model(path).headless() for path in parts}
    first, *others = models
    for path in others:
        if models[path].settings != models[first].settings or misfit(models[path].tensors(), models[first].tensors()):
            raise ModelError(f"{path}: is of another kind than {first}; give models of one backbone and front end")
    total = sum(parts.values())
    states = {path: model.backbone.state_dict() for path, model in models.items()}
    mean = models[first]
    mean.backbone.load_state_dict(
        {
            name: sum((share / total) * states[path][name].double() for path, share in parts.items()).to(tensor)
            if tensor.is_floating_point()
            else tensor
            for name, tensor in states[first].items()
        }
    )
    return mean


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("models", nargs="+", metavar="MODEL[=WEIGHT]")
    parser.add_argument("--centre", type=Path, help="corpus of the trainings")
    parser.add_argument("--domain", help="column of its manifest that tells domains apart")
    parser.add_argument("--held-out", type=int, default=0, help="speakers of it that the trainings did not hear")
    parser.add_argument("--cache", type=Path)
    given = parser.parse_args()
    tune_memory()
    torch.set_num_threads(1)
    try:
        named = [_part(text) for text in given.models]
        if twice := [str(path) for path, count in Counter(path for path, _ in named).items() if count > 1]:
            raise ModelError(f"{twice[0]}: is given twice; give it once, with a weight")
        parts = dict(named)
        model = mean_of(parts)
        told = ["mean of the weights of " + ", ".join(f"{path.name} ({share:g})" for path, share in parts.items())]
        if given.centre:
            data = SpeechData.open(load_corpora([given.centre]), given.cache)
            data = data.hold_out(given.held_out)[0] if given.held_out else data
            domains = [u.column(given.domain) for u in data.corpus.utterances] if given.domain else []
            centre_embeddings(model, data, domains)
            told.append(f"centred on {len(data.corpus.speakers)} speakers of {given.centre.name}")
        save_model(given.out, model.eval(), card="; ".join(told) + "\n")
    except ShortvoxError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _part(text: str) -> tuple[Path, float]:
    path, equals, share = text.rpartition("=")
    if not equals:
        return Path(text), 1.0
    try:
        weight = float(share)
    except ValueError:
        weight = math.nan
    if not 0 < weight < math.inf:
        raise ModelError(f"{text}: '{share}' is no weight; give a number above 0")
    return Path(path), weight


if __name__ == "__main__":
    sys.exit(main())
