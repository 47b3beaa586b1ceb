"""A carrier that judges, reads and writes like the real one, and can not be asked for anything."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from engine.carriers.base import (
    Alert,
    Carrier,
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
from engine.media.wire import MediaWire


class MutedCarrier:
    """Its REST half raises CarrierError."""

    def __init__(self, carrier: Carrier) -> None:
        self._carrier = carrier
        self.name = carrier.name
        self.capabilities = carrier.capabilities
        self.signature_headers = carrier.signature_headers

    def verify(self, request: WebhookRequest, now_ms: int) -> Verdict:
        return self._carrier.verify(request, now_ms)

    def verify_upgrade(self, request: WebhookRequest, now_ms: int) -> Verdict:
        return self._carrier.verify_upgrade(request, now_ms)

    def parse(self, request: WebhookRequest) -> CarrierEvent:
        return self._carrier.parse(request)

    def render(self, document: Document) -> WebhookReply:
        return self._carrier.render(document)

    def wire(self) -> MediaWire:
        return self._carrier.wire()

    async def open(self) -> None:
        """There is nothing to open."""

    async def close(self) -> None:
        """There is nothing to close."""

    async def register_number(self, number: str, webhook_url: str) -> None:
        _mute()

    async def dial(self, order: DialOrder) -> str:
        _mute()

    async def find(self, lost: LostDial) -> str | None:
        _mute()

    async def status(self, provider_call_id: str) -> CarrierStatus:
        _mute()

    async def alerts(self, provider_call_id: str) -> Sequence[Alert]:
        _mute()

    async def hang_up(self, provider_call_id: str) -> None:
        _mute()

    async def answer(self, provider_call_id: str, document: Document, *, pick_up: bool = True) -> None:
        _mute()

    async def send_dtmf(self, provider_call_id: str, digits: str) -> None:
        _mute()

    async def instruct(self, call: Streamless, document: Document) -> None:
        _mute()

    async def transfer(self, provider_call_id: str, transfer: Transfer) -> None:
        _mute()

    async def reopen_stream(self, call: Streamless, connect: Connect) -> None:
        _mute()


def _mute() -> NoReturn:
    raise CarrierError("the sandbox asks no carrier", code="sandbox")
