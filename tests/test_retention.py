"""What people said and from where they called is not kept longer than configured."""

from __future__ import annotations

import asyncio
from pathlib import Path

from engine.book import CallBook
from engine.calls import Draft
from engine.recordings import Recordings
from engine.retention import LOOK_SECONDS, Retention
from engine.store import DAY_MS, EventLog
from tests.virtual_time import virtual_time


class Clock:
    """Epoch ms that a test sets."""

    def __init__(self) -> None:
        self.now = 1_700_000_000_000

    def __call__(self) -> int:
        return self.now


def call(call_id: str) -> list[Draft]:
    return [
        Draft("call.initiated", call_id, {"provider": "mock", "direction": "inbound"}),
        Draft("speech.final", call_id, {"text": f"I am the {call_id} one", "turn": 1}),
        Draft("call.ended", call_id, {"reason": "completed"}),
    ]


async def test_a_call_is_gone_from_memory_and_disk_after_its_days_and_a_younger_one_stays(tmp_path: Path) -> None:
    clock, book = Clock(), CallBook()
    async with await EventLog.open(tmp_path / "calls.db", clock) as log:
        book.take(await log.append(call("old")))
        clock.now += 5 * DAY_MS
        book.take(await log.append(call("young")))
        retention = Retention(7, log, book, clock)
        await retention.forget()
        assert book.get("old") is not None
        clock.now += 3 * DAY_MS
        await retention.forget()
        assert book.get("old") is None and book.get("young") is not None
        assert {event.call_id for event in await log.read(0, 100)} == {"young"}
    kept = await asyncio.to_thread(lambda: b"".join(file.read_bytes() for file in tmp_path.iterdir()))
    assert b"I am the young one" in kept and b"I am the old one" not in kept


@virtual_time
async def test_it_looks_again_while_the_engine_runs_and_zero_keeps_everything() -> None:
    class Log:
        looks = 0

        async def forget(self, before: int) -> int:
            self.looks += 1
            return 0

    log = Log()
    looking = asyncio.create_task(Retention(1, log, CallBook(), Clock()).run())  # type: ignore[arg-type]
    await asyncio.sleep(2.5 * LOOK_SECONDS)
    looking.cancel()
    assert log.looks == 3
    await Retention(0, log, CallBook(), Clock()).run()  # type: ignore[arg-type]
    assert log.looks == 3


async def test_the_recordings_of_a_call_go_with_it_and_nothing_else_does(tmp_path: Path) -> None:
    clock, book, folder = Clock(), CallBook(), tmp_path / "recordings"
    folder.mkdir()
    files = {name: folder / name for name in ("old.1.wav", "old.2.wav", "young.1.wav", "notes.txt")}
    for file in files.values():
        file.write_bytes(b"sound")
    recordings = Recordings(folder)
    async with await EventLog.open(tmp_path / "calls.db", clock) as log:
        for call_id in ("old", "young"):
            named = [*(file for name, file in files.items() if name.startswith(call_id)), files["notes.txt"]]
            facts = [Draft("recording.started", call_id, {"index": 1, "file": str(file)}) for file in named]
            await log.append([*call(call_id)[:1], *facts, *call(call_id)[1:]])
            clock.now += 5 * DAY_MS
        clock.now -= 2 * DAY_MS
        await Retention(7, log, book, clock, recordings.remove).forget()
        assert {event.call_id for event in await log.read(0, 100)} == {"young"}
    assert sorted(file.name for file in folder.iterdir()) == ["notes.txt", "young.1.wav"]
