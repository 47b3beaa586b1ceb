"""A call that runs over a media stream: the stream itself, and our mouth and ears on it.

A newer stream replaces an older one. A lost one is opened again where the carrier can do that, and is not missed
while the caller is put through to somebody else.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

from engine.calls import Call, Draft, State
from engine.carriers.base import CarrierError
from engine.live.ears import Ears, Hears
from engine.live.listening import Listeners
from engine.live.machine import hears_greetings
from engine.live.mouth import Mouth
from engine.live.parts import Parts
from engine.live.prepared import Prepared
from engine.live.realtime import Realtime
from engine.live.recording import CallRecording
from engine.live.routes import voice_name
from engine.live.transfer import Handover
from engine.live.turn_settings import turn_settings
from engine.media.playout import Playout
from engine.media.session import MediaSession
from engine.media.turns import TurnTaker
from engine.media.vad import Gate
from engine.media.wire import Started

log = logging.getLogger(__name__)

GRACE_SECONDS: Final = 2.0
"""How long a lost stream may take to come back where the carrier can not open it again."""
LOST_SECONDS: Final = 0.5
"""How long after its stream a call may end without the stream having been lost."""
REOPEN_SECONDS: Final = 15.0
"""The same where it can."""
EARS_SECONDS: Final = 3.0
"""How long a greeting waits for recognition: a late greeting is better than a deaf one, to a point."""


class Streamed:
    """The stream of one call. `spawn` runs something for as long as the call lives."""

    def __init__(
        self,
        call: Call,
        parts: Parts,
        hears: Hears,
        handover: Handover,
        listeners: Listeners,
        reopen: Callable[[], Awaitable[None]],
        spawn: Callable[[Coroutine[Any, Any, None]], None],
        realtime: Realtime | None = None,
    ) -> None:
        """`realtime`: a model that hears and speaks by itself, where one holds the call."""
        self.call_id = call.call_id
        self._parts = parts
        self._handover = handover
        self._reopen = reopen
        self._spawn = spawn
        self._listens = call.mode == "conversation" or hears_greetings(parts, call)
        self._session: MediaSession | None = None
        self._began = "start" in call.rungs
        self.up = asyncio.Event()
        self._over = asyncio.Event()
        self._over.set()
        self._listeners = listeners
        recorder = parts.recorder
        make_mouth = realtime.make_mouth if realtime is not None else Mouth
        make_ears = realtime.make_ears if realtime is not None else Ears
        self.mouth: Mouth = make_mouth(
            call.call_id, parts.voice, voice_name(parts.config, call), recorder.post, parts.now_ms
        )
        self.ears: Ears = make_ears(
            call.call_id,
            parts.recogniser,
            Gate(open_db=parts.config.turn_taking.voice_margin_db),
            TurnTaker(turn_settings(parts.config)),
            hears,
            lambda: self.mouth.speaking,
            recorder.post,
            recorder.ephemeral,
            parts.now_ms,
        )
        self.mouth.on_line = self.ears.our_line
        self.recording: CallRecording | None = None
        """Takes what both sides say, where that may be kept."""
        self.on_playout: Callable[[Playout | None], None] = lambda playout: None
        """Told when a stream is up, and when none is: for voices beside the mouth's."""

    async def run(self) -> None:
        """Hear the caller, where anybody listens to them, for the life of the call."""
        if self._listens:
            await self.ears.run()

    async def greet(self, prepared: Prepared, greet: Callable[[Prepared], None]) -> None:
        """Call `greet` when the stream is up and, in a conversation, we can hear."""
        await self.up.wait()
        if self._listens:
            try:
                async with asyncio.timeout(EARS_SECONDS):
                    await self.ears.wait_ready()
            except TimeoutError:
                log.warning("call %s: greeted before recognition was ready", self.call_id)
        greet(prepared)

    async def carry(self, session: MediaSession, started: Started) -> None:
        """Carry one media stream until it ends."""
        older, self._session = self._session, session
        facts: dict[str, object] = {"streamId": started.stream_id}
        self.post_fact("stream.opened", facts)
        format_ = {"encoding": started.format.encoding, "sampleRate": started.format.rate}
        self.post_fact("stream.started", {**facts, **format_})
        if self._began:
            self.post_fact("stream.resumed", facts)
        self._began = True
        if older is not None:
            await older.close()
        self._listeners.attach(session)
        if self._parts.config.turn_taking.echo_guard:
            session.add_tap(self._our_voice)
        session.on_trouble = self._trouble
        if self.recording is not None:
            self.recording.attach(session.playout)
        self.mouth.attach(session.playout)
        self.on_playout(session.playout)
        self.up.set()
        self._over.clear()
        try:
            why = await session.run(_FrameHandler(self, started.stream_id, self._listens))
        except Exception as error:
            log.exception("call %s: its stream failed", self.call_id)
            why = f"an internal error: {type(error).__name__}"
        finally:
            if self._session is session:
                self._session = None
                self.up.clear()
                self._over.set()
                self.mouth.detach()
                self.on_playout(None)
        if self._session is None:
            self._spawn(self._recover({**facts, "why": why}))

    def _trouble(self, why: str) -> None:
        """The carrier refused frames of ours; the stream goes on."""
        self.post_fact("call.error", {"code": "stream_trouble", "message": f"the carrier about our audio: {why}"})

    def _our_voice(self, side: str, payload: bytes) -> None:
        """What goes to the caller may come back from them."""
        if side == "agent":
            self.ears.echo.sent(payload)

    def press(self, digits: str) -> bool:
        """Play telephone keys by a frame of the stream; False where there is no stream or no such frame."""
        return self._session is not None and self._session.press(digits)

    async def ended(self) -> None:
        """Return when no media stream is up."""
        await self._over.wait()

    async def close(self) -> None:
        """The call is over."""
        if self._session is not None:
            await self._session.close()

    def miss(self, why: str) -> None:
        """There should be a stream: if there is none, have it opened again."""
        if self._began and not self.up.is_set():
            self._spawn(self._recover({"why": why}))

    def expect(self) -> None:
        """The carrier is about to open a stream by itself."""
        self._spawn(self._await())

    def post_fact(self, type_: str, data: dict[str, object]) -> None:
        """Record a fact of this call that nobody waits for."""
        self._parts.recorder.post(Draft(type_, self.call_id, data))

    def report_level(self) -> None:
        """Tell watchers how loud both sides are now."""
        session = self._session
        if session is not None:
            levels = {
                "caller": round(self.ears.level_db),
                "agent": round(session.agent_level_db),
                "floor": round(self.ears.floor_db),
                "threshold": round(self.ears.interrupting_db),
            }
            self._parts.recorder.ephemeral(self.call_id, "audio.level", dict(levels))

    async def _recover(self, facts: dict[str, object]) -> None:
        """A lost stream: open it again where that is possible, and end the call when it stays away.

        A stream that ends because the call does is not lost; the carrier says so a moment later.
        """
        await asyncio.sleep(LOST_SECONDS)
        if self._handover.away:
            return
        if not self.up.is_set():
            self.post_fact("stream.lost", facts)
        can_reopen = self._parts.carrier.capabilities.reopen_stream
        try:
            async with asyncio.timeout(REOPEN_SECONDS if can_reopen else GRACE_SECONDS):
                if can_reopen and not self.up.is_set():
                    if self._parts.reached is not None:
                        # A tunnel that died took the stream with it: the carrier is told where the next one leads.
                        await self._parts.reached()
                    await self._reopen()
                await self.up.wait()
        except TimeoutError:
            self._hang_up(State.ERROR, "engine", "the media stream did not come back")
        except CarrierError as error:
            reason = State.COMPLETED if error.kind == "gone" else State.ERROR
            self._hang_up(reason, "carrier", f"the media stream was lost: {error}")

    async def _await(self) -> None:
        try:
            async with asyncio.timeout(REOPEN_SECONDS):
                await self.up.wait()
        except TimeoutError:
            self._hang_up(State.ERROR, "engine", "the caller did not come back to the stream")

    def _hang_up(self, reason: State, by: str, detail: str) -> None:
        self._parts.hang_up(self.call_id, reason, by, detail)


class _FrameHandler:
    """What a media session reports, per frame; kept apart from the public methods."""

    def __init__(self, streamed: Streamed, stream_id: str, listens: bool) -> None:
        self._streamed = streamed
        self._listens = listens
        self._recording = streamed.recording
        self._stream_id = stream_id
        self._first = True

    def on_frame(self, payload: bytes, at_ms: int) -> None:
        if self._first:
            self._first = False
            self._streamed.post_fact("stream.first_frame", {"streamId": self._stream_id})
        if self._recording is not None:
            self._recording.on_frame(payload, at_ms)
        if self._listens:
            self._streamed.ears.on_frame(payload, at_ms)

    def on_dtmf(self, digit: str) -> None:
        self._streamed.post_fact("dtmf.received", {"digits": digit, "by": "caller"})

    def on_stopped(self, why: str) -> None:
        log.info("call %s: stream stopped: %s", self._streamed.call_id, why)
