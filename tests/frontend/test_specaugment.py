from __future__ import annotations

import torch

from shortvox.frontend.specaugment import spec_augment


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def blanked(before: torch.Tensor, after: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Width of the stretch in time and in frequency of each item."""
    changed = before != after
    return changed.all(2).sum(1), changed.all(1).sum(1)


def test_widths_are_uniform_up_to_the_widest_and_stretches_are_contiguous() -> None:
    before = torch.randn(600, 50, 80, generator=generator(9))
    after = spec_augment(before, generator=generator(), time_frames=10, frequency_bands=8)
    in_time, in_frequency = blanked(before, after)
    assert set(in_time.tolist()) == set(range(11))
    assert set(in_frequency.tolist()) == set(range(9))
    assert abs(float(in_time.float().mean()) - 5) < 0.5
    for item in range(20):
        frames = (before[item] != after[item]).all(1).nonzero().flatten()
        assert len(frames) == 0 or int(frames[-1] - frames[0]) == len(frames) - 1
        if len(frames):
            torch.testing.assert_close(after[item, frames[0]], before[item].mean().expand(80))


def test_every_frame_can_be_blanked() -> None:
    before = torch.randn(800, 20, 12, generator=generator(9))
    changed = (before != spec_augment(before, generator=generator(), time_frames=4, frequency_bands=0)).all(2)
    assert changed.any(0).all()


def test_the_same_generator_state_gives_the_same() -> None:
    features = torch.randn(4, 30, 16)
    first = spec_augment(features, generator=generator(3))
    assert torch.equal(first, spec_augment(features, generator=generator(3)))
    assert not torch.equal(first, spec_augment(features, generator=generator(4)))


def test_zero_widths_change_nothing() -> None:
    features = torch.randn(4, 30, 16)
    assert torch.equal(features, spec_augment(features, generator=generator(), time_frames=0, frequency_bands=0))


def test_ranks_shares_equal_the_whole_batch_even_when_padded_differently() -> None:
    lengths = torch.tensor([40, 12, 33, 25, 5, 18])
    features = torch.randn(6, 40, 16)
    whole = spec_augment(features, lengths, generator=generator(5), rank=0, ranks=1)
    for rank in range(2):
        own = lengths[rank::2]
        share = spec_augment(features[rank::2, : int(own.max())], own, generator=generator(5), rank=rank, ranks=2)
        for row, length in enumerate(own.tolist()):
            torch.testing.assert_close(share[row, :length], whole[rank::2][row, :length])


def test_an_item_is_never_blanked_whole() -> None:
    own = [1, 2, 3, 20] * 50
    features = torch.randn(200, 20, 2)
    after = spec_augment(features, torch.tensor(own), generator=generator())
    for item, length in enumerate(own):
        assert (after[item, :length] == features[item, :length]).any()


def test_rows_of_an_item_are_blanked_alike_where_asked() -> None:
    features = torch.randn(60, 30, 16)
    for alike in (True, False):
        changed = features != spec_augment(features, generator=generator(), each=3, alike=alike)
        first, *others = changed.unflatten(0, (-1, 3)).unbind(1)
        assert all(torch.equal(first, other) for other in others) == alike
        assert not torch.equal(first[:-1], first[1:])


def test_ranks_draw_alike_what_one_process_draws() -> None:
    features = torch.randn(8, 30, 16)
    whole = spec_augment(features, generator=generator(), each=2, alike=True).unflatten(0, (4, 2))
    for rank in range(2):
        share = features.unflatten(0, (4, 2))[rank::2].flatten(0, 1)
        own = spec_augment(share, generator=generator(), each=2, alike=True, rank=rank, ranks=2)
        assert torch.equal(own.unflatten(0, (2, 2)), whole[rank::2])
