"""The caller's voice in one call: frames in, turns out.

Every frame passes the gate; only while the gate is open, or a turn is under way, does recognition get audio. The
engine decides when a turn is over, then asks the recogniser for its text. A recogniser that is lost is replaced
behind `SteadyListener`, which keeps what the caller says meanwhile; that nobody hears them is told within a second.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final, Protocol

from engine.calls import Draft
from engine.clock import epoch_ms
from engine.live.turn_clock import TurnClock
from engine.media.audio import FRAME_BYTES, FRAME_MS, PHONE, SILENCE
from engine.media.echo import EchoGuard
from engine.media.turns import BargeIn, EndOfTurn, FalseStart, SpeechStarted, TurnEvent, TurnTaker
from engine.media.vad import Gate, GateFrame
from engine.speech.ports import Final as FinalText
from engine.speech.ports import Partial, Recogniser, SpeechEnded, VoiceConfirmed
from engine.speech.stt.chain import chain_of
from engine.speech.stt.steady import HearsNothing, News, NowHears, SteadyListener

log = logging.getLogger(__name__)

PRE_ROLL_FRAMES: Final = 15
"""Audio before the gate opened that recognition gets too: the soft start of a word (300 ms)."""
FINAL_SECONDS: Final = 10.0
"""How long the text of a turn may take, with the time in which another recogniser takes over."""
STALL_MS: Final = 400
"""A turn whose frames stop coming for this long beyond the silence limit is over."""
UNHEARD_MS: Final = 300
"""A caller who is connected and whom nobody hears for this long is a fact: it is told before a second is over."""
EXCUSE_MS: Final = 2_000
"""When they are told so themselves."""


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

    def cannot_hear(self, for_good: bool) -> None:
        """Nobody hears the caller, for a while already, or `for_good`."""

    def hears_again(self) -> None:
        """A recogniser hears the caller."""


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
        chain = chain_of(recogniser)
        self._engine = chain.name
        """Who hears, or should."""
        self._steady = SteadyListener(chain, PHONE, lambda: now_ms() / 1000)
        self._gate = gate
        self._turns = turns
        self._hears = hears
        self._we_speak = we_speak
        self._post = post
        self._ephemeral = ephemeral
        self._now_ms = now_ms
        self._pre_roll: deque[bytes] = deque(maxlen=PRE_ROLL_FRAMES)
        self._feeding = False
        self._in_turn = False
        self._began_at = 0
        self._began_ms = 0.0
        self._audio_ms = 0
        self._last_frame = now_ms()
        self._turn = 0
        self._pending: dict[int, _Asked] = {}
        self._ready = asyncio.Event()
        self._unheard_ms = 0.0
        """Since when a caller is there whom nobody hears; 0: they are heard, or not there."""
        self._told = False
        self._excused = False
        self.level_db = -90.0
        self.floor_db = -90.0
        self.echo = EchoGuard()

    @property
    def turn(self) -> int:
        """The number of the caller's latest turn."""
        return self._turn

    @property
    def interrupting_db(self) -> float:
        """The level from which the caller would interrupt us now, dBFS."""
        return max(self.floor_db + self._gate.open_db, self._turns.interrupting_db)

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
        if not self._feeding:
            self._feeding = True
            self._steady.feed(b"".join(self._pre_roll))
            self._pre_roll.clear()
        self._steady.feed(frame)

    def _take(self, event: TurnEvent) -> None:
        match event:
            case SpeechStarted(voiced_from_ms=voiced):
                self._in_turn = True
                ago_ms = self._audio_ms - voiced
                self._began_at = epoch_ms() - ago_ms
                self._began_ms = self._now_ms() - ago_ms
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
                else:
                    self._steady.finish()
            case EndOfTurn(voiced_until_ms=voiced):
                self._in_turn = False
                self._finish(voiced, wants_answer=True)

    def _finish(self, voiced_until_ms: float, *, wants_answer: bool) -> None:
        """The turn is over: ask for its text. An "uh-huh" under our voice is written down but not answered."""
        now = self._now_ms()
        self._turn += 1
        clock = TurnClock(self._turn, began_ms=self._began_ms, engines={"stt": self._engine})
        clock.reach("voiced", now - (self._audio_ms - voiced_until_ms))
        clock.reach("ended", now)
        self._pending[self._steady.finish()] = _Asked(clock, wants_answer, self._began_at)

    async def run(self) -> None:
        """Hear the caller for the life of the call."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch())
            async with aclosing(self._steady.hearings()) as hearings:
                async for news in hearings:
                    self._hear(news)
            self._ready.set()

    def _hear(self, news: News) -> None:
        match news:
            case Partial(text=text):
                self._ephemeral(self._call_id, "speech.partial", {"text": text})
                self._turns.partial(text, self._audio_ms)
            case VoiceConfirmed(probability=probability):
                self._turns.confirmed(probability, self._audio_ms)
            case SpeechEnded():
                self._turns.endpoint(self._audio_ms)
            case FinalText(utterance=utterance):
                asked = self._pending.pop(utterance, None)
                if asked is not None:
                    self._final(news, asked)
            case NowHears(engine=engine, instead_of=before):
                self._engine = engine
                instead = {"insteadOf": before} if before else {}
                self._post(Draft("speech.ready", self._call_id, {"engine": engine, **instead}))
                self._ready.set()
                self._unheard_ms, self._told, self._excused = 0.0, False, False
                self._hears.hears_again()
            case HearsNothing():
                self._lost(news)

    def _lost(self, news: HearsNothing) -> None:
        error = f"{news.error}; giving up: this call is deaf" if news.final else news.error
        log.warning("call %s: %s; %s", self._call_id, error, f"now {news.fallback}" if news.fallback else "")
        self._fail(error, news.hint, news.engine, final=news.final, fallback=news.fallback)
        self._told = True
        if news.fallback:
            self._engine = news.fallback
        if news.final:
            self._steady.forget()
            self._ready.set()
            if self._pending:
                self._pending.clear()
                self._hears.caller_said_nothing()
            self._excused = True
            self._hears.cannot_hear(True)

    def _fail(self, error: str, hint: str = "", engine: str = "", *, final: bool = False, fallback: str = "") -> None:
        facts: dict[str, object] = {"engine": engine or self._engine, "error": error, "hint": hint, "final": final}
        if fallback:
            facts["fallback"] = fallback
        self._post(Draft("speech.failed", self._call_id, facts))

    def _final(self, final: FinalText, asked: _Asked) -> None:
        clock, text = asked.clock, final.text.strip()
        clock.reach("text", self._now_ms())
        self._ephemeral(self._call_id, "speech.partial", {"text": ""})
        if final.error:
            self._fail(f"words are missing: {final.error}")
            self._post(Draft("speech.ready", self._call_id, {"engine": self._engine}))  # it goes on hearing
        if not text:
            if asked.wants_answer:
                self._hears.caller_said_nothing()
            return
        facts: dict[str, object] = {"text": text, "turn": clock.turn, "startedAt": asked.began_at}
        if final.dropped_ms:
            facts["missingMs"] = final.dropped_ms
        if not asked.wants_answer:
            facts["backchannel"] = True
        self._post(Draft("speech.final", self._call_id, facts))
        if asked.wants_answer:
            self._hears.caller_said(text, clock)

    async def _watch(self) -> None:
        """What the passing of time means: to a turn, to a text that does not come, to a caller whom nobody hears."""
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
                    self._fail(f"no text for a turn within {FINAL_SECONDS:.0f} s")
                    self._hears.caller_said_nothing()
            self._watch_deaf(now)

    def _watch_deaf(self, now: float) -> None:
        there = self._audio_ms > 0 and now - self._last_frame <= 2 * STALL_MS
        if self._steady.hears or not there:
            self._unheard_ms = 0.0
            return
        self._unheard_ms = self._unheard_ms or now
        unheard = now - self._unheard_ms
        if not self._told and unheard >= UNHEARD_MS:
            self._told = True
            self._fail("it is not ready yet; what the caller says meanwhile is kept for ten seconds")
        if not self._excused and unheard >= EXCUSE_MS:
            self._excused = True
            self._hears.cannot_hear(False)
