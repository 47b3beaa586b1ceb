"""What each webhook is answered with: one row per situation, and the documents as the carrier gets them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.answers import Kind, document_for
from engine.calls import Call, State
from engine.calls.call import Media
from engine.carriers.base import CarrierEvent, CarrierEventType
from engine.carriers.links import read_link
from tests.engine.fake_carrier import OURS, sid, table, without

TYPES: tuple[CarrierEventType, ...] = get_args(CarrierEventType)
OUT = Call("c1", "fake", "outbound", "conversation", OURS, "+15550100142", 1, State.ANSWERED, "CA1", answered_at=2)
IN = replace(OUT, direction="inbound")
RINGING = replace(IN, state=State.RINGING, answered_at=None)
WAITING = replace(RINGING, waiting=True)
NATIVE = replace(OUT, media="native")
NOTICE = replace(OUT, media="inline", mode="notify")
OVER = replace(OUT, state=State.COMPLETED)
REFUSED = replace(RINGING, state=State.HANGUP_BOT)


def event(type_: CarrierEventType, wants: bool = True, **more: Any) -> CarrierEvent:
    return CarrierEvent(type_, "CA1", wants_document=wants, **more)


ROWS: list[tuple[str, Call | None, CarrierEvent, bool, Kind]] = [
    ("progress of a call that nobody knows", None, event("ringing", False), False, "nothing"),
    ("a call that nobody knows asks", None, event("asks"), False, "hang_up"),
    ("an answered call that nobody knows asks", None, event("answered"), False, "hang_up"),
    ("progress", OUT, event("ringing", False), False, "nothing"),
    ("an answer that is only told", OUT, event("answered", False), False, "nothing"),
    ("an answer that asks", OUT, event("answered"), False, "connect"),
    ("the stream ended, or a stream is to be opened again", OUT, event("asks"), False, "connect"),
    ("a caller is let in", RINGING, event("incoming"), False, "connect"),
    ("a caller waits", WAITING, event("incoming"), False, "hold"),
    ("a caller still waits", WAITING, event("asks"), False, "hold"),
    ("a caller was let in and asks", RINGING, event("asks"), False, "connect"),
    ("nobody took a transferred caller", OUT, event("transfer_over"), False, "connect"),
    ("two have talked", OVER, event("transfer_over", reached=True), False, "hang_up"),
    ("without a stream: the answer", NATIVE, event("answered"), False, "listen"),
    ("without a stream: a caller is let in", replace(RINGING, media="native"), event("incoming"), False, "listen"),
    ("without a stream: words", NATIVE, event("speech", text="Hi"), False, "listen"),
    ("without a stream: silence", NATIVE, event("silence"), False, "listen"),
    ("without a stream: keys", NATIVE, event("dtmf", digits="1"), False, "listen"),
    ("without a stream: keys were played", NATIVE, event("asks"), False, "listen"),
    ("without a stream: growing words", NATIVE, event("partial", False, text="H"), False, "nothing"),
    ("without a stream: nobody took the caller", NATIVE, event("transfer_over"), False, "listen"),
    ("a notice that did not fit in the dial", NOTICE, event("answered"), False, "notice"),
    ("a notice that was said", NOTICE, event("asks"), False, "after_notice"),
    ("a verdict", NOTICE, event("machine", False, answered_by="human"), False, "nothing"),
    ("a call that is over asks", OVER, event("asks"), False, "hang_up"),
    ("words after the end", replace(NATIVE, state=State.COMPLETED), event("speech", text="Hi"), False, "hang_up"),
    ("a verdict after the end", OVER, event("machine", False, answered_by="machine"), False, "nothing"),
    ("a transfer is over after the end", OVER, event("transfer_over"), False, "hang_up"),
    ("a caller who was refused while they waited", REFUSED, event("asks"), False, "reject"),
    ("a call that is being ended", OUT, event("asks"), True, "hang_up"),
    ("a call that is being ended before it was answered", RINGING, event("incoming"), True, "reject"),
    ("a call that is being ended reports", OUT, event("ringing", False), True, "nothing"),
]


@pytest.mark.parametrize(("call", "event", "ending", "kind"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_each_situation_has_its_document(call: Call | None, event: CarrierEvent, ending: bool, kind: Kind) -> None:
    """Pain A2."""
    assert document_for(call, event, ending=ending).kind == kind


@given(
    type_=st.sampled_from(TYPES),
    wants=st.booleans(),
    reached=st.booleans(),
    ending=st.booleans(),
    state=st.sampled_from(State),
    media=st.sampled_from(get_args(Media)),
    inbound=st.booleans(),
    answered=st.booleans(),
    waiting=st.booleans(),
    known=st.booleans(),
)
def test_who_asks_is_told_something_and_who_does_not_is_told_nothing(
    type_: CarrierEventType,
    wants: bool,
    reached: bool,
    ending: bool,
    state: State,
    media: Media,
    inbound: bool,
    answered: bool,
    waiting: bool,
    known: bool,
) -> None:
    call = replace(
        OUT,
        state=state,
        media=media,
        direction="inbound" if inbound else "outbound",
        answered_at=2 if answered else None,
        waiting=waiting,
    )
    answer = document_for(call if known else None, event(type_, wants, reached=reached), ending=ending)
    assert (answer.kind != "nothing") == wants
    if known and (not call.live or ending):
        assert answer.kind in ("nothing", "reject", "hang_up"), "no call that is over goes on"
    if answer.kind == "connect":
        assert media == "stream"
    if answer.kind == "listen":
        assert media == "native"


async def test_a_stream_is_told_where_to_report_trouble_and_to_ask_when_it_is_over(tmp_path: Path) -> None:
    async with table(tmp_path) as at:
        call = await at.call_out()
        addresses = set()
        for type_ in ("answered", "asks", "asks"):
            (connect,) = await at.tell(type_, sid(call), wants_document=True)
            assert connect["verb"] == "Connect" and connect["token"]
            assert read_link(connect["status_url"]) == ("stream", {"callId": call.call_id, "flow": "stream"})
            assert read_link(connect["again_url"])[0] == "connect"
            assert connect["again_url"].startswith(at.webhook_url)
            addresses.add(connect["again_url"])
        assert len(addresses) == 3, "the same address twice would be a replay where a carrier signs no time"


async def test_a_stream_that_is_asked_for_again_gets_a_token_that_is_still_good(tmp_path: Path) -> None:
    async with table(tmp_path) as at:
        call = await at.call_out()
        await at.answer(call)
        (again,) = await at.tell("asks", sid(call), wants_document=True)
        await at.connect([again], sid(call))
        await at.until_event(call, "stream.resumed")


async def test_a_stranger_to_us_is_hung_up_on_and_nothing_is_begun(tmp_path: Path) -> None:
    async with table(tmp_path) as at:
        for type_ in ("asks", "answered", "speech", "silence", "transfer_over"):
            assert [verb["verb"] for verb in await at.tell(type_, "CAother", wants_document=True)] == ["Hangup"]
        for type_ in ("machine", "partial", "ended", "stream_failed"):
            assert await at.tell(type_, "CAother") == []
        assert at.engine.live_calls() == []


async def test_what_comes_after_the_end_is_harmless(tmp_path: Path) -> None:
    """Pain F4."""
    async with table(tmp_path, streaming={"enabled": False}) as at:
        call = await at.call_out()
        await at.tell("answered", sid(call), wants_document=True)
        await at.tell("ended", sid(call), reason="completed")
        before = [type_ for type_ in await at.types(call) if type_ != "webhook.received"]
        for type_ in ("speech", "silence", "dtmf", "asks", "transfer_over"):
            assert [verb["verb"] for verb in await at.tell(type_, sid(call), wants_document=True)] == ["Hangup"]
        for type_ in ("partial", "machine", "ringing", "answered"):
            assert await at.tell(type_, sid(call)) == []
        assert [type_ for type_ in await at.types(call) if type_ != "webhook.received"] == before


async def test_a_caller_is_turned_away_where_nobody_could_talk_to_them(tmp_path: Path) -> None:
    async with table(tmp_path, without(native_speech=False), streaming={"enabled": False}) as at:
        numbers = {"direction": "inbound", "from_number": "+15550100103", "to_number": OURS}
        document = await at.tell("incoming", "CAin", wants_document=True, **numbers)
        assert [verb["verb"] for verb in document] == ["Reject"]
        call = at.engine.call("CAin")
        assert call is not None and not call.live
        assert "no voice of its own" in str((call.error or {}).get("message"))


async def test_an_answer_that_is_told_twice_is_written_down_once(tmp_path: Path) -> None:
    async with table(tmp_path) as at:
        call = await at.call_out()
        await at.tell("answered", sid(call))
        await at.tell("answered", sid(call), wants_document=True)
        await at.tell("answered", sid(call))
        assert (await at.types(call)).count("call.answered") == 1


async def test_a_call_that_is_being_ended_is_not_begun_when_it_is_answered(tmp_path: Path) -> None:
    async with table(tmp_path) as at:
        at.carrier.during_hang_up = asyncio.Event()
        call = await at.call_out()
        ending = asyncio.create_task(at.engine.end(call.call_id, "cli"))
        await at.carrier.until(at.carrier.hung_up)
        document = await at.tell("answered", sid(call), wants_document=True)
        assert [verb["verb"] for verb in document] == ["Hangup"]
        at.carrier.during_hang_up.set()
        await ending
