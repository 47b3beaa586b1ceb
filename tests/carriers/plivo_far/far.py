"""The far end as a whole: its account, its numbers, its calls and its people, behind a real HTTP server."""

from __future__ import annotations

import asyncio
import logging
import uuid
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
from tests.carriers.plivo_far import rest
from tests.carriers.plivo_far.call import FarCall
from tests.carriers.plivo_far.model import Application, CallState, Number, bare
from tests.carriers.plivo_far.settings import Operation, RestFault, Settings, WebhookFaults
from tests.carriers.plivo_far.webhooks import Caller
from tests.carriers.plivo_far.world import Goto, Orders, World
from tests.carriers.twilio_far.sounds import tones

log = logging.getLogger(__name__)

GOODBYE_S: Final = 3.0


@dataclass(frozen=True)
class RestRequest:
    """One REST request as it came in, whatever became of it."""

    operation: str
    method: str
    path: str
    body: Mapping[str, Any]
    fault: str = ""


class PlivoFar:
    """Use as an async context manager; leaving it ends all calls.

    `calls` is every call by its name, oldest first. `webhook_faults` may be changed at any time; `fail` lets REST
    requests fail. `complaints` holds what Plivo would have ignored or refused in what we answer and ask: no test
    should see one by accident.
    """

    def __init__(self, settings: Settings | None = None, voices: VoiceBank | None = None, port: int = 0) -> None:
        self.settings = settings or Settings()
        self.calls: dict[str, FarCall] = {}
        self.numbers: dict[str, Number] = {}
        self.applications: dict[str, Application] = {}
        self.requests: list[RestRequest] = []
        self.complaints: list[str] = []
        self.webhook_faults = WebhookFaults()
        self.forced_verdicts: dict[str, bool] = {}
        self.empty_lists = 0
        """So many lists of calls are still empty: what was made a moment ago is not always there yet."""
        self.ahead_s = 0.0
        """How far the Date header is before the real time."""
        self.answer_late_s: dict[Operation, float] = {}
        """How long after its effect a request of a kind is answered."""
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
        made = self.add_application("far-end")
        made.answer_url, made.hangup_url = self.settings.answer_url, self.settings.hangup_url
        made.answer_method = made.hangup_method = self.settings.method
        self.add_number(self.settings.number, made.app_id)

    async def __aenter__(self) -> PlivoFar:
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
            own_numbers=lambda: set(self.numbers),
            complain=self.complain,
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
            call.finish("failed", 5000, "the far end closes")
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

    def note(self, operation: str, method: str, path: str, body: Mapping[str, Any], fault: str) -> None:
        self.requests.append(RestRequest(operation, method, path, body, fault))

    def asked(self, operation: Operation) -> list[Mapping[str, Any]]:
        """The bodies of the requests of one kind."""
        return [request.body for request in self.requests if request.operation == operation]

    def complain(self, text: str) -> None:
        self.complaints.append(text)

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

    def by_request(self, request_uuid: str) -> FarCall | None:
        return next((call for call in self.calls.values() if call.state.request_uuid == request_uuid), None)

    def add_number(self, number: str, app_id: str = "") -> Number:
        self.numbers[number] = Number(number, app_id)
        return self.numbers[number]

    def add_application(self, name: str) -> Application:
        app_id = str(self._ids.randrange(10**16, 10**17))
        self.applications[app_id] = Application(app_id, name)
        return self.applications[app_id]

    def ring_in(self, person: str = "", to_number: str = "", from_number: str = "") -> FarCall:
        """Somebody calls one of our numbers: by name or number, or the next of the cast. Raises LookupError."""
        number = self.numbers[to_number or self.settings.number]
        application = self.applications[number.app_id]
        caller = self._caller(person, from_number)
        name = self.new_id()
        state = CallState(name, name, "inbound", from_number or caller.number, number.number)
        answer = Goto(application.answer_url, application.answer_method, "incoming")
        orders = Orders(answer, hangup_url=application.hangup_url, hangup_method=application.hangup_method)
        return self._start(FarCall(state, caller, orders, self.world))

    def report(self) -> dict[str, Any]:
        """Everything, as JSON."""
        return {"calls": [_call_report(call) for call in self.calls.values()], "complaints": self.complaints}

    # REST

    def dial(self, body: Mapping[str, Any]) -> FarCall:
        """What the create request asks for; `rest` has looked at it."""
        request = self.new_id()
        to = str(body["to"])
        state = CallState(
            uuid=self.new_id() if self.settings.own_names else request,
            request_uuid=request,
            direction="outbound",
            from_number=f"+{bare(str(body['from']))}",
            to_number=to if to.startswith("sip:") else f"+{bare(to)}",
            time_limit_s=int(body.get("time_limit") or 14_400),
            ring_s=int(body.get("ring_timeout") or 120),
        )
        orders = Orders(
            answer=Goto(str(body["answer_url"]), str(body.get("answer_method") or "POST")),
            ring_url=str(body.get("ring_url") or ""),
            hangup_url=str(body.get("hangup_url") or ""),
            hangup_method=str(body.get("hangup_method") or "POST"),
            detects=body.get("machine_detection") in ("true", "hangup"),
            amd_url=str(body.get("machine_detection_url") or ""),
            send_digits=str(body.get("send_digits") or ""),
        )
        return self._start(FarCall(state, self.person_at(state.to_number), orders, self.world))

    def new_id(self) -> str:
        return str(uuid.UUID(int=self._ids.getrandbits(128), version=4))

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
        self.calls[call.state.uuid] = call
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
    streams = [{**asdict(stream), "audio": len(stream.audio)} for stream in call.streams]
    return {
        **call.state.record_json(),
        "call_status": call.state.status,
        "person": call.person.name,
        "said": [asdict(line) for line in leg.said] if leg is not None else [],
        "heard": asdict(leg.heard) if leg is not None else None,
        "pressed": leg.pressed if leg is not None else "",
        "spoken": [asdict(spoken) for spoken in call.spoken],
        "streams": streams,
        "documents": [document.decode(errors="replace") for document in call.documents],
        "callbacks": [
            {"kind": d.kind, "url": d.url, "statuses": d.statuses, "why": d.why, "ms": d.ms, "faults": d.faults}
            for d in call.deliveries
        ],
    }
