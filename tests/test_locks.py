"""One writer at a time, whatever becomes of it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from shortvox.errors import ShortvoxError
from shortvox.locks import lock_descriptor, locked, one_writer

HOLDER = """
import sys
from pathlib import Path
from shortvox.locks import one_writer

with one_writer(Path(sys.argv[1])):
    print(flush=True)
    sys.stdin.read()
"""

Hold = Callable[[Path], "subprocess.Popen[bytes]"]


@pytest.fixture
def hold() -> Iterator[Hold]:
    """Another process that has the folder or file when the call returns, until its stdin is closed."""
    with ExitStack() as started:

        def start(out: Path) -> subprocess.Popen[bytes]:
            command = [sys.executable, "-c", HOLDER, str(out)]
            process = started.enter_context(
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
            )
            started.callback(process.kill)
            assert process.stdout is not None
            process.stdout.readline()
            return process

        yield start


def refused(out: Path) -> str:
    with pytest.raises(ShortvoxError) as caught, one_writer(out):
        pass
    return str(caught.value)


def test_a_second_process_is_refused_until_the_first_has_ended(tmp_path: Path, hold: Hold) -> None:
    first = hold(tmp_path)
    assert refused(tmp_path) == (f"{tmp_path}: another run is working in this folder; wait for it, or choose another")
    with one_writer(tmp_path / "file.parquet"):  # another thing
        pass
    first.communicate()
    with one_writer(tmp_path):
        assert (tmp_path / ".lock").exists()
    assert not list(tmp_path.iterdir())


def test_a_killed_process_holds_nothing(tmp_path: Path, hold: Hold) -> None:
    first = hold(tmp_path)
    first.kill()
    first.wait()
    assert (tmp_path / ".lock").exists()
    with one_writer(tmp_path):
        pass
    assert not list(tmp_path.iterdir())


def test_a_file_has_one_writer_too(tmp_path: Path, hold: Hold) -> None:
    out = tmp_path / "x.parquet"
    first = hold(out)
    assert "x.parquet: another run is writing this file" in refused(out)
    first.communicate()
    with one_writer(out):
        pass
    assert not list(tmp_path.iterdir())


def test_whoever_is_patient_gets_it(tmp_path: Path, hold: Hold) -> None:
    first = hold(tmp_path)
    threading.Timer(0.3, first.kill).start()
    with one_writer(tmp_path, patience=60), one_writer(tmp_path):  # again, by the same thread
        pass


def test_another_thread_waits(tmp_path: Path) -> None:
    order = []

    def second() -> None:
        with locked(tmp_path / "x.lock"):
            order.append("second")

    with locked(tmp_path / "x.lock"):
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(0.3)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_a_child_that_outlives_its_parent_holds_nothing(tmp_path: Path) -> None:
    """As a data loader's worker does, for some seconds after the training was killed."""
    code = (
        "import os, signal, sys, time\nfrom pathlib import Path\nfrom shortvox.locks import one_writer\n"
        "with one_writer(Path(sys.argv[1])):\n"
        "    if (child := os.fork()) == 0:\n        time.sleep(60)\n        os._exit(0)\n"
        "    print(child, flush=True)\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.wait()
    try:
        with one_writer(tmp_path, patience=20):
            os.kill(child, 0)  # it is still there
    finally:
        os.kill(child, 9)


@pytest.mark.parametrize("planted", ["link", "folder"])
def test_what_is_no_lock_file_is_told_and_not_touched(tmp_path: Path, planted: str) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    if planted == "link":
        (tmp_path / ".lock").symlink_to(victim)
    else:
        (tmp_path / ".lock").mkdir()
    assert f"{tmp_path}/.lock: no lock file can be made here" in refused(tmp_path)
    assert victim.read_text() == "mine"


def test_a_lock_file_that_its_holder_has_just_removed_is_no_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    removed = []

    def after_removal(descriptor: int) -> bool:
        if not removed:
            (tmp_path / ".lock").unlink()
        removed.append(descriptor)
        return lock_descriptor(descriptor)

    monkeypatch.setattr("shortvox.locks.lock_descriptor", after_removal)
    with one_writer(tmp_path):
        assert (tmp_path / ".lock").exists()
    assert len(removed) == 2


def test_without_locks_on_a_file_system_work_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("fcntl.flock", unsupported)
    with one_writer(tmp_path):
        pass
