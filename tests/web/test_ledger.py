"""Requests are kept off the way of their answers, within bounds, in order, through `kill -9`, and not for ever."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest

from engine.api import Refusal
from engine.calls import Draft
from engine.config import Config, parse_config
from engine.store import DAY_MS, EventLog, StoreError, WebhookQuery, WebhookRow, open_readonly
from engine.store.webhooks import forget_calls, insert, prune
from engine.web.ledger import MAX_WAITING, Ledger
from engine.web.record import Head, Seen
from tests.web.rig import front, webhook


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[EventLog]:
    async with await EventLog.open(tmp_path / "calls.db") as opened:
        yield opened


def config(**webhooks: int) -> Config:
    parsed = parse_config(b"", None, {}).config
    return parsed.model_copy(update={"webhooks": parsed.webhooks.model_copy(update=webhooks)})


def seen(verdict: str = "ok", body: bytes = b"x=1", **more: object) -> Seen:
    head = Head("POST", "/voice/webhook", [("X-Sim-Signature", "abc")], "127.0.0.1")
    made = Seen(head, time.time_ns() // 1_000_000, 2, verdict, "why", 200, "effect", body=body)
    return made if not more else type(made)(**{**{name: getattr(made, name) for name in Seen.__slots__}, **more})


def row(id_: int, verdict: str = "ok", at: int = 0, call_id: str | None = None) -> WebhookRow:
    return WebhookRow(id_, at, call_id, verdict, "words", "{}", "{}")


async def opened(log: EventLog, **webhooks: int) -> Ledger:
    ledger = Ledger(config(**webhooks), log, lambda: "http://127.0.0.1:1")
    await ledger.open()
    return ledger


async def test_a_request_is_numbered_at_once_and_there_when_it_is_asked_for(log: EventLog) -> None:
    ledger = await opened(log)
    assert [ledger.keep(seen()), ledger.keep(seen())] == [1, 2]
    assert [found["id"] for found in await ledger.find(WebhookQuery())] == [2, 1]
    assert (await ledger.show(1, secrets=False))["body"] == "x=1"


async def test_keeping_does_not_touch_the_disk_and_a_full_queue_drops_and_counts(log: EventLog) -> None:
    ledger = await opened(log)
    assert [ledger.keep(seen()) for _ in range(MAX_WAITING)] == list(range(1, MAX_WAITING + 1))
    assert await log.find_webhooks(WebhookQuery(last=1000)) == []
    assert ledger.keep(seen()) is None and ledger.lost == 1
    await ledger.flush()
    assert len(await log.find_webhooks(WebhookQuery(last=1000))) == MAX_WAITING
    assert ledger.keep(seen()) == MAX_WAITING + 1


async def test_refused_requests_have_a_budget_and_large_bodies_of_them_are_cut(log: EventLog) -> None:
    ledger = await opened(log)
    kept = [ledger.keep(seen("refused", b"x" * 60_000)) for _ in range(200)]
    assert 50 <= sum(number is not None for number in kept) < 60
    assert ledger.keep(seen("ok", b"y" * 60_000)) is not None
    shown = await ledger.show(1, secrets=False)
    assert (len(shown["body"]), shown["bodySize"], shown["whole"], shown["curl"]) == (16_384, 60_000, False, "")
    assert "kept whole" in shown["unfit"]


async def test_zero_keeps_nothing(log: EventLog) -> None:
    ledger = await opened(log, keep=0)
    assert ledger.keep(seen()) is None


async def test_what_is_posted_is_written_in_the_background(log: EventLog) -> None:
    ledger = await opened(log)
    running = asyncio.create_task(ledger.run())
    ledger.keep(seen())
    async with asyncio.timeout(10):
        while not await log.find_webhooks(WebhookQuery()):
            pass
    running.cancel()


async def test_an_answer_does_not_wait_for_a_disk_that_hangs(log: EventLog) -> None:
    """The writer is stuck in another job all the while."""
    stuck = asyncio.Event()
    loop = asyncio.get_running_loop()

    def hang(_: sqlite3.Connection) -> int:
        asyncio.run_coroutine_threadsafe(stuck.wait(), loop).result(20)
        return 0

    ledger = await opened(log)
    running = asyncio.create_task(ledger.run())
    hanging = asyncio.create_task(log.write(hang))
    async with front(keeps=ledger) as server:
        for _ in range(3):
            assert (await server.post(webhook()))[0] == 200
        assert [draft.data["record"] for draft in server.posted] == [1, 2, 3]
    stuck.set()
    await hanging
    assert [found["verdict"] for found in await ledger.find(WebhookQuery())] == ["replay", "replay", "ok"]
    running.cancel()


@pytest.mark.parametrize(
    "body",
    [b"", b"\x00\xff\xfe", b"{" * 60_000, b"[" * 60_000, b"a=" + b"%ff" * 9_000, "\u202e\x1b[2J".encode(), b"&=&=&"],
    ids=lambda body: f"{body[:6]!r} {len(body)}",
)
async def test_i11_hostile_bodies_are_kept_and_shown_whatever_they_are(log: EventLog, body: bytes) -> None:
    """Signed with the right key: the carrier itself may send nonsense."""
    ledger = await opened(log)
    async with front(keeps=ledger) as server:
        assert (await server.post(body))[0] == 400
    (found,) = await ledger.find(WebhookQuery())
    assert (found["verdict"], found["status"]) == ("ok", 400) and found["effect"].startswith("failed: ")
    whole = await ledger.show(found["id"], secrets=True)
    assert whole["bodySize"] == len(body) and whole["curl"].count("curl") >= 1
    orjson.dumps([found, whole])


async def test_a_store_that_fails_delays_and_loses_nothing_within_the_bound(
    log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.web.ledger.RETRY_SECONDS", 0)
    ledger = await opened(log)
    ledger.keep(seen())
    works = log.write

    async def fails(work: object) -> int:
        raise StoreError("The disk is full.")

    monkeypatch.setattr(log, "write", fails)
    await ledger.flush()
    monkeypatch.setattr(log, "write", works)
    await ledger.flush()
    assert [found["id"] for found in await ledger.find(WebhookQuery())] == [1]


async def test_what_is_not_there_is_said_with_a_slug(log: EventLog) -> None:
    ledger = await opened(log)
    with pytest.raises(Refusal) as refusal:
        await ledger.show(5, secrets=False)
    assert refusal.value.code == "webhook_not_found"


async def test_a_flood_of_refusals_does_not_wash_out_the_genuine_ones(log: EventLog) -> None:
    await log.write(lambda db: insert(db, [row(id_, "ok" if id_ <= 5 else "refused", 10) for id_ in range(1, 3001)]))
    while await log.write(lambda db: prune(db, 10, 0)):
        pass
    ids = [id_ for id_, _ in await log.find_webhooks(WebhookQuery(last=1000))]
    assert ids == [*range(3000, 2990, -1), 5, 4, 3, 2, 1]


async def test_what_is_too_old_goes_and_what_remains_keeps_its_number(log: EventLog) -> None:
    now = time.time_ns() // 1_000_000
    await log.write(lambda db: insert(db, [row(1, at=now - 20 * DAY_MS), row(2, at=now)]))
    ledger = await opened(log, keep_days=14)
    running = asyncio.create_task(ledger.run())  # it forgets as soon as it runs
    async with asyncio.timeout(10):
        while len(await log.find_webhooks(WebhookQuery())) > 1:
            pass
    running.cancel()
    assert [id_ for id_, _ in await log.find_webhooks(WebhookQuery())] == [2]
    assert ledger.keep(seen()) == 3


async def test_requests_go_with_the_call_that_retention_deletes(log: EventLog) -> None:
    old, new = 1_000, 9_000
    for call_id, at in (("old", old), ("new", new)):
        await log.append([Draft("call.initiated", call_id, {}, at), Draft("call.ended", call_id, {}, at)])
    rows = [row(1, call_id="old"), row(2, call_id="new"), row(3)]
    await log.write(lambda db: insert(db, rows))
    assert await log.forget(5_000) == 2
    assert [id_ for id_, _ in await log.find_webhooks(WebhookQuery())] == [3, 2]
    assert await log.write(forget_calls) == 0


async def test_a_number_that_the_log_names_is_not_used_again_after_a_crash(log: EventLog) -> None:
    await log.append([Draft("webhook.received", None, {"record": 41}), Draft("engine.started", None, {})])
    ledger = await opened(log)
    assert ledger.keep(seen()) == 42


async def test_a_log_of_an_older_program_is_read_without_the_table(tmp_path: Path) -> None:
    path = tmp_path / "calls.db"
    await (await EventLog.open(path)).close()
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE webhooks")
    connection.close()
    with open_readonly(path) as reader:
        assert reader.find_webhooks(WebhookQuery()) == [] and reader.webhook(1) is None
    async with await EventLog.open(path) as log:
        assert await log.last_webhook() == 0


KEEPER = """
import asyncio, os, sys
from pathlib import Path
from engine.calls import Draft
from engine.config import parse_config
from engine.store import EventLog
from engine.web.ledger import Ledger
from engine.web.record import Head, Seen

async def main():
    log = await EventLog.open(Path(sys.argv[1]))
    ledger = Ledger(parse_config(b"", None, {}).config, log, lambda: "")
    await ledger.open()
    running = asyncio.create_task(ledger.run())
    head = Head("POST", "/voice/webhook", [], "127.0.0.1")
    while True:
        number = ledger.keep(Seen(head, 1 << 45, 2, "ok", "", 200, "", body=b"x"))
        if number is not None:
            await log.append([Draft("webhook.received", None, {"record": number, "pid": os.getpid()})])
            os.write(1, f"{number}\\n".encode())
        await asyncio.sleep(0)

asyncio.run(main())
"""


def keep_and_die(path: Path, lines: int) -> None:
    """Keep requests until about so many were told of, then `kill -9`."""
    with subprocess.Popen([sys.executable, "-c", KEEPER, path], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        told = b""
        while told.count(b"\n") < lines and (some := os.read(process.stdout.fileno(), 65536)):
            told += some
        process.kill()


@pytest.mark.parametrize("lines", [1, 400])
async def test_kill_9_at_any_moment_leaves_whole_requests_and_no_number_is_given_twice(
    tmp_path: Path, lines: int
) -> None:
    path = tmp_path / "calls.db"
    for _ in range(2):
        await asyncio.to_thread(keep_and_die, path, lines)
    async with await EventLog.open(path) as log:
        events = await log.read(0, 1_000_000)
        numbers = [event.data["record"] for event in events]
        assert len(set(numbers)) == len(numbers) and len({event.data["pid"] for event in events}) == 2
        kept = await log.find_webhooks(WebhookQuery(last=1_000_000))
        assert {id_ for id_, _ in kept} <= {*numbers, max(numbers) + 1}
        ledger = await opened(log)
        for id_, _ in kept[:50]:
            assert (await ledger.show(id_, secrets=False))["body"] == "x"
        next_ = ledger.keep(seen())
        assert next_ is not None and next_ > max(numbers)
