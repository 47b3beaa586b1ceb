"""The far end as a whole: its application, its numbers, its calls and its people, behind a real HTTP server."""

from __future__ import annotations

import asyncio
import logging
from base64 import b64encode
from collections import deque
from collections.abc import Coroutine, Mapping
from dataclasses import asdict, dataclass
from random import Random
from typing import Any, Final

import aiohttp
from aiohttp import web

from engine.simulator.cast import Cast
from engine.simulator.people import Person
from engine.simulator.ticker import Ticker
from engine.simulator.voices import VoiceBank
from tests.carriers.telnyx_far import rest
from tests.carriers.telnyx_far.call import FarCall
from tests.carriers.telnyx_far.settings import RestFault, Settings, WebhookFaults
from tests.carriers.telnyx_far.webhooks import Caller
from tests.carriers.telnyx_far.world import Refusal, World
from tests.carriers.twilio_far.sounds import tones

log = logging.getLogger(__name__)

GOODBYE_S: Final = 3.0


@dataclass
class Number:
    """One of the account's numbers."""

    id: str
    number: str
    connection_id: str = ""
    connection_name: str = ""


@dataclass
class App:
    """The Call Control application."""

    webhook_url: str
    api_version: str
    active: bool
    outbound_profile: str
    name: str


@dataclass(frozen=True)
class RestRequest:
    """One REST request as it came in, whatever became of it."""

    operation: str
    path: str
    body: Mapping[str, Any]
    fault: str = ""


class TelnyxFar:
    """Use as an async context manager; leaving it ends all calls.

    `calls` is every leg by its call_control_id, oldest first. `complaints` holds what Telnyx's own description says
    against our requests: no test should see one by accident.
    """

    def __init__(self, settings: Settings | None = None, voices: VoiceBank | None = None, port: int = 0) -> None:
        self.settings = settings or Settings()
        self.calls: dict[str, FarCall] = {}
        self.numbers: dict[str, Number] = {}
        self.requests: list[RestRequest] = []
        self.complaints: list[str] = []
        self.webhook_faults = WebhookFaults()
        self.forced_results: dict[str, str] = {}
        self.empty_lists = 0
        """So many lists of calls are still empty: what was made a moment ago is not always there yet."""
        self.ahead_s = 0.0
        """How far the Date header is before the real time."""
        self.closing = asyncio.Event()
        self.changed = asyncio.Event()
        self.failures: list[BaseException] = []
        """Faults of the far end itself."""
        self.app = App(
            self.settings.webhook_url,
            self.settings.api_version,
            self.settings.active,
            self.settings.outbound_profile,
            self.settings.application,
        )
        self._faults: deque[tuple[str, RestFault]] = deque()
        self._voices = voices or tones()
        self._cast = Cast([dict(caller) for caller in self.settings.callers])
        self._ticker = Ticker()
        self._ids = Random(self.settings.seed)
        self._tasks: set[asyncio.Task[object]] = set()
        self._port = port
        self._turn = 0
        self.add_number(self.settings.number, self.settings.connection_id)

    @property
    def public_key(self) -> str:
        """As the portal shows it."""
        return b64encode(bytes(self.settings.signing_key.verify_key)).decode()

    async def __aenter__(self) -> TelnyxFar:
        self._http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        self.world = World(
            settings=self.settings,
            http=self._http,
            caller=Caller(self._http, self.settings, self.webhook_faults),
            faults=self.webhook_faults,
            voices=self._voices,
            ticker=self._ticker,
            spawn=self._spawn,
            new_id=self.new_id,
            find_person=self.person_at,
            dial_leg=self.leg,
            forced_results=self.forced_results,
        )
        self._runner = web.AppRunner(rest.create_app(self), access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()
        self.base_url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop_listening()
        for call in self.live():
            call.finish("unspecified", "unknown")
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=GOODBYE_S)
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._ticker.close()
        await self._http.close()
        self._voices.close()
        if self.failures:
            raise AssertionError("the far end itself failed") from self.failures[0]

    # tests

    async def stop_listening(self) -> None:
        """REST is gone; calls go on."""
        self.closing.set()
        await self._runner.cleanup()

    def fail(self, operation: str, fault: RestFault, times: int = 1) -> None:
        """The next requests of a kind meet a fault: dial, status, list, or the name of a command."""
        self._faults.extend([(operation, fault)] * times)

    def take_fault(self, operation: str) -> RestFault | None:
        for item in self._faults:
            if item[0] == operation:
                self._faults.remove(item)
                return item[1]
        return None

    def live(self) -> list[FarCall]:
        return [call for call in self.calls.values() if not call.over]

    def call(self, index: int = -1) -> FarCall:
        return list(self.calls.values())[index]

    async def until_calls(self, count: int, limit_s: float = 10.0) -> FarCall:
        async with asyncio.timeout(limit_s):
            while len(self.calls) < count:
                self.changed.clear()
                await self.changed.wait()
        return self.call()

    def add_number(self, number: str, connection_id: str = "") -> Number:
        self.numbers[number] = Number(str(self._ids.getrandbits(60)), number, connection_id)
        return self.numbers[number]

    def ring_in(self, person: str = "", to_number: str = "", from_number: str = "") -> FarCall:
        """Somebody calls one of our numbers: by name or number, or the next of the cast. Raises LookupError."""
        number = self.numbers[to_number or self.settings.number]
        caller = self._caller(person, from_number)
        return self._start(
            FarCall(
                world=self.world,
                id=self.new_call_id(),
                session_id=self.new_id(),
                direction="incoming",
                from_number=from_number or caller.number,
                to_number=number.number,
                person=caller,
                webhook_url=self.app.webhook_url,
            )
        )

    def report(self, last: int = 1000) -> dict[str, Any]:
        """Everything, as JSON."""
        calls = list(self.calls.values())[-last:]
        return {"calls": [_call_report(call) for call in calls], "complaints": self.complaints}

    # REST

    def dial(self, body: Mapping[str, Any]) -> FarCall:
        """`POST /calls`. Raises Refusal."""
        if body.get("connection_id") != self.settings.connection_id:
            raise Refusal(422, "10015", "Invalid value for connection_id (Call Control App ID)", "/connection_id")
        if not self.app.outbound_profile:
            raise Refusal(422, "10011", "The connection has no outbound voice profile", "/connection_id")
        if body["from"] not in self.numbers:
            raise Refusal(403, "10010", "The caller id is not a number of the account", "/from")
        to = body["to"]
        if not isinstance(to, str) or not to.startswith("+") or not to[1:].isdecimal():
            raise Refusal(422, "10016", "Phone number must be in +E164 format", "/to")
        return self._start(
            FarCall(
                world=self.world,
                id=self.new_call_id(),
                session_id=self.new_id(),
                direction="outgoing",
                from_number=body["from"],
                to_number=to,
                person=self.person_at(to),
                webhook_url=body.get("webhook_url", ""),
                client_state=body.get("client_state"),
                orders=dict(body),
            )
        )

    def leg(self, call: FarCall, body: Mapping[str, Any]) -> FarCall:
        """The other leg of a transfer."""
        return self._start(
            FarCall(
                world=self.world,
                id=self.new_call_id(),
                session_id=call.session_id,
                direction="outgoing",
                from_number=body.get("from", call.from_number),
                to_number=body["to"],
                person=self.person_at(body["to"]),
                webhook_url=body.get("webhook_url", call.webhook_url),
                client_state=body.get("target_leg_client_state"),
                orders={"timeout_secs": body.get("timeout_secs", 30)},
            )
        )

    def new_id(self) -> str:
        raw = f"{self._ids.getrandbits(128):032x}"
        return "-".join((raw[:8], raw[8:12], raw[12:16], raw[16:20], raw[20:]))

    def new_call_id(self) -> str:
        """With a colon, and an equals sign now and then, as real ones have them."""
        return f"v3:{self._ids.getrandbits(200):050x}{'=' if len(self.calls) % 2 else ''}"

    def person_at(self, number: str) -> Person:
        return self._cast.at(number, Random(f"{self.settings.seed}:{number}"))

    def _caller(self, person: str, from_number: str) -> Person:
        wanted = person or from_number
        found = self._cast.find(wanted) if wanted else None
        if found is None and person:
            raise LookupError(f"there is no person {person!r}")
        if found is None:
            callers = self._cast.callers()
            self._turn += 1
            found = callers[(self._turn - 1) % len(callers)]
        return found

    def _start(self, call: FarCall) -> FarCall:
        self.calls[call.id] = call
        self.changed.set()
        self._spawn(call.run())
        return call

    def _spawn(self, job: Coroutine[Any, Any, object]) -> asyncio.Task[object]:
        task: asyncio.Task[object] = asyncio.ensure_future(job)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[object]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("the far end failed", exc_info=error)
            self.failures.append(error)


def _call_report(call: FarCall) -> Mapping[str, Any]:
    leg = call.leg
    streams = [
        {name: value for name, value in asdict(stream).items() if name not in ("audio", "fields", "headers", "url")}
        for stream in call.streams
    ]
    return {
        "id": call.id,
        "direction": call.direction,
        "from": call.from_number,
        "to": call.to_number,
        "over": call.over,
        "hangup_cause": call.hangup_cause,
        "person": call.person.name,
        "said": [asdict(line) for line in leg.said] if leg is not None else [],
        "heard": asdict(leg.heard) if leg is not None else None,
        "spoken": [asdict(spoken) for spoken in call.spoken],
        "keys": call.keys,
        "commands": [action for action, _ in call.commands],
        "events": [(delivery.name, delivery.statuses) for delivery in call.deliveries],
        "streams": streams,
    }
