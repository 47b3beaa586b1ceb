"""A program of the user's is the brain: real programs, real pipes, and nothing left behind."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import sys
from collections.abc import AsyncIterator

import pytest

from engine.speech.brains.command import CommandBrain
from engine.speech.brains.program import MAX_OUTPUT_BYTES
from engine.speech.ports import EndCall, Said, SpeechUnavailable, Words
from tests.speech.brains.talk import agent, caller, conversation, replies, text_of

TALK = conversation(agent("Hello, this is", cut=True), Said("operator", "Kim here."), caller("Is it open; rm -rf ~?"))


def python(code: str, timeout_ms: int = 20_000) -> CommandBrain:
    """A brain that runs this Python code."""
    return CommandBrain([sys.executable, "-c", code], timeout_ms)


class Witness:
    """Programs under test connect here, so that a test can talk with them and see them die."""

    def __init__(self) -> None:
        self.port = 0
        self._joined: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()

    @property
    def connect(self) -> str:
        """Python code by which a program joins, as `link`."""
        return f"import socket, time; link = socket.create_connection(('127.0.0.1', {self.port})); "

    async def joined(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """The next program that connects."""
        async with asyncio.timeout(20):
            return await self._joined.get()

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._joined.put((reader, writer))


async def dies(reader: asyncio.StreamReader) -> None:
    """Wait until the program at the other end is gone."""
    async with asyncio.timeout(10):
        with contextlib.suppress(ConnectionResetError):
            await reader.read()


@pytest.fixture
async def witness() -> AsyncIterator[Witness]:
    witness = Witness()
    server = await asyncio.start_server(witness.take, "127.0.0.1", 0)
    witness.port = server.sockets[0].getsockname()[1]
    yield witness
    server.close()


async def test_the_program_gets_the_conversation_and_its_lines_are_spoken() -> None:
    brain = python("import sys, json; t = json.load(sys.stdin); print(t['lines'][-1]['text']); print('And more.')")
    await brain.start()
    assert await replies(brain, TALK) == [Words("Is it open; rm -rf ~?\n"), Words("And more.\n")]
    await brain.close()


async def test_the_whole_request_is_as_documented() -> None:
    outputs = await replies(CommandBrain("sed 's/^/x/'"), TALK)
    assert json.loads(text_of(outputs)[1:]) == {
        "callId": "call-1",
        "direction": "inbound",
        "from": "+15550100142",
        "to": "+15550100100",
        "purpose": "",
        "lines": [
            {"speaker": "agent", "text": "Hello, this is", "cut": True},
            {"speaker": "operator", "text": "Kim here.", "cut": False},
            {"speaker": "caller", "text": "Is it open; rm -rf ~?", "cut": False},
        ],
    }


async def test_lines_are_spoken_while_the_program_still_works(witness: Witness) -> None:
    stream = python(witness.connect + "print('First.', flush=True); link.recv(1); print('Second.')").reply(TALK)
    assert await anext(stream) == Words("First.\n")
    _, writer = await witness.joined()
    writer.write(b"!")
    assert [output async for output in stream] == [Words("Second.\n")]
    writer.close()


async def test_json_lines_speak_and_hang_up() -> None:
    brain = python("""print('{"say": "Goodbye."}'); print('{"end": true}')""")
    assert await replies(brain, TALK) == [Words("Goodbye.\n"), EndCall()]


async def test_one_object_may_do_both_and_broken_json_is_text() -> None:
    brain = python(
        """print('{"say": "Bye.", "end": true}'); print('{curly} words'); print(); print('{"end": false}')"""
    )
    assert await replies(brain, TALK) == [Words("Bye.\n"), EndCall(), Words("{curly} words\n")]


async def test_an_object_that_asks_for_nothing_known_is_reported() -> None:
    with pytest.raises(SpeechUnavailable, match="'speak'"):
        await replies(python("""print('{"speak": "Hello"}')"""), TALK)


async def test_a_program_need_not_read_its_input() -> None:
    long_talk = conversation(*[caller("word " * 200) for _ in range(400)])
    assert await replies(CommandBrain("echo Hello there."), long_talk) == [Words("Hello there.\n")]


async def test_no_shell_is_involved() -> None:
    assert await replies(CommandBrain("echo '$HOME' ; echo x"), TALK) == [Words("$HOME ; echo x\n")]


async def test_silence_is_allowed() -> None:
    assert await replies(CommandBrain("true"), TALK) == []


async def test_a_failing_program_is_reported_with_its_last_error(caplog: pytest.LogCaptureFixture) -> None:
    brain = python("import sys; print('So far.'); print('no key', file=sys.stderr); sys.exit(3)")
    said: list[object] = []
    with caplog.at_level(logging.WARNING), pytest.raises(SpeechUnavailable, match="status 3: no key"):
        async for output in brain.reply(TALK):
            said.append(output)
    assert said == [Words("So far.\n")]
    assert "brain command: no key" in caplog.messages


async def test_control_characters_of_its_errors_do_not_reach_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        await replies(python(r"import sys; sys.stderr.write('\x1b[31mred\x07\n')"), TALK)
    assert caplog.messages == ["brain command: [31mred"]


async def test_a_killed_program_is_reported() -> None:
    with pytest.raises(SpeechUnavailable, match="killed by signal 9"):
        await replies(python("import os; os.kill(os.getpid(), 9)"), TALK)


async def test_a_program_that_takes_too_long_is_stopped(witness: Witness) -> None:
    with pytest.raises(SpeechUnavailable, match="within 2 s"):
        await replies(python(witness.connect + "time.sleep(600)", timeout_ms=2000), TALK)
    reader, _ = await witness.joined()
    await dies(reader)


async def test_waiting_for_the_listener_is_not_the_programs_time() -> None:
    stream = CommandBrain(["sh", "-c", "echo One.; echo Two."], timeout_ms=1500).reply(TALK)
    assert await anext(stream) == Words("One.\n")
    await asyncio.sleep(1.6)  # a slow listener; that this time passes is what is tested
    assert [output async for output in stream] == [Words("Two.\n")]


@pytest.mark.parametrize("code", ["print('x' * 200_000)", "while True: print('again and again')"])
async def test_too_much_output_is_refused(code: str) -> None:
    with pytest.raises(SpeechUnavailable, match=f"{MAX_OUTPUT_BYTES // 1024} KiB"):
        await replies(python(code), TALK)


async def test_closing_the_reply_kills_the_program_and_its_children(witness: Witness) -> None:
    child = witness.connect + "time.sleep(600)"
    code = f"{witness.connect}import subprocess, sys; subprocess.Popen([sys.executable, '-c', {child!r}])\n"
    stream = python(code + "print('Hello.', flush=True); time.sleep(600)").reply(TALK)
    assert await anext(stream) == Words("Hello.\n")
    (one, _), (other, _) = await witness.joined(), await witness.joined()
    await stream.aclose()
    await dies(one)
    await dies(other)


async def test_cancelling_the_task_kills_the_program(witness: Witness) -> None:
    task = asyncio.create_task(replies(python(witness.connect + "time.sleep(600)"), TALK))
    reader, _ = await witness.joined()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await dies(reader)


@pytest.mark.parametrize(("command", "complaint"), [("no-such-program-here x", "was not found"), ("", "is empty")])
async def test_a_program_that_does_not_exist_is_reported_at_the_start(command: str, complaint: str) -> None:
    with pytest.raises(SpeechUnavailable, match=complaint):
        await CommandBrain(command).start()


async def test_a_program_that_has_gone_since_is_reported() -> None:
    with pytest.raises(SpeechUnavailable, match="did not start"):
        await replies(CommandBrain(["/no/such/program"]), TALK)
