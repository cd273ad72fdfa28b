from __future__ import annotations

import json

import pytest
import torch

from shortvox import __version__
from shortvox.environment import environment, in_words


def test_it_names_processor_instructions_threads_and_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    record = json.loads(json.dumps(environment()))
    assert record["cpu"].strip()
    assert record["instruction_set"] == torch.backends.cpu.get_cpu_capability()
    assert record["threads"] == torch.get_num_threads()
    assert (record["torch"], record["shortvox"]) == (torch.__version__, __version__)
    assert in_words(record).startswith(f"{record['cpu']} (")
    assert record["torch"] in in_words(record)


def test_a_limit_on_instructions_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    assert environment()["instruction_set"].endswith(", oneDNN at most AVX2")
