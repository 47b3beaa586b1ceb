from __future__ import annotations

import asyncio

from engine.speech.ports import Final, Lost, Partial, VoiceConfirmed
from engine.speech.stt.mailbox import Mailbox


async def test_hearings_come_in_order_and_end_after_a_loss() -> None:
    mailbox = Mailbox()
    for hearing in (VoiceConfirmed(0.9), Final("a b", 1), Partial("c"), Lost("gone"), Final("never", 2)):
        mailbox.put(hearing)
    taken = [await mailbox.take() for _ in range(5)]
    assert taken == [VoiceConfirmed(0.9), Final("a b", 1), Partial("c"), Lost("gone"), None]


async def test_a_slow_reader_holds_one_partial_and_one_opinion_but_every_final() -> None:
    mailbox = Mailbox()
    for number in range(1000):
        mailbox.put(Partial(str(number)))
        mailbox.put(VoiceConfirmed(0.9 if number == 500 else 0.1))
    mailbox.put(Final("x", 1))
    mailbox.put(Final("y", 2))
    assert len(mailbox) == 4
    assert [await mailbox.take() for _ in range(2)] == [Partial("999"), VoiceConfirmed(0.9)]


async def test_closing_wakes_a_reader_that_waits() -> None:
    mailbox = Mailbox()
    reader = asyncio.create_task(mailbox.take())
    await asyncio.sleep(0)
    mailbox.close()
    async with asyncio.timeout(5):
        assert await reader is None
