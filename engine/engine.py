"""The engine: starts, wires and stops its parts, each in one readable function."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractContextManager, AsyncExitStack
from pathlib import Path
from typing import Any, Final

from engine import __version__
from engine.admission import WaitingRoom
from engine.api import EngineApi, Listening, Microphone, Page, Recorded, Refusal, ReplayInto
from engine.book import KEEP_ENDED, CallBook
from engine.calls import Call, Cursor, Draft, Event, Floor, Mode, fold, report
from engine.calls.policy import Decision
from engine.carriers.base import Carrier
from engine.clock import epoch_ms
from engine.commands import Commands
from engine.config import Config
from engine.control.door import Door
from engine.exposure.access import access
from engine.exposure.address import Exposure
from engine.exposure.port import Address
from engine.exposure.probing import Probing
from engine.exposure.repoint import Repointer, may_repoint
from engine.floor import Floors
from engine.inbound import CarrierEvents
from engine.lag import LagMeter
from engine.live.alerts import Alerts
from engine.live.hangup import HangUps
from engine.live.parts import Parts
from engine.live.registry import LiveCalls, StreamTokens
from engine.media.calm import stay_calm
from engine.media.ticker import Ticker
from engine.memory import Memory
from engine.operations import Operations
from engine.reconcile import Reconciler
from engine.recorder import Recorder
from engine.recordings import FOLDER_NAME, Recordings
from engine.retention import Retention
from engine.sandbox import Sandbox
from engine.self_check import self_check
from engine.speech.desk import SpeechDesk
from engine.speech.realtime.service import make_service
from engine.store import DATABASE_NAME, EngineLock, EventLog, WebhookQuery
from engine.today import Today
from engine.web.ledger import Ledger
from engine.web.media import MediaDoor
from engine.web.missed import Missed
from engine.web.server import WebServer
from engine.web.webhooks import WebhookPipeline
from engine.webhook_desk import WebhookDesk, local_origin

log = logging.getLogger(__name__)

DRAIN_SECONDS: Final = 10.0
"""How long live calls may go on once the engine was asked to stop."""
FAREWELL_SECONDS: Final = 0.3
"""What a watcher is given to read the last events: they are told ten times a second."""
MAX_WAIT_MS: Final = 45_000


def monotonic_ms() -> float:
    """The clock of timers and turns."""
    return time.monotonic() * 1000


class Engine(EngineApi):
    """One running engine on one state folder. Made by `open_engine`; belongs to one loop."""

    def __init__(
        self,
        config: Config,
        state_dir: Path,
        lock: EngineLock,
        event_log: EventLog,
        carrier: Carrier,
        desk: SpeechDesk,
    ) -> None:
        self.config = config
        self.state_dir = state_dir
        self.started_at = epoch_ms()
        self.hurry = asyncio.Event()
        """Set: a stop does not wait for live calls to end by themselves."""
        self._lock = lock
        self._log = event_log
        self._carrier = carrier
        self._desk = desk
        self._realtime = make_service(config)
        self._watchers = 0
        self._book = CallBook()
        self._today = Today(epoch_ms)
        tokens = StreamTokens()
        self._calls = LiveCalls(self._book, tokens)
        self._recorder = Recorder(event_log, self._book, self._changed)
        self._alerts = Alerts(carrier, self._recorder)
        self._hang_ups = HangUps(carrier, self._recorder, self._book, self._calls.closing_facts)
        self._operations = Operations(
            config, carrier, self._recorder, self._book, self._calls, tokens, self._hang_ups
        )
        self._floors = Floors(config.floor, self._recorder, self._book, self._calls)
        self._exposure = Exposure(config, self._recorder.post, state_dir)
        self._ticker = Ticker()
        self._lag = LagMeter()
        self._recordings = Recordings(config.recording.folder or state_dir / FOLDER_NAME, self._ticker.clock)
        self._parts = Parts(
            config=config,
            carrier=carrier,
            recorder=self._recorder,
            book=self._book,
            recogniser=desk.recogniser,
            voice=desk.voice,
            brain=desk.brain,
            realtime=self._realtime,
            hang_up=self._hang_ups.start,
            stream_url=self._exposure.stream_url,
            webhook_url=self._exposure.webhook_url,
            issue_token=tokens.issue,
            now_ms=monotonic_ms,
            reached=self._exposure.reached,
            remember=Memory(config, event_log).earlier,
            recordings=self._recordings,
        )
        self._waiting_room = WaitingRoom(
            config.inbound_policy,
            config.allow_from,
            self._recorder,
            self._book,
            watched=lambda: self.watched,
            let_in=lambda call: self._calls.start(call, self._parts),
        )
        events = CarrierEvents(
            config,
            carrier,
            self._recorder,
            self._book,
            self._calls,
            self._operations,
            self._waiting_room,
            self._exposure.stream_url,
            self._exposure.webhook_url,
            lambda: self._parts,
        )
        act = events.act
        self._commands: Commands | None = None
        if not carrier.capabilities.answers_by_reply:
            self._commands = Commands(
                carrier, events.act, self._book, self._calls, self._operations, lambda: self._parts
            )
            act = self._commands.act
        self._probing = Probing(
            config,
            self._exposure.urls,
            lambda: self._web.port,
            carrier.signature_headers[0],
            self._recorder.post,
        )
        numbers = dict.fromkeys((self._operations.from_number, *config.numbers))
        self._repointer = Repointer(carrier, list(filter(None, numbers)), self._recorder.post)
        self._exposure.subscribe(self._reached_at)
        self._ledger = Ledger(config, event_log, lambda: local_origin(config.serve.bind, self._web.port))
        pipeline = WebhookPipeline(carrier, config.serve.path, self._exposure, act, self._webhook_seen, self._ledger)
        self._webhook_desk = WebhookDesk(
            self._ledger,
            pipeline,
            Sandbox(
                config,
                carrier,
                event_log,
                self._book,
                self._exposure,
                self._exposure.stream_url,
                lambda: self._waiting_room.always,
            ),
            self._recorder.post,
        )
        self._media = MediaDoor(
            config.streaming,
            carrier,
            self._exposure.socket_address,
            self._book,
            self._calls,
            tokens,
            self._ticker,
            self._recorder.post,
            self._ledger,
        )
        missed = Missed(carrier.signature_headers, config.serve.path, config.streaming.stream_path, self._ledger)
        self._web = WebServer(config, pipeline.handle, self._media.handle, self._probing.answer, missed)
        self._door = Door(self, state_dir, config.control)
        self._retention = Retention(config.retention_days, event_log, self._book, epoch_ms, self._recordings.remove)
        self._reconciler = Reconciler(carrier, self._recorder, self._book, self._calls, lambda: self._parts)

    # -- life ---------------------------------------------------------------------------------

    async def run(self, ready: asyncio.Event, stop: asyncio.Event) -> None:
        """Serve until `stop` is set, then drain. Raises what keeps it from starting."""
        await self._load()
        async with asyncio.TaskGroup() as group, AsyncExitStack() as stack:
            stack.push_async_callback(self._cancel_background, group)
            self._background = [
                group.create_task(work)
                for work in (
                    self._recorder.run(),
                    self._ledger.run(),
                    self._lag.run(),
                    self._retention.run(),
                    self._recordings.run(),
                    self._ticker.run(),
                    self._desk.start(streams=self._has_streams(), in_steps=self.config.in_steps),
                    stay_calm(lambda: len(self._book.live())),
                    self._calls.report_levels(lambda: self.watched),
                )
            ]
            stack.push_async_callback(self._desk.close)
            stack.push_async_callback(self._recordings.close)
            if self._realtime is not None:
                self._background.append(group.create_task(self._realtime.start()))
                stack.push_async_callback(self._realtime.close)
            stack.push_async_callback(self._ledger.flush)
            stack.push_async_callback(self._flush)
            stack.push_async_callback(self._waiting_room.close)
            stack.push_async_callback(self._alerts.close)
            stack.push_async_callback(self._floors.close)
            if self._commands is not None:
                stack.push_async_callback(self._commands.close)
            self._waiting_room.restore(await self._log.always_admitted())
            await self._web.open()
            stack.push_async_callback(self._web.close)
            self._background.append(group.create_task(self._exposure.run(self._web.port)))
            stack.push_async_callback(self._exposure.close)
            await self._exposure.settle(stop)
            await self._carrier.open()
            stack.push_async_callback(self._carrier.close)
            if self._carrier.name == "mock":
                await self._repointer.point()
            self._background.append(group.create_task(self._repointer.run()))
            await self._door.open()
            stack.push_async_callback(self._door.close)
            self._lock.update(control=self._door.address)
            await self._recorder.record(
                Draft(
                    "engine.started",
                    None,
                    {"version": __version__, "pid": os.getpid(), "provider": self._carrier.name},
                )
            )
            self._background.append(group.create_task(self._reconcile()))
            self._background.append(group.create_task(self._probing.run()))
            ready.set()
            await stop.wait()
            await self._drain()
            await self._say_goodbye()

    def _changed(self, before: Call | None, after: Call) -> None:
        self._calls.changed(before, after)
        self._waiting_room.changed(before, after)
        if before is None:
            self._today.add()
        self._alerts.changed(before, after)

    def _reached_at(self, address: Address) -> None:
        """We are reached at another address: look at it, and have calls to our numbers come there where we may."""
        self._probing.soon()
        if may_repoint(self.config):
            self._repointer.wants(address)

    def _webhook_seen(self, draft: Draft) -> None:
        self._probing.seen(draft)
        self._exposure.webhook_seen(draft)

    def _has_streams(self) -> bool:
        """Whether audio comes to our recogniser and voice: as configured, or for a call from before a restart."""
        return self.config.media_streams or any(call.media == "stream" for call in self._book.live())

    async def _load(self) -> None:
        """Fold what the log knows: the recent calls and whatever is still open."""
        ids = await self._log.recent_call_ids(KEEP_ENDED)
        self._book.take(await self._log.read_calls(ids))
        self._today.add(await self._log.count_calls_since(self._today.since))
        await self._ledger.open()

    async def _reconcile(self) -> None:
        """Settle what a crash left open, then every dial with an uncertain outcome."""
        await self._reconciler.restore()
        if self._commands is not None:
            self._commands.resume()
        while True:
            await asyncio.sleep(0.5)
            while self._operations.uncertain:
                await self._reconciler.settle(self._operations.uncertain.pop())

    async def _drain(self) -> None:
        """No new calls; those that are live may finish for a while, or until `hurry`, then they are hung up."""
        self._operations.stopping = True
        idle = asyncio.create_task(self._calls.wait_idle())
        hurry = asyncio.create_task(self.hurry.wait())
        await asyncio.wait([idle, hurry], timeout=DRAIN_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        idle.cancel()
        hurry.cancel()
        await self._end_all("engine")

    async def _end_all(self, by: str) -> None:
        async def end(call: Call) -> None:
            try:
                await self._operations.end(call.call_id, by)
            except Refusal as refusal:
                log.error("call %s: %s", call.call_id, refusal)

        await asyncio.gather(*(end(call) for call in self._book.live()))
        await self._calls.close()
        await self._hang_ups.close()

    async def _say_goodbye(self) -> None:
        """Whoever watches sees how the calls ended, and that the engine stops, before the door closes."""
        self._recorder.post(Draft("engine.stopped", None, {"why": "asked to"}))
        await self._flush()
        if self._watchers:
            await asyncio.sleep(FAREWELL_SECONDS)

    async def _flush(self) -> None:
        """The last facts reach the disk before the store is closed."""
        try:
            async with asyncio.timeout(5):
                await self._recorder.flush()
        except TimeoutError:
            log.error("the last events could not be stored")

    async def _cancel_background(self, group: asyncio.TaskGroup) -> None:
        for task in self._background:
            task.cancel()

    @property
    def watched(self) -> bool:
        """Somebody follows the events: a console, `tail`, or another program."""
        return self._watchers > 0

    @property
    def carrier(self) -> Carrier:
        """The carrier that this engine talks to."""
        return self._carrier

    async def speech_settled(self) -> None:
        """Return once every speech engine is ready or has failed."""
        await self._desk.settled()

    # -- acting (EngineApi) -------------------------------------------------------------------

    async def initiate(
        self, to: str | None, message: str, mode: Mode | None = None, dtmf_sequence: str = "", by: str = ""
    ) -> str:
        self._exposure.require()
        return await self._operations.initiate(
            self._parts, self._exposure.webhook_url(), to, message, mode, dtmf_sequence, by
        )

    async def speak(self, call_id: str, message: str, by: str = "") -> None:
        self._floors.check(call_id, by)
        await self._operations.speak(call_id, message, by)

    async def continue_call(self, call_id: str, message: str, by: str = "") -> str:
        self._floors.check(call_id, by)
        return await self._operations.ask(call_id, message, by)

    async def send_dtmf(self, call_id: str, digits: str, by: str = "") -> None:
        self._floors.check(call_id, by)
        await self._operations.send_dtmf(call_id, digits, by)

    async def transfer(self, call_id: str, to: str, by: str = "") -> None:
        self._floors.check(call_id, by)
        await self._operations.transfer(call_id, to, by, self._exposure.webhook_url())

    async def end(self, call_id: str, by: str = "") -> None:
        await self._operations.end(call_id, by)

    async def admit(self, call_id: str, verdict: Decision, by: str = "") -> None:
        if self._operations.stopping and verdict != "no":
            raise Refusal("engine_stopping", "the engine is stopping and takes no new calls")
        await self._waiting_room.decide(call_id, verdict, by)

    def always_admitted(self) -> Sequence[str]:
        return self._waiting_room.always

    async def forget_caller(self, number: str, by: str = "") -> None:
        await self._waiting_room.forget(number, by)

    async def set_floor(self, call_id: str, holder: Floor, by: str = "", take_over: bool = False) -> None:
        await self._floors.set(call_id, holder, by, take_over=take_over)

    async def hint(self, call_id: str, message: str, by: str = "") -> None:
        self._floors.check(call_id, by)
        await self._operations.hint(call_id, message, self._parts.brain, by)

    async def microphone(self, call_id: str, by: str = "") -> Microphone:
        return await self._floors.microphone(call_id, by)

    def attend(self, by: str) -> AbstractContextManager[None]:
        return self._floors.attend(by)

    # -- reading (EngineApi) ------------------------------------------------------------------

    def call(self, call_id: str) -> Call | None:
        return self._book.get(call_id)

    def live_calls(self) -> Sequence[Call]:
        return self._book.live()

    async def history(self, last: int = 50, query: str = "") -> Sequence[Call]:
        ids = await (self._log.search(query, last) if query else self._log.recent_call_ids(last))
        calls = fold(await self._log.read_calls(ids))
        return [calls[call_id] for call_id in ids if call_id in calls]

    async def events(
        self, cursor: Cursor | None, call_id: str | None = None, wait_ms: int = 0, limit: int = 500
    ) -> Page:
        after = self._after(cursor)
        async with self._log.subscribe(after=after) as news:
            events = await self._log.read(after, limit, call_id)
            if not events and wait_ms > 0:
                try:
                    async with asyncio.timeout(min(wait_ms, MAX_WAIT_MS) / 1000):
                        events = await self._first_news(news, call_id, limit)
                except TimeoutError:
                    after = max(after, news.position)
        seq = events[-1].seq if events else after
        return Page(events, Cursor(self._log.generation, seq))

    @staticmethod
    async def _first_news(news: AsyncIterator[Sequence[Event]], call_id: str | None, limit: int) -> list[Event]:
        async for batch in news:
            wanted = [event for event in batch if event.seq and call_id in (None, event.call_id)]
            if wanted:
                return wanted[:limit]
        return []

    async def backlog(self, calls: int = 50) -> Page:
        cursor = self._log.cursor
        ids = dict.fromkeys(await self._log.recent_call_ids(calls))
        ids.update(dict.fromkeys(call.call_id for call in self._book.live()))
        events = await self._log.read_calls(ids) + await self._log.read_without_call(200)
        wanted = sorted((event for event in events if event.seq <= cursor.seq), key=lambda event: event.seq)
        return Page(wanted, cursor)

    async def watch(self, cursor: Cursor | None, last: int = 0) -> AsyncIterator[Sequence[Event]]:
        after = max(0, self._log.last_seq - last) if cursor is None else self._after(cursor)
        self._watchers += 1
        try:
            async with self._log.subscribe(after=after) as news:
                async for batch in news:
                    yield batch
        finally:
            self._watchers -= 1

    def listen(self, call_id: str) -> Listening:
        return self._calls.listen(call_id)

    async def acknowledge(self, call_id: str, by: str = "") -> None:
        await self._operations.acknowledge(call_id, by)

    async def record_call(self, call_id: str, on: bool, by: str = "") -> None:
        await self._operations.record(call_id, on, by)

    async def recorded(self, call_id: str, index: int, from_ms: int, ms: int) -> Recorded:
        call = self._book.get(call_id) or next(iter(fold(await self._log.read_calls([call_id])).values()), None)
        return await self._recordings.part(call, call_id, index, from_ms, ms)

    def _after(self, cursor: Cursor | None) -> int:
        """Where to read on. A cursor of another log starts at the beginning: nothing of this one was seen."""
        if cursor is None:
            return self._log.last_seq
        return min(cursor.seq, self._log.last_seq) if cursor.generation == self._log.generation else 0

    async def webhooks(self, wanted: WebhookQuery) -> Sequence[Mapping[str, Any]]:
        return await self._webhook_desk.find(wanted)

    async def webhook(self, webhook_id: int, secrets: bool = False) -> Mapping[str, Any]:
        return await self._webhook_desk.show(webhook_id, secrets)

    async def replay_webhook(self, webhook_id: int, into: ReplayInto, by: str = "") -> Mapping[str, Any]:
        return await self._webhook_desk.replay(webhook_id, into, by)

    async def latency(self, last: int = 200) -> Mapping[str, Any]:
        return report(event.data for event in await self._log.read_turns(last))

    def cursor(self) -> Cursor:
        return self._log.cursor

    async def probe(self) -> Mapping[str, Any] | None:
        report = await self._probing.look()
        return None if report is None else report.to_json()

    async def checks(self, *, online: bool) -> Mapping[str, Any]:
        def exposure() -> Mapping[str, Any]:
            return {**self._exposure.health(), **self._probing.health()}

        return await self_check(self.config, self.state_dir, self.probe, exposure, online=online)

    def _realtime_health(self) -> Mapping[str, Any]:
        return {"realtime": self._realtime.health()} if self._realtime is not None else {}

    def _access(self) -> Sequence[Mapping[str, Any]]:
        kind, port = self._exposure.health()["provider"], self._web.port
        up = self._exposure.ready
        return [each.to_json() for each in access(self.config, kind, port, self._door.address, up=up)]

    def health(self) -> Mapping[str, Any]:
        live = self._book.live()
        holders = self._operations.slot_holders()
        failure = self._recorder.error
        return {
            "engine": {
                "version": __version__,
                "pid": os.getpid(),
                "provider": self._carrier.name,
                "startedAt": self.started_at,
                "live": len(live),
                "today": self._today.count,
                "ringing": sum(1 for call in live if call.answered_at is None),
                "stopping": self._operations.stopping,
                "lagMs": self._lag.worst_ms,
            },
            "carrier": {
                "name": self._carrier.name,
                "capabilities": self._carrier.capabilities.to_json(),
                "streams": self.config.media_streams and self._carrier.capabilities.streaming,
            },
            "exposure": {
                **self._exposure.health(),
                **self._probing.health(),
                "numbers": self._repointer.health(),
                "streams": self._media.streams,
                "sockets": self._media.sockets(),
                "access": self._access(),
                "notKept": self._ledger.lost,
            },
            "speech": {**self._desk.health(), **self._realtime_health()},
            "store": {
                "path": str(self.state_dir / DATABASE_NAME),
                "ok": failure is None,
                "error": str(failure) if failure else "",
                "seq": self._log.last_seq,
                "lost": self._recorder.lost,
            },
            "slots": {
                "used": len(holders),
                "max": self.config.max_concurrent_calls,
                "holders": sorted(holders),
            },
            "frames": self._media.frames(),
            "security": {"skipSignatures": self.config.skip_signature_verification},
        }
