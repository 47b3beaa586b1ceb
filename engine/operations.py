"""What can be done with calls: the acting half of `EngineApi`.

Each method refuses with a reason before anything happens, and records before it acts.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping
from typing import Final

from engine.api import Refusal
from engine.book import CallBook
from engine.calls import Call, Draft, Mode, Speaker, State
from engine.calls.call import Media
from engine.calls.policy import are_dtmf, is_e164
from engine.carriers.base import Carrier, CarrierError, DialOrder, Document
from engine.carriers.links import link
from engine.config import Config
from engine.live import machine, notice
from engine.live.call import LiveCall
from engine.live.documents import connect
from engine.live.hangup import HangUps
from engine.live.keypad import Keypad
from engine.live.parts import Parts
from engine.live.registry import LiveCalls, StreamTokens
from engine.live.transfer import Transfers
from engine.owning import made_room
from engine.recorder import Recorder
from engine.speech.ports import Brain, takes_hints
from engine.store import StoreError

log = logging.getLogger(__name__)

MAX_MESSAGE: Final = 4000
"""Characters of one line: what carriers take at most."""
END_SECONDS: Final = 10.0
MOCK_FROM: Final = "+15550000000"
"""Our number where none is configured, on the simulated carrier only."""


class Operations:
    """Dial, speak, ask, press keys, put through, take the floor, end."""

    def __init__(
        self,
        config: Config,
        carrier: Carrier,
        recorder: Recorder,
        book: CallBook,
        calls: LiveCalls,
        tokens: StreamTokens,
        hang_ups: HangUps,
    ) -> None:
        self._config = config
        self._carrier = carrier
        self._recorder = recorder
        self._book = book
        self._calls = calls
        self._tokens = tokens
        self._hang_ups = hang_ups
        self._keypad = Keypad(carrier, recorder, book.get)
        self._transfers = Transfers(config, carrier, recorder, book.get)
        self._dialing: set[str] = set()
        self.uncertain: list[str] = []
        """Calls whose dial may or may not have happened; the reconciler takes them from here."""
        self.stopping = False

    @property
    def from_number(self) -> str | None:
        """The number that we call from."""
        if self._config.from_number:
            return self._config.from_number
        return MOCK_FROM if self._carrier.name == "mock" else None

    async def initiate(
        self,
        parts: Parts,
        webhook_url: str,
        to: str | None,
        message: str,
        mode: Mode | None,
        dtmf_sequence: str,
        by: str,
    ) -> str:
        """Place a call; returns its id once the carrier took the dial. Raises Refusal."""
        mode = mode or self._config.outbound.default_mode
        number, sender = self._check_dial(to, message, mode, dtmf_sequence)
        media = self.media(mode)
        detects = machine.detection(self._config, capable=self._carrier.capabilities.machine_detection)
        call_id = str(uuid.uuid4())
        order = DialOrder(
            call_id=call_id,
            from_number=sender,
            to_number=number,
            webhook_url=webhook_url,
            ring_timeout_ms=self._config.ring_timeout_ms,
            max_duration_seconds=self._config.max_duration_seconds,
            inline=self._inline(parts, call_id, message, media, webhook_url),
            dtmf_sequence=dtmf_sequence,
            detect_machine=detects,
        )
        self._dialing.add(call_id)
        try:
            await self._dial(parts, order, {"mode": mode, "message": message, "media": media, "by": by})
        finally:
            self._dialing.discard(call_id)
        return call_id

    def _inline(self, parts: Parts, call_id: str, message: str, media: Media, webhook_url: str) -> Document:
        """What goes with the dial: a notice, or the stream where the carrier asks for nothing at the answer."""
        if media == "inline":
            return self.notice(call_id, message, webhook_url)
        if media == "stream" and not self._carrier.capabilities.answers_by_reply:
            return self.connect_document(call_id, parts.stream_url(), webhook_url)
        return ()

    def _check_dial(self, to: str | None, message: str, mode: Mode, dtmf_sequence: str) -> tuple[str, str]:
        """Everything that can be refused without asking the carrier. Returns the two numbers."""
        if self.stopping:
            raise Refusal("engine_stopping", "the engine is stopping and takes no new calls")
        number = to if to is not None else self._config.to_number
        if not number:
            raise Refusal("invalid_number", "no number was given", "give one, or set to_number")
        if not is_e164(number):
            raise Refusal(
                "invalid_number",
                f"{number[:40]!r} is not a phone number in E.164 form",
                "write it with + and country code, for example +15550100142",
            )
        if self._carrier.name != "mock" and number == self.from_number:
            raise Refusal(
                "invalid_number", f"{number} is the number that we call from", "give the number of somebody else"
            )
        if len(message) > MAX_MESSAGE:
            raise _too_long()
        if mode == "notify" and not message.strip():
            raise Refusal("invalid_message", "a notice needs a message", "give one with -m, or use mode conversation")
        if dtmf_sequence and mode != "conversation":
            raise Refusal(
                "invalid_digits", "keys before connect need mode conversation", "use --mode conversation, or no keys"
            )
        if dtmf_sequence and not are_dtmf(dtmf_sequence):
            raise Refusal(
                "invalid_digits",
                f"{dtmf_sequence[:40]!r} are not keys",
                "use 0-9 A-D * # and w, W, p, P or a comma for a pause",
            )
        sender = self.from_number
        if sender is None:
            raise Refusal("provider_not_ready", "no number to call from", "set from_number")
        self._check_capacity()
        return number, sender

    def _check_capacity(self) -> None:
        limit = self._config.max_concurrent_calls
        holders = self.slot_holders()
        if len(holders) >= limit:
            raise Refusal(
                "at_capacity",
                f"{len(holders)} of {limit} outbound calls are under way: {', '.join(sorted(holders))[:200]}",
                "end one, or raise max_concurrent_calls",
            )

    def slot_holders(self) -> set[str]:
        """Outbound calls that count against max_concurrent_calls."""
        live = {call.call_id for call in self._book.live() if call.direction == "outbound"}
        return live | self._dialing

    def media(self, mode: Mode) -> Media:
        """How a call that begins now will be spoken in. Raises Refusal."""
        can = self._carrier.capabilities
        if mode == "notify" and can.inline_notify:
            return "inline"
        if self._config.media_streams and can.streaming:
            return "stream"
        if can.native_speech:
            return "native"
        raise Refusal(
            "provider_not_ready",
            f"{self._carrier.name} has no voice of its own, and media streams are switched off",
            "set streaming.enabled: true",
        )

    def notice(self, call_id: str, message: str, webhook_url: str) -> Document:
        """What a notify call with inline media does by itself."""
        detects = machine.detection(self._config, capable=self._carrier.capabilities.machine_detection)
        return machine.notice(message, self._config, link(webhook_url, "connect", call_id), detects=detects)

    async def _dial(self, parts: Parts, order: DialOrder, how: Mapping[str, str]) -> None:
        call_id = order.call_id
        facts = {
            "provider": self._carrier.name,
            "direction": "outbound",
            "from": order.from_number,
            "to": order.to_number,
            **how,
        }
        try:
            begun = [Draft("call.initiated", call_id, facts), Draft("call.dialing", call_id)]
            if how["media"] == "inline":
                begun.append(notice.queued(call_id, str(how["message"])))
            await self._recorder.record(*begun)
        except StoreError as error:
            raise Refusal(
                "store_failed", f"not dialled, because it could not be recorded: {error}", error.hint
            ) from error
        call = self._book.get(call_id)
        assert call is not None, "just recorded"
        self._calls.start(call, parts)
        try:
            provider_call_id = await self._carrier.dial(order)
        except CarrierError as error:
            await self._dial_failed(call_id, error)
        except Exception as error:
            log.exception("call %s: the dial failed unexpectedly", call_id)
            why = CarrierError(f"an internal error: {type(error).__name__}: {error}", kind="unknown")
            await self._dial_failed(call_id, why)
        else:
            accepted = Draft("call.accepted", call_id, {"providerCallId": provider_call_id})
            self._recorder.post(*made_room(self._book, provider_call_id, call_id), accepted)
            await self._recorder.settle()

    async def _dial_failed(self, call_id: str, error: CarrierError) -> None:
        facts = {"message": str(error), "carrierCode": error.code, "link": error.link}
        if error.kind == "unknown":
            self._recorder.post(Draft("call.error", call_id, {"code": "outcome_unknown", **facts}))
            self.uncertain.append(call_id)
            raise Refusal(
                "outcome_unknown",
                f"the carrier may or may not have placed the call {call_id}: {error}",
                f"it is being looked up and will not be dialled again; see `voicecall status --call-id {call_id}`",
                call_id=call_id,
            ) from error
        self._recorder.post(
            Draft("call.error", call_id, {"code": "carrier_refused", **facts}),
            *self._calls.closing_facts(call_id),
            Draft("call.ended", call_id, {"reason": State.FAILED.value, "by": "carrier", "detail": str(error)}),
        )
        await self._recorder.settle()
        raise Refusal("carrier_refused", f"the carrier refused the call: {error}", error.hint) from error

    async def speak(self, call_id: str, message: str, by: str) -> None:
        """Say a line; returns when it was heard, at least in part."""
        text = _checked(message)
        live = self._with_us(call_id)
        line = live.say(text, _speaker(by), wanted=True)
        ending = await line.done
        if ending in ("heard", "cut"):
            return
        if await self._is_over(live.call_id):
            raise Refusal("call_ended", "the call ended before the line was heard")
        if ending == "failed":
            raise Refusal(
                "speech_unavailable", f"the line was not spoken: {line.error}", "the call goes on: say it again"
            )
        raise Refusal(
            "line_dropped",
            "the line was dropped before it was heard: the call was taken over, held or put through",
            "the call goes on: say it again if it is still right",
        )

    async def ask(self, call_id: str, message: str, by: str) -> str:
        """Say a line and return the caller's answer."""
        text = _checked(message)
        live = self._with_us(call_id)
        try:
            return await live.ask(text, _speaker(by), self._config.transcript_timeout_ms)
        except Refusal as refusal:
            if refusal.code == "speech_unavailable" and await self._is_over(live.call_id):
                raise Refusal("call_ended", "the call ended before the question was heard") from refusal
            raise

    async def send_dtmf(self, call_id: str, digits: str, by: str) -> None:
        """Play keys into the call; returns when they were played."""
        if not are_dtmf(digits):
            raise Refusal("invalid_digits", f"{digits[:40]!r} are not keys", "use 0-9 A-D * # and w for a pause")
        await self._keypad.press(self._with_us(call_id), digits, by)

    async def transfer(self, call_id: str, to: str, by: str, webhook_url: str) -> None:
        """Connect the caller with another number; returns when the carrier took it."""
        self._transfers.check(to)
        live = self._calls.connected(call_id)
        if self.ending(live.call_id) is not None:
            raise Refusal("call_ended", "the call is being ended just now")
        await self._transfers.start(live, to, by, webhook_url)

    async def end(self, call_id: str, by: str) -> None:
        """Hang up; a call that is over already is a success."""
        call = self._known(call_id)
        if call.live:
            self._recorder.post(Draft("operator.acted", call.call_id, {"action": "end", "by": by}))
            await self._hang_ups.end(call.call_id, State.HANGUP_BOT, by, END_SECONDS)

    def ending(self, call_id: str) -> Mapping[str, str] | None:
        """Why we are ending a call just now (`reason`, `by`, `detail`), if we are."""
        return self._hang_ups.under_way(call_id)

    async def acknowledge(self, call_id: str, by: str) -> None:
        """Somebody has seen why a call needs a person."""
        call = self._known(call_id)
        if call.live:
            await self._recorder.record(Draft("attention.acknowledged", call.call_id, {"by": by}))

    async def record(self, call_id: str, on: bool, by: str) -> None:
        """Record a call from now on, or no more of it. Returns when it is so."""
        live = self._calls.connected(call_id)
        if live.recording is None:
            raise Refusal(
                "not_supported",
                "the carrier speaks and listens in this call by itself: its audio does not come here",
                "set streaming.enabled: true for calls to record",
            )
        await (live.recording.start(by) if on else live.recording.stop(by))

    async def hint(self, call_id: str, message: str, brain: Brain, by: str) -> None:
        """Tell the brain something that the caller does not hear."""
        text = _checked(message)
        live = self._with_us(call_id)
        if not takes_hints(brain) and not live.held_by_model:
            raise Refusal(
                "not_supported",
                f"the brain {brain.name} follows no hints",
                "say a line yourself, or use response.provider openai or command",
            )
        await self._recorder.record(Draft("operator.hint", live.call_id, {"text": text, "by": by}))
        live.hint(text)

    def connect_document(self, call_id: str, stream_url: str, webhook_url: str) -> Document:
        """The instructions that hand a call's audio to us."""
        return (connect(call_id, stream_url, webhook_url, self._tokens.current(call_id)),)

    def awaits_stream(self, call_id: str) -> bool:
        """The carrier was told where a call's stream goes, and it has not come yet."""
        return self._tokens.awaits(call_id)

    def _with_us(self, call_id: str) -> LiveCall:
        """A call whose caller can hear us. Raises Refusal."""
        live = self._calls.connected(call_id)
        if live.handover.away:
            raise Refusal(
                "call_not_connected",
                f"the caller is put through to {live.handover.to} and can not hear us",
                "wait until that is over, or end the call",
            )
        if self._known(live.call_id).media == "inline":
            raise Refusal(
                "not_supported",
                "this call is a notice that the carrier speaks by itself: nothing else can be said in it",
                "use mode conversation for a call to talk in",
            )
        return live

    async def _is_over(self, call_id: str) -> bool:
        """Whether a call whose line came to nothing is over: its end may be on its way to the log."""
        await self._recorder.settle()
        call = self._book.get(call_id)
        return call is None or not call.live or self.ending(call_id) is not None

    def _known(self, call_id: str) -> Call:
        call = self._book.get(call_id)
        if call is None:
            raise Refusal("call_not_found", f"there is no call {call_id}", "`voicecall status` lists the calls")
        return call


def _checked(message: str) -> str:
    text = message.strip()
    if not text:
        raise Refusal("invalid_message", "there is nothing to say", "give the words with -m")
    if len(text) > MAX_MESSAGE:
        raise _too_long()
    return text


def _too_long() -> Refusal:
    return Refusal("invalid_message", f"the message is over {MAX_MESSAGE} characters", "say it in parts, or shorter")


def _speaker(by: str) -> Speaker:
    """A person at a console speaks as the operator; programs speak as the agent."""
    return "operator" if by.startswith("console") else "agent"
