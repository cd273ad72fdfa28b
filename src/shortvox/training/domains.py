"""Domains: what many speakers of a corpus share, as a language or a channel, by a column of its manifest.

A difference between domains is easy to hear and tells speakers of one domain nothing apart. Aronowitz, "Inter dataset
variability compensation for speaker recognition", 2014, takes it out of embeddings; here it can be left out of targets
and of batches.
"""

from __future__ import annotations

import torch
from torch import Tensor

from shortvox.corpora.corpus import Corpus
from shortvox.errors import ConfigError
from shortvox.training.settings import TrainSettings

FEW_SPEAKERS = 10  # of a domain, whose mean lies half way to the mean of all


def domains_of(corpus: Corpus, settings: TrainSettings) -> list[str]:
    """The domain of every utterance; raises ConfigError where the corpus has none or knows only one."""
    column = settings.domain or ""
    named = [utterance.column(column) for utterance in corpus.utterances]
    if len(set(named)) < 2:
        told = f"only '{named[0]}'" if any(named) else "nothing"
        raise ConfigError(
            f"domain: the manifest of {corpus.name} has {told} in its column '{column}'; name a column that tells "
            "languages, channels or corpora apart, or leave domains out"
        )
    return named


def domain_means(embeddings: Tensor, speaker: Tensor, domain: Tensor) -> Tensor:
    """The mean (domains, dim) of each domain's speakers, of embeddings (n, dim) with `speaker` and `domain` (n,).

    The fewer speakers, the closer to the mean of all speakers: one speaker's mean is that speaker.
    """
    voices, voice = torch.unique(torch.stack([domain, speaker]), dim=1, return_inverse=True)
    means = group_means(embeddings, voice)
    sums = embeddings.new_zeros(int(domain.max()) + 1, embeddings.shape[1]).index_add_(0, voices[0], means)
    count = torch.bincount(voices[0])[:, None]
    return (sums + FEW_SPEAKERS * means.mean(dim=0)) / (count + FEW_SPEAKERS)


def group_means(embeddings: Tensor, group: Tensor) -> Tensor:
    """Mean (groups, dim) of embeddings (n, dim) by group (n,), counted from 0, each with one embedding at least."""
    sums = embeddings.new_zeros(int(group.max()) + 1, embeddings.shape[1]).index_add_(0, group, embeddings)
    return sums / torch.bincount(group)[:, None]
