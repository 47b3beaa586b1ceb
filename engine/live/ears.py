"""The caller's voice in one call: frames in, turns out.

Every frame passes the gate; only while the gate is open, or a turn is under way, does recognition get audio. The
engine decides when a turn is over, then asks the recogniser for its text.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from engine.calls import Draft
from engine.clock import epoch_ms
from engine.live.turn_clock import TurnClock
from engine.media.audio import FRAME_BYTES, FRAME_MS, PHONE, SILENCE
from engine.media.echo import EchoGuard
from engine.media.turns import BargeIn, EndOfTurn, FalseStart, SpeechStarted, TurnEvent, TurnTaker
from engine.media.vad import Gate, GateFrame
from engine.speech.ports import (
    Final as FinalText,
)
from engine.speech.ports import (
    Listener,
    Lost,
    Partial,
    Recogniser,
    SpeechUnavailable,
    VoiceConfirmed,
)

log = logging.getLogger(__name__)

PRE_ROLL_FRAMES: Final = 15
"""Audio before the gate opened that recognition gets too: the soft start of a word (300 ms)."""
FINAL_SECONDS: Final = 6.0
"""How long the text of a turn may take."""
STALL_MS: Final = 400
"""A turn whose frames stop coming for this long beyond the silence limit is over."""
RETRIES: Final = (0.2, 1.0, 3.0)
"""Seconds to wait before recognition is started again."""


class Hears(Protocol):
    """What the call does about what its ears report."""

    def caller_began(self) -> None:
        """The caller speaks; a reply that has not begun waits."""

    def caller_interrupts(self) -> None:
        """The caller speaks over our voice and means it."""

    def caller_said_nothing(self) -> None:
        """It was a cough or a click."""

    def caller_said(self, text: str, clock: TurnClock) -> None:
        """One whole turn of the caller."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A turn whose text was asked for."""

    clock: TurnClock
    wants_answer: bool
    began_at: int
    """When the caller began to speak, epoch ms."""


class Ears:
    """Recognition and turn taking of one call."""

    def __init__(
        self,
        call_id: str,
        recogniser: Recogniser,
        gate: Gate,
        turns: TurnTaker,
        hears: Hears,
        we_speak: Callable[[], bool],
        post: Callable[..., None],
        ephemeral: Callable[[str, str, dict[str, object]], None],
        now_ms: Callable[[], float],
    ) -> None:
        self._call_id = call_id
        self._recogniser = recogniser
        self._gate = gate
        self._turns = turns
        self._hears = hears
        self._we_speak = we_speak
        self._post = post
        self._ephemeral = ephemeral
        self._now_ms = now_ms
        self._listener: Listener | None = None
        self._pre_roll: deque[bytes] = deque(maxlen=PRE_ROLL_FRAMES)
        self._feeding = False
        self._in_turn = False
        self._began_at = 0
        self._audio_ms = 0
        self._last_frame = now_ms()
        self._turn = 0
        self._pending: dict[int, _Asked] = {}
        self._ready = asyncio.Event()
        self.level_db = -90.0
        self.floor_db = -90.0
        self.echo = EchoGuard()

    @property
    def turn(self) -> int:
        """The number of the caller's latest turn."""
        return self._turn

    def our_line(self, text: str) -> None:
        """What our voice says now, so that its echo is not taken for the caller."""
        self._turns.our_line(text)

    async def wait_ready(self) -> None:
        """Return once recognition can hear, or has given up."""
        await self._ready.wait()

    def on_frame(self, payload: bytes, at_ms: int) -> None:
        """One frame of caller audio; the hot path."""
        self._last_frame = self._now_ms()
        for start in range(0, len(payload), FRAME_BYTES):
            self._frame(payload[start : start + FRAME_BYTES])

    def _frame(self, frame: bytes) -> None:
        if len(frame) < FRAME_BYTES:
            frame += bytes((SILENCE,)) * (FRAME_BYTES - len(frame))
        self._audio_ms += FRAME_MS
        heard = self._without_echo(frame, self._gate.frame(frame))
        self.level_db, self.floor_db = heard.level_db, heard.floor_db
        self._feed(frame, heard.open)
        for event in self._turns.frame(heard, self._audio_ms, self._we_speak()):
            self._take(event)

    def _without_echo(self, frame: bytes, heard: GateFrame) -> GateFrame:
        """Sound that is our own voice coming back is nobody's."""
        is_ours, found_ms = self.echo.frame(frame, heard.level_db, heard.voiced)
        if found_ms:
            self._turns.echo(found_ms)
        return heard._replace(open=False, voiced=False) if is_ours else heard

    def _feed(self, frame: bytes, is_open: bool) -> None:
        if not (is_open or self._in_turn):
            self._feeding = False
            self._pre_roll.append(frame)
            return
        if self._listener is None:
            return
        if not self._feeding:
            self._feeding = True
            self._listener.feed(b"".join(self._pre_roll))
            self._pre_roll.clear()
        self._listener.feed(frame)

    def _take(self, event: TurnEvent) -> None:
        match event:
            case SpeechStarted(voiced_from_ms=voiced):
                self._in_turn = True
                self._began_at = epoch_ms() - (self._audio_ms - voiced)
                self._post(Draft("speech.started", self._call_id))
                self._hears.caller_began()
            case BargeIn():
                self.echo.cleared()
                self._hears.caller_interrupts()
            case FalseStart(voiced_until_ms=voiced, backchannel=backchannel):
                self._in_turn = False
                self._hears.caller_said_nothing()
                if backchannel:
                    self._finish(voiced, wants_answer=False)
                elif self._listener is not None:
                    self._listener.finish()
            case EndOfTurn(voiced_until_ms=voiced):
                self._in_turn = False
                self._finish(voiced, wants_answer=True)

    def _finish(self, voiced_until_ms: float, *, wants_answer: bool) -> None:
        """The turn is over: ask for its text. An "uh-huh" under our voice is written down but not answered."""
        if self._listener is None:
            self._hears.caller_said_nothing()
            return
        now = self._now_ms()
        self._turn += 1
        clock = TurnClock(self._turn)
        clock.reach("voiced", now - (self._audio_ms - voiced_until_ms))
        clock.reach("ended", now)
        self._pending[self._listener.finish()] = _Asked(clock, wants_answer, self._began_at)

    async def run(self) -> None:
        """Keep recognition alive for the life of the call, within a budget of restarts."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch_stall())
            for pause in (*RETRIES, None):
                if await self._listen(last=pause is None):
                    break
                if pause is not None:
                    await asyncio.sleep(pause)
            self._ready.set()

    async def _listen(self, *, last: bool) -> bool:
        """One life of the recogniser. True when it was closed on purpose."""
        try:
            listener = await self._recogniser.listen(PHONE)
        except SpeechUnavailable as error:
            self._lost(str(error), error.hint, last)
            return False
        self._listener = listener
        self._post(Draft("speech.ready", self._call_id, {"engine": self._recogniser.name}))
        self._ready.set()
        try:
            async for hearing in listener.hearings():
                match hearing:
                    case Lost(why=why):
                        self._lost(why, "", last)
                        return False
                    case _:
                        self._hear(hearing)
            return True
        finally:
            self._listener = None
            await listener.close()

    def _lost(self, why: str, hint: str, last: bool) -> None:
        if last:
            why += "; giving up: this call is deaf"
        if self._pending:
            self._pending.clear()
            self._hears.caller_said_nothing()
        self._post(
            Draft(
                "speech.failed",
                self._call_id,
                {"engine": self._recogniser.name, "error": why, "hint": hint, "final": last},
            )
        )

    def _hear(self, hearing: Partial | FinalText | VoiceConfirmed) -> None:
        match hearing:
            case Partial(text=text):
                self._ephemeral(self._call_id, "speech.partial", {"text": text})
                self._turns.partial(text, self._audio_ms)
            case VoiceConfirmed(probability=probability):
                self._turns.confirmed(probability, self._audio_ms)
            case FinalText(text=text, utterance=utterance):
                asked = self._pending.pop(utterance, None)
                if asked is not None:
                    self._final(text.strip(), asked)

    def _final(self, text: str, asked: _Asked) -> None:
        clock = asked.clock
        clock.reach("text", self._now_ms())
        self._ephemeral(self._call_id, "speech.partial", {"text": ""})
        if not text:
            if asked.wants_answer:
                self._hears.caller_said_nothing()
            return
        facts: dict[str, object] = {"text": text, "turn": clock.turn, "startedAt": asked.began_at}
        if not asked.wants_answer:
            facts["backchannel"] = True
        self._post(Draft("speech.final", self._call_id, facts))
        if asked.wants_answer:
            self._hears.caller_said(text, clock)

    async def _watch_stall(self) -> None:
        """Frames that stop coming in the middle of a turn end it, and a text that never comes is given up."""
        while True:
            await asyncio.sleep(STALL_MS / 1000)
            now = self._now_ms()
            if self._in_turn and now - self._last_frame > STALL_MS:
                self._audio_ms += STALL_MS
                for event in self._turns.tick(self._audio_ms, self._we_speak()):
                    self._take(event)
            for utterance, asked in list(self._pending.items()):
                if now - asked.clock.points["ended"] > FINAL_SECONDS * 1000:
                    del self._pending[utterance]
                    log.warning("call %s: no text for a turn within %.0f s", self._call_id, FINAL_SECONDS)
                    self._lost_text()

    def _lost_text(self) -> None:
        self._post(
            Draft(
                "speech.failed",
                self._call_id,
                {
                    "engine": self._recogniser.name,
                    "error": f"no text for a turn within {FINAL_SECONDS:.0f} s",
                    "hint": "",
                    "final": False,
                },
            )
        )
        self._hears.caller_said_nothing()
