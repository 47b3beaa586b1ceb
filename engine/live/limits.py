"""What a call may take: to be answered, to get its audio, and in all."""

from __future__ import annotations

import asyncio
from typing import Final

from engine.calls import Draft, State
from engine.clock import epoch_ms
from engine.live.parts import Parts

STREAM_SECONDS: Final = 10.0
"""How long an answered call may be without a media stream."""
CARRIER_SLACK_SECONDS: Final = 15.0
"""The carrier ends an unanswered call itself; only when it does not tell us for this long do we."""
REAPER_SLACK_SECONDS: Final = 5.0
WARNING_SECONDS: Final = 30.0
"""How long before a call is ended by its limit somebody is told."""


class Limits:
    """The time limits of one call. `answered` and `streaming` are set by whoever learns of it."""

    def __init__(self, call_id: str, parts: Parts, answered: asyncio.Event, streaming: asyncio.Event) -> None:
        self._call_id = call_id
        self._parts = parts
        self._answered = answered
        self._streaming = streaming

    async def run(self) -> None:
        """Hang up when a limit is over; returns when the last one is."""
        if not await self._within(self._answered, self._ring_seconds()):
            self._hang_up(State.NO_ANSWER, "nobody answered in time")
            return
        missed = self._needs_stream() and not await self._within(self._streaming, STREAM_SECONDS)
        if missed and self._needs_stream():  # and not put through meanwhile
            self._hang_up(State.ERROR, "answered, but no media stream was opened")
            return
        left = self._seconds_left()
        warning = min(WARNING_SECONDS, self._parts.config.max_duration_seconds / 4)
        if left > warning:
            await asyncio.sleep(left - warning)
            facts = {"secondsLeft": round(warning)}
            self._parts.recorder.post(Draft("call.near_limit", self._call_id, facts))
            left = warning
        await asyncio.sleep(left)
        self._hang_up(State.TIMEOUT, "the call reached max_duration_seconds")

    def _needs_stream(self) -> bool:
        """A call that the carrier speaks in has none, nor has one whose caller was put through."""
        call = self._parts.book.get(self._call_id)
        return call is None or (call.media == "stream" and not call.transferred_to)

    def _ring_seconds(self) -> float | None:
        """How long this call may ring by our own clock; an inbound call rings by the carrier's alone."""
        config = self._parts.config
        call = self._parts.book.get(self._call_id)
        if call is None or call.direction == "inbound":
            return config.stale_call_reaper_seconds or None
        ringing = config.ring_timeout_ms / 1000
        if not config.stale_call_reaper_seconds:
            return ringing + CARRIER_SLACK_SECONDS
        reaper = max(config.stale_call_reaper_seconds, ringing + REAPER_SLACK_SECONDS)
        return min(ringing + CARRIER_SLACK_SECONDS, reaper)

    def _seconds_left(self) -> float:
        """Until `max_duration_seconds` after the answer; a call that was taken up again keeps its age."""
        call = self._parts.book.get(self._call_id)
        began = epoch_ms() if call is None else call.answered_at or call.started_at
        return max(0.0, self._parts.config.max_duration_seconds - (epoch_ms() - began) / 1000)

    @staticmethod
    async def _within(event: asyncio.Event, seconds: float | None) -> bool:
        """Whether the event came in time; None is no limit."""
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            return False
        return True

    def _hang_up(self, reason: State, detail: str) -> None:
        self._parts.hang_up(self._call_id, reason, "engine", detail)
