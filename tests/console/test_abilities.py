"""What the carrier or this call can not do is not offered, and refused in one sentence where it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from console.abilities import Abilities, call_lacks, read_abilities
from console.keys import COMMANDS, Registry
from console.paint import plain
from console.widgets.call_header import call_header_row
from console.widgets.exposure import ExposureFacts, exposure_rows
from engine.calls import Call, State
from engine.calls.call import Media
from engine.carriers.base import Capabilities
from engine.carriers.mock import MockCarrier
from engine.carriers.twilio import TwilioCarrier
from engine.client import SocketClient
from engine.store import prepare_folder
from tests.console.harness import bench
from tests.console.scripted import HEALTH, Script
from tests.console.snapshot import check, picture
from tests.engine.fake_carrier import table, without


def health(capabilities: Capabilities, *, name: str = "mock", streams: bool = True) -> Mapping[str, Any]:
    return {**HEALTH, "carrier": {"name": name, "capabilities": capabilities.to_json(), "streams": streams}}


MOCK = health(MockCarrier.capabilities)
TWILIO = health(TwilioCarrier.capabilities, name="twilio")


def talking(media: Media = "stream") -> Script:
    script = Script()
    numbers: dict[str, Any] = {"from_": "+15550109999", "to": "+15550100142"}
    script.add("call.initiated", "c", provider="x", direction="outbound", mode="conversation", media=media, **numbers)
    script.add("call.dialing", "c")
    script.add("call.answered", "c")
    return script


async def test_a_command_that_the_carrier_can_not_do_is_listed_nowhere() -> None:
    async with bench(talking().events, health=MOCK) as made:
        await made.type("?")
        assert await made.shows("Hang up the selected call")
        assert "Put the caller through" not in made.text()
        await made.press("escape", "ctrl+p")
        await made.type("put")
        await made.pilot.pause(0.5)
        assert "transfer" not in made.text()
        await made.press("escape")
        await made.type(":tran")
        await made.press("tab")
        assert "transfer" not in made.text()


async def test_the_same_command_is_listed_where_the_carrier_can() -> None:
    async with bench(talking().events, health=TWILIO) as made:
        await made.type("?")
        assert await made.shows("Put the caller through")
        await made.press("escape")
        await made.type(":tran")
        await made.press("tab")
        assert await made.shows("transfer")


@pytest.mark.parametrize("asked", ["x", ":transfer +15550100177\n"])
async def test_asked_for_all_the_same_it_is_refused_in_one_sentence(asked: str) -> None:
    async with bench(talking().events, health=MOCK) as made:
        await made.type(asked.rstrip("\n"))
        if asked.endswith("\n"):
            await made.press("enter")
        assert made.notices() == ["transfer: mock can not put callers through"]
        assert made.client.requests == []


async def test_an_engine_that_does_not_tell_its_capabilities_can_everything() -> None:
    async with bench(talking().events) as made:
        assert made.screen.hidden == frozenset()
        await made.press("x")
        assert await made.shows("transfer ")
        assert made.notices() == []


async def test_a_question_about_health_that_fails_does_not_bring_commands_back() -> None:
    async with bench(talking().events, health=MOCK) as made:
        made.client.health_answer = TimeoutError()
        await made.screen.feed._ask_health()
        assert made.screen.feed.health is None
        assert made.screen.hidden == {"transfer"}


async def test_the_help_says_what_the_carrier_can_and_can_not() -> None:
    async with bench(health=MOCK, size=(120, 60)) as made:
        await made.type("?")
        await made.press("G")
        assert await made.shows("The carrier: mock")
        assert await made.shows("✓ opens a lost stream again")
        assert await made.shows("– puts no callers through")


async def test_a_notice_takes_no_words_no_keys_and_no_floor() -> None:
    async with bench(talking("inline").events, health=TWILIO) as made:
        for key in ("d", "h", "t"):
            await made.press(key)
        said = made.notices()
        assert [notice.partition(":")[0] for notice in said] == ["keypad", "hold", "take"]
        assert all("a notice that the carrier speaks by itself" in notice for notice in said)
        await made.press("s")
        await made.type("hello")
        assert await made.shows("✗ this call is a notice")
        await made.press("enter")
        assert made.client.requests == []
        await made.press("escape", "e", "y")
        assert (await made.requested())[0][0] == "voicecall.end"


async def test_a_caller_who_is_put_through_can_not_be_spoken_to_and_the_call_can_be_ended() -> None:
    script = talking()
    script.add("call.transferred", "c", to="+15550100177", by="console")
    async with bench(script.events, health=TWILIO) as made:
        await made.press("d", "x")
        assert made.notices() == [
            "keypad: the caller is put through and can not hear us",
            "transfer: the caller is put through already",
        ]
        script.add("call.returned", "c", why="busy")
        await made.send(script.events[-1])
        await made.press("x")
        assert await made.shows("transfer ")


async def test_without_any_voice_nobody_is_called_or_spoken_to() -> None:
    mute = health(Capabilities(native_speech=False), streams=False)
    async with bench(talking().events, health=mute, size=(80, 24)) as made:
        floor = {"hold", "take", "talk", "latch", "hand-back", "hint"}
        assert made.screen.hidden == {"dial", "speak", "continue", "keypad", "transfer", *floor}
        await made.press("n")
        assert "media streams are switched off" in made.notices()[0]
        await made.paint()
        check("no-voice-80x24", picture(made))


@pytest.mark.parametrize("command", [command.name for command in COMMANDS])
def test_a_native_conversation_can_all_that_a_streamed_one_can(command: str) -> None:
    native = Call("c", "twilio", "outbound", "conversation", "+1", "+2", 0, State.ACTIVE, media="native")
    assert call_lacks(command, native) == ""
    assert Abilities("twilio", TwilioCarrier.capabilities.to_json(), streams=False).lacks(command) == ""


def test_a_line_without_a_stream_says_so_and_the_panel_counts_no_streams() -> None:
    call = Call("c", "twilio", "outbound", "conversation", "+15550100000", "+15550100142", 0, State.ACTIVE)
    for media, said in (("native", "carrier's voice"), ("inline", "carrier's notice"), ("stream", "conversation")):
        row = call_header_row(replace(call, media=media), 0, 100, masked=False)  # type: ignore[arg-type]
        assert said in plain(row)
    assert "stream" in plain(exposure_rows(ExposureFacts(), 120, 1)[0])
    assert "stream" not in plain(exposure_rows(ExposureFacts(streaming=False), 120, 1)[0])


@pytest.mark.parametrize("odd", [None, 3, {}, {"capabilities": []}, {"name": 1, "capabilities": {"transfer": "no"}}])
def test_odd_capabilities_hide_nothing(odd: object) -> None:
    assert read_abilities(odd).hidden(Registry().commands) == frozenset()


async def test_the_health_of_an_engine_tells_its_carrier_through_the_socket(tmp_path: Path) -> None:
    prepare_folder(tmp_path)
    async with table(tmp_path, without(transfer=False)) as at:
        client = await SocketClient.connect(str(tmp_path / "control.sock"), None, by="test")
        try:
            told = (await client.health())["carrier"]
        finally:
            await client.close()
        assert told["capabilities"] == at.carrier.capabilities.to_json()
        assert read_abilities(told).lacks("transfer") == f"{at.carrier.name} can not put callers through"
        assert told["streams"] is True
