"""Disks fill up, folders are read-only, files are not ours: clear words, and nothing that was stored is lost."""

# ruff: noqa: ASYNC221, ASYNC240 (nothing else runs on the loop of a test)
from __future__ import annotations

import errno
import os
import sqlite3
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from engine.calls import Draft
from engine.store import EventLog, StoreError, open_readonly
from engine.store.errors import from_os
from engine.store.writer import Job


def said(text: str = "x") -> Draft:
    return Draft("speech.final", "c1", {"text": text})


async def on_writer(log: EventLog, statement: str) -> None:
    done = log._loop.create_future()

    def work(connection: sqlite3.Connection) -> int:
        connection.execute(statement)
        return 0

    log._writer.submit(Job(work, done))
    await done


async def test_a_full_disk_refuses_publishes_nothing_and_recovers(log: EventLog) -> None:
    await log.append([said()])
    async with log.subscribe() as subscription:
        await on_writer(log, "PRAGMA max_page_count = 12")
        with pytest.raises(StoreError, match="full") as caught:
            await log.append([said("y" * 100_000)])
        assert "Free disk space" in caught.value.hint
        assert log.failure is caught.value
        assert log.last_seq == 1
        await on_writer(log, "PRAGMA max_page_count = 1073741823")
        (event,) = await log.append([said("room again")])
        assert event.seq == 2
        assert log.failure is None
        assert await anext(subscription) == [event]
    assert [event.seq for event in await log.read(0, 10)] == [1, 2]


FULL_FILE_SYSTEM = """
import asyncio, resource, sys
from pathlib import Path
from engine.calls import Draft
from engine.store import EventLog, StoreError

def limit(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

async def main():
    log = await EventLog.open(Path(sys.argv[1]))
    stored = refused = 0
    limit(300_000)
    while refused < 3:
        try:
            stored += len(await log.append([Draft("speech.final", "c", {"text": "z" * 10_000})]))
        except StoreError as error:
            refused += 1
            assert error.hint
    limit(resource.RLIM_INFINITY)
    stored += len(await log.append([Draft("speech.final", "c", {"text": "room again"})]))
    assert [event.seq for event in await log.read(0, 1000)] == list(range(1, stored + 1))
    await log.close()
    print(stored)

asyncio.run(main())
"""


async def test_writes_that_the_system_refuses_do_no_harm(path: Path) -> None:
    ran = subprocess.run([sys.executable, "-c", FULL_FILE_SYSTEM, path], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    with open_readonly(path) as log:
        assert log.last_seq == int(ran.stdout) > 1


async def test_a_log_that_is_deleted_under_the_engine_is_noticed(log: EventLog, path: Path) -> None:
    path.unlink()
    with pytest.raises(StoreError, match=r"calls\.db"):
        await log.append([said()])


async def test_the_folder_and_its_files_are_for_the_owner_alone(log: EventLog, path: Path) -> None:
    await log.append([said()])
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {0o600}


async def test_an_older_folder_of_ours_is_closed_to_others(path: Path) -> None:
    path.parent.mkdir(mode=0o755)
    async with await EventLog.open(path):
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


async def test_a_folder_with_other_things_in_it_keeps_its_mode(path: Path) -> None:
    path.parent.mkdir()
    path.parent.chmod(0o755)
    (path.parent / "thesis.txt").touch()
    for _ in range(2):
        async with await EventLog.open(path):
            pass
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o755


AS_NOBODY = """
import asyncio, os, sys
from pathlib import Path
from engine.store import EventLog, StoreError
if os.geteuid() == 0:
    os.setuid(65534)  # root may write anywhere
try:
    asyncio.run(EventLog.open(Path(sys.argv[1])))
except StoreError as error:
    print(error)
"""


def test_a_folder_that_can_not_be_written_says_so() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o555)
        database = Path(folder) / "calls.db"
        ran = subprocess.run([sys.executable, "-c", AS_NOBODY, database], capture_output=True, text=True, timeout=60)
        assert f"{folder} can not be written" in ran.stdout, ran.stderr
        assert "--state-dir" in ran.stdout
        assert list(Path(folder).iterdir()) == []


async def test_a_state_folder_that_is_a_file_says_so(path: Path) -> None:
    path.parent.write_text("hello")
    with pytest.raises(StoreError, match="is a file") as caught:
        await EventLog.open(path)
    assert "--state-dir" in caught.value.hint


async def test_a_state_folder_that_can_not_be_made_says_so() -> None:
    with pytest.raises(StoreError, match="Could not create the state folder"):
        await EventLog.open(Path("/proc/voicecall/calls.db"))


@pytest.mark.parametrize("content", [b"this is no database " * 500, b"SQLite format 3\0" + b"\xff" * 8000])
async def test_a_corrupt_file_is_refused_and_left_as_it_was(path: Path, content: bytes) -> None:
    path.parent.mkdir(0o700)
    path.write_bytes(content)
    with pytest.raises(StoreError) as caught:
        await EventLog.open(path)
    assert caught.value.hint
    assert path.read_bytes() == content


async def test_the_database_of_another_program_is_left_alone(path: Path) -> None:
    path.parent.mkdir(0o700)
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE music (title TEXT)")
    other.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="not an event log"):
        await EventLog.open(path)
    assert path.read_bytes() == before


async def test_a_log_of_a_newer_program_is_refused(path: Path) -> None:
    async with await EventLog.open(path):
        pass
    with sqlite3.connect(path) as newer:
        newer.execute("PRAGMA user_version = 99")
    newer.close()
    with pytest.raises(StoreError, match="newer voicecall"):
        await EventLog.open(path)
    with pytest.raises(StoreError, match="newer voicecall"):
        open_readonly(path)


async def test_damage_inside_the_file_is_an_error_and_not_a_crash(path: Path) -> None:
    async with await EventLog.open(path) as log:
        await log.append([said("a" * 500) for _ in range(200)])
    content = bytearray(path.read_bytes())
    content[8 * 4096 : 20 * 4096] = b"\xaa" * (12 * 4096)
    path.write_bytes(content)
    async with await EventLog.open(path) as log:
        with pytest.raises(StoreError, match="could not be read"):
            await log.read(0, 1000)


class TestReadonly:
    async def test_it_reads_a_closed_log_and_creates_no_file(self, path: Path) -> None:
        async with await EventLog.open(path) as log:
            await log.append([Draft("call.initiated", "c1", {"from": "+1555"}), said("hello")])
            cursor = log.cursor
        before = sorted(path.parent.iterdir())
        with open_readonly(path) as reader:
            assert (reader.generation, reader.last_seq) == (cursor.generation, 2)
            assert [event.type for event in reader.read(0, 10)] == ["call.initiated", "speech.final"]
            assert reader.search("hello", 5) == ["c1"]
            assert sorted(path.parent.iterdir()) == before
        assert sorted(path.parent.iterdir()) == before == [path]

    async def test_it_reads_beside_a_running_engine(self, log: EventLog, path: Path) -> None:
        await log.append([said("fresh")])
        with open_readonly(path) as reader:
            assert [event.data["text"] for event in reader.read(0, 10)] == ["fresh"]

    def test_without_a_log_it_says_so_and_creates_nothing(self, tmp_path: Path) -> None:
        with pytest.raises(StoreError, match="no event log"):
            open_readonly(tmp_path / "none" / "calls.db")
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "Free disk space"),
        (errno.EDQUOT, "quota"),
        (errno.EROFS, "read-only"),
        (errno.EIO, "Check the disk"),
        (errno.EACCES, "writable for this user"),
    ],
)
def test_what_to_do_about_a_file_that_fails_depends_on_why(number: int, advice: str) -> None:
    told = from_os(OSError(number, os.strerror(number)), "write", Path("state/engine.lock"))
    assert advice in told.hint and os.strerror(number) in told.error


FULL_FROM_THE_START = """
import sys
from pathlib import Path
from engine.store import EngineLock, EventLog, StoreError
import asyncio

folder = Path(sys.argv[1])

async def start():
    with EngineLock.acquire(folder / "state" / "engine.lock", version="test"):
        await EventLog.open(folder / "state" / "calls.db")

try:
    asyncio.run(start())
except StoreError as error:
    print(error.hint)
else:
    print("started")
"""


@pytest.mark.parametrize("free_kib", [0, 20, 60])
def test_an_engine_that_can_not_start_on_a_full_disk_says_so_and_promises_nothing(
    tmp_path: Path, free_kib: int
) -> None:
    """On a real file system of 400 kB; skipped where this user can not make one."""
    make = f"mount -t tmpfs -o size=400k tmpfs {tmp_path} && mkdir {tmp_path}/state"
    fill = f"dd if=/dev/zero of={tmp_path}/fill bs=1k count={400 - free_kib} 2>/dev/null; true"
    line = f'{make} && {{ {fill}; }} && exec "$0" -c "$1" {tmp_path}'
    probe = subprocess.run(["unshare", "-rm", "sh", "-c", make], capture_output=True, check=False)
    if probe.returncode != 0:
        pytest.skip("no file system can be mounted here")
    command = ["unshare", "-rm", "sh", "-c", line, sys.executable, FULL_FROM_THE_START]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ran.stdout.startswith("Free disk space"), (ran.stdout, ran.stderr)
    assert "writable for this user" not in ran.stdout
