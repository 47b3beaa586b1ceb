"""Whose a carrier's call is: one id of the carrier's belongs to one call of ours.

The recorder, which writes every fact one after the other, lets no call take another's id. What is decided here is who
was right: an address of ours that a carrier hands back names the call that it was dialled for, and so does the reply
to a dial. A call that was found by its numbers alone has to make room for either.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final

from engine.book import CallBook
from engine.calls import Call, Draft, Event, State

NAMING: Final = frozenset({"call.accepted", "call.renamed"})
"""Facts that give a call its carrier id."""


def carrier_id(fact: Draft | Event) -> str:
    """The carrier's id in such a fact; empty where there is none."""
    value = fact.data.get("providerCallId")
    return value if isinstance(value, str) else ""


def made_room(book: CallBook, provider_call_id: str, call_id: str) -> list[Draft]:
    """It is certain that a carrier's call is `call_id`: the facts that take it from a call it was guessed to be.

    That call was never placed, as far as anybody knows: it is over.
    """
    holder = book.by_carrier(provider_call_id)
    if holder is None or holder.call_id == call_id or not holder.guessed:
        return []
    taken = Draft("call.disowned", holder.call_id, {"providerCallId": provider_call_id, "owner": call_id})
    if not holder.live:
        return [taken]
    why = f"the carrier's call that was taken for it is the call {call_id}"
    return [
        taken,
        Draft("call.error", holder.call_id, {"code": "outcome_unknown", "message": why}),
        Draft("call.ended", holder.call_id, {"reason": State.FAILED.value, "by": "engine", "detail": why}),
    ]


def rival(book: CallBook, lost: Call) -> Call | None:
    """Another dial between the same numbers that a call of the carrier's may be as well: a newer one, or one whose
    outcome is not known either."""
    for other in book.all():
        if other.call_id == lost.call_id or other.direction != "outbound":
            continue
        if (other.from_number, other.to_number) != (lost.from_number, lost.to_number):
            continue
        nameless = other.provider_call_id is None
        refused = nameless and other.end_reason is State.FAILED
        unknown = nameless and (other.live or other.end_reason is State.ERROR)
        if unknown or (other.started_at >= lost.started_at and not refused):
            return other
    return None


class Owned(Collection[str]):
    """The carrier ids that calls of ours have, at the moment of each look."""

    def __init__(self, book: CallBook) -> None:
        self._book = book

    def __contains__(self, provider_call_id: object) -> bool:
        return isinstance(provider_call_id, str) and self._book.by_carrier(provider_call_id) is not None

    def __iter__(self) -> Iterator[str]:
        return (call.provider_call_id for call in self._book.all() if call.provider_call_id is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)
