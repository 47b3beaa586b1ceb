"""Who was let in for good is what the log says, and asking it is quick however long the log is."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from engine.calls import Draft
from engine.store import EventLog

ANNA, TOM, EVA = "+15550100101", "+15550100102", "+15550100103"


def admitted(call_id: str, number: object, verdict: str) -> list[Draft]:
    facts = Draft("call.initiated", call_id, {"direction": "inbound", "from": number})
    return [facts, Draft("call.waiting", call_id), Draft("call.admitted", call_id, {"verdict": verdict})]


async def test_the_numbers_that_were_let_in_always_are_found_once_each(tmp_path: Path) -> None:
    async with await EventLog.open(tmp_path / "calls.db") as log:
        await log.append(
            [
                *admitted("1", ANNA, "always"),
                *admitted("2", TOM, "once"),
                *admitted("3", EVA, "no"),
                *admitted("4", ANNA, "always"),
                *admitted("5", None, "always"),
                Draft("call.admitted", "never begun", {"verdict": "always"}),
            ]
        )
        assert await log.always_admitted() == [ANNA]
    async with await EventLog.open(tmp_path / "calls.db") as log:
        assert await log.always_admitted() == [ANNA]


async def test_an_admission_that_was_taken_back_counts_no_more_until_the_next_one(tmp_path: Path) -> None:
    def forgotten(number: str) -> Draft:
        return Draft("caller.forgotten", None, {"number": number, "by": "cli"})

    async with await EventLog.open(tmp_path / "calls.db", clock=lambda: 1000) as log:
        await log.append([*admitted("1", ANNA, "always"), *admitted("2", TOM, "always"), forgotten(ANNA)])
        assert await log.always_admitted() == [TOM]
        await log.append([*admitted("3", ANNA, "always"), forgotten("15550100102")])
        assert await log.always_admitted() == [ANNA]
        await log.append([forgotten(ANNA)])
        await log.append([Draft("call.ended", "3", {}, at=9000)])
        await log.forget(2000)
        assert await log.always_admitted() == [], "the call is kept, so what takes its admission back is too"


async def test_a_call_that_is_forgotten_takes_its_admission_with_it(tmp_path: Path) -> None:
    async with await EventLog.open(tmp_path / "calls.db", clock=lambda: 1000) as log:
        await log.append(admitted("1", ANNA, "always"))
        await log.forget(2000)
        assert await log.always_admitted() == []


async def test_a_log_from_before_gets_the_index_and_the_question_uses_it(tmp_path: Path) -> None:
    path = tmp_path / "calls.db"
    async with await EventLog.open(path):
        """Made."""
    with sqlite3.connect(path) as connection:
        connection.execute("DROP INDEX callers_admitted")
    connection.close()
    async with await EventLog.open(path) as log:
        await log.append(admitted("1", ANNA, "always"))
        assert await log.always_admitted() == [ANNA]
    with sqlite3.connect(path) as connection:
        plan = connection.execute(
            "EXPLAIN QUERY PLAN SELECT call_id FROM events WHERE type = 'call.admitted'"
        ).fetchall()
    connection.close()
    assert "callers_admitted" in str(plan)
