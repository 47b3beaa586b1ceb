"""Who has the turn: the one owner of 'the caller started', 'barge-in' and 'the caller has finished'.

Pure and deterministic: frames, opinions and partial texts go in, events come out. Per caller turn the events are

    SpeechStarted  BargeIn*  (EndOfTurn | FalseStart)

and nothing else, whatever goes in. A barge-in stops our voice, so it is the hardest to get: it takes sustained
speech (time, and a second opinion or words where there are any), never a click, a cough, an "uh-huh" or the echo of
our own line. How long a silence must be to end a turn depends on what was said: a finished sentence needs less of it,
one that breaks off needs more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from engine.media.audio import FRAME_MS
from engine.media.background import FAR_DB, Background
from engine.media.phrases import breaks_off, is_backchannel, is_echo, sounds_finished, words
from engine.media.turn_settings import TurnSettings as TurnSettings
from engine.media.vad import GateFrame


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """The caller has begun to speak. `voiced_from_ms` is when the sound began."""

    at_ms: int
    voiced_from_ms: int


@dataclass(frozen=True, slots=True)
class BargeIn:
    """The caller speaks over our voice and means it: stop playing, drop the queue, cancel the reply."""

    at_ms: int
    voiced_from_ms: int
    voiced_until_ms: int


@dataclass(frozen=True, slots=True)
class EndOfTurn:
    """The caller has finished. `voiced_until_ms` is the last voiced sample: the zero of the turn's clock."""

    voiced_until_ms: int
    at_ms: int
    voiced_from_ms: int


@dataclass(frozen=True, slots=True)
class FalseStart:
    """What began needs no answer: a noise or, when `backchannel`, something short said under our voice."""

    at_ms: int
    voiced_until_ms: int
    backchannel: bool = False


_MAY_GO_ON: Final = 2
_STILL_MS: Final = 100
"""Somebody who made a sound so recently is still speaking."""
_NEAR_SHARE: Final = 0.08
_FAR_SHARE: Final = 0.001
"""How much of each frame goes into the mean level of the caller's voice: their own frames, and others."""

TurnEvent = SpeechStarted | BargeIn | EndOfTurn | FalseStart


class _Turn:
    """What is known about the sound that is going on: at first a candidate, then a turn."""

    __slots__ = (
        "barged",
        "best",
        "echo_ms",
        "endpoint_ms",
        "from_ms",
        "level_db",
        "started",
        "text",
        "text_at_ms",
        "until_ms",
        "voiced_ms",
    )

    def __init__(self, from_ms: int, now_ms: int, level_db: float) -> None:
        self.level_db = level_db
        """The mean level of its voice."""
        self.from_ms = from_ms
        self.until_ms = now_ms
        self.voiced_ms = 0
        self.echo_ms = 0
        self.endpoint_ms = -1
        self.started = False
        self.barged = False
        self.best: float | None = None
        self.text = ""
        self.text_at_ms = 0


class _Overlap:
    """Our voice is playing: what the caller did since it began. `bits` has one bit per frame, 1 is voiced."""

    __slots__ = ("barged", "best", "bits", "since_ms")

    def __init__(self, since_ms: int) -> None:
        self.since_ms = since_ms
        self.bits = 0
        self.best: float | None = None
        self.barged = False


def _better(best: float | None, probability: float) -> float:
    return probability if best is None else max(best, probability)


class TurnTaker:
    """Turn taking for one caller.

    Times are milliseconds of any one clock; a step backwards counts as no time. `confirmed`, `partial`, `endpoint`,
    `echo` and `our_line` only take note: what follows from them is returned by the next `frame` or `tick`.
    """

    def __init__(self, settings: TurnSettings | None = None) -> None:
        self.settings = settings or TurnSettings()
        self._now = 0
        self._last_frame_ms: int | None = None
        self._bits = 0
        self._window_frames = max(1, self.settings.window_ms // FRAME_MS)
        self._window_mask = (1 << self._window_frames) - 1
        self._turn: _Turn | None = None
        self._overlap: _Overlap | None = None
        self._our_words: tuple[str, ...] = ()
        self._background = Background()

    @property
    def caller_speaks(self) -> bool:
        """A turn of the caller's has started and not ended."""
        return self._turn is not None and self._turn.started

    def frame(self, gate: GateFrame, now_ms: int, we_speak: bool) -> Sequence[TurnEvent]:
        """Take the next 20 ms, which ended at `now_ms`. `we_speak`: our voice is being played to the caller."""
        self._advance(now_ms, we_speak)
        self._hear(gate)
        return self._decide(gate.open, we_speak)

    def tick(self, now_ms: int, we_speak: bool) -> Sequence[TurnEvent]:
        """Let time pass without a frame: a carrier that stops sending must not keep a turn open for ever."""
        self._advance(now_ms, we_speak)
        return self._decide(False, we_speak)

    def confirmed(self, probability: float, now_ms: int) -> None:
        """A second opinion (0..1) on the last audio. Ignored while nothing is going on."""
        self._now = max(self._now, now_ms)
        if self._turn is not None:
            self._turn.best = _better(self._turn.best, probability)
            if self._overlap is not None:
                self._overlap.best = _better(self._overlap.best, probability)

    def partial(self, text: str, now_ms: int) -> None:
        """What the recogniser believes so far. Ignored while nothing is going on."""
        self._now = max(self._now, now_ms)
        turn = self._turn
        if turn is None:
            return
        if turn.voiced_ms < self.settings.barge_in_ms and self._now - turn.until_ms < _STILL_MS:
            return  # the first tenths of a second of a word are a guess
        turn.text = text.strip()
        turn.text_at_ms = self._now

    def endpoint(self, now_ms: int) -> None:
        """The recogniser itself holds that the caller has finished. More sound takes that back."""
        self._now = max(self._now, now_ms)
        if self._turn is not None:
            self._turn.endpoint_ms = self._now

    def echo(self, ms: int) -> None:
        """The sound of the last `ms` was our own voice coming back: it interrupts nobody, and is nobody's turn."""
        mask = (1 << ms // FRAME_MS) - 1
        ours_ms = (self._bits & mask).bit_count() * FRAME_MS
        self._bits &= ~mask
        if self._overlap is not None:
            self._overlap.bits &= ~mask
            self._overlap.best = None
        if self._turn is not None:
            self._turn.echo_ms += ours_ms
            self._turn.best = None

    def our_line(self, text: str) -> None:
        """What our voice says now, so that its echo is not taken for the caller."""
        self._our_words = words(text)

    def _advance(self, now_ms: int, we_speak: bool) -> None:
        self._now = max(self._now, now_ms)
        if not we_speak:
            self._overlap = None
        elif self._overlap is None:
            self._overlap = _Overlap(self._now - FRAME_MS)

    def _hear(self, gate: GateFrame) -> None:
        """Put the frame into the bit history; lost frames leave as many zeros as time has passed."""
        self._background.hear(gate.level_db)
        now, voiced = self._now, gate.voiced
        last = self._last_frame_ms
        self._last_frame_ms = now
        steps = 1 if last is None else max(1, min(self._window_frames, round((now - last) / FRAME_MS)))
        if voiced and self._turn is None:
            self._turn = _Turn(now - FRAME_MS, now, gate.level_db)
        turn = self._turn
        voiced = voiced and turn is not None and self._is_near(turn, gate.level_db)
        self._bits = (self._bits << steps | voiced) & self._window_mask
        if self._overlap is not None:
            interrupts = voiced and gate.level_db >= self.interrupting_db
            self._overlap.bits = (self._overlap.bits << steps | interrupts) & self._window_mask
        if not voiced or turn is None:
            return
        turn.voiced_ms += FRAME_MS
        # One lone frame is a click: it must not keep a turn alive.
        if not turn.started or (self._bits & 0b111).bit_count() >= 2:
            turn.until_ms = now

    @property
    def interrupting_db(self) -> float:
        """The level that a sound needs to count for a barge-in, dBFS: a set one, or what is known of this line."""
        return max(self.settings.barge_in_level_db, self._background.above_db)

    @staticmethod
    def _is_near(turn: _Turn, level_db: float) -> bool:
        """Does the sound come from whoever has the turn, and not from behind them?"""
        near = level_db >= turn.level_db - FAR_DB
        turn.level_db += (level_db - turn.level_db) * (_NEAR_SHARE if near else _FAR_SHARE)
        return near

    def _decide(self, gate_open: bool, we_speak: bool) -> Sequence[TurnEvent]:
        turn = self._turn
        if turn is None:
            return ()
        events: list[TurnEvent] = []
        if not turn.started:
            if gate_open and turn.voiced_ms >= self.settings.min_speech_ms:
                turn.started = True
                events.append(SpeechStarted(self._now, turn.from_ms))
            elif self._now - turn.until_ms > self.settings.hangover_ms:
                self._turn = None
        if turn.started:
            if self._overlap is not None and self._barges_in(turn, self._overlap):
                turn.barged = self._overlap.barged = True
                events.append(BargeIn(self._now, turn.from_ms, turn.until_ms))
            if self._is_over(turn):
                self._turn = None
                events.append(self._end(turn, we_speak))
        return events

    def _barges_in(self, turn: _Turn, overlap: _Overlap) -> bool:
        settings = self.settings
        if overlap.barged or not settings.barge_in:
            return False
        heard_ms = overlap.bits.bit_count() * FRAME_MS
        over_ms = turn.until_ms - max(turn.from_ms, overlap.since_ms)
        spoken = words(turn.text)
        needed_ms = settings.backchannel_ms
        if spoken and is_echo(spoken, self._our_words):
            return False
        if spoken and is_backchannel(spoken):
            needed_ms *= 2
        elif not spoken:
            needed_ms = settings.unconfirmed_ms
        elif turn.from_ms >= overlap.since_ms and heard_ms >= settings.min_speech_ms:
            # One word may be the first of "all right"; more of them, or a pause, tell.
            needed_ms = 0 if len(spoken) > _MAY_GO_ON or self._now - turn.until_ms >= _STILL_MS else needed_ms
            if needed_ms == 0:
                return True
        if heard_ms < settings.barge_in_ms or over_ms < needed_ms:
            return False
        if overlap.best is None and not spoken:
            return heard_ms >= settings.unconfirmed_ms
        return bool(spoken) or (overlap.best or 0.0) >= settings.voice_probability

    def _is_over(self, turn: _Turn) -> bool:
        if self._now - turn.from_ms >= self.settings.max_turn_ms:
            return True
        return self._now - turn.until_ms >= self._patience(turn)

    def _patience(self, turn: _Turn) -> int:
        """How long the silence after the last sound must be. Only what came after that sound can know of it."""
        settings = self.settings
        read = turn.text_at_ms >= turn.until_ms
        if read and breaks_off(turn.text):
            return max(settings.silence_ms, settings.unfinished_ms)
        if turn.endpoint_ms >= turn.until_ms:
            return min(settings.silence_ms, settings.endpoint_ms)
        if read and sounds_finished(turn.text):
            return min(settings.silence_ms, settings.complete_ms)
        return settings.silence_ms

    def _end(self, turn: _Turn, we_speak: bool) -> TurnEvent:
        overlap = self._overlap
        if turn.voiced_ms - turn.echo_ms < self.settings.min_speech_ms:
            return FalseStart(self._now, turn.until_ms)
        if we_speak and overlap is not None and not turn.barged and turn.from_ms >= overlap.since_ms:
            return FalseStart(self._now, turn.until_ms, backchannel=self._is_voice(turn))
        if self._is_voice(turn):
            if words(turn.text):
                self._background.was_caller(turn.level_db, self._now - turn.from_ms)
            return EndOfTurn(turn.until_ms, self._now, turn.from_ms)
        return FalseStart(self._now, turn.until_ms)

    def _is_voice(self, turn: _Turn) -> bool:
        if words(turn.text):
            return True
        if turn.best is None:
            return turn.voiced_ms >= self.settings.bare_ms
        return turn.best >= self.settings.voice_probability
