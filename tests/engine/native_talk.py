"""Conversations in a carrier's own voice and ears: what tests of all carriers say, hear and ask for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from engine.calls import Call, State
from tests.carriers.far.base import AnyCall
from tests.engine.carrier_rig import SINK, Live

HELLO = "Hello, this is the practice. Is Tuesday at ten all right?"


class Said(Protocol):
    """A line of the carrier's own voice."""

    @property
    def text(self) -> str: ...

    @property
    def whole(self) -> bool: ...


class TalkingCall(AnyCall, Protocol):
    """A call at a far end that speaks and hears by itself."""

    @property
    def spoken(self) -> Sequence[Said]: ...

    async def until(self, condition: Callable[[], object], limit_s: float = 10.0) -> None: ...

    async def hear(self, *texts: str) -> None: ...

    def of(self, kind: Any) -> Sequence[Any]: ...


TalkT = TypeVar("TalkT", bound=TalkingCall)


def agent(call: Call) -> list[str]:
    return [line.text for line in call.transcript if line.speaker == "agent"]


def playing(call: Call) -> bool:
    return any(line.playing for line in call.transcript)


async def said(far: TalkingCall, text: str, limit_s: float = 10.0) -> None:
    """Return once the carrier has said a text to its end."""
    await far.until(lambda: any(spoken.text == text and spoken.whole for spoken in far.spoken), limit_s)


async def hears(far: TalkingCall, at: Live[Any, Any], call: Call, *texts: str) -> Call:
    """The person says this; the call once it was understood and answered by another line of ours."""
    before = len(agent(await at.until(call, lambda call: True)))
    await far.hear(*texts)
    return await at.until(call, lambda call: len(agent(call)) > before and not playing(call))


async def silence_keeps_the_line(at: Live[Any, TalkT], kind: str) -> None:
    """Nobody says anything: each question is a request of its own, of this kind, and none is taken for a replay."""
    call, far = await at.dial(SINK, HELLO)
    await far.until(lambda: len(far.of(kind)) >= 5)
    addresses = [delivery.url for delivery in far.of(kind)]
    assert len(set(addresses)) == len(addresses)
    await at.until(call, lambda call: call.live)
    verdicts = [event.data["verdict"] for event in await at.events(call) if event.type == "webhook.received"]
    assert set(verdicts) == {"ok"}, "none of them is taken for a replay"


async def a_question_waits(at: Live[Any, TalkT], kind: str) -> None:
    """A question is answered after two silences, each of which is a request of this kind."""
    call, far = await at.dial(SINK, HELLO)
    await at.until(call, lambda call: "heard" in call.rungs)
    asking = asyncio.create_task(at.engine.continue_call(call.call_id, "Which day would be better?", "cli"))
    await said(far, "Which day would be better?")
    silent = len(far.of(kind))
    await far.until(lambda: len(far.of(kind)) >= silent + 2)
    await far.hear("Thursday.")
    assert await asking == "Thursday."


async def speaking_over_stops_a_line(at: Live[Any, TalkT]) -> None:
    """Who speaks over a line stops it, and is heard to their end."""
    long = "This is a long message that goes on and on about the opening hours of the practice. " * 8
    call, far = await at.dial(SINK, long)
    await far.until(lambda: bool(far.spoken))
    await at.until(call, lambda call: call.state is State.SPEAKING)
    await far.hear("stop", "Stop, please.")
    now = await at.until(call, lambda call: any(line.speaker == "caller" for line in call.transcript))
    assert not far.spoken[0].whole
    assert now.transcript[0].cut and long.startswith(now.transcript[0].text)
    assert now.transcript[1].text == "Stop, please."
