"""What the model may do besides speaking, without a call around it."""

from __future__ import annotations

import asyncio
import json

from engine.live.lines import Ending, MouthFull, Utterance
from engine.live.realtime_tools import MAX_FOLLOW_UPS, Tools
from engine.speech.ports import EndCall
from engine.speech.realtime.notices import ToolCall


class Model:
    """The model's side of a call, by hand."""

    def __init__(self) -> None:
        self.generation = 0
        self.agent_speaks = True
        self.spoke_last = False
        self.full = False
        self.said: list[Utterance] = []
        self.told: list[tuple[str, dict[str, object]]] = []
        self.went_on = 0
        self.quiet = asyncio.Event()
        self.quiet.set()

    def wants_answer(self) -> bool:
        return self.agent_speaks

    def agent_spoke_last(self) -> bool:
        return self.spoke_last

    def say(self, text: str) -> Utterance:
        if self.full:
            raise MouthFull("full")
        line = utterance(text)
        self.said.append(line)
        return line

    async def caller_quiet(self) -> None:
        await self.quiet.wait()

    def tell_tool(self, call_id: str, output: str) -> None:
        self.told.append((call_id, json.loads(output)))

    def follow_up(self) -> None:
        self.went_on += 1


def utterance(text: str = "Goodbye.", ending: Ending | None = None) -> Utterance:
    done: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()
    if ending is not None:
        done.set_result(ending)
    return Utterance("s", "agent", "reply", text, done)


def end(arguments: str = "{}", call_id: str = "c1") -> ToolCall:
    return ToolCall("reply-1", call_id, "end_call", arguments)


def made() -> tuple[Model, Tools, list[EndCall]]:
    model, ended = Model(), list[EndCall]()
    return model, Tools("call", model, ended.append), ended


async def test_nothing_ends_before_the_farewell_was_heard() -> None:
    model, tools, ended = made()
    line = utterance()
    using = asyncio.create_task(tools.use([end()], [line]))
    await asyncio.sleep(0)
    assert ended == []
    line.done.set_result("heard")
    await using
    assert ended == [EndCall()] and model.told == []


async def test_a_caller_who_speaks_meanwhile_keeps_the_call() -> None:
    for change in ("generation", "cut", "floor"):
        model, tools, ended = made()
        line = utterance()
        using = asyncio.create_task(tools.use([end()], [line]))
        await asyncio.sleep(0)
        if change == "generation":
            model.generation += 1
        if change == "floor":
            model.agent_speaks = False
        line.done.set_result("cut" if change == "cut" else "heard")
        await using
        assert ended == [] and model.told[0][1]["ended"] is False


async def test_a_sound_at_the_end_is_waited_for_and_decides() -> None:
    for spoke in (True, False):
        model, tools, ended = made()
        model.quiet.clear()
        using = asyncio.create_task(tools.use([end()], [utterance(ending="heard")]))
        await asyncio.sleep(0)
        assert not using.done()
        model.generation += spoke
        model.quiet.set()
        await using
        assert bool(ended) is not spoke


async def test_an_end_without_words_is_refused_until_there_were_some() -> None:
    model, tools, ended = made()
    await tools.use([end()], [])
    assert ended == [] and "goodbye aloud" in str(model.told[0][1]["error"]) and model.went_on == 1
    model.spoke_last = True
    await tools.use([end()], [])
    assert ended == [EndCall()]


async def test_a_model_that_never_says_goodbye_ends_the_call_all_the_same() -> None:
    model, tools, ended = made()
    for _ in range(MAX_FOLLOW_UPS + 1):
        await tools.use([end()], [])
    assert model.went_on == MAX_FOLLOW_UPS and ended == [EndCall()]


async def test_last_words_may_stand_in_the_tool_call_and_anything_else_may_too() -> None:
    model, tools, ended = made()
    using = asyncio.create_task(tools.use([end('{"farewell": " Bye! "}')], []))
    await asyncio.sleep(0)
    assert [line.text for line in model.said] == ["Bye!"]
    model.said[0].done.set_result("heard")
    await using
    assert ended == [EndCall()]
    for arguments in ("", "no json", "[1]", '{"farewell": 7}', '{"farewell": ""}'):
        model, tools, ended = made()
        await tools.use([end(arguments)], [])
        assert model.said == [] and ended == [] and model.told
    model, tools, ended = made()
    model.full = True
    await tools.use([end('{"farewell": "Bye!"}')], [])
    assert ended == [] and model.told


async def test_tools_that_do_not_exist_are_answered_and_do_not_go_on_for_ever() -> None:
    model, tools, ended = made()
    for number in range(MAX_FOLLOW_UPS + 2):
        await tools.use([ToolCall("reply-1", f"c{number}", "order_pizza", "{}")], [])
    assert model.went_on == MAX_FOLLOW_UPS and len(model.told) == MAX_FOLLOW_UPS + 2 and ended == []
    tools.caller_spoke()
    await tools.use([ToolCall("reply-1", "c9", "order_pizza", "{}")], [])
    assert model.went_on == MAX_FOLLOW_UPS + 1


async def test_an_end_that_is_asked_for_twice_happens_once() -> None:
    model, tools, ended = made()
    await tools.use([end(), end(call_id="c2")], [utterance(ending="heard")])
    assert ended == [EndCall()] and [call for call, _ in model.told] == ["c2"]


async def test_a_person_who_has_the_floor_is_not_hung_up_on() -> None:
    model, tools, ended = made()
    model.agent_speaks = False
    await tools.use([end()], [utterance(ending="heard")])
    assert ended == [] and "colleague" in str(model.told[0][1]["error"])
