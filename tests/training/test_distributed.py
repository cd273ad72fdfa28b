"""Which device and which rank a process takes. GPUs are feigned, but with the names and arguments of torch's own
functions, so that a call which does not exist cannot pass."""

from __future__ import annotations

from typing import Any
from unittest.mock import Mock, create_autospec

import pytest
import torch
import torch.distributed as dist

from shortvox.device import chosen_device
from shortvox.errors import ConfigError
from shortvox.training.distributed import leads, placement


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> Mock:
    """Two GPUs; the result is what stands for `torch.cuda.set_device`."""
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    for name, value in (("is_available", True), ("device_count", 2), ("set_device", None)):
        monkeypatch.setattr(torch.cuda, name, create_autospec(getattr(torch.cuda, name), return_value=value))
    return torch.cuda.set_device  # type: ignore[return-value]


@pytest.fixture
def group(monkeypatch: pytest.MonkeyPatch) -> dict[str, Mock]:
    """torch.distributed as the second of two ranks sees it."""
    calls: dict[str, Any] = {
        "init_process_group": None,
        "get_rank": 1,
        "get_world_size": 2,
        "barrier": None,
        "destroy_process_group": None,
    }
    made = {name: create_autospec(getattr(dist, name), return_value=value) for name, value in calls.items()}
    for name, mock in made.items():
        monkeypatch.setattr(dist, name, mock)
    for name, text in (("WORLD_SIZE", "2"), ("RANK", "1"), ("LOCAL_RANK", "1")):
        monkeypatch.setenv(name, text)
    return made


@pytest.mark.parametrize(
    ("name", "rank", "expected"),
    [
        ("cuda", None, 0),
        ("auto", None, 0),
        ("cuda:0", None, 0),
        ("cuda:1", None, 1),
        ("cuda", "1", 1),
        ("auto", "1", 1),
    ],
)
def test_a_gpu_is_chosen_and_made_current(
    gpus: Mock, monkeypatch: pytest.MonkeyPatch, name: str, rank: str | None, expected: int
) -> None:
    if rank is not None:
        monkeypatch.setenv("LOCAL_RANK", rank)
    device = chosen_device(name)
    assert device == torch.device("cuda", expected)
    gpus.assert_called_once_with(device)


def test_the_cpu_can_be_chosen_beside_gpus(gpus: Mock) -> None:
    assert chosen_device("cpu") == torch.device("cpu")
    gpus.assert_not_called()


@pytest.mark.parametrize("name", ["cuda:2", "cuda:10"])
def test_a_gpu_that_is_not_there(gpus: Mock, name: str) -> None:
    with pytest.raises(ConfigError, match=rf"no GPU {name[5:]}, torch sees 2"):
        chosen_device(name)


def test_more_processes_than_gpus(gpus: Mock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(ConfigError, match="start fewer processes"):
        chosen_device("cuda")


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "cuda:-1", "cpu:7", "meta", "mps", "", "cuda0"])
def test_what_is_no_device(name: str) -> None:
    with pytest.raises(ConfigError, match="none of auto, cpu, cuda, cuda:N"):
        chosen_device(name)


@pytest.mark.parametrize("name", ["cuda", "cuda:0"])
def test_no_gpu(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert chosen_device("auto") == torch.device("cpu")
    with pytest.raises(ConfigError, match="sees no GPU"):
        chosen_device(name)


def test_ranks_on_gpus_meet_over_nccl(gpus: Mock, group: dict[str, Mock]) -> None:
    with placement("auto") as place:
        group["init_process_group"].assert_called_once_with("nccl", device_id=torch.device("cuda", 1))
        group["barrier"].assert_not_called()
    assert (place.device, place.rank, place.ranks, place.leads) == (torch.device("cuda", 1), 1, 2, False)
    group["barrier"].assert_called_once()
    group["destroy_process_group"].assert_called_once()
    assert not leads()


def test_ranks_on_cpus_meet_over_gloo(group: dict[str, Mock]) -> None:
    with pytest.raises(ConfigError, match="a mistake"), placement("cpu"):
        group["init_process_group"].assert_called_once_with("gloo")
        raise ConfigError("a mistake")
    group["barrier"].assert_not_called()  # the other ranks may never come
    group["destroy_process_group"].assert_called_once()


def test_ranks_do_not_share_a_gpu(gpus: Mock, group: dict[str, Mock]) -> None:
    with pytest.raises(ConfigError, match="set device=cuda"), placement("cuda:0"):
        pass
    group["init_process_group"].assert_not_called()


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"RANK": "abc"}, "RANK: 'abc'"),
        ({"RANK": "-1"}, "RANK: '-1'"),
        ({"RANK": "1.0"}, "RANK: '1.0'"),
        ({"RANK": "1"}, "RANK: 1, but WORLD_SIZE is 1"),
        ({"RANK": "2", "WORLD_SIZE": "2"}, "RANK: 2, but WORLD_SIZE is 2"),
        ({"WORLD_SIZE": "x"}, "WORLD_SIZE: 'x'"),
        ({"WORLD_SIZE": "0"}, "WORLD_SIZE: '0'"),
        ({"WORLD_SIZE": "2"}, "WORLD_SIZE: 2, but the processes cannot meet .*RANK expected"),
        ({"WORLD_SIZE": "2", "RANK": "0"}, "cannot meet .*MASTER_ADDR expected"),
        ({"WORLD_SIZE": "2", "RANK": "0", "MASTER_ADDR": "localhost", "MASTER_PORT": "x"}, "cannot meet"),
    ],
)
def test_an_environment_that_torchrun_did_not_set(
    variables: dict[str, str], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    for name, text in variables.items():
        monkeypatch.setenv(name, text)
    remedy = "; torchrun sets it: start with torchrun, or unset it"
    with pytest.raises(ConfigError, match=f"{told}.*{remedy}"), placement("cpu"):
        pass
    assert not dist.is_initialized()
    if "MASTER_ADDR" not in variables and "cannot meet" not in told:
        with pytest.raises(ConfigError, match=told):
            leads()


def test_a_local_rank_that_is_no_number(gpus: Mock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "abc")
    with pytest.raises(ConfigError, match="LOCAL_RANK: 'abc'"):
        chosen_device("cuda")


def test_one_process_joins_no_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with placement("cpu") as place:
        assert (place.rank, place.ranks, place.leads) == (0, 1, True)
        assert place.total(1, 2.5) == [1, 2.5]
    assert not dist.is_initialized()
