"""What the reply to a webhook tells the carrier to do, decided from what is known of the call. Pure.

A carrier that asks what to do gets a usable document whatever happens: an empty answer ends a call, or leaves it
silent. One row of `document_for` per situation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from engine.admission import is_unanswered
from engine.calls import Call
from engine.carriers.base import CarrierEvent

Kind = Literal["nothing", "reject", "hang_up", "hold", "notice", "after_notice", "listen", "connect", "ordered"]
"""hold: let it ring on and ask again. notice: say the message. listen: say what is due with the carrier's own voice,
and hear the caller. connect: hand the audio to our media socket. ordered: what the carrier comes for because we sent
it there."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The kind of document, and the effect of the webhook in words. Documents of a live call begin with "document":
    the call's ladder counts them."""

    kind: Kind
    effect: str


def document_for(call: Call | None, event: CarrierEvent, *, ending: bool) -> Answer:
    """The answer to an event of `call` as it is once the event is recorded. `ending`: we hang up just now."""
    said = event.raw_type or event.type
    if call is None:
        return Answer("hang_up" if event.wants_document else "nothing", f"nothing: no call matches this {said}")
    if event.type == "transfer_over" and event.reached and event.wants_document:
        return Answer("hang_up", "document: hang up, the transfer is over")
    over = f"the call is over ({call.state.value})" if not call.live else "the call is being ended" if ending else ""
    if over and not event.wants_document:
        return Answer("nothing", f"nothing: {over}")
    if over and is_unanswered(call):
        return Answer("reject", f"document: reject, {over}")
    if over:
        return Answer("hang_up", f"nothing: {over}")
    if not event.wants_document:
        return Answer("nothing", event.type)
    return _of_live_call(call, event, said)


def _of_live_call(call: Call, event: CarrierEvent, said: str) -> Answer:
    if call.waiting:
        return Answer("hold", "hold: the caller waits")
    if event.type == "fetches" and call.transferred_to:
        return Answer("ordered", f"document: {said}")
    if call.media == "inline":
        # It went with the dial, unless it was too long for that; later the carrier asks what now.
        if event.type == "answered":
            return Answer("notice", "document: the notice")
        return Answer("after_notice", "document: after the notice")
    if call.media == "native":
        return Answer("listen", f"document: listen, after {said}")
    return Answer("connect", f"document: connect, after {said}")
