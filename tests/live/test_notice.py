"""Notices that the carrier says by itself: what was heard of them, and calls of which no webhook tells."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import cast

from hypothesis import given
from hypothesis import strategies as st

from engine.book import CallBook
from engine.calls import Call, Draft, Event, State
from engine.carriers.base import CarrierError, CarrierStatus
from engine.clock import epoch_ms
from engine.config import parse_config
from engine.live import notice
from engine.live.notice import ASK_SECONDS, UNTOLD_SECONDS, NoticeWatch
from engine.live.parts import Parts
from tests.virtual_time import virtual_time

TEXT = "Your parcel waits at the corner shop until Friday evening. Please bring a document."


@dataclass
class Case:
    """One notice, its record, and a carrier that answers `status` with what is left in `says`."""

    text: str = TEXT
    says: list[CarrierStatus | CarrierError] = field(default_factory=list)
    asked: int = 0
    hung_up: list[tuple[State, str]] = field(default_factory=list)
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    book: CallBook = field(default_factory=CallBook)
    seq: int = 0

    def __post_init__(self) -> None:
        facts = {"direction": "outbound", "mode": "notify", "media": "inline", "message": self.text}
        self.post(Draft("call.initiated", "c", facts), notice.queued("c", self.text))
        self.post(Draft("call.accepted", "c", {"providerCallId": "CA1"}))

    def post(self, *drafts: Draft) -> None:
        for draft in drafts:
            self.seq += 1
            at = epoch_ms() if draft.at is None else draft.at
            self.book.take([Event(self.seq, at, "c", draft.type, draft.data)])
            if draft.type == "call.answered":
                self.answered.set()

    async def settle(self) -> None:
        """Everything is in the book at once."""

    async def status(self, provider_call_id: str) -> CarrierStatus:
        self.asked += 1
        said = self.says.pop(0) if len(self.says) > 1 else self.says[0]
        if isinstance(said, CarrierError):
            raise said
        return said

    def hang_up(self, call_id: str, reason: State, by: str, detail: str = "") -> None:
        self.hung_up.append((reason, detail))

    @property
    def call(self) -> Call:
        call = self.book.get("c")
        assert call is not None
        return call

    def watch(self) -> NoticeWatch:
        @dataclass
        class Borrowed:
            recorder: Case
            carrier: Case
            book: CallBook
            config: object
            hang_up: object

        config = parse_config(b"", None, {}).config
        parts = cast(Parts, Borrowed(self, self, self.book, config, self.hang_up))
        return NoticeWatch("c", parts, self.answered, self.closing_facts)

    def closing_facts(self, duration_s: int | None) -> list[Draft]:
        return notice.closing(self.call, duration_s, epoch_ms())


def answer(case: Case) -> None:
    case.post(Draft("call.answered", "c"), *notice.started(case.call))


def test_a_call_that_lasted_as_long_as_the_message_heard_it() -> None:
    case = Case()
    answer(case)
    case.post(*notice.closing(case.call, 8, epoch_ms()))
    (line,) = case.call.transcript
    assert (line.text, line.cut, line.playing) == (TEXT, False, False)


def test_who_hangs_up_early_heard_the_beginning() -> None:
    case = Case()
    answer(case)
    drafts = notice.closing(case.call, 1, epoch_ms())
    assert notice.was_cut(drafts)
    case.post(*drafts)
    (line,) = case.call.transcript
    assert line.cut and line.text and TEXT.startswith(line.text) and line.text != TEXT


def test_a_call_that_nobody_answered_skips_its_message() -> None:
    case = Case()
    drafts = notice.closing(case.call, None, epoch_ms())
    assert [draft.type for draft in drafts] == ["say.skipped"]
    case.post(*drafts)
    assert not case.call.queued and not case.call.transcript


def test_a_message_begins_and_ends_once() -> None:
    case = Case()
    answer(case)
    assert notice.started(case.call) == []
    case.post(*notice.closing(case.call, 60, epoch_ms()))
    assert notice.closing(case.call, 60, epoch_ms()) == []


@given(text=st.text(min_size=1, max_size=400), seconds=st.integers(0, 60))
def test_what_was_heard_is_always_the_beginning_of_the_message(text: str, seconds: int) -> None:
    case = Case(text)
    answer(case)
    case.post(*notice.closing(case.call, seconds, epoch_ms()))
    assert all(text.startswith(line.text) and not line.playing for line in case.call.transcript)
    assert not case.call.queued


@virtual_time
async def test_a_notice_whose_webhooks_never_come_is_followed_by_asking() -> None:
    over = CarrierStatus(live=False, reason=State.COMPLETED, raw="completed", answered=True, duration_s=9)
    case = Case(says=[CarrierStatus(live=True, answered=True, raw="in-progress"), over])
    await case.watch().run()
    assert case.call.answered_at is not None
    assert case.call.end_reason is State.COMPLETED
    assert [(line.text, line.cut) for line in case.call.transcript] == [(TEXT, False)]
    assert case.hung_up == []


@virtual_time
async def test_a_notice_that_ended_unanswered_and_untold_ends_as_the_carrier_says() -> None:
    case = Case(says=[CarrierStatus(live=False, reason=State.BUSY, raw="busy")])
    await case.watch().run()
    assert case.call.end_reason is State.BUSY and not case.call.transcript


@virtual_time
async def test_a_carrier_that_does_not_say_is_asked_again_and_the_call_is_not_ended_on_a_guess() -> None:
    away = CarrierError("away", kind="retry")
    over = CarrierStatus(live=False, reason=State.COMPLETED, raw="completed", answered=True, duration_s=9)
    case = Case(says=[away, away, over])
    case.post(Draft("webhook.received", "c", {"verdict": "ok"}))
    began = asyncio.get_running_loop().time()
    await case.watch().run()
    assert case.asked == 3
    assert asyncio.get_running_loop().time() - began == 30 + 10 + 2 * ASK_SECONDS
    assert case.call.end_reason is State.COMPLETED


@virtual_time
async def test_a_notice_of_which_no_webhook_ever_came_is_asked_about_within_seconds() -> None:
    case = Case(says=[CarrierStatus(live=False, reason=State.BUSY, raw="busy")])
    began = asyncio.get_running_loop().time()
    await case.watch().run()
    assert asyncio.get_running_loop().time() - began == UNTOLD_SECONDS
    assert case.call.end_reason is State.BUSY


@virtual_time
async def test_a_notice_may_not_outlast_the_longest_call() -> None:
    case = Case(says=[CarrierStatus(live=True, answered=True, raw="in-progress")])
    answer(case)
    await case.watch().run()
    assert case.hung_up == [(State.TIMEOUT, "the call reached max_duration_seconds")]
    assert asyncio.get_running_loop().time() >= 300
