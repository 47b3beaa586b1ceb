"""A program of the user's that runs all the time decides what to say: one process, all calls, a JSON object a line.

On its standard input it gets, each on a line of its own:

    {"type": "begin", "callId", "direction", "from", "to", "purpose", "lines", "earlier"?}   a phone rings
    {"type": "reply", "id", "callId", ... as above}      say something to the last of `lines`
    {"type": "cancel", "id"}                             that reply is not wanted any more
    {"type": "end", "callId"}                            the call is over

and answers on its standard output, each line with the `id` that it belongs to, in any order, for many calls at once:

    {"id", "say": "A whole sentence."}      spoken as it comes
    {"id", "piece": "half a sen"}           spoken at the ends of sentences
    {"id", "end": true}                     hang up once everything was heard
    {"id", "done": true}                    that was all
    {"id", "error": "why"}                  there will be no reply

A line may hold several of these. Standard error goes to the log, without numbers and secrets. A program that ends is
started again when it is needed, a few times a minute at most.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
from collections import deque
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Final

from engine.speech.brains.program import (
    MAX_OUTPUT_BYTES,
    ErrorLines,
    arguments,
    as_line,
    as_value,
    expect_program,
    kill_group,
    outputs_of,
    redacted,
    release,
    start_program,
)
from engine.speech.ports import BrainOutput, Conversation, SpeechUnavailable

log = logging.getLogger(__name__)

STARTS: Final = 5
STARTS_SECONDS: Final = 60.0
"""A program may be started so often in so long."""
MAX_UNREAD_BYTES: Final = 1 << 20
"""A program that leaves more than this of its input unread does not work any more."""
MAX_WAITING: Final = 1000
"""Objects of one reply that may wait to be spoken."""
MAX_GARBAGE: Final = 20
"""Lines without meaning that are named per run; more are only counted."""

_Item = Mapping[str, Any] | SpeechUnavailable


class SessionBrain:
    """Keeps the program running. `timeout_ms`: what a reply may take; `timeouts`: on some of our numbers."""

    name = "command"

    def __init__(
        self,
        command: str | Sequence[str],
        timeout_ms: int = 30_000,
        timeouts: Mapping[str, int] | None = None,
        starts_seconds: float = STARTS_SECONDS,
    ) -> None:
        self._argv = arguments(command)
        self._timeout_ms = timeout_ms
        self._timeouts = timeouts or {}
        self._starts_seconds = starts_seconds
        self._starts: deque[float] = deque(maxlen=STARTS)
        self._starting = asyncio.Lock()
        self._program: _Program | None = None
        self._ids = itertools.count(1)
        self._closed = False

    async def start(self) -> None:
        """Raises SpeechUnavailable when there is no such program."""
        expect_program(self._argv)
        await self._running()

    async def close(self) -> None:
        """Stop the program."""
        self._closed = True
        async with self._starting:
            if self._program is not None:
                await self._program.stop()

    async def call_begins(self, conversation: Conversation) -> None:
        """Tell the program that a phone rings."""
        (await self._running()).tell({"type": "begin", **as_value(conversation)})

    async def call_ends(self, call_id: str) -> None:
        """Tell the program, if it knew."""
        if self._program is not None and self._program.alive:
            self._program.tell({"type": "end", "callId": call_id})

    async def reply(self, conversation: Conversation) -> AsyncGenerator[BrainOutput, None]:
        """Ask for a reply. Raises SpeechUnavailable when the program fails, takes too long or says too much."""
        program = await self._running()
        reply_id = f"{conversation.call_id}/{next(self._ids)}"
        seconds = self._timeouts.get(conversation.our_number, self._timeout_ms) / 1000
        items = program.expect(reply_id)
        over = False
        try:
            program.tell({"type": "reply", "id": reply_id, **as_value(conversation)})
            left, size = seconds, 0
            while not over:
                item, spent = await _within(items, left, seconds)
                left = max(0.0, left - spent)
                size += len(str(item))
                if size > MAX_OUTPUT_BYTES:
                    raise SpeechUnavailable(
                        "the brain's command said too much", "a reply to a caller is a few sentences"
                    )
                for output in outputs_of(item):
                    yield output
                over = item.get("done") is True or item.get("end") is True
        finally:
            program.forget(reply_id)
            if not over and program.alive:
                program.tell({"type": "cancel", "id": reply_id})

    async def _running(self) -> _Program:
        """The program, started if it does not run. Raises SpeechUnavailable when it was started too often."""
        async with self._starting:
            if self._program is not None and self._program.alive:
                return self._program
            if self._closed:
                raise SpeechUnavailable("the brain's command was stopped")
            now = asyncio.get_running_loop().time()
            why = ""
            if self._program is not None:
                why = self._program.why
                await self._program.stop()
            if len(self._starts) == STARTS and now - self._starts[0] < self._starts_seconds:
                left = self._starts[0] + self._starts_seconds - now
                raise SpeechUnavailable(
                    f"the brain's command ended {STARTS} times in a row; it is started again in {left:.0f} s"
                    + (f" ({why})" if why else ""),
                    "run `response.command` by hand and see why it ends",
                )
            if why:
                log.warning("brain command: started again, because it %s", why)
            self._starts.append(now)
            self._program = await _Program.start(self._argv)
            return self._program


async def _within(items: asyncio.Queue[_Item], left: float, seconds: float) -> tuple[Mapping[str, Any], float]:
    """The next object of a reply, and how long it took. Raises SpeechUnavailable."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        async with asyncio.timeout(left):
            item = await items.get()
    except TimeoutError:
        raise SpeechUnavailable(
            f"the brain's command did not finish within {seconds:g} s", "raise `response_timeout_ms`"
        ) from None
    if isinstance(item, SpeechUnavailable):
        raise item
    if "error" in item:
        raise SpeechUnavailable(f"the brain's command reports: {redacted(str(item['error']))}")
    return item, loop.time() - began


class _Program:
    """One life of the program."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        self._process = process
        self._stdin = process.stdin
        self._errors = ErrorLines()
        self._replies: dict[str, asyncio.Queue[_Item]] = {}
        self._garbage = 0
        self.alive = True
        self.why = ""
        """Why it is not alive."""
        self._tasks = [
            asyncio.create_task(self._read(process.stdout)),
            asyncio.create_task(self._errors.read(process.stderr)),
        ]

    @classmethod
    async def start(cls, argv: Sequence[str]) -> _Program:
        """Raises SpeechUnavailable."""
        return cls(await start_program(argv))

    def expect(self, reply_id: str) -> asyncio.Queue[_Item]:
        """Where the objects of a reply will arrive."""
        items: asyncio.Queue[_Item] = asyncio.Queue(MAX_WAITING)
        self._replies[reply_id] = items
        return items

    def forget(self, reply_id: str) -> None:
        """Nobody waits for that reply."""
        self._replies.pop(reply_id, None)

    def tell(self, value: Mapping[str, Any]) -> None:
        """Write one object; a program that does not read is given up."""
        if not self.alive or self._stdin.is_closing():
            return
        self._stdin.write(as_line(value))
        if self._stdin.transport.get_write_buffer_size() > MAX_UNREAD_BYTES:
            self._give_up("does not read its input")

    async def stop(self) -> None:
        """End it and everything that it started."""
        self._give_up(self.why or "was stopped")
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await release(self._process)

    async def _read(self, stdout: asyncio.StreamReader) -> None:
        try:
            while line := await stdout.readline():
                self._take(line)
        except ValueError:
            self._give_up(f"printed a line of more than {MAX_OUTPUT_BYTES // 1024} KiB")
            return
        await asyncio.wait([self._tasks[1]], timeout=1)  # its last words may still be on their way
        try:
            async with asyncio.timeout(1):
                status = await self._process.wait()
        except TimeoutError:
            self._give_up("closed its output")
            return
        how = f"exited with status {status}" if status >= 0 else f"was killed by signal {-status}"
        self._give_up(how + (f": {self._errors.last}" if self._errors.last else ""))

    def _take(self, line: bytes) -> None:
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            value = None
        reply_id = value.get("id") if isinstance(value, dict) else None
        if not isinstance(value, dict) or not isinstance(reply_id, str):
            self._name_garbage(line, "is not a JSON object with an `id`")
            return
        known = ("say", "piece", "end", "done", "error")
        if not any(key in value for key in known):
            self._name_garbage(line, f"has none of {', '.join(known)}")
            return
        items = self._replies.get(reply_id)
        if items is None:
            return  # cancelled meanwhile
        if items.full():
            self.forget(reply_id)
            items.get_nowait()
            items.put_nowait(SpeechUnavailable("the brain's command said too much"))
            return
        items.put_nowait(value)

    def _name_garbage(self, line: bytes, what: str) -> None:
        self._garbage += 1
        text = line.decode("utf-8", "replace").strip()
        if text and self._garbage <= MAX_GARBAGE:
            log.warning("brain command: a line of its output %s: %s", what, redacted(text)[:100])

    def _give_up(self, why: str) -> None:
        if not self.alive:
            return
        self.alive, self.why = False, why
        kill_group(self._process)
        for items in self._replies.values():
            while items.full():
                items.get_nowait()
            items.put_nowait(SpeechUnavailable(f"the brain's command {why}"))
        self._replies.clear()
