"""A whole engine against a far end that behaves like Twilio: transfers, keys, and messages on machines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from engine.calls import Call, State
from engine.carriers.factory import make_carrier
from engine.config import Config, parse_config
from engine.engine import Engine
from engine.speech.brains.script import ScriptBrain
from engine.speech.desk import SpeechDesk
from engine.store import DATABASE_NAME, LOCK_NAME, EngineLock, EventLog
from tests.carriers.twilio_far import OUR_NUMBER, FarCall, Settings, TwilioFar
from tests.engine.conftest import Humming, Understands
from tests.media.dtmf_ear import keys_in

QUICK = {"ring_ms": 20, "think_ms": 20}
SINK = "+15550100202"
BUSY = "+15550100203"
MACHINE = "+15550100205"
COLLEAGUE = "+15550100207"
LIMIT_S = 20.0


def person(number: str, name: str, script: Sequence[str] = (), **manners: Any) -> dict[str, Any]:
    return {"number": number, "name": name, "script": list(script), "manners": {**QUICK, **manners}}


CALLERS = [
    person(SINK, "Sink", deaf_and_mute=True),
    person(BUSY, "Busy", answers="busy"),
    person(MACHINE, "Machine", ["Nobody is at home. Please leave a message after the beep.", "beep"], machine=True),
    person(COLLEAGUE, "Colleague", ["This is the other desk."], machine=True, hangs_up_at=0),
]


class Live:
    """A running engine and the far end that it talks to."""

    def __init__(self, engine: Engine, far: TwilioFar) -> None:
        self.engine = engine
        self.far = far

    async def dial(self, to: str, message: str, mode: Any = "conversation") -> tuple[Call, FarCall]:
        call_id = await self.engine.initiate(to, message, mode, by="cli")
        call = self.engine.call(call_id)
        assert call is not None
        return call, self.far.call()

    async def until(self, call: Call, test: Any) -> Call:
        async with asyncio.timeout(LIMIT_S):
            async for _ in self.engine.watch(None, 1):
                found = self.engine.call(call.call_id)
                assert found is not None
                if test(found):
                    return found
        raise AssertionError("the watch ended")

    async def types(self, call: Call) -> list[str]:
        page = await self.engine.events(None, call.call_id)
        cursor = type(page.cursor)(page.cursor.generation, 0)
        return [event.type for event in (await self.engine.events(cursor, call.call_id, limit=5000)).events]


def config_for(far: TwilioFar, outbound: Mapping[str, Any]) -> Config:
    """The configuration of an account at the far end, on any free port."""
    config = parse_config(b"", None, {}).config
    account = {"account_sid": far.settings.account_sid, "auth_token": far.settings.auth_token}
    return config.model_copy(
        update={
            "provider": "twilio",
            "twilio": type(config.twilio).model_validate({**account, "api_base_url": far.base_url}),
            "serve": config.serve.model_copy(update={"port": 0}),
            "from_number": OUR_NUMBER,
            "outbound": config.outbound.model_copy(update=dict(outbound)),
        }
    )


@asynccontextmanager
async def live(state_dir: Path, wait_speed: float = 20, **outbound: Any) -> AsyncIterator[Live]:
    async with TwilioFar(Settings(callers=CALLERS, say_speed=20, wait_speed=wait_speed)) as far:
        config = config_for(far, outbound)
        desk = SpeechDesk(Understands(), Humming(), ScriptBrain())
        with EngineLock.acquire(state_dir / LOCK_NAME, version="test") as lock:
            async with await EventLog.open(state_dir / DATABASE_NAME) as log:
                engine = Engine(config, state_dir, lock, log, await make_carrier(config, state_dir), desk)
                ready, stop = asyncio.Event(), asyncio.Event()
                async with asyncio.TaskGroup() as group:
                    serving = group.create_task(engine.run(ready, stop))
                    await ready.wait()
                    try:
                        yield Live(engine, far)
                    finally:
                        engine.hurry.set()
                        for call in engine.live_calls():
                            await engine.end(call.call_id, "test")
                        stop.set()
                        await serving
        assert far.complaints == []


async def test_a_caller_is_put_through_talks_and_the_call_is_over(tmp_path: Path) -> None:
    async with live(tmp_path) as at:
        call, far = await at.dial(SINK, "Hello there.")
        await at.until(call, lambda call: "heard" in call.rungs)
        await at.engine.transfer(call.call_id, COLLEAGUE, "cli")
        ended = await at.until(call, lambda call: not call.live)
        assert (ended.end_reason, ended.transferred_to) == (State.COMPLETED, COLLEAGUE)
        (leg,) = far.transfers
        assert (leg.to_number, leg.from_number, leg.status) == (COLLEAGUE, OUR_NUMBER, "completed")
        await far.until_over()
        assert far.codes() == []
        assert len(far.streams) == 1
        types = await at.types(call)
        assert "stream.lost" not in types and "call.error" not in types


async def test_a_caller_whom_nobody_took_is_back_on_a_stream_and_hears_us(tmp_path: Path) -> None:
    async with live(tmp_path) as at:
        call, far = await at.dial(SINK, "Hello there.")
        await at.until(call, lambda call: "heard" in call.rungs)
        await at.engine.transfer(call.call_id, BUSY, "cli")
        await at.until(call, lambda call: any("put you through" in line.text for line in call.transcript))
        await at.engine.speak(call.call_id, "The line is busy. Can I help you?", "cli")
        now = at.engine.call(call.call_id)
        assert now is not None and now.live and now.transferred_to == ""
        assert far.transfers[0].status == "busy"
        assert len(far.streams) == 2
        types = await at.types(call)
        assert types.index("call.transferred") < types.index("call.returned") < types.index("stream.resumed")
        assert "stream.lost" not in types
        assert far.codes() == []


async def test_keys_arrive_as_tones_and_the_stream_lives_on(tmp_path: Path) -> None:
    async with live(tmp_path) as at:
        call, far = await at.dial(SINK, "Hello there.")
        await at.until(call, lambda call: "heard" in call.rungs)
        heard = len(far.streams[0].audio)
        await at.engine.send_dtmf(call.call_id, "42w#", "cli")
        assert keys_in(bytes(far.streams[0].audio[heard:])) == "42#"
        await at.engine.speak(call.call_id, "Are you still there?", "cli")
        assert len(far.streams) == 1 and far.streams[0].close_code is None
        assert far.codes() == []


async def test_a_message_is_left_over_the_stream_after_the_beep(tmp_path: Path) -> None:
    async with live(tmp_path, answering_machine="leave_message") as at:
        call, far = await at.dial(MACHINE, "Please call us back about Tuesday.")
        ended = await at.until(call, lambda call: not call.live)
        assert (ended.end_reason, ended.answered_by) == (State.VOICEMAIL, "machine")
        left = [line for line in ended.transcript if line.speaker == "agent"][-1]
        assert (left.text, left.cut) == ("Please call us back about Tuesday.", False)
        await far.until_over()
        assert far.state.answered_by == "machine_end_beep"
        assert far.codes() == []


async def test_a_notice_is_left_by_the_carriers_own_voice_after_the_beep(tmp_path: Path) -> None:
    # The machine talks at its own pace, so the carrier has to wait at its own pace too.
    async with live(tmp_path, 1, answering_machine="leave_message", notify_hangup_delay_sec=0) as at:
        call, far = await at.dial(MACHINE, "Your table is ready.", "notify")
        ended = await at.until(call, lambda call: not call.live)
        assert (ended.end_reason, ended.answered_by) == (State.VOICEMAIL, "machine")
        await far.until_over()
        said = [(spoken.text, spoken.whole) for spoken in far.spoken]
        assert said[-1] == ("Your table is ready.", True) and len(said) == 2
        assert far.streams == [] and far.codes() == []


async def test_a_machine_is_hung_up_on(tmp_path: Path) -> None:
    async with live(tmp_path, answering_machine="hang_up") as at:
        call, far = await at.dial(MACHINE, "Hello there.")
        ended = await at.until(call, lambda call: not call.live)
        assert ended.end_reason is State.VOICEMAIL
        await far.until_over()
        assert far.state.over_because == "api"


async def test_a_notice_goes_with_the_dial_and_is_heard_whole(tmp_path: Path) -> None:
    async with live(tmp_path, notify_hangup_delay_sec=0) as at:
        call, far = await at.dial(SINK, "Your parcel is here.", "notify")
        ended = await at.until(call, lambda call: not call.live)
        assert ended.end_reason is State.COMPLETED
        assert [(spoken.text, spoken.whole) for spoken in far.spoken] == [("Your parcel is here.", True)]
        assert not [delivery for delivery in far.deliveries if delivery.kind == "answer"]
        assert far.codes() == []
