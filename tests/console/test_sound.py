"""Listening, the microphone and the floor on the screen: what is pressed, what is asked, what is always seen."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from console.keys import Registry
from console.monitor import SoundState
from console.paint import plain
from console.sound.devices import SoundSystem, install_hint
from console.sound.hearing import HearingState
from console.sound.talking import TalkingState
from console.who import my_name, person_of
from console.widgets.sound import SoundBar, SoundFacts, sound_row
from engine.api import Refusal
from tests.console.harness import Bench, bench
from tests.console.scripted import Script
from tests.console.snapshot import check, picture, styles

LIVE = TalkingState("c", "live", latched=True, device="default", level_db=-20.0)
MUTED = replace(LIVE, state="muted", latched=False)


def talking() -> Script:
    """One call that is up."""
    script = Script()
    script.talking("c")
    return script


def no_portaudio() -> Any:
    raise OSError("PortAudio library not found")


def show(made: Bench, state: SoundState) -> None:
    """As if the sound's thread had said so."""
    made.screen.monitor.state = state
    made.screen.sounding.paint()


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_a_live_microphone_is_seen_and_red(size: tuple[int, int]) -> None:
    async with bench(talking().events, size) as made:
        show(made, SoundState(talking=LIVE))
        await made.pilot.pause()
        check(f"mic-live-{size[0]}x{size[1]}", picture(made))
        check(f"mic-live-{size[0]}x{size[1]}-colours", styles(made, "MIC LIVE"))
        show(made, SoundState(talking=MUTED))
        await made.pilot.pause()
        assert "MIC LIVE" not in made.text() and "○ mic muted" in made.text()
        show(made, SoundState())
        await made.pilot.pause()
        assert made.screen.query_one(SoundBar).size.height == 0


async def test_no_screen_is_without_the_line_while_the_microphone_is_live() -> None:
    async with bench(talking().events) as made:
        await made.press("question_mark")
        show(made, SoundState(talking=LIVE))
        assert await made.shows("● MIC LIVE")
        show(made, SoundState())
        async with asyncio.timeout(5):
            while "MIC LIVE" in made.text():
                await made.pilot.pause(0.05)


async def test_without_portaudio_listening_says_what_to_install_and_nothing_else_breaks() -> None:
    async with bench(talking().events, (120, 40)) as made:
        made.screen.monitor._system = SoundSystem(no_portaudio)
        await made.press("l")
        assert await made.shows("♪ no sound: there is no sound: PortAudio library not found")
        assert install_hint() in made.text()
        await made.press("s")
        await made.type("hello")
        await made.press("enter")
        assert (await made.requested())[-1][0] == "voicecall.speak"
        await made.press("l")
        assert not made.screen.sounding.listening
        made.screen.monitor.close()


def test_the_command_that_installs_portaudio_fits_the_machine() -> None:
    assert install_hint(lambda tool: "/usr/bin/dnf" if tool == "dnf" else None) == "sudo dnf install portaudio"
    assert install_hint(lambda tool: None) == "install the library PortAudio"


async def test_who_takes_a_call_that_somebody_drives_is_asked_first() -> None:
    async with bench(talking().events) as made:
        made.client.answers["voicecall.floor"] = Refusal("floor_taken", "ada@desk has the floor of this call", "ask")
        await made.press("t")
        assert await made.shows("Take the floor over?")
        assert "ada@desk has the floor of this call" in made.text()
        made.client.answers["voicecall.floor"] = {"success": True}
        await made.pilot.pause(made.screen.options.typing_pause + 0.05)
        await made.press("y")
        requests = await made.requested(2)
        assert [params["takeOver"] for method, params in requests if method == "voicecall.floor"] == [False, True]
        made.screen.monitor.close()


async def test_a_hint_is_typed_and_stands_in_the_transcript_as_one() -> None:
    script = talking()
    async with bench(script.events) as made:
        await made.press("i")
        await made.type("offer Friday")
        await made.press("enter")
        assert (await made.requested())[-1] == ("voicecall.hint", {"callId": "c", "message": "offer Friday"})
        await made.send(script.add("operator.hint", "c", text="offer Friday", by="console ada@desk.1"))
        assert "operator hint: offer Friday" in " ".join(made.text().split())


async def test_nobody_talks_without_the_floor_or_into_another_call() -> None:
    script = talking()
    script.talking("d", "+15550100143")
    async with bench(script.events) as made:
        await made.press("space")
        assert "take the floor first (t)" in made.notices()[-1]
        show(made, SoundState(talking=replace(MUTED, call_id="d")))
        await made.press("space")
        assert "your microphone is at +15550100143" in made.notices()[-1]


async def test_the_header_says_who_has_the_floor_and_who_is_heard() -> None:
    script = talking()
    async with bench(script.events, (120, 40)) as made:
        await made.send(script.add("floor.changed", "c", holder="operator", by="console ada@desk.1"))
        assert "◆ operator ada@desk" in made.text()
        await made.send(script.add("microphone.changed", "c", live=True, by="console ada@desk.1"))
        assert "● ada@desk is heard" in made.text()


def test_the_line_says_what_is_listened_to_and_how() -> None:
    hearing = HearingState("c", "default", "split", 80, muted=True)
    row = plain(sound_row(SoundFacts(SoundState(hearing), True, "", "+15550100142"), Registry(), 100))
    for words in ("♪ +15550100142", "MUTED", "caller left, us right", "80 %"):
        assert words in row
    assert not sound_row(SoundFacts(SoundState(hearing)), Registry(), 100)


def test_a_missing_microphone_is_said_while_the_caller_waits_for_it_and_no_longer() -> None:
    sound = SoundState(talking=TalkingState(trouble="this machine has no microphone"))
    assert "no mic: this machine has no microphone" in plain(sound_row(SoundFacts(sound, ours=True), Registry(), 100))
    assert not sound_row(SoundFacts(sound), Registry(), 100)


def test_a_console_has_a_name_that_fits_the_door() -> None:
    name = my_name()
    assert len(name) <= 40 and name.startswith("console ")
    assert person_of("console ada@desk.4711") == "ada@desk" and person_of("console") == person_of("cli") == ""
