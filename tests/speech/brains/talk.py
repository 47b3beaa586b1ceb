"""Conversations for tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from engine.speech.brains.script import reply_to
from engine.speech.brains.script_file import Script
from engine.speech.ports import Brain, BrainOutput, Conversation, EndCall, Said, Words


def conversation(
    *lines: Said, purpose: str = "", direction: Literal["inbound", "outbound"] | None = None, call_id: str = "call-1"
) -> Conversation:
    """A call with these lines; outbound when it has a purpose."""
    way = direction or ("outbound" if purpose else "inbound")
    return Conversation(call_id, way, "+15550100142", "+15550100100", lines, purpose)


def caller(text: str) -> Said:
    return Said("caller", text)


def agent(text: str, *, cut: bool = False) -> Said:
    return Said("agent", text, cut)


async def replies(brain: Brain, talk: Conversation) -> list[BrainOutput]:
    """Everything that the brain says to the last line."""
    return [output async for output in brain.reply(talk)]


def text_of(outputs: Sequence[BrainOutput]) -> str:
    return "".join(output.text for output in outputs if isinstance(output, Words))


def ends(outputs: Sequence[BrainOutput]) -> bool:
    return any(isinstance(output, EndCall) for output in outputs)


class Talk:
    """A call with the scripted assistant that is heard without a mistake."""

    def __init__(self, script: Script, purpose: str = "", greeting: str = "") -> None:
        self._script = script
        self._purpose = purpose
        self.lines = [agent(greeting)] if greeting else []
        self.ended = False

    def say(self, text: str) -> str:
        """Say a line; the assistant's answer."""
        self.lines.append(caller(text))
        reply = reply_to(self._script, conversation(*self.lines, purpose=self._purpose))
        self.ended = reply.ends
        if reply.text:
            self.lines.append(agent(reply.text))
        return reply.text
