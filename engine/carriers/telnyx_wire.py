"""What Telnyx's webhooks say (Call Control, webhook API version 2). Pure: bytes in, values out.

Wire facts: Telnyx's OpenAPI description and its webhook documentation. Deliveries are unordered and may come twice.
What belongs to a call travels in `client_state`, which Telnyx hands back with the events that follow a command.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, get_args
from urllib.parse import parse_qs

import orjson

from engine.calls import State
from engine.carriers.base import AnsweredBy, CarrierEvent, WebhookRequest
from engine.carriers.plain import plain

Flow = Literal["", "answer", "turn", "leg"]
"""answer: what to do is asked at the answer. turn: what was said is the document of that token. leg: the other leg of
a transfer, whose call has that id."""
_FLOWS: Final = frozenset(get_args(Flow))
_CALL_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_STATE_LIMIT: Final = 2000
_TEXT_LIMIT: Final = 4000


@dataclass(frozen=True, slots=True)
class ClientState:
    """What a command gives Telnyx to hand back: our call id alone (as OpenClaw's plugin has it), or with more."""

    call_id: str = ""
    flow: Flow = ""
    value: str = ""

    def encode(self) -> str:
        """In base64, as Telnyx wants it."""
        return b64encode(" ".join(part for part in (self.call_id, self.flow, self.value) if part).encode()).decode()


def read_state(value: object) -> ClientState:
    """What came back; empty for null and for what is not ours."""
    if not isinstance(value, str) or not value or len(value) > _STATE_LIMIT:
        return ClientState()
    try:
        parts = binascii.a2b_base64(value).decode().split(" ")
    except (binascii.Error, ValueError):
        return ClientState()
    call_id, flow, text = (*parts, "", "")[:3]
    if len(parts) > 3 or _CALL_ID.fullmatch(call_id) is None or flow not in _FLOWS:
        return ClientState()
    return ClientState(call_id, flow, text)  # type: ignore[arg-type]


HANGUP_REASONS: Final[Mapping[str, State]] = {
    "normal_clearing": State.COMPLETED,
    "normal_unspecified": State.COMPLETED,
    "time_limit": State.TIMEOUT,
    "originator_cancel": State.HANGUP_BOT,
    "user_hangup": State.HANGUP_USER,
    "user_busy": State.BUSY,
    "busy": State.BUSY,
    "call_rejected": State.BUSY,
    "timeout": State.NO_ANSWER,
    "no_answer": State.NO_ANSWER,
    "no_user_response": State.NO_ANSWER,
    "subscriber_absent": State.NO_ANSWER,
    "not_found": State.FAILED,
    "unallocated_number": State.FAILED,
    "unspecified": State.FAILED,
    "destination_out_of_order": State.FAILED,
    "network_out_of_order": State.FAILED,
    "service_unavailable": State.FAILED,
    "recovery_on_timer_expire": State.FAILED,
    "machine_detected": State.VOICEMAIL,
    "fax_detected": State.VOICEMAIL,
}
"""Why a call ended. Live systems report more than these: what is unknown failed, in Telnyx's own word."""
_TAKEN: Final = frozenset({"normal_clearing", "normal_unspecified", "time_limit", "user_hangup"})
"""Ends of a leg that somebody had taken."""
_ANSWERED_BY: Final[Mapping[str, AnsweredBy]] = {
    "human": "human",
    "human_residence": "human",
    "human_business": "human",
    "machine": "machine",
    "fax_detected": "fax",
}
VERSION_1: Final = (
    "Telnyx sends webhooks of API version 1, which hold too little: set the webhook API version of the Call Control "
    "application to 2 (`voicecall setup --online --fix` does it)"
)
_TEXML: Final = "this is a TeXML request: telnyx.connection_id must be a Call Control application, API version 2"


def parse(request: WebhookRequest) -> CarrierEvent:
    """Read a verified webhook. Unknown events are `ignored`; raises ValueError on nonsense."""
    try:
        value: Any = orjson.loads(request.body)
    except orjson.JSONDecodeError:
        return _form(request.body)
    if not isinstance(value, dict):
        raise ValueError("the body is not a JSON object")
    data = value.get("data")
    if not isinstance(data, dict):
        data = value
        if isinstance(name := data.get("event_type"), str) and "." not in name:
            return _version_1(data, name)
    name = data.get("event_type")
    if not isinstance(name, str) or not name:
        raise ValueError("it names no event_type")
    payload = data.get("payload")
    return _event(plain(name, 80), payload if isinstance(payload, dict) else {})


def _form(body: bytes) -> CarrierEvent:
    """Call Control sends JSON; version 1 and TeXML know form encoding."""
    try:
        form = {name: values[0] for name, values in parse_qs(body.decode("utf-8"), max_num_fields=100).items()}
    except ValueError:
        form = {}
    if "event_type" in form:
        return _version_1({"payload": form}, form["event_type"])
    if "CallSid" in form and "AccountSid" in form:
        return CarrierEvent("trouble", plain(form["CallSid"], 256), detail=_TEXML, raw_type="TeXML")
    raise ValueError("the body is not JSON")


def _version_1(data: Mapping[str, Any], name: str) -> CarrierEvent:
    payload = data.get("payload")
    fields = payload if isinstance(payload, dict) else {}
    state = read_state(fields.get("client_state"))
    provider_call_id = plain(fields.get("call_control_id"), 256)
    return CarrierEvent("trouble", provider_call_id, state.call_id, detail=VERSION_1, raw_type=plain(name, 80))


def _event(name: str, payload: Mapping[str, Any]) -> CarrierEvent:
    state = read_state(payload.get("client_state"))
    base = CarrierEvent(
        "ignored",
        plain(payload.get("call_control_id"), 256),
        state.call_id,
        None,
        plain(payload.get("from"), 128),
        plain(payload.get("to"), 128),
        raw_type=name,
    )
    if state.flow == "leg":
        return _other_leg(base, payload, state)
    read = _READERS.get(name)
    # In Telnyx's own examples the verdicts of machine detection name no call: then our state does.
    if read is None or not (base.provider_call_id or base.call_id):
        return base
    return read(base, payload, state)


def _other_leg(base: CarrierEvent, payload: Mapping[str, Any], state: ClientState) -> CarrierEvent:
    """An event of the leg that a transfer dialled. Only its end matters, and it is about the call that was put
    through."""
    if base.raw_type != "call.hangup" or not state.value:
        return replace(base, call_id="", detail="about the other leg of a transfer")
    return replace(
        base,
        type="transfer_over",
        provider_call_id=state.value,
        reached=str(payload.get("hangup_cause")) in _TAKEN,
        wants_document=True,
        detail=plain(payload.get("hangup_cause"), 80).replace("_", " "),
    )


def _initiated(base: CarrierEvent, payload: Mapping[str, Any], state: ClientState) -> CarrierEvent:
    """Telnyx reports no ringing: that it dials is the most that is told before the answer."""
    if payload.get("direction") in ("incoming", "inbound"):
        attestation = plain(payload.get("shaken_stir_attestation"), 40)
        return replace(
            base, type="incoming", call_id="", direction="inbound", wants_document=True, attestation=attestation
        )
    return replace(base, type="ringing", direction="outbound")


def _answered(base: CarrierEvent, payload: Mapping[str, Any], state: ClientState) -> CarrierEvent:
    return replace(base, type="answered", wants_document=state.flow == "answer")


def _hangup(base: CarrierEvent, payload: Mapping[str, Any], state: ClientState) -> CarrierEvent:
    cause, source = plain(payload.get("hangup_cause"), 80), payload.get("hangup_source")
    reason = HANGUP_REASONS.get(cause, State.FAILED)
    sip = plain(payload.get("sip_hangup_cause"), 20)
    said = cause.replace("_", " ") + (f" (SIP {sip})" if sip not in ("", "unspecified") else "")
    return replace(
        base,
        type="ended",
        reason=reason,
        hung_up=source if source in ("caller", "callee") else "",
        detail="" if reason in (State.COMPLETED, State.HANGUP_BOT) else said,
    )


def _dtmf(base: CarrierEvent, payload: Mapping[str, Any], state: ClientState) -> CarrierEvent:
    digit = plain(payload.get("digit"), 1).upper()
    return replace(base, type="dtmf", digits=digit) if digit and digit in "0123456789*#ABCD" else base


def _machine(base: CarrierEvent, payload: Mapping[str, Any], state: ClientState) -> CarrierEvent:
    """Standard and premium detection; their silence and not_sure are nobody in particular."""
    answered_by = _ANSWERED_BY.get(str(payload.get("result")), "unknown")
    return replace(base, type="machine", answered_by=answered_by)


def _greeting(base: CarrierEvent, payload: Mapping[str, Any], state: ClientState) -> CarrierEvent:
    """A machine's greeting is over, by a beep, by silence or by the limit of the detection: a message may follow."""
    return replace(base, type="machine", answered_by="machine_end", detail=plain(payload.get("result"), 40))


def _said(base: CarrierEvent, payload: Mapping[str, Any], state: ClientState) -> CarrierEvent:
    turn = state.value if state.flow == "turn" else ""
    if payload.get("status") not in ("completed", None):
        return replace(base, detail=f"speaking ended: {plain(payload.get('status'), 40)}")
    return replace(base, type="said", turn=turn)


def _transcription(base: CarrierEvent, payload: Mapping[str, Any], state: ClientState) -> CarrierEvent:
    """Which document runs is not told with what was heard: the state may be older, or newer, than the words."""
    data = payload.get("transcription_data")
    fields = data if isinstance(data, dict) else {}
    if fields.get("transcription_track") == "outbound":
        return replace(base, detail="our own voice")
    text = plain(fields.get("transcript"), _TEXT_LIMIT)
    if not text:
        return replace(base, detail="nothing was understood")
    return replace(base, type="speech" if fields.get("is_final") is True else "partial", text=text)


def _stream_failed(base: CarrierEvent, payload: Mapping[str, Any], state: ClientState) -> CarrierEvent:
    why = plain(payload.get("failure_reason"), 200).replace("_", " ")
    said = f"Telnyx could not stream the audio: {why or 'no reason given'}"
    return replace(base, type="stream_failed", detail=said)


def _cost(base: CarrierEvent, payload: Mapping[str, Any], state: ClientState) -> CarrierEvent:
    """Sent to applications that ask for it, some time after the end."""
    total = payload.get("total_cost")
    parts = payload.get("cost_parts")
    first = parts[0] if isinstance(parts, list) and parts and isinstance(parts[0], dict) else {}
    amount = plain(total if isinstance(total, str) else str(total) if isinstance(total, int | float) else "", 40)
    if not amount or payload.get("status") == "failed":
        return replace(base, detail="without an amount")
    seconds = payload.get("billed_duration_secs")
    return replace(
        base,
        type="cost",
        cost=f"{amount} {plain(first.get('currency'), 8)}".strip(),
        duration_s=seconds if isinstance(seconds, int) and not isinstance(seconds, bool) else None,
    )


_READERS: Final[Mapping[str, Callable[[CarrierEvent, Mapping[str, Any], ClientState], CarrierEvent]]] = {
    "call.initiated": _initiated,
    "call.answered": _answered,
    "call.hangup": _hangup,
    "call.dtmf.received": _dtmf,
    "call.machine.detection.ended": _machine,
    "call.machine.premium.detection.ended": _machine,
    "call.machine.greeting.ended": _greeting,
    "call.machine.premium.greeting.ended": _greeting,
    "call.speak.ended": _said,
    "call.transcription": _transcription,
    "streaming.failed": _stream_failed,
    "call.cost": _cost,
}
"""Everything else is only noted: streams and voices that start, bridges, recordings, queues, conferences. The keys of
`call.gather.ended` were reported one by one."""
