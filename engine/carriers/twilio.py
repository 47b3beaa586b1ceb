"""Twilio behind the carrier port.

Wire facts: Twilio's voice API of 2010-04-01 and its OpenAPI description. What webhooks and documents look like is in
`twilio_wire`, signatures are in `twilio_signature`, requests to Twilio in `twilio_rest` (imported when opened).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from math import ceil
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from engine.carriers import twilio_setup, twilio_signature, twilio_wire
from engine.carriers.base import (
    Alert,
    Capabilities,
    CarrierError,
    CarrierEvent,
    CarrierStatus,
    Connect,
    DialOrder,
    Document,
    Keys,
    LostDial,
    Redirect,
    Streamless,
    Transfer,
    Verdict,
    WebhookReply,
    WebhookRequest,
)
from engine.carriers.links import link
from engine.carriers.twilio_account import Access, Account, OwnNumber, lost_call, other_leg, to_status
from engine.carriers.twilio_errors import WRONG_STATE
from engine.carriers.twilio_signature import SigningKeys
from engine.clock import epoch_ms
from engine.media.twilio_wire import TwilioWire
from engine.media.wire import MediaWire

if TYPE_CHECKING:
    from engine.carriers.twilio_rest import TwilioRest

TWIML_LIMIT: Final = 4000
"""Characters of a document in a REST request; one that we serve ourselves may have 64 kB."""
RING_LIMIT_S: Final = 600
CHANGE_PAUSES_S: Final = (0.25, 0.75)
"""A call that is changing just now is not in a state for another change; a moment later it is."""
FIND_PAUSES_S: Final = (1.0, 2.0)
"""A call that was made a moment ago may not be listed yet."""
_YOUNG_MS: Final = 20_000
_PROGRESS: Final = ("initiated", "ringing", "answered", "completed")
"""There is none for failures: those come as `completed`."""
_DETECTION: Final = {"answer": "Enable", "message_end": "DetectMessageEnd"}


class TwilioCarrier:
    """One Twilio account. `voice` and `language` are those of Twilio's own voice and recogniser."""

    name = "twilio"
    capabilities = Capabilities(
        streaming=True,
        native_speech=True,
        alerts=True,
        transfer=True,
        machine_detection=True,
        reopen_stream=True,
        inline_notify=True,
        send_dtmf=False,
    )
    signature_headers: tuple[str, ...] = ("x-twilio-signature",)

    def __init__(
        self,
        access: Access,
        keys: SigningKeys,
        *,
        voice: str,
        language: str,
        change_pauses_s: Sequence[float] = CHANGE_PAUSES_S,
        find_pauses_s: Sequence[float] = FIND_PAUSES_S,
    ) -> None:
        self._access = access
        self._keys = keys
        self._voice = voice
        self._language = language
        self._change_pauses_s = tuple(change_pauses_s)
        self._find_pauses_s = tuple(find_pauses_s)
        self._open_rest: TwilioRest | None = None

    # bytes in, values out

    def verify(self, request: WebhookRequest, now_ms: int) -> Verdict:
        """Twilio signs no time: a request that was seen before is the replay cache's business."""
        return twilio_signature.verify(request, self._keys)

    def verify_upgrade(self, request: WebhookRequest, now_ms: int) -> Verdict:
        """Signed over the ws:// or wss:// address, without parameters."""
        return twilio_signature.verify(request, self._keys, upgrade=True)

    def parse(self, request: WebhookRequest) -> CarrierEvent:
        return twilio_wire.parse(request, self._access.account_sid)

    def render(self, document: Document) -> WebhookReply:
        return twilio_wire.render(document, voice=self._voice, language=self._language)

    def wire(self) -> MediaWire:
        return TwilioWire()

    # REST

    async def open(self) -> None:
        """Import the SDK, in a thread: that takes longer than a media frame, and no call must wait for it."""
        rest = await asyncio.to_thread(_rest_module)
        self._open_rest = rest.TwilioRest(self._access)

    async def close(self) -> None:
        if self._open_rest is not None:
            rest, self._open_rest = self._open_rest, None
            await rest.close()

    async def register_number(self, number: str, webhook_url: str) -> None:
        """Write the number's voice URL and status callback where they are others, as `setup --online --fix` does."""
        found = await self.number(number)
        if found is None:
            raise CarrierError(f"{number} is no number of this Twilio account", code="no_such_number")
        if found.handled_elsewhere:
            raise CarrierError(f"{number} is handled by {found.handled_elsewhere}, which is not changed")
        change = twilio_setup.change(found, webhook_url)
        if change is not None:
            await self.set_number_urls(change.sid, change.then.voice.url, change.then.status.url)

    async def dial(self, order: DialOrder) -> str:
        """Sent once. Twilio keeps no reference of ours: `find` knows the call by its numbers and its time."""
        host = urlsplit(order.webhook_url).hostname or ""
        if "_" in host:
            raise CarrierError(f"Twilio refuses addresses with an underscore in the host name: {host}", code="21205")
        return await self._rest.create_call(self._dial_fields(order))

    async def find(self, lost: LostDial) -> str | None:
        for pause in (*self._find_pauses_s, None):
            calls = await self._rest.calls(lost.from_number, lost.to_number)
            found = lost_call(calls, lost, self._rest.ahead_ms)
            if found is not None or pause is None or epoch_ms() - lost.dialled_at > _YOUNG_MS:
                return found
            await asyncio.sleep(pause)
        return None

    async def status(self, provider_call_id: str) -> CarrierStatus:
        try:
            return to_status(await self._rest.call(_sid(provider_call_id)))
        except CarrierError as error:
            if error.kind == "gone":
                return CarrierStatus(live=False, reason=None, raw="not found")
            raise

    async def alerts(self, provider_call_id: str) -> Sequence[Alert]:
        """Twilio's notifications about a call, newest first."""
        return await self._rest.alerts(_sid(provider_call_id), 20)

    async def hang_up(self, provider_call_id: str) -> None:
        """`completed` ends a call in any state. Twilio answers 404 or 21220 about one that is over."""
        try:
            await self._change(provider_call_id, "hang up", again=True, status="completed")
        except CarrierError as error:
            if error.kind != "gone":
                raise

    async def answer(self, provider_call_id: str, document: Document, *, pick_up: bool = True) -> None:
        raise CarrierError("Twilio answers a call by the reply to its webhook", code="not_supported")

    async def send_dtmf(self, provider_call_id: str, digits: str) -> None:
        raise CarrierError(
            "Twilio plays keys only in a new document, which ends the stream: they are played as tones in the stream",
            code="not_supported",
        )

    async def instruct(self, call: Streamless, document: Document) -> None:
        await self._give(call.provider_call_id, "give the call new instructions", document)

    async def transfer(self, provider_call_id: str, transfer: Transfer) -> None:
        await self._give(provider_call_id, "transfer the call", (transfer,))

    async def transferred(self, provider_call_id: str, transfer: Transfer, asked_at: int) -> str:
        """A transfer is a call of its own at Twilio, a child of the caller's."""
        calls = await self._rest.calls(transfer.caller_id, transfer.to_number)
        return other_leg(calls, _sid(provider_call_id), asked_at, self._rest.ahead_ms)

    async def reopen_stream(self, call: Streamless, connect: Connect) -> None:
        await self._give(call.provider_call_id, "open the stream again", (connect,))

    # for `setup --online`, and to explain a call

    async def account(self) -> Account:
        """Who the credentials belong to."""
        return await self._rest.account()

    async def number(self, number: str) -> OwnNumber | None:
        """One of the account's numbers with its addresses; None when the account has no such number."""
        return await self._rest.number(number)

    async def set_number_urls(self, sid: str, voice_url: str, status_callback: str) -> OwnNumber:
        """Write a number's addresses; gives the number as it is then."""
        return await self._rest.set_number_urls(sid, voice_url, status_callback)

    async def dialing_permission(self, iso_country: str) -> bool | None:
        """Whether the account may call a country (ISO 3166, two letters); None when Twilio does not say."""
        try:
            return await self._rest.may_dial(iso_country)
        except CarrierError as error:
            if error.kind in ("refused", "gone"):
                return None
            raise

    async def server_time(self) -> int:
        """Twilio's clock now, in epoch ms, to about a second."""
        await self._rest.account()
        return epoch_ms() + self._rest.ahead_ms

    @property
    def _rest(self) -> TwilioRest:
        if self._open_rest is None:
            raise CarrierError("the carrier is not open", kind="retry", code="not_open")
        return self._open_rest

    def _twiml(self, document: Document) -> str:
        try:
            return twilio_wire.twiml(document, voice=self._voice, language=self._language)
        except ValueError as error:
            raise CarrierError(f"this can not be said to Twilio: {error}", code="bad_document") from error

    def _dial_fields(self, order: DialOrder) -> dict[str, Any]:
        """The parameters of the create request, by the SDK's names."""
        webhook, call_id = order.webhook_url, order.call_id
        fields: dict[str, Any] = {
            "to": order.to_number,
            "from_": order.from_number,
            "status_callback": link(webhook, "status", call_id),
            "status_callback_event": list(_PROGRESS),
            "status_callback_method": "POST",
            "timeout": min(max(1, ceil(order.ring_timeout_ms / 1000)), RING_LIMIT_S),
            "time_limit": order.max_duration_seconds,
        }
        if order.detect_machine != "no":
            # Asynchronously: otherwise the call is silent until Twilio has made up its mind.
            fields |= {
                "machine_detection": _DETECTION[order.detect_machine],
                "async_amd": "true",
                "async_amd_status_callback": link(webhook, "machine", call_id),
                "async_amd_status_callback_method": "POST",
            }
        inline = self._inline(order)
        if inline is not None:  # never beside Url: Twilio would ignore it
            return {**fields, "twiml": inline}
        return {**fields, "url": link(webhook, "answer", call_id), "method": "POST"}

    def _inline(self, order: DialOrder) -> str | None:
        """What goes with the dial. Keys go as a document: SendDigits would switch machine detection off."""
        keys: Document = (Keys(order.dtmf_sequence),) if order.dtmf_sequence else ()
        if order.inline and len(twiml := self._twiml((*keys, *order.inline))) <= TWIML_LIMIT:
            return twiml
        if keys:
            return self._twiml((*keys, Redirect(link(order.webhook_url, "answer", order.call_id))))
        return None

    async def _give(self, provider_call_id: str, what: str, document: Document) -> None:
        twiml = self._twiml(document)
        if len(twiml) > TWIML_LIMIT:
            size = f"{len(twiml)} characters of a document, of {TWIML_LIMIT} that fit in a request"
            raise CarrierError(f"Twilio can not {what}: {size}", code="document_too_long")
        await self._change(provider_call_id, what, again=False, twiml=twiml)

    async def _change(self, provider_call_id: str, what: str, *, again: bool, **fields: str) -> None:
        """Change a call. `gone` when it is over; a call in the wrong state is given a moment."""
        sid = _sid(provider_call_id)
        for pause in (*self._change_pauses_s, None):
            try:
                await self._rest.update_call(sid, what, "again" if again else "once", **fields)
                return
            except CarrierError as error:
                if error.code != str(WRONG_STATE):
                    raise
                if not (await self.status(sid)).live:
                    raise CarrierError(str(error), kind="gone", code=error.code, link=error.link) from error
                if pause is None:
                    raise
            await asyncio.sleep(pause)


def _rest_module() -> Any:
    from engine.carriers import twilio_rest

    return twilio_rest


def _sid(provider_call_id: str) -> str:
    """A call's SID, fit for a path."""
    if len(provider_call_id) > 64 or not (provider_call_id.isascii() and provider_call_id.isalnum()):
        raise CarrierError(f"{provider_call_id[:40]!r} is not a call of Twilio", kind="gone", code="20404")
    return provider_call_id
