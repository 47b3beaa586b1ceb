"""What a person of ours says through their microphone, written down: a second recogniser in the call.

Whoever presses to talk tells where an utterance ends; who leaves the microphone open is cut at their pauses. Nobody
waits for these words but the agent who gets the floor back, so there is no turn taking here.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from engine.clock import epoch_ms
from engine.media.audio import FRAME_BYTES, FRAME_MS, PHONE, SILENCE
from engine.media.vad import Gate
from engine.speech.ports import Final as FinalText
from engine.speech.ports import Recogniser
from engine.speech.stt.chain import chain_of
from engine.speech.stt.steady import HearsNothing, NowHears, SteadyListener

log = logging.getLogger(__name__)

PAUSE_MS: Final = 900
"""Silence that ends an utterance of somebody who keeps the microphone open."""
PRE_ROLL_FRAMES: Final = 15
LONGEST_MS: Final = 30_000
"""An utterance is cut here, so that its words do not come all at the end."""
MIN_VOICED_MS: Final = 120
"""Less of a voice than this is a breath or a click."""
UNHEARD: Final = "nobody understood it in time"


@dataclass(slots=True)
class _Utterance:
    """What was said and is not written down yet. Times in ms."""

    began_at: int
    ms: int


Said = Callable[[str, int, int, str], None]
"""(text, when it began in epoch ms, how long it was in ms, why the words are not known)"""


class PersonEars:
    """`run` belongs to the call's task group."""

    def __init__(self, call_id: str, recogniser: Recogniser, said: Said, now_ms: Callable[[], float]) -> None:
        self._call_id = call_id
        self._said = said
        self._steady = SteadyListener(chain_of(recogniser), PHONE, lambda: now_ms() / 1000)
        self._gate = Gate()
        self._before: deque[bytes] = deque(maxlen=PRE_ROLL_FRAMES)
        self._open: _Utterance | None = None
        self._voiced_ms = self._silent_ms = 0
        self._waiting: dict[int, _Utterance] = {}
        self._settled = asyncio.Event()
        self._settled.set()
        self._error = ""

    def hear(self, payload: bytes) -> None:
        """Some of their voice: mu-law, as long as the microphone made it."""
        for start in range(0, len(payload), FRAME_BYTES):
            self._frame(payload[start : start + FRAME_BYTES].ljust(FRAME_BYTES, bytes((SILENCE,))))

    def _frame(self, frame: bytes) -> None:
        heard = self._gate.frame(frame)
        if self._open is None:
            self._before.append(frame)
            if heard.open:
                self._begin()
            return
        self._steady.feed(frame)
        self._open.ms += FRAME_MS
        self._voiced_ms += FRAME_MS if heard.voiced else 0
        self._silent_ms = 0 if heard.open else self._silent_ms + FRAME_MS
        if self._silent_ms >= PAUSE_MS or self._open.ms >= LONGEST_MS:
            self.rest()

    def _begin(self) -> None:
        ms = len(self._before) * FRAME_MS
        self._open = _Utterance(epoch_ms() - ms, ms)
        self._voiced_ms, self._silent_ms = 2 * FRAME_MS, 0
        self._steady.feed(b"".join(self._before))
        self._before.clear()

    def rest(self) -> None:
        """They stopped talking: what they said is complete."""
        utterance, self._open = self._open, None
        self._before.clear()
        if utterance is None:
            return
        number = self._steady.finish()
        if self._voiced_ms < MIN_VOICED_MS:
            return
        utterance.ms = max(FRAME_MS, utterance.ms - self._silent_ms)
        self._waiting[number] = utterance
        self._settled.clear()

    async def settle(self, seconds: float) -> None:
        """Return once everything that was said is written down; what is not by then never will be."""
        self.rest()
        try:
            async with asyncio.timeout(seconds):
                await self._settled.wait()
        except TimeoutError:
            self._give_up(self._error or UNHEARD)

    def _give_up(self, error: str) -> None:
        waiting, self._waiting = self._waiting, {}
        for utterance in waiting.values():
            self._said("", utterance.began_at, utterance.ms, error)
        self._steady.forget()
        self._settled.set()

    async def run(self) -> None:
        """Write down what is said, for the life of the call."""
        async with aclosing(self._steady.hearings()) as hearings:
            async for news in hearings:
                match news:
                    case FinalText(text=text, utterance=number, error=error):
                        self._final(text.strip(), number, error)
                    case NowHears():
                        self._error = ""
                    case HearsNothing(error=error, final=final):
                        self._error = error
                        log.warning("call %s: the operator's voice is not written down: %s", self._call_id, error)
                        if final:
                            self._give_up(error)

    def _final(self, text: str, number: int, error: str) -> None:
        utterance = self._waiting.pop(number, None)
        if utterance is not None and (text or error):
            self._said(text, utterance.began_at, utterance.ms, error)
        if not self._waiting:
            self._settled.set()
