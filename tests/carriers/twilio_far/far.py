"""The far end as a whole: its account, its numbers, its calls and its people, behind a real HTTP server."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import asdict, dataclass
from random import Random
from typing import Any, Final

import aiohttp
from aiohttp import web

from engine.simulator.cast import Cast
from engine.simulator.people import Person
from engine.simulator.ticker import Ticker
from engine.simulator.voices import VoiceBank
from tests.carriers.twilio_far import rest
from tests.carriers.twilio_far.call import FarCall
from tests.carriers.twilio_far.interpreter import Goto
from tests.carriers.twilio_far.limits import Form, Rules, check_create, one
from tests.carriers.twilio_far.model import CallState
from tests.carriers.twilio_far.settings import Operation, RestFault, Settings, WebhookFaults
from tests.carriers.twilio_far.sounds import tones
from tests.carriers.twilio_far.webhooks import Caller
from tests.carriers.twilio_far.world import Orders, World

log = logging.getLogger(__name__)

GOODBYE_S: Final = 3.0
_PREFIXES: Final = {"CU": "+53", "DE": "+49", "US": "+1"}


@dataclass
class Number:
    """One of the account's numbers."""

    sid: str
    number: str
    voice_url: str
    status_callback: str
    voice_method: str = "POST"
    status_callback_method: str = "POST"


@dataclass(frozen=True)
class RestRequest:
    """One REST request as it came in, whatever became of it."""

    operation: str
    method: str
    path: str
    form: Form
    fault: str = ""


class TwilioFar:
    """Use as an async context manager; leaving it ends all calls.

    `calls` is every call by its SID, oldest first. `webhook_faults` may be changed at any time; `fail` lets REST
    requests fail. `complaints` holds what Twilio would silently have ignored: no test should see one by accident.
    """

    def __init__(self, settings: Settings | None = None, voices: VoiceBank | None = None, port: int = 0) -> None:
        self.settings = settings or Settings()
        self.calls: dict[str, FarCall] = {}
        self.numbers: dict[str, Number] = {}
        self.requests: list[RestRequest] = []
        self.complaints: list[str] = []
        self.webhook_faults = WebhookFaults()
        self.forced_verdicts: dict[str, str] = {}
        self.empty_lists = 0
        """So many lists of calls are still empty: what was made a moment ago is not always there yet."""
        self.ahead_s = 0.0
        """How far the Date header is before the real time."""
        self.closing = asyncio.Event()
        self.changed = asyncio.Event()
        self._faults: deque[tuple[Operation, RestFault]] = deque()
        self._voices = voices or tones()
        self._cast = Cast([dict(caller) for caller in self.settings.callers])
        self._ticker = Ticker()
        self._ids = Random(self.settings.seed)
        self._tasks: set[asyncio.Task[object]] = set()
        self._port = port
        self._turn = 0
        self.failures: list[BaseException] = []
        """Faults of the far end itself."""
        self.add_number(self.settings.number, self.settings.voice_url, self.settings.status_callback)

    async def __aenter__(self) -> TwilioFar:
        self._http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        self.world = World(
            settings=self.settings,
            http=self._http,
            caller=Caller(self._http, self.settings, self.webhook_faults),
            faults=self.webhook_faults,
            voices=self._voices,
            ticker=self._ticker,
            spawn=self._spawn,
            new_sid=self.new_sid,
            find_person=self.person_at,
            own_numbers=lambda: set(self.numbers),
            status_callback=self._status_callback,
            forced_verdicts=self.forced_verdicts,
        )
        self._runner = web.AppRunner(rest.create_app(self), access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()
        self.base_url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop_listening()
        for call in self.live():
            call.finish("failed", "the far end closes")
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

    def fail(self, operation: Operation, fault: RestFault, times: int = 1) -> None:
        """The next requests of a kind meet a fault."""
        self._faults.extend([(operation, fault)] * times)

    def take_fault(self, operation: Operation) -> RestFault | None:
        for item in self._faults:
            if item[0] == operation:
                self._faults.remove(item)
                return item[1]
        return None

    def live(self) -> list[FarCall]:
        return [call for call in self.calls.values() if not call.state.over]

    def call(self, index: int = -1) -> FarCall:
        """A call by its place; the newest by default."""
        return list(self.calls.values())[index]

    async def until_calls(self, count: int, limit_s: float = 10.0) -> FarCall:
        """The newest call, once there are so many."""
        async with asyncio.timeout(limit_s):
            while len(self.calls) < count:
                self.changed.clear()
                await self.changed.wait()
        return self.call()

    def add_number(self, number: str, voice_url: str = "", status_callback: str = "") -> Number:
        self.numbers[number] = Number(self.new_sid("PN"), number, voice_url, status_callback)
        return self.numbers[number]

    def ring_in(self, person: str = "", to_number: str = "", from_number: str = "") -> FarCall:
        """Somebody calls one of our numbers: by name or number, or the next of the cast. Raises LookupError."""
        number = self.numbers[to_number or self.settings.number]
        caller = self._caller(person, from_number)
        state = CallState(
            sid=self.new_sid("CA"),
            account_sid=self.settings.account_sid,
            direction="inbound",
            from_number=from_number or caller.number,
            to_number=number.number,
        )
        first = Goto(number.voice_url, number.voice_method, "incoming")
        return self._start(FarCall(state, caller, Orders(first), self.world))

    def report(self, last: int = 1000) -> dict[str, Any]:
        """Everything, as JSON."""
        calls = list(self.calls.values())[-last:]
        return {"calls": [_call_report(call) for call in calls], "complaints": self.complaints}

    # REST

    def dial(self, form: Form) -> FarCall:
        """What the create request asks for. Raises limits.Refusal."""
        off = [_PREFIXES[iso] for iso, allowed in self.settings.countries.items() if not allowed and iso in _PREFIXES]
        self.complaints += check_create(form, Rules(set(self.numbers), off))
        state = CallState(
            sid=self.new_sid("CA"),
            account_sid=self.settings.account_sid,
            direction="outbound-api",
            from_number=one(form, "From"),
            to_number=one(form, "To"),
            time_limit_s=int(one(form, "TimeLimit") or 14_400),
            ring_s=int(one(form, "Timeout") or 60),
        )
        orders = Orders(
            first=first_document(form, "answer"),
            status_url=one(form, "StatusCallback"),
            status_events=frozenset(form.get("StatusCallbackEvent", ["completed"])),
            machine_detection=one(form, "MachineDetection"),
            async_amd=one(form, "AsyncAmd") == "true",
            amd_url=one(form, "AsyncAmdStatusCallback"),
            send_digits=one(form, "SendDigits"),
        )
        return self._start(FarCall(state, self.person_at(state.to_number), orders, self.world))

    def new_sid(self, prefix: str) -> str:
        return f"{prefix}{self._ids.getrandbits(128):032x}"

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

    def _status_callback(self, number: str) -> str:
        known = self.numbers.get(number)
        return known.status_callback if known is not None else ""

    def _start(self, call: FarCall) -> FarCall:
        self.calls[call.state.sid] = call
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


def first_document(form: Form, kind: Any) -> Goto:
    """Url wins over Twiml, as at Twilio."""
    url = one(form, "Url")
    if url:
        return Goto(url, one(form, "Method") or "POST", kind, fallback_url=one(form, "FallbackUrl"))
    return Goto(twiml=one(form, "Twiml"), kind=kind)


def _call_report(call: FarCall) -> Mapping[str, Any]:
    leg = call.leg
    streams: Sequence[Mapping[str, Any]] = [
        {**{name: value for name, value in asdict(stream).items() if name != "audio"}, "bytes": len(stream.audio)}
        for stream in call.streams
    ]
    return {
        **call.state.to_json(),
        "over_because": call.state.over_because,
        "person": call.person.name,
        "said": [asdict(line) for line in leg.said] if leg is not None else [],
        "heard": asdict(leg.heard) if leg is not None else None,
        "pressed": leg.pressed if leg is not None else "",
        "spoken": [asdict(spoken) for spoken in call.spoken],
        "streams": streams,
        "documents": [document.decode(errors="replace") for document in call.documents],
        "notifications": [{"code": note.code, "text": note.text, "url": note.url} for note in call.notifications],
        "webhooks": [
            {"kind": d.kind, "url": d.url, "statuses": d.statuses, "code": d.code, "ms": d.ms, "faults": d.faults}
            for d in call.deliveries
        ],
    }
