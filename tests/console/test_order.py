"""The transcript stands in the order in which things began, whoever was known first."""

from __future__ import annotations

from tests.console.harness import Bench, bench
from tests.console.scripted import Script


def places(made: Bench, *words: str) -> list[int]:
    rows = made.lines()
    return [next(index for index, row in enumerate(rows) if word in row) for word in words]


async def test_a_caller_who_began_before_our_line_stands_above_it_while_growing_and_when_known() -> None:
    script = Script()
    script.talking("c")
    began = script.add("speech.started", "c").at
    seen = len(script.events)
    async with bench(script.events) as made:
        script.add("say.queued", "c", sayId="s", speaker="operator", kind="speak", text="One moment please.")
        script.add("say.started", "c", sayId="s", synthMs=900)
        await made.send(*script.events[seen:], script.ephemeral("speech.partial", "c", text="I would like"))
        first, second = places(made, "I would like▌", "One moment please.")
        assert first < second
        script.add("speech.final", "c", 1500, text="I would like to move it.", turn=1, startedAt=began - 200)
        script.add("say.heard", "c", sayId="s", ms=900)
        await made.send(*script.events[-2:])
        assert places(made, "I would like to move it.", "One moment please.") == [first, second]


async def test_the_next_turn_begins_anew() -> None:
    script = Script()
    script.talking("c")
    script.hears("c", "Hello.")
    script.say("c", "s", "Good morning to you.")
    script.add("speech.started", "c")
    async with bench(script.events) as made:
        await made.send(script.ephemeral("speech.partial", "c", text="And then"))
        first, second, third = places(made, "Hello.", "Good morning to you.", "And then▌")
        assert first < second < third
