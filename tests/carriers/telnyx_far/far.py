"""The far end as a whole: its application, its numbers, its calls and its people, behind a real HTTP server."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import aiohttp
from aiohttp import web

from engine.simulator.voices import VoiceBank
from tests.carriers.far.base import FarEnd
from tests.carriers.telnyx_far import rest
from tests.carriers.telnyx_far.call import FarCall
from tests.carriers.telnyx_far.settings import RestFault, Settings, WebhookFaults
from tests.carriers.telnyx_far.webhooks import Caller
from tests.carriers.telnyx_far.world import Refusal, World


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


class TelnyxFar(FarEnd[FarCall, Settings, str, RestFault]):
    """Use as an async context manager; leaving it ends all calls.

    `calls` is every leg by its call_control_id, oldest first. `complaints` holds what Telnyx's own description says
    against our requests: no test should see one by accident.
    """

    def __init__(self, settings: Settings | None = None, voices: VoiceBank | None = None, port: int = 0) -> None:
        super().__init__(settings or Settings(), voices, port)
        self.numbers: dict[str, Number] = {}
        self.requests: list[RestRequest] = []
        self.webhook_faults = WebhookFaults()
        self.forced_results: dict[str, str] = {}
        self.app = App(
            self.settings.webhook_url,
            self.settings.api_version,
            self.settings.active,
            self.settings.outbound_profile,
            self.settings.application,
        )
        self.add_number(self.settings.number, self.settings.connection_id)

    @property
    def public_key(self) -> str:
        """As the portal shows it."""
        return b64encode(bytes(self.settings.signing_key.verify_key)).decode()

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
            dial_leg=self.leg,
            forced_results=self.forced_results,
        )
        return rest.create_app(self)

    def _cut(self, call: FarCall) -> None:
        call.finish("unspecified", "unknown")

    def _call_report(self, call: FarCall) -> Mapping[str, Any]:
        leg = call.leg
        streams = [
            {
                name: value
                for name, value in asdict(stream).items()
                if name not in ("audio", "fields", "headers", "url")
            }
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

    # tests

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
