"""What a training step is scored by: a weighted sum of small terms over the student's embeddings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from shortvox.heads import Head
from shortvox.training.branches import Branch, SegmentSettings
from shortvox.training.settings import TrainSettings
from shortvox.training.teachers import Answer, Teacher


@dataclass(frozen=True)
class Heard:
    """One step's raw embeddings by branch: crop and aggregate (batch, dim), segments (batch, segments, dim).

    `answers` are what the teachers say, `progress` the share of training that is done.
    """

    embeddings: Mapping[Branch, Tensor]
    labels: Tensor
    progress: float
    answers: Mapping[str, Answer]

    def longest(self) -> Tensor:
        """The embedding of the longest speech, (batch, dim)."""
        for branch in ("crop", "aggregate"):
            if branch in self.embeddings:
                return self.embeddings[branch]
        return self.embeddings["segments"].mean(dim=1)


def prefix_of(heard: Heard, numbers: int, teachers: Mapping[str, Teacher]) -> Heard:
    """The same with the first `numbers` of every embedding alone; so of a teacher's where it is met without a map."""
    embeddings = {branch: embedding[..., :numbers] for branch, embedding in heard.embeddings.items()}
    answers = {
        name: said if teachers[name].maps else said._replace(embeddings=said.embeddings[..., :numbers])
        for name, said in heard.answers.items()
    }
    return replace(heard, embeddings=embeddings, answers=answers)


@dataclass(frozen=True)
class Term:
    weight: float
    loss: Callable[[Heard], Tensor]


def make_terms(settings: TrainSettings, heads: Mapping[Branch, Head], teachers: Mapping[str, Teacher]) -> list[Term]:
    """The terms that the settings give a weight; `heads` names the head that each branch is scored against."""
    segments = settings.segments
    scorer = _Scorer(heads, "mean" if segments is None else segments.reduce)
    own = Term(0.0 if settings.model.head is None else 1.0, scorer.classification("crop"))
    terms = [own] if segments is None else _segment_terms(segments, scorer)
    for name, teacher in settings.teachers.items():
        for branch in teacher.teaches:
            terms.append(Term(teacher.embedding, scorer.embedding(name, teachers[name], branch)))
            terms.append(Term(teacher.contrast, scorer.contrast(name, teachers[name], branch)))
            terms.append(Term(teacher.posterior, scorer.posterior(name, teachers[name], branch)))
    return [term for term in terms if term.weight]


def _segment_terms(settings: SegmentSettings, scorer: _Scorer) -> list[Term]:
    weights = settings.loss
    return [
        Term(settings.aggregate_weight, scorer.classification("aggregate")),
        Term(weights.segments, scorer.classification("segments")),
        Term(weights.cosine, scorer.pull_cosine),
        Term(weights.kl, scorer.pull_posterior),
        Term(weights.crop, scorer.classification("crop")),
    ]


@dataclass(frozen=True)
class _Scorer:
    heads: Mapping[Branch, Head]
    reduce: str

    def classification(self, branch: Branch) -> Callable[[Heard], Tensor]:
        """The head's loss; of segments, of the first of each crop, of the second, … and reduced."""

        def loss(heard: Heard) -> Tensor:
            embeddings = heard.embeddings[branch]
            views = embeddings[:, None] if embeddings.dim() == 2 else embeddings
            losses = [self.heads[branch](view, heard.labels, progress=heard.progress) for view in views.unbind(1)]
            return self._over_segments(torch.stack(losses))

        return loss

    def pull_cosine(self, heard: Heard) -> Tensor:
        """1 - cos of every segment and the aggregate, which is not pulled."""
        target = heard.embeddings["aggregate"].detach()[:, None]
        return self._over_segments(_cosine_distance(heard.embeddings["segments"], target).mean(dim=0))

    def pull_posterior(self, heard: Heard) -> Tensor:
        """KL (aggregate || segment) of the posteriors."""
        target = self.heads["aggregate"].logits(heard.embeddings["aggregate"].detach()).detach()[:, None]
        return self._over_segments(_divergence(target, self._logits("segments", heard)).mean(dim=0))

    def embedding(self, name: str, teacher: Teacher, branch: Branch) -> Callable[[Heard], Tensor]:
        """1 - cos of the student's embedding, projected where there is a projection, and the teacher's.

        With an uncertainty, minus the log likelihood of that distance under an exponential distribution of the mean
        that was expected (Kendall and Gal, 2017, with their Gaussian replaced).
        """

        def loss(heard: Heard) -> Tensor:
            raw = heard.embeddings[branch]
            losses = _cosine_distance(*_beside(teacher.project(raw), heard.answers[name].embeddings))
            if teacher.uncertainty is not None:
                expected = teacher.uncertainty(raw)
                losses = losses / expected + expected.log()
            return self._over_segments(losses.mean(dim=0))

        return loss

    def contrast(self, name: str, teacher: Teacher, branch: Branch) -> Callable[[Heard], Tensor]:
        """Cross entropy of the crop's own target among the targets of all crops of the step, by scaled cosine.

        Other targets of the crop's own speaker are left out: they are neither right nor wrong. Of several ranks, each
        compares its own crops.
        """

        def loss(heard: Heard) -> Tensor:
            mine, target = _beside(teacher.project(heard.embeddings[branch]), heard.answers[name].embeddings)
            views = mine[:, None] if mine.dim() == 2 else mine
            said = (target[:, None] if target.dim() == 2 else target).expand_as(views)
            own = torch.arange(len(views), device=views.device)
            unasked = (heard.labels[:, None] == heard.labels) & (own[:, None] != own)
            losses = []
            for view, targets in zip(views.unbind(1), said.unbind(1), strict=True):
                logits = teacher.settings.contrast_scale * _cosines(view, targets)
                losses.append(functional.cross_entropy(logits.masked_fill(unasked, -torch.inf), own))
            return self._over_segments(torch.stack(losses))

        return loss

    def posterior(self, name: str, teacher: Teacher, branch: Branch) -> Callable[[Heard], Tensor]:
        """KL (teacher || student) over the speakers that both know, times the squared temperature (Hinton et al.)."""

        def loss(heard: Heard) -> Tensor:
            warmth = teacher.settings.temperature
            mine, target = _beside(self._logits(branch, heard)[..., teacher.student_rows], heard.answers[name].logits)
            return warmth**2 * self._over_segments(_divergence(target / warmth, mine / warmth).mean(dim=0))

        return loss

    def _logits(self, branch: Branch, heard: Heard) -> Tensor:
        embeddings = heard.embeddings[branch]
        return self.heads[branch].logits(embeddings.flatten(0, -2)).unflatten(0, embeddings.shape[:-1])

    def _over_segments(self, losses: Tensor) -> Tensor:
        """(segments,) or () -> ()."""
        return losses.sum() if self.reduce == "sum" else losses.mean()


def _beside(mine: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """One target for all segments of a crop stands beside each of them."""
    return mine, target[:, None] if mine.dim() > target.dim() else target


def _cosine_distance(first: Tensor, second: Tensor) -> Tensor:
    return 1.0 - functional.cosine_similarity(first, second, dim=-1)


def _cosines(first: Tensor, second: Tensor) -> Tensor:
    """(n, dim), (m, dim) -> (n, m)."""
    return functional.normalize(first, dim=-1) @ functional.normalize(second, dim=-1).T


def _divergence(target: Tensor, mine: Tensor) -> Tensor:
    """KL (softmax target || softmax mine) over the last dimension, which it removes."""
    told, said = target.log_softmax(dim=-1), mine.log_softmax(dim=-1)
    return (told.exp() * (told - said)).sum(dim=-1)
