from __future__ import annotations

from pathlib import Path

import pytest
import torch

from shortvox.corpora.corpus import Corpus
from shortvox.training.data import TrainingData
from voices import make_voices


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Six made speakers with four utterances each."""
    return make_voices(tmp_path_factory.mktemp("voices"))


@pytest.fixture(scope="session")
def data(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    return TrainingData.open(corpus, Path(tmp_path_factory.mktemp("pack")))


@pytest.fixture
def one_thread() -> object:
    """Sums in a fixed order, as a bit-exact comparison needs."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
