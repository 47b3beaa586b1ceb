"""The far end as a whole: its account, its numbers, its calls and its people, behind a real HTTP server."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import aiohttp
from aiohttp import web

from engine.simulator.voices import VoiceBank
from tests.carriers.far.base import FarEnd
from tests.carriers.plivo_far import rest
from tests.carriers.plivo_far.call import FarCall
from tests.carriers.plivo_far.model import Application, CallState, Number, bare
from tests.carriers.plivo_far.settings import Operation, RestFault, Settings, WebhookFaults
from tests.carriers.plivo_far.webhooks import Caller
from tests.carriers.plivo_far.world import Goto, Orders, World


@dataclass(frozen=True)
class RestRequest:
    """One REST request as it came in, whatever became of it."""

    operation: str
    method: str
    path: str
    body: Mapping[str, Any]
    fault: str = ""


class PlivoFar(FarEnd[FarCall, Settings, Operation, RestFault]):
    """Use as an async context manager; leaving it ends all calls.

    `calls` is every call by its name, oldest first. `webhook_faults` may be changed at any time; `fail` lets REST
    requests fail. `complaints` holds what Plivo would have ignored or refused in what we answer and ask: no test
    should see one by accident.
    """

    def __init__(self, settings: Settings | None = None, voices: VoiceBank | None = None, port: int = 0) -> None:
        super().__init__(settings or Settings(), voices, port)
        self.numbers: dict[str, Number] = {}
        self.applications: dict[str, Application] = {}
        self.requests: list[RestRequest] = []
        self.webhook_faults = WebhookFaults()
        self.forced_verdicts: dict[str, bool] = {}
        self.answer_late_s: dict[Operation, float] = {}
        """How long after its effect a request of a kind is answered."""
        made = self.add_application("far-end")
        made.answer_url, made.hangup_url = self.settings.answer_url, self.settings.hangup_url
        made.answer_method = made.hangup_method = self.settings.method
        self.add_number(self.settings.number, made.app_id)

    def _open(self, http: aiohttp.ClientSession) -> web.Application:
        self.world = World(
            settings=self.settings,
            http=http,
            caller=Caller(http, self.settings, self.webhook_faults),
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
        return rest.create_app(self)

    def _cut(self, call: FarCall) -> None:
        call.finish("failed", 5000, "the far end closes")

    def _call_report(self, call: FarCall) -> Mapping[str, Any]:
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

    # tests

    def note(self, operation: str, method: str, path: str, body: Mapping[str, Any], fault: str) -> None:
        self.requests.append(RestRequest(operation, method, path, body, fault))

    def asked(self, operation: Operation) -> list[Mapping[str, Any]]:
        """The bodies of the requests of one kind."""
        return [request.body for request in self.requests if request.operation == operation]

    def complain(self, text: str) -> None:
        self.complaints.append(text)

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
