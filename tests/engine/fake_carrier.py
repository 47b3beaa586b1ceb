"""A carrier that can everything and does what a test tells it, behind the port and in front of a real engine.

Webhooks are JSON over real HTTP, media frames are Twilio's over a real WebSocket; only REST requests stay inside the
process, where a test can see and refuse them.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp

from engine.calls import Call, Cursor, Event, State
from engine.carriers.base import (
    Alert,
    Capabilities,
    CarrierError,
    CarrierEvent,
    CarrierStatus,
    Connect,
    DialOrder,
    Document,
    LostDial,
    Streamless,
    Transfer,
    Verdict,
    WebhookReply,
    WebhookRequest,
)
from engine.config import Config, parse_config
from engine.engine import Engine
from engine.media.twilio_wire import TwilioWire
from engine.media.wire import MediaWire
from engine.speech.brains.script import ScriptBrain
from engine.speech.desk import SpeechDesk
from engine.speech.ports import Brain, Recogniser
from engine.store import DATABASE_NAME, LOCK_NAME, EngineLock, EventLog
from tests.engine.conftest import Humming, Understands

LIMIT_S = 15.0
OURS = "+15550100000"
EVERYTHING = Capabilities(
    native_speech=True, transfer=True, machine_detection=True, reopen_stream=True, inline_notify=True
)
_ids = itertools.count(1)


class FakeCarrier:
    """`fail` holds errors for the next requests of a kind; the lists hold the requests."""

    name = "fake"
    signature_headers: tuple[str, ...] = ("x-fake-id",)

    def __init__(self, capabilities: Capabilities = EVERYTHING) -> None:
        self.capabilities = capabilities
        self.dialled: list[DialOrder] = []
        self.hung_up: list[str] = []
        self.keys: list[str] = []
        self.instructing: list[Document] = []
        self.instructed: list[Document] = []
        self.transfers: list[Transfer] = []
        self.reopened: list[Connect] = []
        self.noted: list[Alert] = []
        self.fail: dict[str, CarrierError] = {}
        self.during_transfer: asyncio.Event | None = None
        """Set by a test that wants the request to take until then."""
        self.during_instruct: asyncio.Event | None = None
        self.during_hang_up: asyncio.Event | None = None
        self.changed = asyncio.Event()

    def verify(self, request: WebhookRequest, now_ms: int) -> Verdict:
        return Verdict(True, "a test", request.headers["x-fake-id"])

    def verify_upgrade(self, request: WebhookRequest, now_ms: int) -> Verdict:
        return Verdict(True, "a test", "upgrade")

    def parse(self, request: WebhookRequest) -> CarrierEvent:
        told = json.loads(request.body)
        return CarrierEvent(**told | ({"reason": State(told["reason"])} if "reason" in told else {}))

    def render(self, document: Document) -> WebhookReply:
        verbs = [{"verb": type(verb).__name__, **asdict(verb)} for verb in document]
        return WebhookReply(200, json.dumps(verbs).encode(), "application/json")

    def wire(self) -> MediaWire:
        return TwilioWire()

    async def open(self) -> None:
        """Nothing to connect."""

    async def close(self) -> None:
        """Nothing to let go of."""

    async def alerts(self, provider_call_id: str) -> Sequence[Alert]:
        return self.noted

    async def register_number(self, number: str, webhook_url: str) -> None:
        """Tests ring by themselves."""

    async def dial(self, order: DialOrder) -> str:
        self._asked("dial")
        self.dialled.append(order)
        return f"CA{len(self.dialled)}"

    async def find(self, lost: LostDial) -> str | None:
        return None

    async def status(self, provider_call_id: str) -> CarrierStatus:
        return CarrierStatus(live=provider_call_id not in self.hung_up)

    async def hang_up(self, provider_call_id: str) -> None:
        self.hung_up.append(provider_call_id)
        self.changed.set()
        if self.during_hang_up is not None:
            await self.during_hang_up.wait()
        self._asked("hang_up")

    async def answer(self, provider_call_id: str, document: Document, *, pick_up: bool = True) -> None:
        raise CarrierError("answered by the reply")

    async def send_dtmf(self, provider_call_id: str, digits: str) -> None:
        self._asked("send_dtmf")
        self.keys.append(digits)

    async def instruct(self, call: Streamless, document: Document) -> None:
        self.instructing.append(document)
        self.changed.set()
        if self.during_instruct is not None:
            await self.during_instruct.wait()
        self._asked("instruct")
        self.instructed.append(document)

    async def transfer(self, provider_call_id: str, transfer: Transfer) -> None:
        self.transfers.append(transfer)
        self.changed.set()
        if self.during_transfer is not None:
            await self.during_transfer.wait()
        self._asked("transfer")

    async def reopen_stream(self, call: Streamless, connect: Connect) -> None:
        self._asked("reopen_stream")
        self.reopened.append(connect)

    def _asked(self, what: str) -> None:
        self.changed.set()
        if (error := self.fail.pop(what, None)) is not None:
            raise error

    async def until(self, requests: Sequence[Any], count: int = 1) -> Any:
        """The last of `requests`, once there are so many."""
        async with asyncio.timeout(LIMIT_S):
            while len(requests) < count:
                self.changed.clear()
                await self.changed.wait()
        return requests[-1]


class Stream:
    """The far end of one media socket: plays what it gets at real pace and returns marks when they are reached."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.audio = b""
        """All that was sent to be played."""
        self.clears = 0
        self.changed = asyncio.Event()
        self._socket = socket
        self._until = 0.0
        self._generation = 0
        self._reading = asyncio.create_task(self._read())

    async def close(self) -> None:
        """The carrier takes the caller away from the stream."""
        await self._socket.send_str(json.dumps({"event": "stop", "sequenceNumber": "9", "streamSid": "MZ1"}))
        await self._socket.close()
        await asyncio.wait([self._reading])

    async def until_audio(self, size: int) -> None:
        """Return once so many bytes were sent to be played."""
        async with asyncio.timeout(LIMIT_S):
            while len(self.audio) < size:
                self.changed.clear()
                await self.changed.wait()

    async def _read(self) -> None:
        async for message in self._socket:
            if message.type is aiohttp.WSMsgType.TEXT:
                self._take(json.loads(message.data))

    def _take(self, frame: dict[str, Any]) -> None:
        loop = asyncio.get_running_loop()
        match frame["event"]:
            case "media":
                self.audio += base64.b64decode(frame["media"]["payload"])
                self.changed.set()
                self._until = max(self._until, loop.time()) + 0.02
            case "mark":
                when = max(self._until, loop.time())
                loop.call_at(when, self._echo, frame["mark"]["name"], self._generation)
            case "clear":
                self._generation += 1
                self.clears += 1
                self._until = loop.time()

    def _echo(self, name: str, generation: int) -> None:
        if generation == self._generation and not self._socket.closed:
            text = json.dumps({"event": "mark", "sequenceNumber": "2", "streamSid": "MZ1", "mark": {"name": name}})
            self._sending = asyncio.create_task(self._socket.send_str(text))


@dataclass
class Table:
    """A running engine, its carrier, and what a test does as the carrier."""

    engine: Engine
    carrier: FakeCarrier
    http: aiohttp.ClientSession
    streams: list[Stream] = field(default_factory=list)

    @property
    def webhook_url(self) -> str:
        return str(self.engine.health()["exposure"]["publicUrl"])

    async def tell(self, type_: str, provider_call_id: str, **more: Any) -> list[dict[str, Any]]:
        """One webhook; the document of the answer."""
        body = {"type": type_, "provider_call_id": provider_call_id, **more}
        async with (
            asyncio.timeout(LIMIT_S),
            self.http.post(self.webhook_url, json=body, headers={"x-fake-id": f"EV{next(_ids)}"}) as reply,
        ):
            assert reply.status == 200, await reply.text()
            return json.loads(await reply.read())  # type: ignore[no-any-return]

    async def connect(self, document: Sequence[dict[str, Any]], provider_call_id: str) -> Stream:
        """Open the media stream that a document asks for."""
        (verb,) = [verb for verb in document if verb["verb"] == "Connect"]
        socket = await self.http.ws_connect(verb["url"], max_msg_size=0)
        start = {
            "callSid": provider_call_id,
            "streamSid": "MZ1",
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": {"token": verb["token"]},
        }
        text = json.dumps({"event": "start", "sequenceNumber": "1", "streamSid": "MZ1", "start": start})
        await socket.send_str(text)
        stream = Stream(socket)
        self.streams.append(stream)
        return stream

    async def call_out(self, message: str = "Hello there.", mode: Any = "conversation") -> Call:
        """A call that we place and that is answered, by somebody or something."""
        call_id = await self.engine.initiate("+15550100142", message, mode, by="cli")
        found = self.engine.call(call_id)
        assert found is not None and found.provider_call_id is not None
        return found

    async def answer(self, call: Call) -> Stream:
        """The called number answers; its audio is connected."""
        document = await self.tell("answered", sid(call), direction="outbound", wants_document=True)
        stream = await self.connect(document, sid(call))
        await self.until(call, lambda call: "start" in call.rungs)
        return stream

    async def ring_in(self, from_number: str = "+15550100103") -> tuple[Call, Stream]:
        """Somebody calls in and is connected."""
        provider_call_id = f"CAin{next(_ids)}"
        numbers = {"direction": "inbound", "from_number": from_number, "to_number": OURS}
        document = await self.tell("incoming", provider_call_id, wants_document=True, **numbers)
        stream = await self.connect(document, provider_call_id)
        found = self.engine.call(provider_call_id)
        assert found is not None
        return await self.until(found, lambda call: "start" in call.rungs), stream

    async def until(self, call: Call, test: Any) -> Call:
        """The call, once it is as `test` wants it."""
        async with asyncio.timeout(LIMIT_S):
            async for _ in self.engine.watch(None, 1):
                found = self.engine.call(call.call_id)
                assert found is not None
                if test(found):
                    return found
        raise AssertionError("the watch ended")

    async def taken_up(self, call_id: str) -> Call:
        """A call that was taken up again after a restart."""
        await self.engine._reconciler.restore()  # under way already; what it did is told to nobody
        found = self.engine.call(call_id)
        assert found is not None
        return found

    async def events(self, call: Call) -> list[Event]:
        beginning = Cursor(self.engine.cursor().generation, 0)
        return list((await self.engine.events(beginning, call.call_id, limit=5000)).events)

    async def types(self, call: Call) -> list[str]:
        return [event.type for event in await self.events(call)]

    async def until_event(self, call: Call, type_: str, **data: str) -> Event:
        """The first event of a type, with this in its data, that a call has or will have."""
        beginning = Cursor(self.engine.cursor().generation, 0)
        async with asyncio.timeout(LIMIT_S):
            async for batch in self.engine.watch(beginning):
                for event in batch:
                    if event.call_id == call.call_id and event.type == type_ and data.items() <= event.data.items():
                        return event
        raise AssertionError("the watch ended")

    def now(self, call: Call) -> Call:
        found = self.engine.call(call.call_id)
        assert found is not None
        return found


def sid(call: Call) -> str:
    assert call.provider_call_id is not None
    return call.provider_call_id


def config_of(**changes: Any) -> Config:
    """The default configuration on any free port, open to callers. `outbound` and `streaming` may be a dict."""
    config = parse_config(b"", None, {}).config
    base: dict[str, Any] = {
        "serve": config.serve.model_copy(update={"port": 0}),
        "from_number": OURS,
        "inbound_policy": "open",
        "max_concurrent_calls": 10,
    }
    for key in ("outbound", "streaming"):
        if isinstance(changes.get(key), dict):
            changes[key] = getattr(config, key).model_copy(update=changes[key])
    return config.model_copy(update=base | changes)


@asynccontextmanager
async def table(
    state_dir: Path,
    capabilities: Capabilities = EVERYTHING,
    ms_per_character: int = 12,
    brain: Brain | None = None,
    recogniser: Recogniser | None = None,
    **changes: Any,
) -> AsyncIterator[Table]:
    """An engine on a carrier that can `capabilities`."""
    desk = SpeechDesk(recogniser or Understands(), Humming(ms_per_character), brain or ScriptBrain())
    with EngineLock.acquire(state_dir / LOCK_NAME, version="test") as lock:
        async with await EventLog.open(state_dir / DATABASE_NAME) as log, aiohttp.ClientSession() as http:
            carrier = FakeCarrier(capabilities)
            engine = Engine(config_of(**changes), state_dir, lock, log, carrier, desk)
            ready, stop = asyncio.Event(), asyncio.Event()
            async with asyncio.TaskGroup() as group:
                serving = group.create_task(engine.run(ready, stop))
                waiting = group.create_task(ready.wait())
                await asyncio.wait([serving, waiting], return_when=asyncio.FIRST_COMPLETED)
                waiting.cancel()
                made = Table(engine, carrier, http)
                try:
                    if not serving.done():
                        yield made
                finally:
                    engine.hurry.set()
                    for call in engine.live_calls():
                        await engine.end(call.call_id, "test")
                    stop.set()
                    await serving


def without(**missing: bool) -> Capabilities:
    """All capabilities but these."""
    return replace(EVERYTHING, **missing)
