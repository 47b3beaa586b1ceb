"""The scripted assistant: no account, no network, a sensible conversation. The default brain."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

from engine.speech.brains import inbound, outbound
from engine.speech.brains.dialog import Dialog, Reply
from engine.speech.brains.script_file import Script, load_script
from engine.speech.ports import BrainOutput, Conversation, EndCall, SpeechUnavailable, Words

__all__ = ["ScriptBrain", "reply_to"]


def reply_to(script: Script, conversation: Conversation) -> Reply:
    """The reply to the last line of the conversation; says nothing when that is not the caller's."""
    dialog = Dialog(script, conversation)
    answer = outbound.answer if dialog.outbound else inbound.answer
    reply = Reply("")
    for line in conversation.lines:
        if line.kind in ("silence", "hint"):
            continue  # keys are words: a script may know what `1` means
        heard = dialog.take(line)
        reply = Reply("") if heard is None else answer(dialog, heard)
    return reply


class ScriptBrain:
    """Answers from a script: the built-in one, or the user's own file."""

    name = "script"
    takes_hints = False

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._script: Script | None = None

    async def start(self) -> None:
        """Read the script. Raises SpeechUnavailable with every mistake in it."""
        self._script = await asyncio.to_thread(load_script, self._path)

    async def reply(self, conversation: Conversation) -> AsyncGenerator[BrainOutput, None]:
        """The reply in one piece. Raises SpeechUnavailable when `start` has not been called."""
        if self._script is None:
            raise SpeechUnavailable("the scripted assistant has not been started")
        reply = reply_to(self._script, conversation)
        if reply.text:
            yield Words(reply.text)
        if reply.ends:
            yield EndCall(reply.voicemail)

    async def close(self) -> None:
        """Nothing to stop."""
