"""Tells our side about one call: status callbacks in order, requests for documents, and notes for the debugger."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Mapping
from email.utils import formatdate
from typing import TYPE_CHECKING, Final

from tests.carriers.twilio_far.model import API_VERSION, Notification
from tests.carriers.twilio_far.settings import WebhookKind
from tests.carriers.twilio_far.webhooks import Delivery, Reply

if TYPE_CHECKING:
    from tests.carriers.twilio_far.call import FarCall

_PLACES: Final = {"City": "", "State": "CA", "Zip": "", "Country": "US"}
_WARNINGS: Final = frozenset({12200, 13214, 13223, 13224, 13225, 13227, 13520, 31930, 31931, 31950, 31951})
_HOLD_S: Final = 1.0
"""A status that is held back goes out after this when none follows it."""


class Reporter:
    """One call's webhooks and notifications."""

    def __init__(self, call: FarCall) -> None:
        self._call = call
        self._sequence = 0
        self._last_status: asyncio.Task[Reply] | None = None
        self._held: list[asyncio.Event] = []

    @property
    def told(self) -> bool:
        """Every status callback was delivered, or given up."""
        return self._last_status is None or self._last_status.done()

    def progress(self, event: WebhookKind) -> None:
        """A status callback, in the background; each waits for the one before."""
        self._call.changed.set()
        url = self._call.orders.status_url
        if self._call.state.direction == "inbound":
            url = self._call.world.status_callback(self._call.state.to_number)
        if not url or event not in self._call.orders.status_events:
            return
        status = {"initiated": "initiated", "ringing": "ringing", "answered": "in-progress"}.get(event)
        more = {
            "CallStatus": status or self._call.state.status,
            "CallbackSource": "call-progress-events",
            "SequenceNumber": str(self._sequence),
            "Timestamp": formatdate(time.time()).replace("-0000", "+0000"),
        }
        self._sequence += 1
        if event == "completed":
            more["CallDuration"] = str(self._call.state.duration_s)
            more["Duration"] = str(-(-self._call.state.duration_s // 60))
            more["SipResponseCode"] = str(self._call.state.sip_code)
            if self._call.state.answered_by:
                more["AnsweredBy"] = self._call.state.answered_by
        before, gate, releases = self._last_status, None, self._held
        if event in self._call.world.faults.hold:
            gate = asyncio.Event()
            self._held = [gate]
        else:
            self._held = []
        task = asyncio.create_task(self._tell(event, url, more, before, gate, releases))
        if gate is None:
            self._last_status = task
        self._call.world.spawn(_outcome(task))

    async def _tell(
        self,
        event: WebhookKind,
        url: str,
        more: Mapping[str, str],
        before: asyncio.Task[Reply] | None,
        gate: asyncio.Event | None,
        releases: list[asyncio.Event],
    ) -> Reply:
        if before is not None:
            await asyncio.wait([before])
        if gate is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_HOLD_S):
                    await gate.wait()
        try:
            return await self.ask(event, url, "POST", more)
        finally:
            for event_held in releases:
                event_held.set()
            asyncio.get_running_loop().call_soon(self._call.changed.set)

    async def ask(
        self, kind: WebhookKind, url: str, method: str, more: Mapping[str, str], whole: bool = True
    ) -> Reply:
        """One webhook; failures become notifications. `whole`: with the fields that every voice request has."""
        fields = {**(self._fields() if whole else {}), **more}
        record = Delivery(kind, url, fields)
        self._call.deliveries.append(record)
        reply = await self._call.world.caller.send(record, method, list(fields.items()))
        if reply.code:
            self.note(reply.code, reply.why, url)
        self._call.changed.set()
        return reply

    def note(self, code: int, text: str, url: str = "") -> None:
        """Something for Twilio's debugger."""
        warning = code in _WARNINGS
        sid = self._call.world.new_sid("NO")
        self._call.notifications.append(
            Notification(sid, self._call.state.sid, code, text, int(warning), url, time.time())
        )
        self._call.changed.set()

    def _fields(self) -> dict[str, str]:
        state = self._call.state
        fields = {
            "AccountSid": state.account_sid,
            "ApiVersion": API_VERSION,
            "CallSid": state.sid,
            "CallStatus": state.status,
            "Direction": state.direction,
            "From": state.from_number,
            "To": state.to_number,
            "Caller": state.from_number,
            "Called": state.to_number,
        }
        for who in ("From", "To", "Caller", "Called"):
            fields |= {who + place: value for place, value in _PLACES.items()}
        if state.direction == "inbound":
            token = {"parentCallInfoToken": "eyJhbGciOiJFUzI1NiJ9.e30.x+/=", "identityHeaderTokens": []}
            fields |= {"CallToken": json.dumps(token), "StirVerstat": "TN-Validation-Passed-A"}
        if state.answered_by and not self._call.orders.async_amd:
            fields["AnsweredBy"] = state.answered_by
        return fields


async def _outcome(task: asyncio.Task[Reply]) -> Reply:
    """A job whose failure the exchange hears of."""
    return await task
