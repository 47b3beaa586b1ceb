"""A call in virtual time: a mouth that says lines at the pace of a voice, and a brain that does what a test wants."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from engine.calls import Call, Draft, State
from engine.calls.call import Line
from engine.live.lines import Speaking, Stage, Utterance
from engine.live.manners import Manners
from engine.live.replies import Replies
from engine.live.turn_clock import TurnClock
from engine.speech.ports import BrainOutput, Conversation, EndCall

Script = Callable[[Conversation], AsyncGenerator[BrainOutput, None]]


def now_ms() -> float:
    return asyncio.get_running_loop().time() * 1000


class PacedMouth(Speaking):
    """Says its lines one after the other, as long as they are; keeps when each began and how it ended."""

    def __init__(self, post: Callable[..., None]) -> None:
        super().__init__("call-0001", post, now_ms)
        self.log: list[tuple[float, str]] = []
        self.endings: list[tuple[str, str]] = []
        self._wake = asyncio.Event()
        self._stop = asyncio.Event()

    async def run(self) -> None:
        while True:
            line = next(self._at(Stage.QUEUED), None)
            if line is None:
                self._wake.clear()
                await self._wake.wait()
                continue
            line.stage = Stage.PLAYING
            self.log.append((round(now_ms() / 1000, 2), line.text))
            self._stop.clear()
            try:
                async with asyncio.timeout(line.full_ms / 1000):
                    await self._stop.wait()
            except TimeoutError:
                self.endings.append((line.text, "heard"))
                self._post(self._was_heard(line, line.full_ms, confirmed=True))

    def _queued(self, line: Utterance) -> None:
        self._wake.set()

    def _cut_playing(self) -> list[Draft]:
        drafts = []
        for line in self._at(Stage.PLAYING):
            drafts.append(self._was_stopped(line, 100, confirmed=True))
            self.endings.append((line.text, "cut"))
            self._stop.set()
        return drafts

    def _dropped(self, line: Utterance) -> None:
        self.endings.append((line.text, "dropped"))

    def _interrupted(self) -> None:
        """Nothing is queued elsewhere."""

    def _silenced(self) -> None:
        """Nothing is queued elsewhere."""


class Scripted:
    """A brain that runs the test's generator."""

    name = "scripted"

    def __init__(self, script: Script) -> None:
        self._script = script
        self.asked: list[Conversation] = []
        self.began: list[str] = []
        self.ended: list[str] = []
        self.closed = 0

    async def start(self) -> None:
        """Nothing to load."""

    async def reply(self, conversation: Conversation) -> AsyncGenerator[BrainOutput, None]:
        self.asked.append(conversation)
        try:
            async for output in self._script(conversation):
                yield output
        finally:
            self.closed += 1

    async def call_begins(self, conversation: Conversation) -> None:
        self.began.append(conversation.call_id)

    async def call_ends(self, call_id: str) -> None:
        self.ended.append(call_id)

    async def close(self) -> None:
        """Nothing to stop."""


@dataclass
class Desk:
    """One call's replies and what came of them."""

    replies: Replies
    mouth: PacedMouth
    brain: Scripted
    facts: list[Draft]
    hung_up: list[tuple[float, EndCall]]
    group: asyncio.TaskGroup

    def say(self, text: str, turn: int = 1) -> None:
        """The caller's turn ends now."""
        clock = TurnClock(turn)
        clock.reach("ended", now_ms())
        clock.reach("text", now_ms())
        self.replies.answer(text, clock, self.group)

    def of(self, type_: str) -> list[dict[str, Any]]:
        return [dict(draft.data) for draft in self.facts if draft.type == type_]


def a_call(**changes: Any) -> Call:
    facts: dict[str, Any] = {
        "call_id": "call-0001",
        "provider": "mock",
        "direction": "inbound",
        "mode": "conversation",
        "from_number": "+15550100142",
        "to_number": "+15550100100",
        "started_at": 0,
        "answered_at": 1,
        "state": State.LISTENING,
    }
    return Call(**{**facts, **changes})


def a_line(at_s: float, speaker: Any, text: str, **changes: Any) -> Line:
    return Line(round(at_s * 1000), speaker, text, **changes)


async def talk(script: Script, manners: Manners, test: Callable[[Desk], Awaitable[None]]) -> Desk:
    """Run `test` beside a talking mouth, and wait for what it set going."""
    facts: list[Draft] = []
    hung_up: list[tuple[float, EndCall]] = []
    mouth = PacedMouth(lambda *drafts: facts.extend(drafts))
    brain = Scripted(script)

    async def settle() -> None:
        """Everything is in the book at once."""

    replies = Replies(
        "call-0001",
        brain,
        mouth,
        a_call,
        manners,
        lambda end: hung_up.append((round(now_ms() / 1000, 2), end)),
        lambda *drafts: facts.extend(drafts),
        settle,
        now_ms,
    )
    async with asyncio.TaskGroup() as group:
        speaking = group.create_task(mouth.run())
        await replies.prepare()
        desk = Desk(replies, mouth, brain, facts, hung_up, group)
        await test(desk)
        await replies.close()
        replies.revoke("the test is over")
        speaking.cancel()
    return desk
