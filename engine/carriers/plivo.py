"""Plivo behind the carrier port.

What webhooks look like is in `plivo_wire`, documents are in `plivo_xml`, signatures in `plivo_signature`, requests to
Plivo in `plivo_rest`. A live call gets new instructions by being told to fetch a document from an address of ours
(Plivo calls that a transfer): nothing else than an address goes with the command.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from math import ceil
from typing import Any, Final

from engine.carriers import plivo_setup, plivo_signature, plivo_wire, plivo_xml
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
    Redirect,
    Streamless,
    Transfer,
    Verdict,
    WebhookReply,
    WebhookRequest,
)
from engine.carriers.links import link
from engine.carriers.plivo_account import Access, Account, OwnNumber, PlivoCall, lost_call, to_status
from engine.carriers.plivo_numbers import to_plivo
from engine.carriers.plivo_rest import PlivoRest
from engine.carriers.plivo_signature import MAIN_V3, V2, V3, Tokens
from engine.clock import epoch_ms
from engine.media.plivo_wire import PlivoWire
from engine.media.wire import MediaWire

FIND_PAUSES_S: Final = (1.0, 2.0)
"""A call that was made a moment ago may not be listed yet."""
DETECT_MS: Final = 5000
"""How long Plivo may listen until it knows a machine; it takes 2,000 to 10,000."""
MAX_RING_S: Final = 600
MAX_LISTED: Final = 50
"""Live calls looked at for a lost dial."""
AT_ONCE: Final = 5
_YOUNG_MS: Final = 20_000
_UUID: Final = re.compile(r"[0-9A-Za-z-]{1,64}")


class PlivoCarrier:
    """One Plivo account. `voice` and `language` are those of Plivo's own voice and recogniser."""

    name = "plivo"
    capabilities = Capabilities(
        streaming=True,
        native_speech=True,
        send_dtmf=True,
        transfer=True,
        machine_detection=True,
        only_machines=True,
        reopen_stream=True,
        fetches_instructions=True,
        asks_by_get=True,
    )
    signature_headers: tuple[str, ...] = (V3, MAIN_V3, V2)

    def __init__(
        self,
        access: Access,
        tokens: Tokens,
        *,
        voice: str,
        language: str,
        find_pauses_s: Sequence[float] = FIND_PAUSES_S,
    ) -> None:
        self._access = access
        self._tokens = tokens
        self._voice = voice
        self._language = language
        self._find_pauses_s = tuple(find_pauses_s)
        self._open_rest: PlivoRest | None = None

    # bytes in, values out

    def verify(self, request: WebhookRequest, now_ms: int) -> Verdict:
        """Plivo signs no time: a request that was seen before is the replay cache's business."""
        return plivo_signature.verify(request, self._tokens)

    def verify_upgrade(self, request: WebhookRequest, now_ms: int) -> Verdict:
        """Signed as a GET, with http:// in place of wss://."""
        return plivo_signature.verify(request, self._tokens, upgrade=True)

    def parse(self, request: WebhookRequest) -> CarrierEvent:
        return plivo_wire.parse(request)

    def render(self, document: Document) -> WebhookReply:
        return plivo_xml.render(document, voice=self._voice, language=self._language)

    def wire(self) -> MediaWire:
        return PlivoWire()

    # REST

    async def open(self) -> None:
        self._open_rest = PlivoRest(self._access)

    async def close(self) -> None:
        if self._open_rest is not None:
            rest, self._open_rest = self._open_rest, None
            await rest.close()

    async def register_number(self, number: str, webhook_url: str) -> None:
        """Write the addresses of the number's application where they are others, as `setup --online --fix` does."""
        found = await self.number(number)
        if found is None:
            raise CarrierError(f"{number} is no number of this Plivo account", code="no_such_number")
        change = plivo_setup.change(found, webhook_url)
        if change is not None and change.shared:
            raise CarrierError(f"{change.shared}: that is not changed without being asked to")
        if change is not None:
            await self.set_addresses(change)

    async def dial(self, order: DialOrder) -> str:
        """Sent once. The id is that of the request; the first callback names the call (`CarrierEvent.dialled_as`)."""
        return await self._rest.create_call(_dial_fields(order))

    async def find(self, lost: LostDial) -> str | None:
        for pause in (*self._find_pauses_s, None):
            found = lost_call(await self._candidates(lost), lost, self._rest.ahead_ms)
            if found is not None or pause is None or epoch_ms() - lost.dialled_at > _YOUNG_MS:
                return found
            await asyncio.sleep(pause)
        return None

    async def status(self, provider_call_id: str) -> CarrierStatus:
        """A call is live, or waits, or has a record; right after its end it may be nowhere."""
        if _UUID.fullmatch(provider_call_id) is None:
            return CarrierStatus(live=False, raw="not found")
        rest = self._rest
        found = await rest.call_at(provider_call_id, "live")
        found = found or await rest.call_at(provider_call_id, "queued")
        found = found or await rest.record_of(provider_call_id)
        return to_status(found) if found is not None else CarrierStatus(live=False, raw="not found")

    async def alerts(self, provider_call_id: str) -> Sequence[Alert]:
        """Plivo keeps no notes that could be asked for; the cause of an end is in its webhook."""
        return ()

    async def hang_up(self, provider_call_id: str) -> None:
        """By the name of the call or, before it has one, of its request. Plivo answers 404 about one that is over."""
        if _UUID.fullmatch(provider_call_id) is None:
            return
        for end in (self._rest.hang_up, self._rest.cancel):
            try:
                await end(provider_call_id)
            except CarrierError as error:
                if error.kind != "gone":
                    raise
            else:
                return

    async def answer(self, provider_call_id: str, document: Document, *, pick_up: bool = True) -> None:
        raise CarrierError("Plivo answers a call by the reply to its webhook", code="not_supported")

    async def send_dtmf(self, provider_call_id: str, digits: str) -> None:
        try:
            keys = plivo_xml.keys(digits)
        except ValueError as error:
            raise CarrierError(str(error), code="invalid_digits") from error
        await self._rest.send_digits(_uuid(provider_call_id), keys)

    async def instruct(self, call: Streamless, document: Document) -> None:
        match list(document):
            case [Redirect(url)]:
                await self._rest.transfer(_uuid(call.provider_call_id), url, "give the call new instructions")
            case _:
                raise CarrierError("Plivo fetches new instructions from an address", code="bad_document")

    async def transfer(self, provider_call_id: str, transfer: Transfer) -> None:
        """The command comes first; the stream, if there is one, ends by it."""
        try:
            plivo_xml.xml((transfer,), voice="", language="")
        except ValueError as error:
            raise CarrierError(f"this transfer can not be told to Plivo: {error}", code="bad_document") from error
        await self._rest.transfer(_uuid(provider_call_id), plivo_wire.ordering(transfer), "transfer the call")

    async def reopen_stream(self, call: Streamless, connect: Connect) -> None:
        """Have the call ask for the document that connects it, which has a fresh token."""
        if not connect.again_url:
            raise CarrierError("Plivo fetches the document of a stream from an address", code="bad_document")
        await self._rest.transfer(_uuid(call.provider_call_id), connect.again_url, "open the stream again")

    # for `setup --online`

    async def account(self) -> Account:
        """Who the credentials belong to."""
        return await self._rest.account()

    async def number(self, number: str) -> OwnNumber | None:
        """One of the account's numbers with its application; None when the account has no such number."""
        return await self._rest.number(number)

    async def set_addresses(self, change: plivo_setup.Change) -> None:
        """Write what `change` says: the addresses of the number's application, or an application of its own."""
        urls = change.then.to_plivo()
        if change.app_id:
            await self._rest.update_application(change.app_id, urls)
        else:
            app_id = await self._rest.create_application(plivo_setup.application_name(change.number), urls)
            await self._rest.give_number(change.number, app_id)

    async def server_time(self) -> int:
        """Plivo's clock now, in epoch ms, to about a second."""
        await self._rest.account()
        return epoch_ms() + self._rest.ahead_ms

    @property
    def _rest(self) -> PlivoRest:
        if self._open_rest is None:
            raise CarrierError("the carrier is not open", kind="retry", code="not_open")
        return self._open_rest

    async def _candidates(self, lost: LostDial) -> list[PlivoCall]:
        """Every call that the lost dial may have made: those that are up or wait, and those that are over."""
        rest, gate = self._rest, asyncio.Semaphore(AT_ONCE)

        async def look(uuid: str, queued: bool) -> PlivoCall | None:
            async with gate:
                return await rest.call_at(uuid, "queued" if queued else "live")

        known = set(lost.owned)
        up = [uuid for uuid in await rest.uuids_at("live") if uuid not in known][:MAX_LISTED]
        waiting = [uuid for uuid in await rest.uuids_at("queued") if uuid not in known][:MAX_LISTED]
        asked = [*(look(uuid, False) for uuid in up), *(look(uuid, True) for uuid in waiting)]
        found = [call for call in await asyncio.gather(*asked) if call is not None]
        return [*found, *await rest.records(lost.from_number, lost.to_number)]


def _dial_fields(order: DialOrder) -> dict[str, Any]:
    """The parameters of the create request. `hangup_url` is always given: it would be the answer address else."""
    webhook, call_id = order.webhook_url, order.call_id
    status = link(webhook, "status", call_id)
    fields: dict[str, Any] = {
        "from": to_plivo(order.from_number),
        "to": to_plivo(order.to_number),
        "answer_url": link(webhook, "answer", call_id),
        "answer_method": "POST",
        "ring_url": status,
        "ring_method": "POST",
        "hangup_url": status,
        "hangup_method": "POST",
        "ring_timeout": min(max(1, ceil(order.ring_timeout_ms / 1000)), MAX_RING_S),
        "time_limit": order.max_duration_seconds,
    }
    if order.dtmf_sequence:
        fields["send_digits"] = _sequence(order.dtmf_sequence)
    if order.detect_machine != "no":
        # With an address for the verdict Plivo makes up its mind beside the call; without one the call waits for it.
        fields |= {
            "machine_detection": "true",
            "machine_detection_time": DETECT_MS,
            "machine_detection_url": link(webhook, "machine", call_id),
            "machine_detection_method": "POST",
        }
    return fields


def _sequence(digits: str) -> str:
    try:
        return plivo_xml.keys(digits)
    except ValueError as error:
        raise CarrierError(str(error), code="invalid_digits") from error


def _uuid(provider_call_id: str) -> str:
    """A call's name, fit for a path."""
    if _UUID.fullmatch(provider_call_id) is None:
        raise CarrierError(f"{provider_call_id[:40]!r} is not a call of Plivo", kind="gone", code="404")
    return provider_call_id
