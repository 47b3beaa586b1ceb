"""The recording of one call: asked for, announced to the caller, running, stopped.

Nothing is kept before the consent line, where one is configured, was heard to its end. Whoever stops a recording
stops it for good: it does not begin again by itself, and a caller who objects needs one key.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final

from engine.api import Refusal
from engine.calls import Call, Draft
from engine.config.recording import Recording as Settings
from engine.live.lines import MouthFull, Utterance
from engine.media.audio import FRAME_MS
from engine.media.playout import MAX_LEAD_MS, Playout
from engine.media.wav import length_ms
from engine.recordings import Recording, RecordingFailed, Recordings

log = logging.getLogger(__name__)

CONSENT_TRIES: Final = 2
"""How often the consent line is said to a caller who talks over it."""
CONFIGURED: Final = "configuration"
RESUMED: Final = "engine"


class CallRecording:
    """Owns at most one running file. Belongs to its call's loop."""

    def __init__(
        self,
        call: Call,
        settings: Settings,
        recordings: Recordings,
        say: Callable[[str], Utterance],
        post: Callable[..., None],
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        """`say` queues a line of ours and may raise MouthFull; `spawn` runs something while the call lives."""
        self.call_id = call.call_id
        self._settings = settings
        self._recordings = recordings
        self._say = say
        self._post = post
        self._spawn = spawn
        self._count = max((each.index for each in call.recordings), default=0)
        self._cut_off = call.recordings[-1] if call.recording == "on" else None
        """What was being written when the engine before us stopped."""
        self._announced = bool(call.recordings)
        self._wanted = False
        self._stopped = call.recording == "off"
        self._running: Recording | None = None
        self._under_way: deque[tuple[bytes, float]] = deque(maxlen=MAX_LEAD_MS // FRAME_MS)
        """What the carrier may hold and not have played yet when a recording begins."""
        self._beginning = asyncio.Lock()

    @property
    def running(self) -> bool:
        return self._running is not None

    # -- the stream ---------------------------------------------------------------------------

    def attach(self, playout: Playout) -> None:
        """The call has a media stream, or a new one."""
        playout.on_placed = self._placed
        playout.on_silenced = self._silenced
        if self._running is not None:
            self._running.tape.new_stream()

    def on_frame(self, payload: bytes, at_ms: int) -> None:
        """A frame of the caller; the hot path."""
        running = self._running
        if running is not None:
            running.tape.caller(payload, at_ms, self._recordings.clock())

    def _placed(self, payload: bytes, when: float) -> None:
        running = self._running
        if running is not None:
            running.tape.agent(payload, when)
        else:
            self._under_way.append((payload, when))

    def _silenced(self, now: float) -> None:
        running = self._running
        if running is not None:
            running.tape.silenced(now)
        else:
            self._under_way.clear()

    # -- beginning and ending -----------------------------------------------------------------

    def greet(self) -> None:
        """The call is about to be greeted: say the consent line first, where calls are recorded."""
        if self._settings.enabled and not self._stopped and not self._wanted:
            self._wanted = True
            if self._announced or not self._settings.consent_line:
                self._spawn(self._open_quietly(self._run()))
            else:
                self._spawn(self._begin_quietly(CONFIGURED, self._consent()))

    async def _open_quietly(self, recording: Recording) -> None:
        async with self._beginning:
            try:
                await self._open(recording, CONFIGURED)
            except RecordingFailed as error:
                self._refused(CONFIGURED, str(error))

    async def resume(self) -> None:
        """Go on with what the engine's stop cut off; the caller knows of it already."""
        before, self._cut_off = self._cut_off, None
        if before is None:
            return
        ms = await asyncio.to_thread(_length, before.file)
        facts = {"index": before.index, "file": before.file, "ms": ms, "why": "the engine stopped"}
        self._post(Draft("recording.stopped", self.call_id, facts))
        self._wanted = True
        await self._begin_quietly(RESUMED, None)

    async def start(self, by: str) -> None:
        """Record from now on, or once the caller was told. Returns when it runs. Raises Refusal."""
        self._wanted, self._stopped = True, False
        try:
            async with self._beginning:
                if self._running is None and self._wanted:
                    await self._begin(by, self._consent())
        except RecordingFailed as error:
            self._refused(by, str(error))
            raise Refusal("store_failed", f"not recorded: {error}", "check the disk, or recording.folder") from error
        if not self._wanted:
            raise Refusal("call_ended", "the recording was stopped before it began")

    async def stop(self, by: str, why: str = "") -> None:
        """Record no more of this call. Again is a success."""
        wanted, self._wanted, self._stopped = self._wanted, False, True
        running, self._running = self._running, None
        if running is not None:
            await self._end(running, by, why)
        elif wanted:
            self._post(Draft("recording.refused", self.call_id, {"by": by, "why": why or "it was called off"}))

    async def close(self) -> None:
        """The call is over."""
        self._wanted = False
        running, self._running = self._running, None
        if running is not None:
            await self._end(running, "engine", "the call ended")

    async def _begin_quietly(self, by: str, first: Utterance | None) -> None:
        """As `start`, where nobody waits for a refusal: it is recorded as a fact."""
        try:
            async with self._beginning:
                if self._running is None:
                    await self._begin(by, first)
        except RecordingFailed as error:
            self._refused(by, str(error))
        except Refusal as refusal:
            log.info("call %s is not recorded: %s", self.call_id, refusal)

    async def _begin(self, by: str, first: Utterance | None) -> None:
        await self._announce(by, first)
        if self._wanted:
            await self._open(self._run(), by)

    def _run(self) -> Recording:
        """Keep what is said from now on."""
        self._count += 1
        index = self._count

        def lost() -> None:
            self._post(Draft("recording.lost", self.call_id, {"index": index, "why": "the disk is too slow"}))

        recording = self._recordings.new(self.call_id, index, lost, self._failed)
        for payload, when in self._under_way:
            recording.tape.agent(payload, when)
        self._under_way.clear()
        self._running = recording
        return recording

    async def _open(self, recording: Recording, by: str) -> None:
        """Give what is kept a file. Raises RecordingFailed."""
        try:
            await self._recordings.open(recording)
        except RecordingFailed:
            if self._running is recording:
                self._running = None
            raise
        facts = {
            "index": recording.index,
            "file": str(recording.path),
            "startedAt": recording.started_at,
            "by": by,
        }
        self._post(Draft("recording.started", self.call_id, facts))

    async def _announce(self, by: str, first: Utterance | None) -> None:
        """Return once the caller has heard the consent line. Raises Refusal when they did not."""
        if self._announced or not self._settings.consent_line:
            return
        line = first
        for _ in range(CONSENT_TRIES):
            line = line or self._consent()
            if line is None or await line.done == "heard":
                break
            line = None
        if line is None or not self._wanted:
            if self._wanted:
                self._refused(by, "the caller did not hear the consent line")
            raise Refusal("call_not_connected", "not recorded: the caller did not hear the consent line", "try again")
        self._announced = True

    def _consent(self) -> Utterance | None:
        """Say the consent line, where it was not heard yet."""
        if self._announced or not self._settings.consent_line:
            return None
        try:
            line = self._say(self._settings.consent_line)
        except MouthFull:
            return None
        self._post(Draft("recording.announced", self.call_id, {"sayId": line.say_id}))
        return line

    def _refused(self, by: str, why: str) -> None:
        self._wanted = False
        self._post(Draft("recording.refused", self.call_id, {"by": by, "why": why}))

    def _failed(self, why: str) -> None:
        """The file can not be written any more."""
        running, self._running = self._running, None
        if running is not None:
            self._wanted = False
            self._spawn(self._end(running, "engine", why))

    async def _end(self, running: Recording, by: str, why: str) -> None:
        ms = await self._recordings.end(running)
        if running.writer is None:
            return  # it never began, and that was said
        facts: dict[str, Any] = {"index": running.index, "file": str(running.path), "ms": ms, "by": by, "why": why}
        if running.lost_ms:
            facts["lostMs"] = running.lost_ms
        if running.failed:
            facts["error"] = running.failed
        self._post(Draft("recording.stopped", self.call_id, facts))


def _length(file: str) -> int | None:
    """How long a recording that nobody closed is."""
    try:
        return length_ms(Path(file))
    except OSError:
        return None
