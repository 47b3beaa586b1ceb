"""A call that the carrier speaks and listens in: its events go to our ears and mouth, its questions get documents.

See `native_mouth`, `native_ears` and `native_documents`. What the carrier reports may come late: the document in
which it was heard says so (`CarrierEvent.turn`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from engine.calls import Call, Draft, State
from engine.carriers.base import CarrierError, CarrierEvent, Document
from engine.live.native_documents import Documents
from engine.live.native_ears import HearsNatively, NativeEars
from engine.live.native_mouth import NativeMouth
from engine.live.parts import Parts

log = logging.getLogger(__name__)

QUIET_SECONDS: Final = 60.0
"""A carrier that listens reports silence several times a minute. When it reports nothing for so long, the call may be
over without our having been told: not every number has a status callback."""
GONE_SECONDS: Final = 3.0
"""How long the carrier may take to tell the end of a call that it has called over."""


_RESULTS: Final = ("speech", "dtmf", "silence")
"""What a document that listens ends with."""


class Native:
    """Mouth and ears of one such call."""

    def __init__(
        self,
        call: Call,
        parts: Parts,
        hears: HearsNatively,
        instruct: Callable[[Document], Awaitable[None]],
        nobody_is_cut_off: Callable[[bool], bool],
    ) -> None:
        """`nobody_is_cut_off` is asked before a document is put into the call, and told whether the caller speaks."""
        self._hears = hears
        self._call_id = call.call_id
        self._parts = parts
        self._inline = call.media == "inline"
        self._news = asyncio.Event()
        self._gone = False
        self._stale: CarrierEvent | None = None
        post, now_ms = parts.recorder.post, parts.now_ms
        self._documents = Documents(call.call_id, parts.webhook_url)
        self.mouth = NativeMouth(
            call.call_id,
            self._documents,
            instruct,
            lambda: nobody_is_cut_off(self.ears.in_turn),
            post,
            now_ms,
            by_reply=parts.carrier.capabilities.answers_by_reply,
            fetches=parts.carrier.capabilities.fetches_instructions,
        )
        self.ears = NativeEars(call.call_id, hears, post, parts.recorder.ephemeral, now_ms, self.mouth.wake)
        self.mouth.on_gone = self._called_over
        if call.answered_at is not None:
            # Taken up again after a restart: what the carrier executes now was told by somebody who is gone.
            self.mouth.open(hush=call.media == "native" and call.mode == "conversation")

    def is_stale(self, event: CarrierEvent) -> bool:
        """Whether this is what an earlier document had ended with, told late or once more."""
        return event is self._stale or (event.type in _RESULTS and self._documents.is_stale(event.turn))

    def take_note(self, event: CarrierEvent) -> None:
        """The carrier said something about this call."""
        self._news.set()
        if self.is_stale(event):
            log.info("call %s: a late %s of an earlier document is left alone", self._call_id, event.type)
            self._stale = event
            return
        if event.type in _RESULTS:
            self._documents.use(event.turn)
        told = self._documents.find(event.turn)
        late = self._documents.is_late(event.turn)
        if told is not None:
            self.mouth.runs(told)
        if self._inline and event.type in ("answered", "machine", "asks"):
            self.mouth.open()  # it says its notice by itself, but may be told to say something else
        match event.type:
            case "partial" if event.text.strip() and not late:
                self._stop()
                self.ears.partial(event.text.strip())
            case "speech":
                self._stop_late() if late else self._stop()
                self.ears.speech(event.text.strip(), told.after if told is not None else "")
            case "dtmf" if not late:
                self.mouth.stopped()
                self.ears.silence()
            case "said" if not late:
                self.mouth.said()
            case "silence" if not late:
                self.mouth.played()
                self.ears.silence()
            case "asks":
                self.mouth.played()
                self.ears.silence()
        self.mouth.wake()

    def document(self, event: CarrierEvent) -> Document:
        """What the carrier does next. Where it is told of the call for the first time, perhaps once more, it has not
        said yet what we believe it says."""
        late = self._documents.is_late(event.turn) or event is self._stale
        again = event.type in ("incoming", "initiated", "answered")
        return self.mouth.document(late=late, again=again, token=event.turn)

    async def watch(self) -> None:
        """Notice the end of a call that nobody tells us of, for the life of the call."""
        while True:
            self._news.clear()
            try:
                async with asyncio.timeout(GONE_SECONDS if self._gone else QUIET_SECONDS):
                    await self._news.wait()
            except TimeoutError:
                self._gone = False
                await self._ask()

    def closing_facts(self) -> list[Draft]:
        """The call ends: what was heard of the last line."""
        facts = self.mouth.silence("the call ended")
        self.mouth.close()
        return facts

    def _stop(self) -> None:
        """The caller's voice has stopped the carrier's."""
        if self.mouth.speaking:
            self._hears.caller_interrupts()
        self.mouth.stopped()

    def _stop_late(self) -> None:
        """They spoke just before the carrier began to answer what they had said earlier: that is no answer now."""
        if self.mouth.replying:
            self._hears.caller_interrupts()
            self.mouth.hush()

    def _called_over(self) -> None:
        self._gone = True
        self._news.set()

    async def _ask(self) -> None:
        """Ask the carrier how the call stands. Where it does not say, it is asked again later."""
        call = self._parts.book.get(self._call_id)
        if call is None or call.answered_at is None or call.provider_call_id is None or call.transferred_to:
            return
        try:
            status = await self._parts.carrier.status(call.provider_call_id)
        except CarrierError as error:
            log.warning("call %s: the carrier was asked and did not say: %s", self._call_id, error)
            return
        if not status.live:
            reason = status.reason or State.COMPLETED
            self._parts.hang_up(self._call_id, reason, "carrier", "it is over, which nobody had told")
