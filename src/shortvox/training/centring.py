"""Embeddings less what all speakers of a place share, with less of what tells places apart: no step of training.

A room, a microphone or a language moves every embedding the same way; that raises the score of any two recordings made
there. Aronowitz, "Inter dataset variability compensation for speaker recognition", 2014; Hatch et al., "Within-class
covariance normalization for SVM-based speaker recognition", 2006; James and Stein, "Estimation with quadratic loss",
1961, for a mean of few speakers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from shortvox.corpora.audio import SAMPLE_RATE
from shortvox.corpora.crop import centre
from shortvox.corpora.speech import SpeechData
from shortvox.errors import CorpusError
from shortvox.models.embedding import embed_crops
from shortvox.models.folding import fold
from shortvox.models.speaker_model import SpeakerModel
from shortvox.training.domains import domain_means, group_means

HEARD = 2000  # utterances, evenly over the speakers; of every speaker one at least, with domains two
SECONDS = 4.0  # of the middle of each
SHORT_SECONDS = 1.0  # of each, for what varies within speakers
BETWEEN, FLOOR = 3.0, 2.0  # weights beside what varies within speakers: between domains, the same in all directions


def centre_embeddings(model: SpeakerModel, data: SpeechData, domains: Sequence[str] = ()) -> None:
    """Change the last layers so that the mean embedding of the corpus' speakers becomes zero, or close to it.

    Of few speakers the mean is little known, and less of it is taken off (`shrunk_mean`). With `domains`, one for every
    utterance and at least two, it is the mean over the domains' means, and embeddings are whitened as well. Raises
    CorpusError where there are too few speakers, or none with two utterances to whiten by, and ModelError when an
    embedding is not finite.
    """
    _require_enough(data, domains)
    most = max(2 if domains else 1, HEARD // len(data.corpus.speakers))
    chosen = [position for own in data.corpus.spread(most) for position in own]
    number = {name: at for at, name in enumerate(data.corpus.speakers)}
    speaker = torch.tensor([number[data.corpus.utterances[position].speaker] for position in chosen])
    heard = _hear(model, data, chosen, SECONDS)
    if not domains:
        fold(model.backbone, shrunk_mean(group_means(heard, speaker)))
        return
    names = sorted(set(domains))
    domain = torch.tensor([names.index(domains[position]) for position in chosen])
    means = domain_means(heard, speaker, domain)[torch.unique(domain)]
    short = _hear(model, data, chosen, SHORT_SECONDS)
    fold(model.backbone, means.mean(dim=0), whitening(within_speakers(short, speaker), torch.cov(means.T)))


def _require_enough(data: SpeechData, domains: Sequence[str]) -> None:
    corpus = data.corpus
    if len(corpus.speakers) < 2:
        raise CorpusError(f"{corpus.name}: has {len(corpus.speakers)} speaker(s), and a mean needs two")
    if domains and len(set(domains)) < 2:
        raise CorpusError(f"{corpus.name}: all of it is one domain; name a column that tells two or more apart")
    if domains and len(corpus) == len(corpus.speakers):
        raise CorpusError(
            f"{corpus.name}: no speaker has two utterances, so what varies within speakers is not known; centre on the "
            "corpus without domains"
        )


def shrunk_mean(speakers: Tensor) -> Tensor:
    """The mean (dim,) of speakers' means (speakers, dim), shrunk to zero by as much of it as chance explains."""
    mean = speakers.mean(dim=0)
    chance = speakers.var(dim=0).sum() / len(speakers)
    return mean * (1 - chance / mean.square().sum().clamp(min=1e-12)).clamp(min=0)


def within_speakers(embeddings: Tensor, speaker: Tensor) -> Tensor:
    """Covariance (dim, dim) of embeddings (n, dim) around the means of their speakers (n,), one with two at least."""
    means = group_means(embeddings, speaker)
    rest = embeddings - means[speaker]
    return rest.T @ rest / (len(embeddings) - len(means))


def whitening(within: Tensor, between: Tensor) -> Tensor:
    """The matrix (dim, dim) that makes what varies `within` speakers and `between` domains the same in all directions.

    FLOOR keeps directions in which little varies from being blown up. Embeddings stay about as long as they are.
    """
    size = within.diagonal().mean()
    values, vectors = torch.linalg.eigh(within + BETWEEN * between + FLOOR * size * torch.eye(len(within)).to(within))
    matrix = vectors @ torch.diag(values.rsqrt()) @ vectors.T
    return matrix * math.sqrt(len(within)) / torch.linalg.matrix_norm(matrix)


def _hear(model: SpeakerModel, data: SpeechData, positions: Sequence[int], seconds: float) -> Tensor:
    """Embeddings (n, dim), double, not of unit length, of the middle of each utterance."""
    crops = [centre(data.store, position, round(seconds * SAMPLE_RATE)) for position in positions]
    return torch.from_numpy(embed_crops(model, data.store, crops, unit=False)).double()
