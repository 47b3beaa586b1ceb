"""Telnyx behind the carrier port: Call Control, API version 2.

The reply to a webhook is a mere acknowledgement: everything is done by commands, REST requests about a call. A
command id makes each of them happen once, however often it is sent. What webhooks look like is in `telnyx_wire`,
signatures are in `telnyx_signature`, requests to Telnyx in `telnyx_rest` (imported when opened).
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import uuid
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Any, Final

from nacl.signing import VerifyKey

from engine.carriers import telnyx_signature, telnyx_wire
from engine.carriers.base import (
    Alert,
    Capabilities,
    CarrierError,
    CarrierEvent,
    CarrierStatus,
    Connect,
    DialOrder,
    Document,
    Hangup,
    Keys,
    Listen,
    LostDial,
    Reject,
    Say,
    Streamless,
    Transfer,
    Verb,
    Verdict,
    WebhookReply,
    WebhookRequest,
)
from engine.carriers.links import read_link
from engine.carriers.telnyx_account import Access, Application, OwnNumber, to_status
from engine.carriers.telnyx_errors import NOT_ANSWERED, TRANSCRIBING
from engine.carriers.telnyx_speech import say_in_parts
from engine.carriers.telnyx_wire import ClientState, read_state
from engine.clock import epoch_ms
from engine.media.telnyx_wire import Codec, TelnyxWire
from engine.media.wire import MediaWire

if TYPE_CHECKING:
    from typing import Literal

    from engine.carriers.telnyx_rest import TelnyxRest

log = logging.getLogger(__name__)

ANSWER_PAUSES_S: Final = (0.25, 0.5, 1.0, 2.0)
"""A call that we answered is not answered at once: what is told to it meanwhile is told again."""
FIND_PAUSES_S: Final = (1.0, 2.0)
"""A call that was made a moment ago may not be listed yet."""
RING_LIMITS_S: Final = (5, 600)
TIME_LIMITS_S: Final = (30, 14_400)
KEYS_LIMIT: Final = 64
_YOUNG_MS: Final = 20_000
_IDS: Final = uuid.UUID("6f0f7a52-6f0b-4d0e-9c39-0a1d3a1a6c11")
"""The namespace of our command ids."""
_KNOWN_CALLS: Final = 1000
_PAUSES: Final = str.maketrans({"p": "w", "P": "W", ",": "W"})
_DETECTION: Final = {"answer": "detect", "message_end": "greeting_end"}
_CAUSES: Final = {"busy": "USER_BUSY", "rejected": "CALL_REJECTED"}


@dataclass(frozen=True, slots=True)
class Manner:
    """How calls are made: which leg hears our stream, in which codec; which detection; Telnyx's own voice."""

    target_legs: Literal["self", "opposite", "both"] = "self"
    codec: Codec = "PCMU"
    detection: Literal["standard", "premium"] = "standard"
    voice: str = "AWS.Polly.Joanna"
    language: str = "en-US"


class TelnyxCarrier:
    """One Call Control application. Without a key nothing verifies."""

    name = "telnyx"
    capabilities = Capabilities(
        streaming=True,
        native_speech=True,
        send_dtmf=True,
        transfer=True,
        machine_detection=True,
        reopen_stream=True,
        answers_by_reply=False,
        keeps_our_id=True,
    )
    signature_headers: tuple[str, ...] = (telnyx_signature.SIGNATURE, telnyx_signature.TIMESTAMP)

    def __init__(
        self,
        access: Access,
        key: VerifyKey | None,
        manner: Manner | None = None,
        *,
        answer_pauses_s: Sequence[float] = ANSWER_PAUSES_S,
        find_pauses_s: Sequence[float] = FIND_PAUSES_S,
    ) -> None:
        self._access = access
        self._key = key
        self._manner = manner or Manner()
        self._answer_pauses_s = tuple(answer_pauses_s)
        self._find_pauses_s = tuple(find_pauses_s)
        self._open_rest: TelnyxRest | None = None
        self._transcribed: OrderedDict[str, None] = OrderedDict()
        """Calls that Telnyx transcribes already, as far as we know: asking again is harmless and slow."""

    # bytes in, values out

    def verify(self, request: WebhookRequest, now_ms: int) -> Verdict:
        return telnyx_signature.verify(request, self._key, now_ms)

    def verify_upgrade(self, request: WebhookRequest, now_ms: int) -> Verdict:
        return telnyx_signature.verify_upgrade(request)

    def parse(self, request: WebhookRequest) -> CarrierEvent:
        return telnyx_wire.parse(request)

    def render(self, document: Document) -> WebhookReply:
        """The same for every document: Telnyx reads no replies."""
        return WebhookReply(200, b"OK", "text/plain")

    def wire(self) -> MediaWire:
        return TelnyxWire(self._manner.codec)

    # REST

    async def open(self) -> None:
        """Import the SDK, in a thread: that takes two seconds, and no call must wait for it."""
        self._open_rest = await asyncio.to_thread(_make_rest, self._access)

    async def close(self) -> None:
        if self._open_rest is not None:
            rest, self._open_rest = self._open_rest, None
            await rest.close()

    async def register_number(self, number: str, webhook_url: str) -> None:
        """An application's address is that of all its numbers."""
        app = await self._rest.application()
        if app.webhook_url != webhook_url or app.api_version != "2":
            await self._rest.set_application(app.name, webhook_url)

    async def dial(self, order: DialOrder) -> str:
        """Sent once. `find` knows the call by its client state, which holds our id."""
        return await self._rest.dial(self._dial_fields(order))

    async def find(self, lost: LostDial) -> str | None:
        for pause in (*self._find_pauses_s, None):
            for call in await self._rest.active_calls():
                state, found = read_state(call.get("client_state")), call.get("call_control_id")
                if state.call_id == lost.call_id and state.flow != "leg" and isinstance(found, str):
                    return found
            if pause is None or epoch_ms() - lost.dialled_at > _YOUNG_MS:
                return None
            await asyncio.sleep(pause)
        return None

    async def status(self, provider_call_id: str) -> CarrierStatus:
        try:
            return to_status(await self._rest.call(_control_id(provider_call_id)))
        except CarrierError as error:
            if error.kind == "gone":
                return CarrierStatus(live=False, reason=None, raw="not found")
            raise

    async def alerts(self, provider_call_id: str) -> Sequence[Alert]:
        return ()

    async def hang_up(self, provider_call_id: str) -> None:
        """Telnyx answers 404, or 422 with 90018, about a call that is over."""
        try:
            await self._command("hangup", provider_call_id, "hang up")
        except CarrierError as error:
            if error.kind != "gone":
                raise

    async def answer(self, provider_call_id: str, document: Document, *, pick_up: bool = True) -> None:
        first = document[0] if document else None
        if isinstance(first, Reject):
            await self._command("reject", provider_call_id, "reject the call", cause=_CAUSES[first.reason])
            return
        if isinstance(first, Hangup):
            await self.hang_up(provider_call_id)
            return
        connect = next((verb for verb in document if isinstance(verb, Connect)), None)
        if pick_up:
            # No auth token with `answer`, by Telnyx's description: the token in the path has to do.
            state = ClientState(_call_of(document)).encode()
            stream = self._stream_fields(connect, token=False) if connect is not None else {}
            await self._command("answer", provider_call_id, "answer the call", client_state=state, **stream)
        rest = [verb for verb in document if not (pick_up and verb is connect)]
        for pause in (*self._answer_pauses_s, None):
            try:
                await self._carry_out(provider_call_id, rest)
                return
            except CarrierError as error:
                if error.code != NOT_ANSWERED or pause is None:
                    raise
            await asyncio.sleep(pause)

    async def send_dtmf(self, provider_call_id: str, digits: str) -> None:
        keys, once = digits.translate(_PAUSES), uuid.uuid4().hex
        for at in range(0, len(keys), KEYS_LIMIT):
            part = keys[at : at + KEYS_LIMIT]
            await self._command("send_dtmf", provider_call_id, "play the keys", f"{once}/{at}", digits=part)

    async def instruct(self, call: Streamless, document: Document) -> None:
        await self._carry_out(call.provider_call_id, document)

    async def transfer(self, provider_call_id: str, transfer: Transfer) -> None:
        """Dial the other leg, and take the caller off our stream or our recogniser once that was accepted."""
        _, query = read_link(transfer.url)
        leg = ClientState(query.get("callId", "") or "-", "leg", provider_call_id)
        await self._command(
            "transfer",
            provider_call_id,
            "transfer the call",
            uuid.uuid4().hex,
            to=transfer.to_number,
            from_=transfer.caller_id,
            timeout_secs=_within(transfer.ring_seconds, RING_LIMITS_S),
            target_leg_client_state=leg.encode(),
            webhook_url=transfer.url,
        )
        # Which of them runs is not known here, and what does not run can not be stopped. The transfer stands.
        for action in ("stop_streaming", "stop_transcription"):
            try:
                await self._command(action, provider_call_id, "let go of the audio", uuid.uuid4().hex)
            except CarrierError as error:
                log.info("a transferred call: %s: %s", action, error)
        self._transcribed.pop(provider_call_id, None)

    async def reopen_stream(self, call: Streamless, connect: Connect) -> None:
        await self._connect(call.provider_call_id, connect)

    # for `setup --online`

    async def application(self) -> Application:
        """The Call Control application that the configuration names."""
        return await self._rest.application()

    async def set_application(self, name: str, webhook_url: str) -> None:
        """Write where the application reports, and that it does so in version 2."""
        await self._rest.set_application(name, webhook_url)

    async def number(self, number: str) -> OwnNumber | None:
        """One of the account's numbers; None when the account has no such number."""
        return await self._rest.number(number)

    async def set_number(self, number_id: str) -> None:
        """Give a number's calls to our application."""
        await self._rest.set_number(number_id)

    @property
    def ahead_ms(self) -> int:
        """How far Telnyx's clock is before ours, by its latest answer."""
        return self._rest.ahead_ms

    # commands

    @property
    def _rest(self) -> TelnyxRest:
        if self._open_rest is None:
            raise CarrierError("the carrier is not open", kind="retry", code="not_open")
        return self._open_rest

    async def _carry_out(self, provider_call_id: str, document: Document) -> None:
        """Do what the verbs say, in their order. A `Hangup` after a `Say` is left to whoever hears that it was
        said."""
        for at, verb in enumerate(document):
            if isinstance(verb, Hangup) and at:
                return
            await self._do(provider_call_id, verb)

    async def _do(self, provider_call_id: str, verb: Verb) -> None:
        match verb:
            case Say(text, once):
                await self._say(provider_call_id, text, ClientState(), once or uuid.uuid4().hex)
            case Listen(url):
                await self._listen(provider_call_id, verb, url)
            case Keys(digits):
                await self.send_dtmf(provider_call_id, digits)
            case Connect():
                await self._connect(provider_call_id, verb)
            case Transfer():
                await self.transfer(provider_call_id, verb)
            case Hangup():
                await self.hang_up(provider_call_id)
            case _:
                what = f"{type(verb).__name__} is no command of Telnyx's"
                raise CarrierError(what, code="bad_document")

    async def _listen(self, provider_call_id: str, listen: Listen, url: str) -> None:
        """Say the prompt in place of whatever is being said, and hear the caller all the while."""
        _, query = read_link(url)
        state = ClientState(query.get("callId", ""), "turn", query.get("turn", ""))
        once = query.get("turn", "") or uuid.uuid4().hex
        if listen.prompt:
            await self._say(provider_call_id, listen.prompt, state, once)
        else:
            await self._command("stop_playback", provider_call_id, "be silent", once, stop="all")
        await self._transcribe(provider_call_id)

    async def _say(self, provider_call_id: str, text: str, state: ClientState, once: str) -> None:
        for at, part in enumerate(say_in_parts(text)):
            await self._command(
                "speak",
                provider_call_id,
                "speak",
                f"{once}/{at}",
                payload=part,
                voice=self._manner.voice,
                **({"stop": "all"} if at == 0 else {}),  # commands queue up; the first part replaces what was said
                **({"client_state": state.encode()} if state.call_id else {}),
            )

    async def _transcribe(self, provider_call_id: str) -> None:
        if provider_call_id in self._transcribed:
            return
        try:
            await self._command(
                "start_transcription",
                provider_call_id,
                "listen",
                uuid.uuid4().hex,
                transcription_engine="Google",
                transcription_engine_config={
                    "transcription_engine": "Google",
                    "language": self._manner.language.partition("-")[0],
                    "interim_results": True,
                },
                transcription_tracks="inbound",
            )
        except CarrierError as error:
            if error.code != TRANSCRIBING:
                raise
        self._transcribed[provider_call_id] = None
        while len(self._transcribed) > _KNOWN_CALLS:
            self._transcribed.popitem(last=False)

    async def _connect(self, provider_call_id: str, connect: Connect) -> None:
        once = hashlib.sha256(connect.token.encode()).hexdigest()
        fields = self._stream_fields(connect, token=True)
        await self._command("start_streaming", provider_call_id, "open the stream", once, **fields)

    def _stream_fields(self, connect: Connect, *, token: bool) -> dict[str, Any]:
        """How our socket is reached, and what goes over it. The token stands in the path: how Telnyx presents its
        own `stream_auth_token` is not documented, and `answer` does not take one."""
        manner = self._manner
        fields: dict[str, Any] = {
            "stream_url": f"{connect.url}/{connect.token}",
            "stream_track": "inbound_track",
            "stream_codec": manner.codec,
            "stream_bidirectional_mode": "rtp",
            "stream_bidirectional_codec": manner.codec,
            "stream_bidirectional_target_legs": manner.target_legs,
        }
        if token:
            fields |= {"stream_auth_token": connect.token, "stream_bidirectional_sampling_rate": 8000}
        return fields

    def _dial_fields(self, order: DialOrder) -> dict[str, Any]:
        connect = next((verb for verb in order.inline if isinstance(verb, Connect)), None)
        state = ClientState(order.call_id, "" if connect is not None else "answer")
        fields: dict[str, Any] = {
            "connection_id": self._access.connection_id,
            "to": order.to_number,
            "from_": order.from_number,
            "webhook_url": order.webhook_url,
            "webhook_url_method": "POST",
            "client_state": state.encode(),
            "command_id": str(uuid.uuid5(_IDS, f"dial/{order.call_id}")),
            "timeout_secs": _within(ceil(order.ring_timeout_ms / 1000), RING_LIMITS_S),
            "time_limit_secs": _within(order.max_duration_seconds, TIME_LIMITS_S),
        }
        if connect is not None:
            fields |= self._stream_fields(connect, token=True)
        if order.detect_machine != "no":
            premium = self._manner.detection == "premium"
            fields["answering_machine_detection"] = "premium" if premium else _DETECTION[order.detect_machine]
        if order.dtmf_sequence:
            fields["send_digits_on_answer"] = order.dtmf_sequence.translate(_PAUSES)[:KEYS_LIMIT]
        return fields

    async def _command(self, action: str, provider_call_id: str, what: str, once: str = "", **fields: Any) -> None:
        """`once`: tells this command from others of its kind in the same call."""
        control_id = _control_id(provider_call_id)
        command_id = str(uuid.uuid5(_IDS, f"{control_id}/{action}/{once}"))
        full: Mapping[str, Any] = {"command_id": command_id, **fields}
        await self._rest.command(action, control_id, what, full)


def _make_rest(access: Access) -> TelnyxRest:
    from engine.carriers.telnyx_rest import TelnyxRest

    return TelnyxRest(access)


def _call_of(document: Document) -> str:
    """Our call id, where an address in the document names it."""
    for verb in document:
        if isinstance(verb, Connect | Listen):
            address = verb.url if isinstance(verb, Listen) else verb.status_url or verb.again_url
            if found := read_link(address)[1].get("callId", ""):
                return found
    return ""


def _control_id(provider_call_id: str) -> str:
    """A call's id, fit for a path: the SDK escapes it, and a dot segment would not be one."""
    usable = provider_call_id.isascii() and provider_call_id.isprintable() and len(provider_call_id) <= 256
    if not usable or not provider_call_id or any(letter in provider_call_id for letter in "/?# \\"):
        raise CarrierError(f"{provider_call_id[:40]!r} is not a call of Telnyx", kind="gone", code="90015")
    return provider_call_id


def _within(seconds: int, limits: tuple[int, int]) -> int:
    return min(max(seconds, limits[0]), limits[1])
