"""A person answers: this brain keeps quiet, so that whoever sits at the console can speak."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from engine.speech.ports import BrainOutput, Conversation


class OperatorBrain:
    """Says nothing, ever."""

    name = "operator"
    takes_hints = False

    async def start(self) -> None:
        """Nothing to load."""

    async def reply(self, conversation: Conversation) -> AsyncGenerator[BrainOutput, None]:
        """No reply."""
        return
        yield  # makes this a generator

    async def close(self) -> None:
        """Nothing to stop."""
