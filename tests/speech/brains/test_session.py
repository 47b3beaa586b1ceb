"""One program for all calls: multiplexed, cancelled, restarted within a budget, and never believed too much."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from engine.speech.brains.program import redacted
from engine.speech.brains.session import STARTS, SessionBrain
from engine.speech.ports import Conversation, EndCall, Said, SpeechUnavailable, Words
from tests.speech.brains.talk import caller, conversation, ends, replies, text_of

EXAMPLE = Path(__file__).parents[2] / "fixtures" / "session_agent.py"
LOOP = """
import json, sys, time
def say(**what): print(json.dumps(what), flush=True)
def read(): return json.loads(sys.stdin.readline())
"""


@asynccontextmanager
async def running(code: str, timeout_ms: int = 20_000, starts_seconds: float = 60.0) -> AsyncIterator[SessionBrain]:
    """A started brain that runs this Python code."""
    brain = SessionBrain([sys.executable, "-c", LOOP + code], timeout_ms, starts_seconds=starts_seconds)
    await brain.start()
    try:
        yield brain
    finally:
        await brain.close()


def talk(text: str = "Hi", call_id: str = "call-1") -> Conversation:
    return conversation(caller(text), call_id=call_id)


async def test_the_example_answers_and_hangs_up() -> None:
    brain = SessionBrain([sys.executable, str(EXAMPLE)])
    await brain.start()
    assert await replies(brain, talk('Is it; rm -rf ~ "open"?\n')) == [Words('You said: Is it; rm -rf ~ "open"?\n\n')]
    assert await replies(brain, talk("Goodbye")) == [Words("Goodbye.\n"), EndCall()]
    await brain.close()


async def test_pieces_are_passed_on_while_the_program_writes() -> None:
    code = """
r = read(); say(id=r["id"], piece="Good mor"); say(id=r["id"], piece="ning. ")
c = read(); say(id=r["id"], piece=c["type"], done=True)
"""
    async with running(code) as brain:
        stream = brain.reply(talk())
        assert [await anext(stream), await anext(stream)] == [Words("Good mor"), Words("ning. ")]
        await brain.call_ends("call-0")
        assert [output async for output in stream] == [Words("end")]


async def test_calls_are_answered_in_any_order_by_one_process() -> None:
    code = """
import os
first, second = read(), read()
for r in (second, first): say(id=r["id"], say=f"{r['callId']} {os.getpid()}", done=True)
"""
    async with running(code) as brain:
        one, two = await asyncio.gather(replies(brain, talk(call_id="a")), replies(brain, talk(call_id="b")))
    assert text_of(one).split()[0] == "a" and text_of(two).split()[0] == "b"
    assert text_of(one).split()[1] == text_of(two).split()[1]


async def test_a_reply_that_is_not_wanted_any_more_is_cancelled_and_its_words_go_nowhere() -> None:
    code = """
r = read(); say(id=r["id"], say="Once upon a time")
c = read(); n = read()
say(id=r["id"], say="old words"); say(id=n["id"], say=c["type"] + str(c["id"] == r["id"]), done=True)
"""
    async with running(code) as brain:
        stream = brain.reply(talk())
        assert await anext(stream) == Words("Once upon a time\n")
        await stream.aclose()
        assert text_of(await replies(brain, talk())) == "cancelTrue\n"


async def test_the_program_is_told_when_calls_begin_and_end() -> None:
    code = 'b = read(); e = read(); r = read(); say(id=r["id"], say=f"{b} {e}", done=True)'
    async with running(code) as brain:
        await brain.call_begins(talk(call_id="c"))
        await brain.call_ends("c")
        said = text_of(await replies(brain, talk()))
    assert "'type': 'begin', 'callId': 'c'" in said and "{'type': 'end', 'callId': 'c'}" in said


async def test_a_program_that_dies_is_named_and_started_again_for_the_next_reply() -> None:
    code = 'r = read(); print("no key for +15550100142, token=abc", file=sys.stderr); sys.exit(3)'
    async with running(code) as brain:
        for _ in range(2):
            with pytest.raises(SpeechUnavailable, match="exited with status 3: no key for") as caught:
                await replies(brain, talk())
            assert "5550100142" not in str(caught.value) and "abc" not in str(caught.value)


async def test_a_program_that_keeps_dying_is_not_started_for_ever() -> None:
    async with running("sys.exit(1)", starts_seconds=600) as brain:
        errors = []
        for _ in range(STARTS + 2):
            with pytest.raises(SpeechUnavailable) as caught:
                await replies(brain, talk())
            errors.append(str(caught.value))
    assert f"ended {STARTS} times in a row" in errors[-1] and "exited with status 1" in errors[-1]


async def test_one_that_dies_is_given_another_chance_after_a_while() -> None:
    async with running("sys.exit(1)", starts_seconds=0.0) as brain:
        for _ in range(STARTS + 2):
            with pytest.raises(SpeechUnavailable, match="exited with status 1"):
                await replies(brain, talk())


async def test_garbage_is_named_without_what_must_not_be_in_a_log_and_disturbs_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    code = """
r = read(); print("starting up with +1 555 010 0142", flush=True); say(say="whose?"); say(id=r["id"], sing="la")
print("[" * 5000, flush=True); say(id="nobody", say="x"); say(id=r["id"], say="Here.", done=True)
"""
    with caplog.at_level(logging.WARNING):
        async with running(code) as brain:
            assert text_of(await replies(brain, talk())) == "Here.\n"
    logged = caplog.text
    assert "is not a JSON object with an `id`: starting up with (a number)" in logged
    assert "has none of say, piece, end, done, error" in logged


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ('r = read(); say(id=r["id"], error="no model\\x1b"); read()', "reports: no model$"),
        ("read(); read()", "did not finish within 0.3 s"),
        ('r = read(); print("x" * 100_000, flush=True); read()', "printed a line of more than 64 KiB"),
        ('r = read()\nwhile True: say(id=r["id"], say="and on " * 500)', "said too much"),
        ('r = read()\nwhile True: say(id=r["id"], piece="x")', "said too much"),
        ("import os; r = read(); os.close(1); time.sleep(60)", "closed its output"),
    ],
)
async def test_what_goes_wrong_is_named(code: str, error: str) -> None:
    async with running(code, timeout_ms=300 if "0.3" in error else 20_000) as brain:
        with pytest.raises(SpeechUnavailable, match=error):
            await replies(brain, talk())


async def test_a_program_that_does_not_read_is_given_up() -> None:
    async with running("time.sleep(60)") as brain:
        stuck = asyncio.create_task(replies(brain, talk()))
        await asyncio.sleep(0)  # it asks
        long = conversation(*(Said("agent", "x" * 10_000) for _ in range(30)))
        for _ in range(4):
            await brain.call_begins(long)
        with pytest.raises(SpeechUnavailable, match="does not read its input"):
            await stuck


async def test_no_program_no_brain() -> None:
    with pytest.raises(SpeechUnavailable, match="was not found"):
        await SessionBrain("no-such-program --x").start()


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("call from +1 (555) 010-0142 failed", "call from (a number) failed"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer ***"),
        ("using sk-abcdef and token=xyz", "using sk-*** and token=***"),
        ("my hunter2hunter2 leaked \x1b[31m", "my *** leaked [31m"),
        ("port 8080, 3 retries", "port 8080, 3 retries"),
    ],
)
def test_the_log_gets_neither_numbers_nor_secrets(text: str, clean: str) -> None:
    assert redacted(text, {"MY_PASSWORD": "hunter2hunter2", "HOME": "/root"}) == clean


async def test_what_a_model_prints_reaches_nothing_but_the_voice() -> None:
    code = 'r = read(); say(id=r["id"], say="Hi.", type="end", callId="b", call="transfer", to="+1555", done=True)'
    async with running(code) as brain:
        outputs = await replies(brain, talk())
    assert outputs == [Words("Hi.\n")] and not ends(outputs)
