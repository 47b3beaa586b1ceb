"""`<Dial>`: another person is called and, when they answer, joined with the caller."""

from __future__ import annotations

import asyncio
import contextlib
import time
from random import Random
from typing import TYPE_CHECKING

from engine.simulator.leg import Leg
from tests.carriers.far.bridge import Bridge
from tests.carriers.twilio_far.model import CallState, Status
from tests.carriers.twilio_far.twiml import Dial

if TYPE_CHECKING:
    from tests.carriers.twilio_far.call import FarCall


async def transfer(call: FarCall, leg: Leg, verb: Dial) -> CallState | None:
    """The other leg, once it is over; None when it could not be dialled as we asked."""
    allowed = {*call.world.own_numbers(), call.state.from_number, call.state.to_number}
    if verb.caller_id and verb.caller_id not in allowed:
        call.reporter.note(13214, f"Dial: Invalid callerId value {verb.caller_id}")
        return None
    child = CallState(
        sid=call.world.new_sid("CA"),
        account_sid=call.state.account_sid,
        direction="outbound-dial",
        from_number=verb.caller_id or call.state.from_number,
        to_number=verb.number,
        parent_sid=call.state.sid,
        status="ringing",
    )
    call.transfers.append(child)
    call.changed.set()
    try:
        child.status = await _ring_and_join(call, leg, verb, child)
    finally:
        child.ended_at = time.time()
        if not child.over:  # the caller left, or another document came
            child.status = "completed" if child.answered_at is not None else "canceled"
        call.changed.set()
    return child


async def _ring_and_join(call: FarCall, leg: Leg, verb: Dial, child: CallState) -> Status:
    if not verb.number.startswith("+") or not verb.number[1:].isdecimal():
        call.reporter.note(13223, f"Dial: Invalid phone number format {verb.number[:40]}")
        return "failed"
    person = call.world.find_person(verb.number)
    await call.world.voices.prepare(person.voice, person.texts())
    manners = person.manners
    ring_s = Random(child.sid).randint(*manners.ring_ms) / 1000
    patience_s = verb.timeout_s / call.world.settings.wait_speed
    if manners.answers == "never" or ring_s > patience_s:
        await asyncio.sleep(patience_s)
        return "no-answer"
    await asyncio.sleep(ring_s)
    if manners.answers == "busy":
        return "busy"
    child.status, child.answered_at = "in-progress", time.time()
    call.changed.set()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(verb.time_limit_s):
            await Bridge(call.world, leg, person, child.sid).run()
    return "completed"
