"""A program of the user's decides what to say: one run per reply.

It gets the conversation as one JSON object on standard input:

    {"callId", "direction", "from", "to", "purpose", "lines": [{"speaker", "text", "cut"}]}

and prints the reply. Each line is spoken as it comes: plain text, or JSON objects, `{"say": "..."}` to speak and
`{"end": true}` to hang up afterwards. Standard error goes to the log. No shell is involved.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import shlex
import shutil
import signal
from collections.abc import AsyncGenerator, Sequence
from typing import Any, Final

from engine.speech.ports import BrainOutput, Conversation, EndCall, SpeechUnavailable, Words

log = logging.getLogger(__name__)

MAX_OUTPUT_BYTES: Final = 64 * 1024
"""More output than this is not a reply to a caller."""
MAX_ERROR_LINES: Final = 200
"""Lines of standard error that are logged per run; the rest is read and dropped."""
EXIT_SECONDS: Final = 2.0
"""How long a program may take to exit after it closed its output."""


class CommandBrain:
    """Runs a program for every reply. `timeout_ms` is what the whole run may take."""

    name = "command"

    def __init__(self, command: str | Sequence[str], timeout_ms: int = 30_000) -> None:
        self._argv = shlex.split(command) if isinstance(command, str) else list(command)
        self._timeout = timeout_ms / 1000

    async def start(self) -> None:
        """Raises SpeechUnavailable when there is no such program."""
        if not self._argv:
            raise SpeechUnavailable("the brain's command is empty", "set `response.command`")
        if shutil.which(self._argv[0]) is None:
            raise SpeechUnavailable(
                f"the brain's command {self._argv[0]!r} was not found, or is not executable",
                "give its full path in `response.command`, or put it on PATH",
            )

    async def reply(self, conversation: Conversation) -> AsyncGenerator[BrainOutput, None]:
        """Run the program. Raises SpeechUnavailable when it fails, takes too long or says too much.

        Closing the generator kills the program and everything that it started.
        """
        run = await _Run.start(self._argv, conversation, self._timeout)
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
        self._last_error = ""
        self._tasks = [
            asyncio.create_task(_write(process.stdin, request)),
            asyncio.create_task(self._log_errors(process.stderr)),
        ]

    @classmethod
    async def start(cls, argv: Sequence[str], conversation: Conversation, seconds: float) -> _Run:
        """Start the program in a process group of its own. Raises SpeechUnavailable."""
        pipe = asyncio.subprocess.PIPE
        try:
            process = await asyncio.create_subprocess_exec(
                *argv, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True, limit=MAX_OUTPUT_BYTES
            )
        except (OSError, ValueError) as error:
            raise SpeechUnavailable(
                f"the brain's command did not start: {error}", "check `response.command`"
            ) from error
        return cls(process, seconds, _request(conversation))

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
                f"the brain's command {how}" + (f": {self._last_error}" if self._last_error else "")
            )

    async def stop(self) -> None:
        """Kill what still runs, the program's own children too, and free the pipes."""
        if self._process.returncode is None or not self._at_end:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            async with asyncio.timeout(EXIT_SECONDS):
                await self._process.wait()
        except TimeoutError:
            log.error("brain command: process %d was killed but is still there", self._process.pid)
        # A child that left the process group may still hold the pipes; asyncio has no public way to let go of them.
        self._process._transport.close()  # type: ignore[attr-defined]

    async def _log_errors(self, stderr: asyncio.StreamReader) -> None:
        logged = 0
        rest = b""
        while chunk := await stderr.read(4096):
            *lines, rest = (rest + chunk).split(b"\n")
            rest = rest[-4096:]
            for line in lines:
                logged += 1
                self._log_error(line, quiet=logged > MAX_ERROR_LINES)
        if rest:
            self._log_error(rest, quiet=logged >= MAX_ERROR_LINES)

    def _log_error(self, line: bytes, *, quiet: bool) -> None:
        text = "".join(filter(str.isprintable, line.decode("utf-8", "replace")))[:500].strip()
        if text:
            self._last_error = text
            if not quiet:
                log.warning("brain command: %s", text)


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


def _request(conversation: Conversation) -> bytes:
    value = {
        "callId": conversation.call_id,
        "direction": conversation.direction,
        "from": conversation.from_number,
        "to": conversation.to_number,
        "purpose": conversation.purpose,
        "lines": [{"speaker": line.speaker, "text": line.text, "cut": line.cut} for line in conversation.lines],
    }
    return json.dumps(value, ensure_ascii=False).encode() + b"\n"


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
    outputs: list[BrainOutput] = []
    if isinstance(value.get("say"), str):
        outputs.append(Words(value["say"] + "\n"))
    if value.get("end") is True:
        outputs.append(EndCall())
    if not outputs and "end" not in value:
        raise SpeechUnavailable(
            f"the brain's command printed an object with {', '.join(map(repr, list(value)[:5])) or 'nothing'}",
            'print text, {"say": "..."} or {"end": true}',
        )
    return outputs
