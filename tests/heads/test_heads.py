from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from shortvox.heads import HeadSettings, head, prototype_angles
from shortvox.heads.aam import AamSoftmax

DIM, SPEAKERS = 12, 7


WITH_ROWS = [name for name in head if head[name].rows]
CLASSIFIERS = [name for name in head if not head[name].pairs]


def batch(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(9, DIM, generator=generator), torch.randint(0, SPEAKERS, (9,), generator=generator))


def cross_entropy(logits: np.ndarray, labels: np.ndarray) -> float:
    return float(-log_softmax(logits, axis=1)[np.arange(len(labels)), labels].mean())


def aam_loss(embeddings: np.ndarray, weight: np.ndarray, labels: np.ndarray, *, margin: float, scale: float) -> float:
    """Additive angular margin straight from the angles, item by item."""
    logits = np.empty((len(labels), len(weight)))
    for item, embedding in enumerate(embeddings.astype(np.float64)):
        for row, prototype in enumerate(weight.astype(np.float64)):
            cosine = embedding @ prototype / np.linalg.norm(embedding) / np.linalg.norm(prototype)
            angle = np.arccos(np.clip(cosine, -1, 1))
            if row == labels[item]:
                cosine = np.cos(angle + margin) if angle + margin < np.pi else cosine - margin * np.sin(margin)
            logits[item, row] = scale * cosine
    return cross_entropy(logits, labels)


def pairs(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Three utterances of each of three speakers, mixed."""
    return batch(seed)[0], torch.tensor([4, 1, 6, 6, 4, 1, 1, 6, 4])


@pytest.mark.parametrize("name", CLASSIFIERS)
@pytest.mark.parametrize("kind", ["random", "zeros", "on the prototypes", "one item"])
def test_loss_and_gradients_are_finite(name: str, kind: str) -> None:
    torch.manual_seed(0)
    made = head[name].make(HeadSettings(name=name), dim=DIM, speakers=SPEAKERS)
    embeddings, labels = batch()
    embeddings = {
        "random": embeddings,
        "zeros": torch.zeros_like(embeddings),
        "on the prototypes": made.weight.detach()[labels] * torch.tensor([1.0, -1.0, 2.0] * 3)[:, None],
        "one item": embeddings[:1],
    }[kind].requires_grad_()
    loss = made(embeddings, labels[: len(embeddings)])
    loss.backward()
    assert loss.shape == ()
    assert torch.isfinite(loss)
    assert torch.isfinite(embeddings.grad).all()
    for parameter in made.parameters():
        assert parameter.grad is not None
        assert torch.isfinite(parameter.grad).all()


@pytest.mark.parametrize("name", [name for name in head if head[name].pairs])
@pytest.mark.parametrize("kind", ["random", "zeros", "alike", "opposite"])
def test_losses_over_pairs_are_finite(name: str, kind: str) -> None:
    torch.manual_seed(0)
    made = head[name].make(HeadSettings(name=name), dim=DIM, speakers=SPEAKERS)
    embeddings, labels = pairs()
    embeddings = {
        "random": embeddings,
        "zeros": 0 * embeddings,
        "alike": torch.ones_like(embeddings),
        "opposite": embeddings[:1] * torch.tensor([1.0, -1.0, 1.0] * 3)[:, None],
    }[kind].requires_grad_()
    loss = made(embeddings, labels)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(embeddings.grad).all()
    for parameter in made.parameters():
        assert parameter.grad is not None
        assert torch.isfinite(parameter.grad).all()


def test_angular_prototypical_by_hand() -> None:
    """Two utterances of three speakers in the plane: queries at 0, 90 and 180 degrees, prototypes at 60, 90, 270."""
    angles = {7: (0, 60), 2: (90, 90), 5: (180, 270)}
    items = [(2, 0), (7, 0), (5, 0), (5, 1), (2, 1), (7, 1)]  # first utterances first, speakers in no order
    radians = np.radians([angles[speaker][turn] for speaker, turn in items])
    embeddings = torch.tensor(np.stack([np.cos(radians), np.sin(radians)], 1) * [[1], [2], [3], [4], [5], [6]])
    made = head["ap"].make(HeadSettings(name="ap"), dim=2, speakers=9)
    # 10 cos - 5 of each query (rows) and prototype (columns), speakers 2, 5, 7
    half, root = 0.5, np.sqrt(0.75)
    logits = 10 * np.array([[1.0, -1.0, root], [0.0, 0.0, -half], [0.0, 0.0, half]]) - 5
    expected = cross_entropy(logits, np.arange(3))
    loss = made(embeddings.float(), torch.tensor([speaker for speaker, _ in items]))
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def cosine(first: np.ndarray, second: np.ndarray) -> float:
    return first @ second / np.linalg.norm(first) / np.linalg.norm(second)


def test_prototypes_are_means_of_the_others() -> None:
    embeddings, labels = pairs()
    made = head["ap"].make(HeadSettings(name="ap"), dim=DIM, speakers=SPEAKERS)
    own = {speaker: embeddings.numpy()[labels.numpy() == speaker] for speaker in (1, 4, 6)}
    logits = np.array(
        [[10 * cosine(mine[0], other[1:].mean(axis=0)) - 5 for other in own.values()] for mine in own.values()]
    )
    assert made(embeddings, labels).item() == pytest.approx(cross_entropy(logits, np.arange(3)), rel=1e-5)


@pytest.mark.parametrize("name", ["ap", "softmax-ap"])
def test_the_scale_of_ap_stays_above_zero_and_rises_again(name: str) -> None:
    """Thrown below zero by a step too long, w is the floor, and learning brings it back."""
    embeddings, labels = pairs()
    embeddings = embeddings + 10 * torch.nn.functional.one_hot(labels, DIM)  # speakers that can be told apart
    made = head[name].make(HeadSettings(name=name), dim=DIM, speakers=SPEAKERS)
    assert made.prototypical.positive_scale().item() == made.prototypical.scale.item() == 10
    assert set(made.prototypical.state_dict()) == {"scale", "offset"}  # the names that model folders hold
    with torch.no_grad():
        made.prototypical.scale.fill_(-0.3)
    assert made.prototypical.positive_scale().item() == pytest.approx(1e-6)
    assert made.prototypical(embeddings, labels).item() == pytest.approx(np.log(3), abs=1e-5)
    optimiser = torch.optim.SGD(made.parameters(), lr=0.1)
    for _ in range(20):
        optimiser.zero_grad()
        made(embeddings, labels).backward()
        optimiser.step()
    assert made.prototypical.scale > 0.1
    assert made.prototypical.positive_scale().item() == made.prototypical.scale.item()


def test_softmax_and_prototypical_are_added() -> None:
    made = head["softmax-ap"].make(HeadSettings(name="softmax-ap"), dim=DIM, speakers=SPEAKERS)
    parts = [head[name].make(HeadSettings(name=name), dim=DIM, speakers=SPEAKERS) for name in ("softmax", "ap")]
    parts[0].load_state_dict({name: made.state_dict()[name] for name in ("weight", "bias")})
    assert made(*pairs()).item() == pytest.approx(sum(part(*pairs()).item() for part in parts), rel=1e-6)


@pytest.mark.parametrize("labels", [[0, 1, 2, 3], [0, 0, 0, 1]])
def test_a_batch_without_pairs_is_refused(labels: list[int]) -> None:
    made = head["ap"].make(HeadSettings(name="ap"), dim=DIM, speakers=SPEAKERS)
    with pytest.raises(ValueError, match="sampler=balanced"):
        made(torch.randn(4, DIM), torch.tensor(labels))


@pytest.mark.parametrize("name", WITH_ROWS)
def test_logits_and_rows(name: str) -> None:
    made = head[name].make(HeadSettings(name=name), dim=DIM, speakers=SPEAKERS)
    assert made.weight.shape == (SPEAKERS, DIM)
    assert made.logits(batch()[0]).shape == (9, SPEAKERS)
    unit = torch.nn.functional.normalize(torch.randn(3, DIM))
    length = made.weight.detach().norm(dim=1).mean()
    torch.testing.assert_close(made.scale_rows(unit).norm(dim=1), length.expand(3))


@pytest.mark.parametrize("name", WITH_ROWS)
def test_a_descent_on_the_loss_finds_the_speakers(name: str) -> None:
    torch.manual_seed(0)
    made = head[name].make(HeadSettings(name=name), dim=DIM, speakers=SPEAKERS)
    embeddings, labels = pairs() if made.pairs else batch()
    optimiser = torch.optim.SGD(made.parameters(), lr=0.3)
    for _ in range(300):
        optimiser.zero_grad()
        made(embeddings, labels).backward()
        optimiser.step()
    assert (made.logits(embeddings).argmax(1) == labels).all()


@pytest.mark.parametrize("margin", [0.0, 0.2, 0.9])
@pytest.mark.parametrize("seed", range(3))
def test_aam_is_the_papers(margin: float, seed: int) -> None:
    torch.manual_seed(seed)
    made = AamSoftmax(dim=DIM, speakers=SPEAKERS, margin=margin, scale=30.0)
    embeddings, labels = batch(seed)
    expected = aam_loss(embeddings.numpy(), made.weight.detach().numpy(), labels.numpy(), margin=margin, scale=30.0)
    assert made(embeddings, labels).item() == pytest.approx(expected, rel=1e-4)


def test_aam_falls_on_beyond_pi() -> None:
    torch.manual_seed(0)
    made = AamSoftmax(dim=DIM, speakers=SPEAKERS, margin=0.5, scale=10.0)
    labels = batch()[1]
    opposite = -made.weight.detach()[labels] + 0.05 * torch.randn(9, DIM)
    expected = aam_loss(opposite.numpy(), made.weight.detach().numpy(), labels.numpy(), margin=0.5, scale=10.0)
    assert made(opposite, labels).item() == pytest.approx(expected, rel=1e-4)
    # Without the branch the loss would fall again as the angle grows towards pi.
    angles = torch.linspace(2.0, 3.13, 60)
    weight = torch.eye(DIM)[:2]
    made.weight.data[:2] = weight
    made.weight.data[2:] = torch.eye(DIM)[2:SPEAKERS]
    swing = torch.cos(angles)[:, None] * torch.eye(DIM)[0] + torch.sin(angles)[:, None] * torch.eye(DIM)[DIM - 1]
    losses = torch.stack([made(row[None], torch.zeros(1, dtype=torch.long)) for row in swing])
    assert (losses.diff() > 0).all()


def test_margin_zero_is_scaled_softmax_of_cosines() -> None:
    made = AamSoftmax(dim=DIM, speakers=SPEAKERS, margin=0.0, scale=30.0)
    embeddings, labels = batch()
    logits = made.logits(embeddings).detach().double().numpy()
    assert made(embeddings, labels).item() == pytest.approx(cross_entropy(logits, labels.numpy()), rel=1e-5)


def test_margin_schedule() -> None:
    made = AamSoftmax(dim=DIM, speakers=SPEAKERS, margin=0.2, scale=30.0, margin_warmup=0.4)
    assert [made.margin_at(p) for p in (0.0, 0.1, 0.2, 0.4, 0.9)] == pytest.approx([0.0, 0.05, 0.1, 0.2, 0.2])
    embeddings, labels = batch()
    expected = aam_loss(embeddings.numpy(), made.weight.detach().numpy(), labels.numpy(), margin=0.1, scale=30.0)
    assert made(embeddings, labels, progress=0.2).item() == pytest.approx(expected, rel=1e-4)
    constant = AamSoftmax(dim=DIM, speakers=SPEAKERS, margin=0.2, scale=30.0)
    assert constant.margin_at(0.0) == 0.2


def test_softmax_is_cross_entropy_with_bias() -> None:
    made = head["softmax"].make(HeadSettings(name="softmax"), dim=DIM, speakers=SPEAKERS)
    torch.nn.init.normal_(made.bias)
    embeddings, labels = batch()
    logits = embeddings.numpy() @ made.weight.detach().numpy().T + made.bias.detach().numpy()
    assert made(embeddings, labels).item() == pytest.approx(cross_entropy(logits, labels.numpy()), rel=1e-5)


def test_prototype_angles() -> None:
    first = torch.tensor([[1.0, 0.0], [1.0, 0.0], [2.0, 0.0], [1.0, 1.0]])
    second = torch.tensor([[5.0, 0.0], [0.0, 3.0], [-1.0, 0.0], [1.0, 1.0 + 1e-6]])
    expected = torch.tensor([0.0, 90.0, 180.0, np.degrees(5e-7)], dtype=torch.float64)
    torch.testing.assert_close(prototype_angles(first, second), expected, rtol=0.1, atol=1e-9)
