"""A second run in an output folder is refused by every verb that fills one, and changes nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from shortvox.cli.main import run
from shortvox.corpora.corpus import Corpus
from shortvox.locks import one_writer

VERBS = {
    "train": "train {config} --corpus {corpus} --out {out}",
    "resume": "train {config} --corpus {corpus} --out {out} --resume",
    "evaluate": "evaluate --model {model} --corpus {corpus} --out {out}",
    "embed": "embed --model {model} --corpus {corpus} --out {out}/x.parquet",
    "study": "study frozen-fc --preset demo --corpus {corpus} --out {out}",
    "study, its store": "study frozen-fc --preset demo --corpus {corpus} --out {out}-other --store {out}",
    "demo": "demo --synthetic --out {out}",
    "demo of a corpus": "demo --corpus {corpus} --out {out}",
    "corpus import": "corpus import tree {corpus} {out}",
    "corpus split": "corpus split {corpus} {out}",
}


@contextmanager
def another_run(out: Path) -> Iterator[None]:
    """Works in `out`, or writes it, while entered; a thread, which a lock keeps apart as it does a process."""
    begun, over = threading.Event(), threading.Event()

    def work() -> None:
        with one_writer(out):
            begun.set()
            over.wait()

    thread = threading.Thread(target=work)
    thread.start()
    begun.wait()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize("verb", VERBS)
def test_a_second_run_is_refused(
    verb: str, model_folder: Path, corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    written = out / "x.parquet" if verb == "embed" else out / "train" if verb == "corpus split" else out
    written.parent.mkdir(exist_ok=True)
    if verb != "embed":
        written.mkdir()
    config = tmp_path / "c.yaml"
    config.write_text("{}\n")
    arguments = VERBS[verb].format(config=config, corpus=corpus.root, model=model_folder, out=out).split()
    with another_run(written):
        before = sorted(out.rglob("*"))
        assert run(arguments) == 2
        assert sorted(out.rglob("*")) == before
    told = capsys.readouterr()
    what = "writing this file" if verb == "embed" else "working in this folder"
    assert f"error: {written}: another run is {what}; wait for it, or choose another\n" in told.err
    assert not told.out
