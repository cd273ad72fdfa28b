from __future__ import annotations

import signal
from pathlib import Path

import hypothesis
import pytest
import torch

from shortvox.cli.main import run
from shortvox.corpora.corpus import Corpus
from shortvox.corpora.speech import SpeechData
from voices import make_voices

# The same examples at every run, so that red means a change; `--hypothesis-profile explore` draws new ones. How
# long an example may take says nothing where tests share their cores with other work.
hypothesis.settings.register_profile("shortvox", deadline=None, derandomize=True)
hypothesis.settings.register_profile("explore", deadline=None, max_examples=1000)
hypothesis.settings.load_profile("shortvox")


@pytest.fixture(scope="session", autouse=True)
def hear_interrupts() -> None:
    """A shell's background jobs, some CI runners' among them, start with Ctrl-C ignored; tests need it heard."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Six made speakers with four utterances each."""
    return make_voices(tmp_path_factory.mktemp("voices"))


@pytest.fixture(scope="session")
def data(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> SpeechData:
    return SpeechData.open(corpus, Path(tmp_path_factory.mktemp("pack")))


@pytest.fixture
def one_thread() -> object:
    """Sums in a fixed order, as a bit-exact comparison needs."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def model_folder(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model that the command trained for a few steps, calibrated on two speakers that it held out."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "train.yaml").write_text(
        "{steps: 6, batch: 8, crop: 1s, model: {backbone: ecapa-64}, augment: {rooms: 2}, validation: {speakers: 2}}"
    )
    config, out = str(folder / "train.yaml"), str(folder / "model")
    assert run(["train", config, "--corpus", str(corpus.root), "--out", out, "--set", "threads=1"]) == 0
    return folder / "model"


@pytest.fixture(scope="session")
def exported(model_folder: Path, corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small model as the command exports it, in all precisions."""
    out = tmp_path_factory.mktemp("exported") / "graphs"
    speech = ["--int8", "--corpus", str(corpus.root)]
    assert run(["export", "--model", str(model_folder), "--out", str(out), "--fp16", "--int8-storage", *speech]) == 0
    return out
