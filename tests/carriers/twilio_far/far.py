"""The far end as a whole: its account, its numbers, its calls and its people, behind a real HTTP server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import aiohttp
from aiohttp import web

from engine.simulator.voices import VoiceBank
from tests.carriers.far.base import FarEnd
from tests.carriers.twilio_far import rest
from tests.carriers.twilio_far.call import FarCall
from tests.carriers.twilio_far.interpreter import Goto
from tests.carriers.twilio_far.limits import Form, Rules, check_create, one
from tests.carriers.twilio_far.model import CallState
from tests.carriers.twilio_far.settings import Operation, RestFault, Settings, WebhookFaults
from tests.carriers.twilio_far.webhooks import Caller
from tests.carriers.twilio_far.world import Orders, World

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


class TwilioFar(FarEnd[FarCall, Settings, Operation, RestFault]):
    """Use as an async context manager; leaving it ends all calls.

    `calls` is every call by its SID, oldest first. `webhook_faults` may be changed at any time; `fail` lets REST
    requests fail. `complaints` holds what Twilio would silently have ignored: no test should see one by accident.
    """

    def __init__(self, settings: Settings | None = None, voices: VoiceBank | None = None, port: int = 0) -> None:
        super().__init__(settings or Settings(), voices, port)
        self.numbers: dict[str, Number] = {}
        self.requests: list[RestRequest] = []
        self.webhook_faults = WebhookFaults()
        self.forced_verdicts: dict[str, str] = {}
        self.add_number(self.settings.number, self.settings.voice_url, self.settings.status_callback)

    def _open(self, http: aiohttp.ClientSession) -> web.Application:
        self.world = World(
            settings=self.settings,
            http=http,
            caller=Caller(http, self.settings, self.webhook_faults),
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
        return rest.create_app(self)

    def _cut(self, call: FarCall) -> None:
        call.finish("failed", "the far end closes")

    def _call_report(self, call: FarCall) -> Mapping[str, Any]:
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

    # tests

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

    def _status_callback(self, number: str) -> str:
        known = self.numbers.get(number)
        return known.status_callback if known is not None else ""


def first_document(form: Form, kind: Any) -> Goto:
    """Url wins over Twiml, as at Twilio."""
    url = one(form, "Url")
    if url:
        return Goto(url, one(form, "Method") or "POST", kind, fallback_url=one(form, "FallbackUrl"))
    return Goto(twiml=one(form, "Twiml"), kind=kind)
