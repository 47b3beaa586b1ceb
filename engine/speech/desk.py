"""The speech engines of one engine: started beside it, and how they are.

Starting them takes seconds; calls and consoles must not wait for that. Until an engine is ready, and when it fails,
its state says so in the health panel and each call that needs it says so in its ladder.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal

from engine.speech.ports import Brain, Recogniser, SpeechUnavailable, Voice
from engine.speech.stt.chain import RecogniserChain
from engine.speech.tts.chain import Voices

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Health:
    """How one speech engine is."""

    name: str
    state: Literal["starting", "ready", "failed", "unused"] = "starting"
    error: str = ""
    hint: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "ok": self.state != "failed",
            "state": self.state,
            "error": self.error,
            "hint": self.hint,
        }


class SpeechDesk:
    """Recogniser, voice and brain, with their health."""

    def __init__(self, recogniser: Recogniser, voice: Voice, brain: Brain) -> None:
        self.recogniser = recogniser
        self.voice = voice
        self.brain = brain
        self._health = {
            "stt": Health(recogniser.name),
            "tts": Health(voice.name),
            "brain": Health(brain.name),
        }
        self._settled = asyncio.Event()

    def health(self) -> dict[str, Any]:
        """The `speech` part of the engine's health."""
        told = {role: health.to_json() for role, health in self._health.items()}
        if isinstance(self.recogniser, RecogniserChain) and self._health["stt"].state != "starting":
            told["stt"].update(self.recogniser.health())
        if isinstance(self.voice, Voices) and self._health["tts"].state in ("ready", "failed"):
            told["tts"].update(self.voice.health())
        return told

    async def start(self, *, streams: bool = True, in_steps: bool = True) -> None:
        """Start all three; a failure is kept as health, not raised. Where no audio comes here (`streams`), the
        carrier's own ears and voice are used, and ours would only take memory or money; where a model hears and
        answers by itself (not `in_steps`), so would our ears and brain."""
        try:
            async with asyncio.TaskGroup() as group:
                for role, start, used in (
                    ("stt", self.recogniser.start, streams and in_steps),
                    ("tts", self.voice.start, streams),
                    ("brain", self.brain.start, in_steps),
                ):
                    if used:
                        group.create_task(self._start(role, start))
                    else:
                        self._health[role].state = "unused"
        finally:
            self._settled.set()

    async def settled(self) -> None:
        """Return once every engine is ready or has failed."""
        await self._settled.wait()

    async def close(self) -> None:
        """Stop all three."""
        for close in (self.recogniser.close, self.voice.close, self.brain.close):
            await close()

    async def _start(self, role: str, start: Callable[[], Awaitable[None]]) -> None:
        health = self._health[role]
        try:
            await start()
        except SpeechUnavailable as error:
            log.warning("%s %s can not be used: %s", role, health.name, error)
            health.state, health.error, health.hint = "failed", str(error), error.hint
        else:
            health.state = "ready"
