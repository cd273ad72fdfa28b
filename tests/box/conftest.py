from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import onnx
import pytest

from benchmarks import make_box
from shortvox import box
from shortvox.corpora.corpus import Corpus
from shortvox.export import folder as exporting


@pytest.fixture(scope="session")
def made_box(
    exported: Path, model_folder: Path, corpus: Corpus, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """A box with a `tiny` that its maker made of the small model, without tracing it again."""
    home = tmp_path_factory.mktemp("box")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exporting, "make_graph", lambda model, *, name: onnx.load(exported / "model.onnx"))
        given = ["make_box.py", str(model_folder), "tiny", "--corpus", str(corpus.root), "--into", str(home)]
        patch.setattr(sys, "argv", given)
        assert make_box.main() == 0
    yield home


@pytest.fixture
def boxed(made_box: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where `tiny` lies, as the installation finds it; the working folder is empty."""
    monkeypatch.setattr(box, "HERE", made_box)
    monkeypatch.chdir(tmp_path)
    box._tell_namesake.cache_clear()
    return made_box / "tiny"
