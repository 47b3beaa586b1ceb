"""Callers whom nobody knows (`inbound_policy: pairing`): they wait until a person lets them in, or time is up.

While somebody waits their telephone rings on: the carrier is told to pause and to ask again, so nothing is answered,
nothing is billed, and no stream exists. The log holds everything: who waits, and who was let in for good.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from engine.api import Refusal
from engine.book import CallBook
from engine.calls import Call, Draft, State
from engine.calls.policy import Admission, Decision, InboundPolicy, admit, digits_of, is_number
from engine.carriers.base import CarrierEvent, Document, Pause, Redirect, Reject
from engine.carriers.links import link
from engine.clock import epoch_ms
from engine.keyed_lock import KeyedLock
from engine.recorder import Recorder
from engine.store import StoreError

log = logging.getLogger(__name__)

WAIT_SECONDS: Final = 30
"""How long somebody waits; callers let it ring for about as long."""
ASK_SECONDS: Final = 2
"""How often the carrier asks meanwhile, which is how late a decision may be noticed."""
MAX_WAITING: Final = 8
"""Callers who may wait at the same time: more than a person can decide about, and no more than a flood may cost."""
MAX_WAITING_EACH: Final = 2
"""Calls of one number that may wait at the same time, so that no one caller keeps the others out."""
KEEP_DECIDED: Final = 100
"""Decisions of which it is still known who made them."""
FULL: Final = f"{MAX_WAITING} callers wait already for somebody to let them in"
FULL_EACH: Final = f"{MAX_WAITING_EACH} calls of this number wait already for somebody to let them in"
UNDECIDED: Final = f"nobody let the caller in within {WAIT_SECONDS} s"
UNWATCHED: Final = f"{UNDECIDED}: no console was attached"
REFUSED: Final = "the caller was not let in"


def hold(webhook_url: str, call_id: str, now: int) -> Document:
    """Let it ring on, then ask again. `now` (epoch ms) makes every address another one: carriers that sign no time
    would otherwise send the same bytes twice, which is a replay."""
    return (Pause(ASK_SECONDS), Redirect(link(webhook_url, "hold", call_id, at=str(now))))


def waiting_facts(event: CarrierEvent, known: Iterable[Call]) -> dict[str, object]:
    """What a person needs to know to decide: how many calls with this number there were, and what the carrier says
    about the number."""
    number = digits_of(event.from_number)
    earlier = sum(1 for call in known if number and digits_of(call.peer) == number)
    attestation = {"attestation": event.attestation} if event.attestation else {}
    return {"seconds": WAIT_SECONDS, "earlier": earlier, **attestation}


def decided(call_id: str, verdict: Decision, by: str, why: str = "") -> list[Draft]:
    """The facts of a decision. A caller who is not let in is over at once: the carrier hears of it when it asks."""
    facts = [Draft("call.admitted", call_id, {"verdict": verdict, "by": by} | ({"why": why} if why else {}))]
    return facts if verdict != "no" else [*facts, *turned_away(call_id, by, why or REFUSED, error=bool(why))]


def turned_away(
    call_id: str, by: str, why: str, *, reason: State = State.HANGUP_BOT, error: bool = True
) -> list[Draft]:
    """The facts of a call that is refused before it was answered."""
    refused = Draft("call.error", call_id, {"code": "inbound_refused", "message": why})
    ended = Draft("call.ended", call_id, {"reason": reason.value, "by": by, "detail": why})
    return [refused, ended] if error else [ended]


def is_unanswered(call: Call) -> bool:
    """Only a call that was never answered can be rejected; any other has to be hung up."""
    return call.direction == "inbound" and call.answered_at is None


REJECT: Final[Document] = (Reject(),)


class WaitingRoom:
    """Who waits, and the one place where it is decided about them."""

    def __init__(
        self,
        policy: InboundPolicy,
        allow_from: Sequence[str],
        recorder: Recorder,
        book: CallBook,
        watched: Callable[[], bool],
        let_in: Callable[[Call], object],
    ) -> None:
        self._policy = policy
        self._allow_from = allow_from
        self._recorder = recorder
        self._book = book
        self._watched = watched
        """Whether anybody could see that a caller waits."""
        self._let_in = let_in
        self._always: dict[str, str] = {}
        """Who was let in for good: digits -> the number as it is written."""
        self._leaves: dict[str, asyncio.Event] = {}
        """Who has a place -> set when they wait no more."""
        self._places: dict[str, str] = {}
        """Who has a place -> their number."""
        self._timers: set[asyncio.Task[None]] = set()
        self._locks = KeyedLock()
        self._decided: dict[str, tuple[Decision, str]] = {}

    def restore(self, always: Iterable[str]) -> None:
        """After a start: the numbers that the log lets in for good, and the time that is left to who waits still."""
        self._always = {digits_of(number): number for number in always if is_number(number)}
        for call in self._book.live():
            if call.waiting:
                since = call.rungs.get("waiting", call.started_at)
                self._take_place(call.call_id, WAIT_SECONDS - (epoch_ms() - since) / 1000)

    def judge(self, caller: str) -> Admission:
        """Whether a caller comes in, is turned away, or has to wait."""
        always = self._always if self._policy == "pairing" else ()
        return admit(self._policy, [*self._allow_from, *always], caller)

    async def take_in(self, call_id: str, begun: Sequence[Draft], event: CarrierEvent) -> bool:
        """Record a call (`begun`) and that its caller waits. False when too many wait: then nothing is recorded."""
        if self.full(event.from_number):
            return False
        facts = waiting_facts(event, self._book.all())
        self._leaves[call_id] = asyncio.Event()
        self._places[call_id] = _known_by(event.from_number)
        try:
            await self._recorder.record(*begun, Draft("call.waiting", call_id, facts))
        except BaseException:
            self._give_up_place(call_id)
            raise
        self._take_place(call_id, WAIT_SECONDS)
        return True

    def full(self, caller: str) -> str:
        """Why there is no place for a caller now; "" when there is one."""
        if len(self._leaves) >= MAX_WAITING:
            return FULL
        name = _known_by(caller)
        mine = sum(1 for other in self._places.values() if other == name)
        return FULL_EACH if mine >= MAX_WAITING_EACH else ""

    def _give_up_place(self, call_id: str) -> asyncio.Event | None:
        self._places.pop(call_id, None)
        return self._leaves.pop(call_id, None)

    def changed(self, before: Call | None, after: Call) -> None:
        """The log says something new of a call."""
        if before is not None and before.waiting and not after.waiting:
            leaves = self._give_up_place(after.call_id)
            if leaves is not None:
                leaves.set()

    async def decide(self, call_id: str, verdict: Decision, by: str) -> None:
        """Let a caller in or not; the first decision counts. Raises Refusal."""
        call = self._book.get(call_id)
        if call is None:
            raise Refusal("call_not_found", f"there is no call {call_id}", "`voicecall status` lists the calls")
        async with self._locks.hold(call.call_id):
            call = self._waiting(call.call_id)
            if verdict == "always" and not is_number(call.from_number):
                hides = (
                    "the caller hides the number" if not call.from_number else "the caller shows no telephone number"
                )
                raise Refusal(
                    "not_supported",
                    f"{hides}, so there is nothing to know them by the next time",
                    "let them in once",
                )
            try:
                await self._recorder.record(*decided(call.call_id, verdict, by))
            except StoreError as error:
                raise Refusal("store_failed", f"not decided, because it could not be stored: {error}") from error
            self._note(call, verdict, by)

    @property
    def always(self) -> Sequence[str]:
        """The numbers that were let in for good, in the order of that decision."""
        return list(self._always.values())

    async def forget(self, number: str, by: str) -> None:
        """Take an `always` back: the number is a stranger's again from its next call on. Raises Refusal."""
        known = self._always.get(digits_of(number))
        if known is None:
            raise Refusal(
                "invalid_number",
                f"{number[:40]!r} was not let in for good",
                "`voicecall admit --list` shows who was; allow_from is in the configuration",
            )
        try:
            await self._recorder.record(Draft("caller.forgotten", None, {"number": known, "by": by}))
        except StoreError as error:
            raise Refusal("store_failed", f"not forgotten, because it could not be stored: {error}") from error
        self._always.pop(digits_of(number), None)

    async def close(self) -> None:
        """Forget the time of who waits; they wait in the log."""
        timers = list(self._timers)
        for timer in timers:
            timer.cancel()
        if timers:
            await asyncio.wait(timers)

    def _waiting(self, call_id: str) -> Call:
        """A call that still waits. Raises Refusal."""
        call = self._book.get(call_id)
        assert call is not None, "calls that are live or just ended are in the book"
        verdict, by = self._decided.get(call_id, (None, ""))
        who = f" ({by or 'somebody'} decided: {verdict})" if verdict is not None else ""
        if not call.live:
            raise Refusal("call_ended", f"the call is over ({call.state.value}){who}")
        if not call.waiting:
            raise Refusal("not_waiting", f"nobody waits to be let in with this call{who}")
        return call

    def _note(self, call: Call, verdict: Decision, by: str) -> None:
        """A decision was recorded. Raises Refusal when it came too late."""
        self._decided[call.call_id] = (verdict, by)
        while len(self._decided) > KEEP_DECIDED:
            del self._decided[next(iter(self._decided))]
        if verdict == "always":
            self._always.setdefault(digits_of(call.from_number), call.from_number)
        if verdict == "no":
            return
        current = self._book.get(call.call_id)
        if current is None or not current.live:
            raise Refusal("call_ended", "the call ended just before the caller was let in")
        self._let_in(current)

    def _take_place(self, call_id: str, seconds: float) -> None:
        call = self._book.get(call_id)
        leaves = self._leaves.setdefault(call_id, asyncio.Event())
        if call is None or not call.waiting:  # gone while it was written down
            self._give_up_place(call_id)
            return
        self._places.setdefault(call_id, _known_by(call.from_number))
        timer = asyncio.create_task(self._give_time(call_id, seconds, leaves), name=f"waiting {call_id}")
        self._timers.add(timer)
        timer.add_done_callback(self._timers.discard)

    async def _give_time(self, call_id: str, seconds: float, leaves: asyncio.Event) -> None:
        watched = self._watched()
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await leaves.wait()
        except TimeoutError:
            await self._time_is_up(call_id, UNDECIDED if watched or self._watched() else UNWATCHED)

    async def _time_is_up(self, call_id: str, why: str) -> None:
        async with self._locks.hold(call_id):
            call = self._book.get(call_id)
            if call is None or not call.waiting:
                return
            log.info("call %s: %s", call_id, why)
            self._decided[call_id] = ("no", "engine")
            # Kept and tried again while the store fails: nobody must wait for ever.
            self._recorder.post(*decided(call_id, "no", "engine", why))
            await self._recorder.settle()


def _known_by(caller: str) -> str:
    """What makes calls those of one caller. Those who hide their number share their places."""
    return digits_of(caller) if is_number(caller) else caller
