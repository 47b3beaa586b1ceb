"""One id of the carrier's belongs to one call of ours, whoever writes what."""

from __future__ import annotations

import asyncio
from pathlib import Path

from engine.book import CallBook
from engine.calls import Draft
from engine.owning import Owned, made_room, rival
from engine.recorder import Recorder
from engine.store import EventLog

NUMBERS = {"direction": "outbound", "from": "+15550100000", "to": "+15550100142"}


def begun(call_id: str, at: int = 1, **changes: str) -> Draft:
    return Draft("call.initiated", call_id, {**NUMBERS, **changes}, at)


def accepted(call_id: str, name: str, **more: object) -> Draft:
    return Draft("call.accepted", call_id, {"providerCallId": name, **more})


async def written(folder: Path, *batches: list[Draft]) -> CallBook:
    """The book after those facts, batch by batch."""
    async with await EventLog.open(folder / "calls.db") as log:
        book = CallBook()
        recorder = Recorder(log, book, lambda before, after: None)
        running = asyncio.create_task(recorder.run())
        for batch in batches:
            await recorder.record(*batch)
        running.cancel()
        return book


def names(book: CallBook) -> dict[str, str | None]:
    return {call.call_id: call.provider_call_id for call in book.all()}


async def test_a_second_call_does_not_get_the_same_id_not_even_in_the_same_breath(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    first = [begun("a"), begun("b"), accepted("a", "CA1"), accepted("b", "CA1")]
    assert names(await written(tmp_path / "one", first)) == {"a": "CA1", "b": None}
    (tmp_path / "two").mkdir()
    apart = await written(tmp_path / "two", [begun("a"), begun("b"), accepted("a", "CA1")], [accepted("b", "CA1")])
    assert names(apart) == {"a": "CA1", "b": None}
    found = apart.by_carrier("CA1")
    assert found is not None and found.call_id == "a"


async def test_a_guess_makes_room_for_what_is_certain_and_what_is_certain_stays(tmp_path: Path) -> None:
    book = await written(tmp_path, [begun("a"), begun("b"), accepted("a", "CA1", guessed=True)])
    assert [draft.type for draft in made_room(book, "CA1", "b")] == ["call.disowned", "call.error", "call.ended"]
    assert made_room(book, "CA1", "a") == made_room(book, "CA2", "b") == []
    (tmp_path / "sure").mkdir()
    sure = await written(tmp_path / "sure", [begun("a"), begun("b"), accepted("a", "CA1")])
    assert made_room(sure, "CA1", "b") == []


async def test_a_newer_dial_between_the_same_numbers_is_a_rival_and_others_are_not(tmp_path: Path) -> None:
    book = await written(
        tmp_path,
        [
            begun("lost", 10),
            begun("elsewhere", 20, to="+15550100177"),
            begun("older", 5),
            accepted("older", "CA1"),
            begun("refused", 30),
            Draft("call.ended", "refused", {"reason": "failed"}),
        ],
    )
    lost = book.get("lost")
    assert lost is not None and rival(book, lost) is None
    assert "CA1" in Owned(book) and "CA2" not in Owned(book) and list(Owned(book)) == ["CA1"]
    (tmp_path / "more").mkdir()
    newer = await written(tmp_path / "more", [begun("lost", 10), begun("newer", 11), accepted("newer", "CA2")])
    lost, other = newer.get("lost"), newer.get("newer")
    assert lost is not None and other is not None and rival(newer, lost) == other
