"""A program of the user's decides what to say: one run per reply.

It gets the conversation as one JSON object on standard input:

    {"callId", "direction", "from", "to", "purpose", "lines": [{"speaker", "text", "cut", "kind"?}], "earlier"?}

`kind` is `keys` for keys that the caller pressed, `silence` for seconds of it. `earlier` holds earlier calls with the
same person, `[{"at", "direction", "lines"}]`. The program prints the reply. Each line is spoken as it comes: plain
text, or JSON objects, `{"say": "..."}` to speak and `{"end": true}` to hang up afterwards. Standard error goes to the
log, without numbers and secrets. No shell is involved.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

from engine.speech.brains.program import (
    EXIT_SECONDS,
    MAX_OUTPUT_BYTES,
    ErrorLines,
    arguments,
    as_line,
    as_value,
    expect_program,
    kill_group,
    outputs_of,
    release,
    start_program,
)
from engine.speech.ports import BrainOutput, Conversation, SpeechUnavailable, Words


class CommandBrain:
    """Runs a program for every reply. `timeout_ms` is what a run may take, `timeouts` on some numbers."""

    name = "command"

    def __init__(
        self, command: str | Sequence[str], timeout_ms: int = 30_000, timeouts: Mapping[str, int] | None = None
    ) -> None:
        self._argv = arguments(command)
        self._timeout_ms = timeout_ms
        self._timeouts = timeouts or {}

    async def start(self) -> None:
        """Raises SpeechUnavailable when there is no such program."""
        expect_program(self._argv)

    async def reply(self, conversation: Conversation) -> AsyncGenerator[BrainOutput, None]:
        """Run the program. Raises SpeechUnavailable when it fails, takes too long or says too much.

        Closing the generator kills the program and everything that it started.
        """
        timeout_ms = self._timeouts.get(conversation.our_number, self._timeout_ms)
        run = await _Run.start(self._argv, conversation, timeout_ms / 1000)
        try:
            while (line := await run.next_line()) is not None:
                for output in _outputs(line):
                    yield output
            await run.expect_success()
        finally:
            await run.stop()

    async def close(self) -> None:
        """Nothing to stop: each run ends with its reply."""


class _Run:
    """One run of the program, and the time that it has left. Waiting for the listener is not the program's time."""

    def __init__(self, process: asyncio.subprocess.Process, seconds: float, request: bytes) -> None:
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        self._process = process
        self._stdout = process.stdout
        self._seconds = seconds
        self._left = seconds
        self._bytes = 0
        self._at_end = False
        self._errors = ErrorLines()
        self._tasks = [
            asyncio.create_task(_write(process.stdin, request)),
            asyncio.create_task(self._errors.read(process.stderr)),
        ]

    @classmethod
    async def start(cls, argv: Sequence[str], conversation: Conversation, seconds: float) -> _Run:
        """Start the program in a process group of its own. Raises SpeechUnavailable."""
        return cls(await start_program(argv), seconds, as_line(as_value(conversation)))

    async def next_line(self) -> str | None:
        """The next line of output; None at its end."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            async with asyncio.timeout(self._left):
                line = await self._stdout.readline()
        except TimeoutError:
            raise SpeechUnavailable(
                f"the brain's command did not finish within {self._seconds:g} s", "raise `response_timeout_ms`"
            ) from None
        except ValueError:
            raise _too_long() from None
        self._left = max(0.0, self._left - (loop.time() - began))
        self._bytes += len(line)
        if self._bytes > MAX_OUTPUT_BYTES:
            raise _too_long()
        self._at_end = not line
        return line.decode("utf-8", "replace") if line else None

    async def expect_success(self) -> None:
        """Wait for the exit. Raises SpeechUnavailable unless the status is 0."""
        try:
            async with asyncio.timeout(EXIT_SECONDS):
                status = await self._process.wait()
                await self._tasks[1]
        except TimeoutError:
            raise SpeechUnavailable("the brain's command closed its output but does not exit") from None
        if status:
            how = f"exited with status {status}" if status > 0 else f"was killed by signal {-status}"
            raise SpeechUnavailable(
                f"the brain's command {how}" + (f": {self._errors.last}" if self._errors.last else "")
            )

    async def stop(self) -> None:
        """Kill what still runs, the program's own children too, and free the pipes."""
        if self._process.returncode is None or not self._at_end:
            kill_group(self._process)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await release(self._process)


async def _write(stdin: asyncio.StreamWriter, request: bytes) -> None:
    """Hand the conversation over; a program that does not read it is free not to."""
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        stdin.write(request)
        await stdin.drain()
        stdin.close()


def _too_long() -> SpeechUnavailable:
    return SpeechUnavailable(
        f"the brain's command printed more than {MAX_OUTPUT_BYTES // 1024} KiB",
        "a reply to a caller is a few sentences",
    )


def _outputs(line: str) -> list[BrainOutput]:
    """What one line of output asks for. Raises SpeechUnavailable for an object that asks for nothing known."""
    text = line.strip()
    if not text:
        return []
    try:
        value: Any = json.loads(text) if text.startswith("{") else None
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        return [Words(text + "\n")]
    outputs = outputs_of(value)
    if not outputs and "end" not in value:
        raise SpeechUnavailable(
            f"the brain's command printed an object with {', '.join(map(repr, list(value)[:5])) or 'nothing'}",
            'print text, {"say": "..."} or {"end": true}',
        )
    return outputs
