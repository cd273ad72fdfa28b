from __future__ import annotations

from pathlib import Path

import pytest

from shortvox.cli.main import run
from shortvox.corpora.corpus import Corpus


@pytest.fixture(scope="session")
def exported(model_folder: Path, corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small model as the command exports it, in all three precisions."""
    out = tmp_path_factory.mktemp("exported") / "graphs"
    speech = ["--int8", "--corpus", str(corpus.root)]
    assert run(["export", "--model", str(model_folder), "--out", str(out), "--fp16", *speech]) == 0
    return out
