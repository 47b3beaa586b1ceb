"""Hearing goes on whatever becomes of the recognisers, and what was said meanwhile is not lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from engine.media.audio import PHONE
from engine.speech.ports import Final, SpeechUnavailable
from engine.speech.stt.chain import AVOID_SECONDS, RecogniserChain
from engine.speech.stt.steady import (
    MIN_SESSION_SECONDS,
    SHORT_RETRIES,
    SLOW_SECONDS,
    STABLE_SECONDS,
    START_SECONDS,
    HearsNothing,
    News,
    NowHears,
    SteadyListener,
)
from tests.speech.stt.fakes import FakeRecogniser, no
from tests.virtual_time import virtual_time


class Rig:
    """A steady listener, and its news with their times."""

    def __init__(self, *engines: FakeRecogniser) -> None:
        self.now = asyncio.get_running_loop().time
        self.chain = RecogniserChain(engines, self.now)
        self.steady = SteadyListener(self.chain, PHONE, self.now)
        self.news: list[tuple[float, News]] = []
        self._task = asyncio.create_task(self._read())

    def of(self, *kinds: type) -> list[News]:
        return [news for _, news in self.news if isinstance(news, kinds)]

    def say(self, text: str) -> int:
        self.steady.feed(text.encode())
        return self.steady.finish()

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _read(self) -> None:
        async for news in self.steady.hearings():
            self.news.append((round(self.now(), 3), news))


@asynccontextmanager
async def rig(*engines: FakeRecogniser) -> AsyncIterator[Rig]:
    made = Rig(*engines)
    try:
        await asyncio.sleep(0.01)
        yield made
    finally:
        await made.close()


@virtual_time
async def test_what_is_said_before_anybody_listens_is_heard() -> None:
    async with rig(FakeRecogniser("a", takes=2.0)) as it:
        assert not it.steady.hears
        number = it.say("hello")
        it.steady.feed(b"and ")
        await asyncio.sleep(3)
        assert it.steady.hears
        second = it.say("more")
        await asyncio.sleep(0.01)
        assert it.of(Final) == [Final("hello", number), Final("and more", second)]


@virtual_time
async def test_what_a_lost_recogniser_had_not_written_down_goes_to_the_next_one() -> None:
    engine = FakeRecogniser("a", mute=True)
    async with rig(engine) as it:
        first, second = it.say("one"), it.say("two")
        it.steady.feed(b"thr")
        engine.mute = False
        engine.listeners[0].lose()
        await asyncio.sleep(0.01)
        it.steady.feed(b"ee")  # said while nobody listens
        await asyncio.sleep(1)
        third = it.say("!")
        await asyncio.sleep(0.01)
        assert it.of(Final) == [Final("one", first), Final("two", second), Final("three!", third)]
        assert engine.listeners[0].closed
        assert [type(news) for news in it.of(NowHears, HearsNothing)] == [NowHears, HearsNothing, NowHears]


@virtual_time
async def test_what_was_written_down_is_not_heard_twice() -> None:
    engine = FakeRecogniser("a")
    async with rig(engine) as it:
        it.say("one")
        await asyncio.sleep(0.01)
        engine.listeners[0].lose()
        await asyncio.sleep(1)
        it.say("two")
        await asyncio.sleep(0.01)
        assert [final.text for final in it.of(Final) if isinstance(final, Final)] == ["one", "two"]


@virtual_time
async def test_more_than_ten_seconds_are_not_kept_and_what_is_missing_is_told() -> None:
    async with rig(FakeRecogniser("a", takes=20)) as it:
        it.steady.feed(b"x" * PHONE.bytes_per_second * 12)
        it.steady.finish()
        await asyncio.sleep(21)
        (final,) = it.of(Final)
        assert isinstance(final, Final)
        assert final.dropped_ms == 2000 and len(final.text) == PHONE.bytes_per_second * 10


@virtual_time
async def test_a_long_turn_misses_nothing_while_its_recogniser_lives() -> None:
    async with rig(FakeRecogniser("a")) as it:
        it.steady.feed(b"x" * PHONE.bytes_per_second * 12)
        it.steady.finish()
        await asyncio.sleep(0.01)
        (final,) = it.of(Final)
        assert isinstance(final, Final) and final.dropped_ms == 0


@virtual_time
async def test_a_budget_of_tries_then_the_fallback_which_stays_for_the_call() -> None:
    away, there = FakeRecogniser("away", *[no() for _ in range(9)]), FakeRecogniser("there")
    async with rig(away, there) as it:
        it.say("hello")
        await asyncio.sleep(5)
        assert away.asked == 1 + len(SHORT_RETRIES)
        assert it.of(NowHears) == [NowHears("there")]
        last = it.of(HearsNothing)[-1]
        assert last == HearsNothing("away", "it is away", "do something", fallback="there")
        assert [final.text for final in it.of(Final) if isinstance(final, Final)] == ["hello"]
        assert it.chain.health()["using"] == "there" and it.chain.health()["error"] == "it is away"
        there.listeners[0].lose()
        await asyncio.sleep(5)
        assert away.asked == 1 + len(SHORT_RETRIES)
        assert it.of(NowHears)[-1] == NowHears("there")


@virtual_time
async def test_a_switch_in_the_middle_of_a_call_names_both() -> None:
    first, second = FakeRecogniser("first"), FakeRecogniser("second")
    async with rig(first, second) as it:
        first.refusals = [no() for _ in range(9)]
        first.listeners[0].lose("the network went")
        await asyncio.sleep(5)
        assert it.of(NowHears) == [NowHears("first"), NowHears("second", instead_of="first")]


@virtual_time
async def test_what_is_hopeless_is_not_tried_again_but_replaced_at_once() -> None:
    async with rig(FakeRecogniser("a", no("wrong key", hopeless=True)), FakeRecogniser("b")) as it:
        await asyncio.sleep(0.01)
        assert it.news[0] == (0.0, HearsNothing("a", "wrong key", "do something", fallback="b"))
        assert it.news[1][1] == NowHears("b")


@virtual_time
async def test_a_recogniser_that_does_not_get_ready_is_replaced_where_there_is_another() -> None:
    async with rig(FakeRecogniser("slow", takes=60), FakeRecogniser("b")) as it:
        await asyncio.sleep(START_SECONDS)
        assert it.of(NowHears) == [NowHears("b")]


@virtual_time
async def test_when_all_have_failed_it_is_said_once_and_tried_on_slowly() -> None:
    engine = FakeRecogniser("a", *[no() for _ in range(6)])
    async with rig(engine) as it:
        await asyncio.sleep(5)
        assert engine.asked == 4
        assert [news.final for news in it.of(HearsNothing) if isinstance(news, HearsNothing)] == [False] * 3 + [True]
        await asyncio.sleep(3 * SLOW_SECONDS)
        assert len(it.of(HearsNothing)) == 4
        assert it.of(NowHears) == [NowHears("a")]
        assert it.chain.health()["ok"] is True


@virtual_time
async def test_a_recogniser_that_was_steady_has_its_tries_back() -> None:
    engine = FakeRecogniser("a")
    async with rig(engine) as it:
        for _ in range(8):
            await asyncio.sleep(STABLE_SECONDS + 1)
            engine.listeners[-1].lose()
            await asyncio.sleep(0.5)
        assert len(engine.listeners) == 9
        assert not any(news.final for news in it.of(HearsNothing) if isinstance(news, HearsNothing))


@virtual_time
async def test_a_session_that_ended_as_planned_is_renewed_without_a_word() -> None:
    engine = FakeRecogniser("a")
    async with rig(engine) as it:
        await asyncio.sleep(MIN_SESSION_SECONDS)
        engine.listeners[0].lose(planned=True)
        it.say("hello")
        await asyncio.sleep(0.01)
        assert it.of(HearsNothing) == []
        assert it.of(Final) == [Final("hello", 1)]


@virtual_time
async def test_a_session_that_ends_as_planned_at_once_is_a_failure() -> None:
    engine = FakeRecogniser("a")
    async with rig(engine) as it:
        engine.listeners[0].lose(planned=True)
        await asyncio.sleep(0.01)
        assert len(it.of(HearsNothing)) == 1


@virtual_time
async def test_a_recogniser_that_failed_is_asked_last_by_the_next_calls_for_a_while() -> None:
    a, b = FakeRecogniser("a", no(hopeless=True)), FakeRecogniser("b")
    async with rig(a, b) as it:
        await asyncio.sleep(0.01)
        assert [engine.name for engine in it.chain.order()] == ["b", "a"]
        await asyncio.sleep(AVOID_SECONDS)
        assert [engine.name for engine in it.chain.order()] == ["a", "b"]


@virtual_time
async def test_when_the_fallback_fails_too_the_first_one_is_asked_again_if_its_failure_was_long_ago() -> None:
    first, second = FakeRecogniser("first", no(hopeless=True)), FakeRecogniser("second")
    async with rig(first, second) as it:
        await asyncio.sleep(AVOID_SECONDS + 1)
        second.refusals = [no() for _ in range(9)]
        second.listeners[0].lose()
        await asyncio.sleep(6)
        assert it.of(NowHears) == [NowHears("second"), NowHears("first", instead_of="second")]
        assert not any(news.final for news in it.of(HearsNothing) if isinstance(news, HearsNothing))
        first.refusals = [no(hopeless=True)]
        first.listeners[0].lose(hopeless=True)
        await asyncio.sleep(0.01)
        last = it.of(HearsNothing)[-1]
        assert isinstance(last, HearsNothing) and last.final, "both have failed a moment ago"


@virtual_time
async def test_a_chain_starts_all_and_fails_only_when_none_works() -> None:
    a, b = FakeRecogniser("a", no("no key")), FakeRecogniser("b")
    chain = RecogniserChain([a, b])
    await chain.start()
    health = chain.health()
    assert health["ok"] and health["using"] == "b" and health["error"] == "no key"
    assert [engine["state"] for engine in health["engines"]] == ["failed", "ready"]
    listener = await chain.listen(PHONE)
    assert listener in b.listeners
    await chain.close()


@virtual_time
async def test_a_recogniser_that_failed_is_tried_between_calls_and_its_health_is_that_of_now() -> None:
    a, b = FakeRecogniser("a", no("no network"), no("no network")), FakeRecogniser("b")
    chain = RecogniserChain([a, b], asyncio.get_running_loop().time)
    await chain.start()
    await asyncio.sleep(AVOID_SECONDS + 1)
    assert chain.health()["using"] == "b" and chain.health()["error"] == "no network"
    await asyncio.sleep(AVOID_SECONDS)
    assert chain.health()["using"] == "a" and chain.health()["error"] == ""
    await chain.close()
    assert asyncio.all_tasks() == {asyncio.current_task()}


@virtual_time
async def test_a_chain_in_which_nothing_works_says_so_and_goes_on_trying() -> None:
    a = FakeRecogniser("a", no("wrong key", hopeless=True))
    chain = RecogniserChain([a], asyncio.get_running_loop().time)
    with pytest.raises(SpeechUnavailable, match="wrong key"):
        await chain.start()
    assert chain.health()["ok"] is False
    await asyncio.sleep(AVOID_SECONDS + 1)
    assert chain.health()["ok"] is True
    await chain.close()
