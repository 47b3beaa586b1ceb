"""Offline speech recognition: Moonshine tiny (`moonshine-voice`) in one process for all calls.

The engine decides where an utterance ends, so the library's streams, which cut lines at their own voice detector, are
not used: what is spoken between two `finish`es is transcribed whole, again and again while it grows (partials) and a
last time at its end (final), with the library's detector off and silero deciding what is speech at all.

Measured on mu-law at 8 kHz: word errors in percent on 540 recorded prompts of Debian's asterisk-core-sounds-en-wav
(of 6 to 30 words, shorter, longer) and 72 sentences of pico in six voices; processor time per second of audio:

    the library's streams, 0.5 s updates      6.0  21.6   8.5  12.1    0.13 (with partials)
    its one-shot call, its own detector       7.4  27.3   9.2  12.1    0.032
    whole utterances, no padding              5.0  22.6  13.0  10.9    0.034
    this: whole, padded, cut at pauses        4.7  21.1   6.3  11.3    0.034, or 0.13 to 0.18 with partials

Silero takes 0.008 of it. A pause is transcribed as soon as it begins, so a final asked for after half a second
of silence has its text already: 1 ms with one call, 0.13 s (p95) with four people speaking at once on two cores. The
process holds 195 MB with the model loaded and 260 to 290 MB after long utterances.
"""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Final

from engine.media.audio import AudioFormat, UnsupportedAudio
from engine.media.convert import PhoneConverter
from engine.speech import ports
from engine.speech.local_extra import HINT, RECOGNISER_PACKAGES, require_moonshine_platform, require_packages
from engine.speech.ports import Hearing, SpeechUnavailable
from engine.speech.stt.mailbox import Mailbox
from engine.speech.stt.outbox import Outbox
from engine.speech.worker_process import RestartBudget, WorkerFailed, WorkerProcess
from engine.speech.worker_wire import PROBABILITY, UTTERANCE, Frame, Kind

PATIENCE_SECONDS: Final = 8.0
"""A worker that is silent, or at one job, for this long hangs."""
_PING_SECONDS: Final = 2.0


class LocalRecogniser:
    """The `Recogniser` port on Moonshine, all calls in one process. Belongs to the event loop that started it."""

    name = "local"

    def __init__(self, patience_seconds: float = PATIENCE_SECONDS, budget: RestartBudget | None = None) -> None:
        self._patience = patience_seconds
        self._budget = budget or RestartBudget()
        self._listeners: dict[int, LocalListener] = {}
        self._ids = itertools.count(1)
        self._worker: WorkerProcess | None = None
        self._attendants: list[asyncio.Task[None]] = []
        self._starting = asyncio.Lock()
        self._waiting = asyncio.Event()
        self._pong_at = 0.0
        self._closed = False

    @property
    def worker_pid(self) -> int | None:
        """The process that recognises, when there is one."""
        return self._worker.pid if self._worker else None

    @property
    def listening(self) -> int:
        """How many listeners are open."""
        return len(self._listeners)

    async def start(self) -> None:
        """Load the model (about 0.7 s). Raises SpeechUnavailable with what to install."""
        require_moonshine_platform()
        require_packages("the local recogniser", RECOGNISER_PACKAGES)
        await self._running()

    async def listen(self, format: AudioFormat) -> LocalListener:  # noqa: A002
        """A listener for any format that telephone audio can be made of. Starts a lost worker again."""
        try:
            PhoneConverter(format)  # what the worker will do
        except UnsupportedAudio as unsupported:
            raise SpeechUnavailable(f"the local recogniser does not understand {unsupported}") from unsupported
        require_moonshine_platform()
        require_packages("the local recogniser", RECOGNISER_PACKAGES)
        worker = await self._running()
        listener = LocalListener(next(self._ids), format, self._waiting.set, self._forget)
        self._listeners[listener.id] = listener
        worker.send(Frame(Kind.OPEN, listener.id, json.dumps(dataclasses.asdict(format)).encode()))
        return listener

    async def close(self) -> None:
        """End every listener and the worker."""
        self._closed = True
        self._lose_all("the recogniser was closed")
        await self._stop_attendants()
        if self._worker is not None:
            await self._worker.close()
            self._worker = None

    async def _running(self) -> WorkerProcess:
        """The worker, started again if it died and the budget allows."""
        async with self._starting:
            if self._closed:
                raise SpeechUnavailable("the recogniser was closed")
            if self._worker is not None:
                return self._worker
            if not self._budget.take():
                raise SpeechUnavailable(
                    f"the recogniser's process died again and again ({self._budget})",
                    "see the log for the reason; it is tried again later",
                )
            await self._stop_attendants()
            worker = WorkerProcess("engine.speech.stt.worker", self._on_frame, self._on_death)
            try:
                await worker.start()
            except WorkerFailed as failed:
                raise SpeechUnavailable(f"the local recogniser could not start: {failed}", HINT) from failed
            self._worker = worker
            self._attendants = [
                asyncio.create_task(self._deliver(worker), name="recogniser: deliver audio"),
                asyncio.create_task(self._watch(worker), name="recogniser: watch the worker"),
            ]
            return worker

    async def _stop_attendants(self) -> None:
        for task in self._attendants:
            task.cancel()
        await asyncio.gather(*self._attendants, return_exceptions=True)
        self._attendants = []

    async def _deliver(self, worker: WorkerProcess) -> None:
        """Send what the listeners have. While the worker is behind, their outboxes fill and drop."""
        while True:
            await self._waiting.wait()
            self._waiting.clear()
            for listener in list(self._listeners.values()):
                for frame in listener.take_frames():
                    worker.send(frame)
                await worker.drain()

    async def _watch(self, worker: WorkerProcess) -> None:
        """Kill a worker that does not answer, or answers that it has been at one job for too long."""
        self._pong_at = time.monotonic()
        interval = min(_PING_SECONDS, self._patience / 3)
        while True:
            await asyncio.sleep(interval)
            if time.monotonic() - self._pong_at > self._patience + interval:
                worker.kill(f"it did nothing for {self._patience:.0f} s")
                return
            worker.send(Frame(Kind.PING))

    def _on_frame(self, frame: Frame) -> None:
        if frame.kind is Kind.PONG:
            if int(frame.payload) < self._patience * 1000:
                self._pong_at = time.monotonic()
        elif (listener := self._listeners.get(frame.id)) is not None:
            listener.hear(frame)

    def _on_death(self, why: str) -> None:
        self._worker = None
        self._lose_all(f"the recogniser's process ended: {why}")

    def _lose_all(self, why: str) -> None:
        for listener in self._listeners.values():
            listener.lose(why)
        self._listeners.clear()

    def _forget(self, listener: LocalListener) -> None:
        if self._listeners.pop(listener.id, None) is not None and self._worker is not None:
            self._worker.send(Frame(Kind.CLOSE, listener.id))


class LocalListener:
    """The `Listener` port. Audio waits in an outbox of at most 10 s until the worker takes it."""

    def __init__(
        self,
        id_: int,
        format_: AudioFormat,
        announce: Callable[[], None],
        forget: Callable[[LocalListener], None],
    ) -> None:
        self.id = id_
        self._announce, self._forget = announce, forget
        self._outbox: Outbox[Frame] = Outbox(format_.bytes_per_second)
        self._utterance = 0
        self._mailbox = Mailbox()
        self._over = False

    @property
    def queued_bytes(self) -> int:
        """Audio that the worker has not taken yet."""
        return self._outbox.queued_bytes

    def feed(self, audio: bytes) -> None:
        """Queue caller audio. Never blocks; beyond 10 s the oldest is dropped and counted in the next `Final`."""
        if self._over or not audio:
            return
        self._outbox.audio(audio)
        self._announce()

    def finish(self) -> int:
        """The utterance is over; its `Final` has the returned number."""
        self._utterance += 1
        if not self._over:
            dropped_ms = self._outbox.take_dropped_ms()
            self._outbox.mark(Frame(Kind.FINISH, self.id, UTTERANCE.pack(self._utterance, dropped_ms)))
            self._announce()
        return self._utterance

    async def hearings(self) -> AsyncIterator[Hearing]:
        """What is heard, in order, until `close` or `Lost`."""
        while (hearing := await self._mailbox.take()) is not None:
            yield hearing

    async def close(self) -> None:
        """End recognition of this call; `hearings` ends."""
        if not self._over:
            self._over = True
            self._outbox.clear()
            self._mailbox.close()
            self._forget(self)

    def take_frames(self) -> list[Frame]:
        """What is to be sent to the worker (for the recogniser)."""
        return [item if isinstance(item, Frame) else Frame(Kind.AUDIO, self.id, item) for item in self._outbox.take()]

    def hear(self, frame: Frame) -> None:
        """What the worker says about this call (for the recogniser)."""
        if frame.kind is Kind.PARTIAL:
            self._mailbox.put(ports.Partial(frame.payload.decode()))
        elif frame.kind is Kind.VOICE:
            self._mailbox.put(ports.VoiceConfirmed(PROBABILITY.unpack(frame.payload)[0]))
        elif frame.kind is Kind.FINAL:
            number, dropped_ms = UTTERANCE.unpack_from(frame.payload)
            text = frame.payload[UTTERANCE.size :].decode()
            self._mailbox.put(ports.Final(text, number, dropped_ms))

    def lose(self, why: str) -> None:
        """The worker is gone (for the recogniser)."""
        self._over = True
        self._outbox.clear()
        self._mailbox.put(ports.Lost(why))
