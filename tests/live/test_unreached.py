"""A call of which no webhook ever comes, because the address that the carrier was told is wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest

from engine.book import CallBook
from engine.calls import Call, Draft, Event, State
from engine.carriers.base import Alert, Capabilities, CarrierError, CarrierStatus
from engine.live.parts import Parts
from engine.live.unreached import AGAIN_SECONDS, FIRST_SECONDS, PATIENCE_SECONDS, Unreached
from tests.virtual_time import virtual_time

URL = "https://calls.example.com/voice/webhook"
NOTE = Alert(
    "NO1", "11200", "HTTP retrieval failure", "https://example.com/11200", True, None, f"{URL}?callId=c", True
)
RINGING = CarrierStatus(live=True, raw="ringing")
TALKING = CarrierStatus(live=True, raw="in-progress", answered=True)
DONE = CarrierStatus(live=False, raw="completed", reason=State.COMPLETED, answered=True)


@dataclass
class Case:
    """One dialled call, its record, and a carrier that says and has noted what a test wants."""

    says: list[CarrierStatus | CarrierError]
    notes: list[Alert] = field(default_factory=list)
    capabilities: Capabilities = field(default_factory=lambda: Capabilities(alerts=True))
    asked: int = 0
    ended: list[State] = field(default_factory=list)
    book: CallBook = field(default_factory=CallBook)
    seq: int = 0

    def __post_init__(self) -> None:
        self.post(Draft("call.initiated", "c", {"direction": "outbound", "mode": "conversation"}))
        self.post(Draft("call.accepted", "c", {"providerCallId": "CA1"}))

    def post(self, *drafts: Draft) -> None:
        for draft in drafts:
            self.seq += 1
            self.book.take([Event(self.seq, self.seq, "c", draft.type, draft.data)])

    async def status(self, provider_call_id: str) -> CarrierStatus:
        self.asked += 1
        said = self.says.pop(0) if len(self.says) > 1 else self.says[0]
        if isinstance(said, CarrierError):
            raise said
        return said

    async def alerts(self, provider_call_id: str) -> Sequence[Alert]:
        return self.notes

    def hang_up(self, call_id: str, reason: State, by: str, detail: str = "") -> None:
        self.ended.append(reason)
        self.post(Draft("call.ended", "c", {"reason": reason.value, "by": by, "detail": detail}))

    @property
    def call(self) -> Call:
        call = self.book.get("c")
        assert call is not None
        return call

    @property
    def error(self) -> dict[str, Any]:
        return dict(self.call.error or {})

    async def watch(self) -> float:
        """Run it; how many seconds it took."""

        @dataclass
        class Borrowed:
            recorder: Case
            carrier: Case
            book: CallBook
            hang_up: object
            webhook_url: object

        parts = cast(Parts, Borrowed(self, self, self.book, self.hang_up, lambda: URL))
        began = asyncio.get_running_loop().time()
        await Unreached("c", parts).run()
        return asyncio.get_running_loop().time() - began


@virtual_time
async def test_an_answered_call_that_we_were_not_asked_about_ends_within_seconds_and_says_why() -> None:
    case = Case([TALKING], [NOTE])
    assert await case.watch() <= FIRST_SECONDS + AGAIN_SECONDS
    assert case.ended == [State.ERROR] and case.call.answered_at is not None
    assert case.error["code"] == "webhook_unreachable" and case.error["carrierCode"] == "11200"
    assert case.error["message"] == f"webhook not reachable at {URL}: HTTP retrieval failure"


@virtual_time
async def test_a_carrier_that_notes_nothing_is_given_the_time_in_which_it_tries() -> None:
    case = Case([TALKING])
    seconds = await case.watch()
    assert PATIENCE_SECONDS <= seconds <= FIRST_SECONDS + PATIENCE_SECONDS + AGAIN_SECONDS
    assert case.ended == [State.ERROR]
    assert f"webhook not reachable at {URL}" in case.error["message"] and "in-progress" in case.error["message"]


@virtual_time
async def test_a_call_that_is_over_untold_has_not_simply_been_completed() -> None:
    case = Case([DONE], [NOTE])
    assert await case.watch() == FIRST_SECONDS + AGAIN_SECONDS
    assert case.ended == [State.ERROR] and case.error["code"] == "webhook_unreachable"


@pytest.mark.parametrize("reason", [State.BUSY, State.NO_ANSWER, State.HANGUP_BOT])
def test_an_end_that_had_nothing_to_do_with_us_keeps_its_reason_and_the_error_is_told(reason: State) -> None:
    case = Case([CarrierStatus(live=False, raw=reason.value, reason=reason)], [NOTE])
    virtual_time(case.watch)()  # type: ignore[arg-type]
    assert case.ended == [reason] and case.error["code"] == "webhook_unreachable"


@virtual_time
async def test_while_it_rings_the_error_is_told_and_nothing_is_ended() -> None:
    case = Case([RINGING, RINGING, RINGING, TALKING], [NOTE])
    task = asyncio.create_task(case.watch())
    await asyncio.sleep(FIRST_SECONDS + 0.1)
    assert case.error["code"] == "webhook_unreachable" and not case.ended
    await task
    assert case.ended == [State.ERROR]


@virtual_time
async def test_a_call_whose_webhooks_come_is_never_asked_about() -> None:
    case = Case([TALKING], [NOTE])
    case.post(Draft("webhook.received", "c", {"verdict": "ok"}))
    await case.watch()
    assert case.asked == 0 and not case.ended and not case.error


@virtual_time
async def test_a_webhook_that_comes_late_saves_the_call() -> None:
    case = Case([TALKING])
    task = asyncio.create_task(case.watch())
    await asyncio.sleep(FIRST_SECONDS + 1)
    case.post(Draft("webhook.received", "c", {"verdict": "ok"}))
    await task
    assert not case.ended and not case.error


@virtual_time
async def test_nothing_is_ended_on_a_guess_while_the_carrier_does_not_say() -> None:
    away = CarrierError("away", kind="retry")
    case = Case([away, away, away, DONE], [replace(NOTE, unreachable=False)])
    assert await case.watch() == FIRST_SECONDS + 4 * AGAIN_SECONDS
    assert case.ended == [State.ERROR]
