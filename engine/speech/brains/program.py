"""What both ways of running the user's program share: what it is told, what it may say, where its complaints go."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import re
import shlex
import shutil
import signal
from collections.abc import Mapping, Sequence
from typing import Any, Final

from engine.speech.ports import BrainOutput, Conversation, EndCall, Said, SpeechUnavailable, Words

log = logging.getLogger(__name__)

MAX_OUTPUT_BYTES: Final = 64 * 1024
"""More output than this is not a reply to a caller."""
MAX_ERROR_LINES: Final = 200
"""Lines of standard error that are logged per run, or per minute of a long one; the rest is read and dropped."""
EXIT_SECONDS: Final = 2.0
"""How long a program may take to exit."""

_NUMBER: Final = re.compile(r"\+?\d[\d ().-]{5,}\d")
_SECRET: Final = re.compile(
    r"(?i)(\bbearer\s+|\bsk-|\b(?:api[_-]?key|token|secret|password|authorization)[\"']?\s*[=:]\s*[\"']?"
    r"(?:bearer\s+|basic\s+)?)[^\s\"',;]+"
)
_SECRET_NAME: Final = re.compile(r"(?i)key|token|secret|password|auth")


def arguments(command: str | Sequence[str]) -> list[str]:
    """The program and its arguments. A command is split as a shell would, and no shell ever sees it."""
    return shlex.split(command) if isinstance(command, str) else list(command)


def expect_program(argv: Sequence[str]) -> None:
    """Raises SpeechUnavailable when there is no such program."""
    if not argv:
        raise SpeechUnavailable("the brain's command is empty", "set `response.command`")
    if shutil.which(argv[0]) is None:
        raise SpeechUnavailable(
            f"the brain's command {argv[0]!r} was not found, or is not executable",
            "give its full path in `response.command`, or put it on PATH",
        )


async def start_program(argv: Sequence[str]) -> asyncio.subprocess.Process:
    """Start it with pipes, in a process group of its own. Raises SpeechUnavailable."""
    pipe = asyncio.subprocess.PIPE
    try:
        return await asyncio.create_subprocess_exec(
            *argv, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True, limit=MAX_OUTPUT_BYTES
        )
    except (OSError, ValueError) as error:
        raise SpeechUnavailable(f"the brain's command did not start: {error}", "check `response.command`") from error


def kill_group(process: asyncio.subprocess.Process) -> None:
    """Kill the program and everything that it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


async def release(process: asyncio.subprocess.Process) -> None:
    """Wait for the end of a program that was killed, and let go of its pipes."""
    try:
        async with asyncio.timeout(EXIT_SECONDS):
            await process.wait()
    except TimeoutError:
        log.error("brain command: process %d was killed but is still there", process.pid)
    # A child that left the process group may still hold the pipes; asyncio has no public way to let go of them.
    process._transport.close()  # type: ignore[attr-defined]


def as_value(conversation: Conversation) -> dict[str, Any]:
    """The conversation as the program gets it. What the caller said is data in it, and nothing else."""
    value: dict[str, Any] = {
        "callId": conversation.call_id,
        "direction": conversation.direction,
        "from": conversation.from_number,
        "to": conversation.to_number,
        "purpose": conversation.purpose,
        "lines": [_line(line) for line in conversation.lines],
    }
    if conversation.earlier:
        value["earlier"] = [
            {"at": call.at, "direction": call.direction, "lines": [_line(line) for line in call.lines]}
            for call in conversation.earlier
        ]
    return value


def as_line(value: Mapping[str, Any]) -> bytes:
    """One JSON object on one line."""
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def _line(line: Said) -> dict[str, Any]:
    value: dict[str, Any] = {"speaker": line.speaker, "text": line.text, "cut": line.cut}
    return value if line.kind == "words" else {**value, "kind": line.kind}


def outputs_of(value: Mapping[str, Any]) -> list[BrainOutput]:
    """What one object asks for; nothing when it asks for nothing known."""
    outputs: list[BrainOutput] = []
    if isinstance(value.get("say"), str):
        outputs.append(Words(value["say"] + "\n"))
    if isinstance(value.get("piece"), str):
        outputs.append(Words(value["piece"]))
    if value.get("end") is True:
        outputs.append(EndCall())
    return outputs


def redacted(text: str, environment: Mapping[str, str] = os.environ) -> str:
    """`text` without secrets and telephone numbers, on one line: the log is no place for either."""
    text = "".join(filter(str.isprintable, text))[:500].strip()
    for name, value in environment.items():
        if len(value) >= 8 and _SECRET_NAME.search(name):
            text = text.replace(value, "***")
    return _NUMBER.sub("(a number)", _SECRET.sub(r"\1***", text))


class ErrorLines:
    """Standard error of a program, line by line into the log."""

    def __init__(self) -> None:
        self.last = ""
        """The latest line, which mostly says why a program ended."""
        self._logged = 0
        self._since = 0.0

    async def read(self, stderr: asyncio.StreamReader) -> None:
        """Until its end."""
        rest = b""
        while chunk := await stderr.read(4096):
            *lines, rest = (rest + chunk).split(b"\n")
            rest = rest[-4096:]
            for line in lines:
                self.take(line)
        if rest:
            self.take(rest)

    def take(self, line: bytes) -> None:
        """Log one line, unless there were too many."""
        text = redacted(line.decode("utf-8", "replace"))
        if not text:
            return
        self.last = text
        now = asyncio.get_running_loop().time()
        if now - self._since > 60:
            self._since, self._logged = now, 0
        self._logged += 1
        if self._logged <= MAX_ERROR_LINES:
            log.warning("brain command: %s", text)
