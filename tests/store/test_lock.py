"""One engine owns a state folder; everybody can see which, and a dead one owns nothing."""

from __future__ import annotations

import multiprocessing
import os
import stat
import subprocess
import sys
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from engine.store import EngineLock, EngineRunning, read_holder
from engine.store.lock import Holder, is_running, process_started

HOLDER = """
import sys, time
from pathlib import Path
from engine.store import EngineLock
lock = EngineLock.acquire(Path(sys.argv[1]), version="9.9", control="/run/x.sock")
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def lock_path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "engine.lock"


def hold_elsewhere(path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLDER, path], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_the_holder_is_named_to_everybody_else(lock_path: Path) -> None:
    with hold_elsewhere(lock_path) as process:
        try:
            holder = read_holder(lock_path)
            assert holder is not None
            assert (holder.pid, holder.version, holder.control) == (process.pid, "9.9", "/run/x.sock")
            assert is_running(holder)
            with pytest.raises(EngineRunning, match=f"process {process.pid}") as caught:
                EngineLock.acquire(lock_path, version="1")
            assert caught.value.holder == holder
            assert "attach" in caught.value.hint
        finally:
            process.kill()


def test_kill_9_lets_go(lock_path: Path) -> None:
    with hold_elsewhere(lock_path) as process:
        process.kill()
    assert lock_path.exists()
    assert read_holder(lock_path) is None
    with EngineLock.acquire(lock_path, version="1") as lock:
        assert read_holder(lock_path) == lock.holder


def test_release_removes_the_file_and_can_be_repeated(lock_path: Path) -> None:
    lock = EngineLock.acquire(lock_path, version="1", control="a.sock")
    assert stat.S_IMODE(lock_path.stat().st_mode) == 0o600
    assert stat.S_IMODE(lock_path.parent.stat().st_mode) == 0o700
    lock.update(control="b")
    holder = read_holder(lock_path)
    assert holder is not None
    assert holder.control == "b"
    lock.release()
    lock.release()
    assert not lock_path.exists()
    assert read_holder(lock_path) is None


def test_a_second_lock_in_the_same_process_is_refused(lock_path: Path) -> None:
    with EngineLock.acquire(lock_path, version="1"), pytest.raises(EngineRunning):
        EngineLock.acquire(lock_path, version="1")


@pytest.mark.parametrize(
    "left_over",
    ["", "not json", "[]", '{"pid": 1, "version": "0", "started": 5, "control": ""}', '{"pid": "one"}', "\0" * 5000],
)
def test_a_left_over_file_is_taken_over_whatever_it_says(lock_path: Path, left_over: str) -> None:
    lock_path.parent.mkdir()
    lock_path.write_text(left_over)
    assert read_holder(lock_path) is None
    with EngineLock.acquire(lock_path, version="1") as lock:
        assert read_holder(lock_path) == lock.holder


def test_a_process_that_got_the_number_of_a_dead_one_is_not_taken_for_it() -> None:
    started = process_started(os.getpid())
    assert started is not None
    assert is_running(Holder(os.getpid(), "1", started, ""))
    assert not is_running(Holder(os.getpid(), "1", started - 60_000, ""))
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        pass
    assert process_started(gone.pid) is None
    assert process_started(-1) is None


def live_on(pipe: Connection) -> None:
    pipe.send("up")
    pipe.recv()


def test_a_forked_child_that_outlives_the_engine_does_not_hold_the_lock(lock_path: Path) -> None:
    lock = EngineLock.acquire(lock_path, version="1")
    fork = multiprocessing.get_context("fork")
    ours, theirs = fork.Pipe()
    child = fork.Process(target=live_on, args=(theirs,))
    child.start()
    try:
        assert ours.poll(10)
        assert read_holder(lock_path) == lock.holder
        lock.close_descriptor()  # what the system does when the engine dies
        assert read_holder(lock_path) is None
    finally:
        ours.send(None)
        child.join(10)
