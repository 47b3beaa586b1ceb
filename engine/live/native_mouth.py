"""Our side's voice in a call that the carrier speaks in: lines go into the live call as documents.

A carrier does not say when a line was heard. It is taken for heard when the carrier asks what now, or when the time
that it takes to say has passed without a word of the caller. One document is on its way at a time, and none while the
caller speaks: it would cut off their words.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from engine.calls import Draft
from engine.carriers.base import CarrierError, Document
from engine.live.lines import Speaking, Stage, Utterance
from engine.live.native_documents import Documents, Told
from engine.media.dtmf import duration_ms

log = logging.getLogger(__name__)

LEAD_MS: Final = 500
"""From a carrier's taking a document to the first sound of it, at most. How much was heard of a line that is cut is
estimated without it: a word too many is better than an answer to a question that nobody heard."""
SLACK: Final = 1.2
"""Voices differ: the next line must not cut off the end of a slow one."""
ASK_MS: Final = 10_000
"""How much longer than they need keys may take, and how long a carrier may take to fetch a document."""
INSTRUCT_SECONDS: Final = 15.0
"""How long giving the carrier a document may take; carriers have a shorter limit of their own."""
RETRY_PAUSES_MS: Final = (500, 1000, 2000)
FETCHED: Final = 2000
"""A line of more characters than this is fetched by the carrier: requests take less than replies (Twilio: 4,000
characters of a document)."""


@dataclass(slots=True)
class _OnItsWay:
    """A document that the carrier was sent and has not confirmed yet."""

    told: Told | None
    """None: only that it should ask."""
    line: Utterance | None
    taken: bool = False


HEARD_SHARE: Final = 0.75
LEFT_SHARE: Final = 0.5
"""Shares of a line's estimated length after which it counts as said whole."""


class NativeMouth(Speaking):
    """The voice of such a call. `instruct` puts a document into the live call, or raises CarrierError."""

    def __init__(
        self,
        call_id: str,
        documents: Documents,
        instruct: Callable[[Document], Awaitable[None]],
        may_speak: Callable[[], bool],
        post: Callable[..., None],
        now_ms: Callable[[], float],
        *,
        by_reply: bool = True,
        fetches: bool = False,
    ) -> None:
        """`by_reply`: the carrier reads documents, so that one stops the caller's words, and may be fetched. One that
        takes commands goes on listening, and its voice goes on when the caller speaks. `fetches`: a request of ours
        holds no document, only the address of one."""
        super().__init__(call_id, post, now_ms)
        self._by_reply = by_reply
        self._fetches = fetches
        self._ordered = ""
        """The token by which the carrier comes for a document that it was told to fetch."""
        self._documents = documents
        self._instruct = instruct
        self._may_speak = may_speak
        """Nobody would be cut off by a document now."""
        self._changed = asyncio.Event()
        self._on_its_way: _OnItsWay | None = None
        self._began_ms = 0.0
        self._hush = False
        """The carrier says something that it should not."""
        self._asked_until: float | None = None
        """The carrier was told to fetch its document, and has so long."""
        self._failures = 0
        self._not_before = 0.0
        self._open = False
        self.on_gone: Callable[[], None] = lambda: None
        """Told that the carrier calls the call over."""

    def open(self, *, hush: bool = False) -> None:
        """From now on documents may be put into the call; with `hush` one is, so that the carrier listens to us."""
        self._open = True
        self._hush = self._hush or hush
        self.wake()

    def close(self) -> None:
        """The call ends: nothing more is put into it, unless the carrier asks all the same."""
        self._open = False

    @property
    def replying(self) -> bool:
        """An answer of the agent is being said."""
        return any(line.kind == "reply" for line in self._at(Stage.PLAYING))

    def wake(self) -> None:
        """What `may_speak` says may have changed."""
        self._changed.set()

    # -- what the carrier says (engine.live.native) ------------------------------------------

    def runs(self, told: Told) -> None:
        """Something was heard in a document: the carrier executes that one, whatever we believed."""
        current = self._documents.current
        if current is not None and told.number <= current.number:
            return
        way = self._on_its_way
        if way is not None and way.told is told:
            self._taken(way)
            return
        self._stop_playing()
        self._documents.current = told

    def played(self) -> None:
        """The carrier has come to the end of its document."""
        for line in self._at(Stage.PLAYING):
            self._post(self._was_heard(line, _length_ms(line), confirmed=True))
        self.wake()

    def said(self) -> None:
        """The carrier's voice has come to an end: of what we believe it says, unless that would be far too early.
        Then it was what it said before."""
        elapsed = self._now_ms() - self._began_ms
        for line in self._at(Stage.PLAYING):
            if line.kind != "keys" and elapsed >= _length_ms(line) * HEARD_SHARE:
                self._post(self._was_heard(line, _length_ms(line), confirmed=True))
        self.wake()

    def stopped(self) -> None:
        """The caller has spoken or pressed a key, which ended the document."""
        self._stop_playing()
        self.wake()

    def hush(self) -> None:
        """The carrier should not say what it says now."""
        self._hush = True
        self.wake()

    def document(self, *, late: bool = False, again: bool = False, token: str = "") -> Document:
        """What the carrier does next, since it asks. `late`: for something that was replaced meanwhile, so this will
        hardly be used. `again`: it has not got the document before. `token`: what it comes for, where it says so."""
        playing = next(self._at(Stage.PLAYING), None)
        way = self._on_its_way
        if fetched := bool(token) and token == self._ordered:
            # It may be here before the answer to the command that sent it.
            self._ordered, again = "", True
            if way is not None and way.told is None:
                way.taken = True
        if late or (way is not None and not fetched) or (playing is not None and not again):
            return self._documents.tell(None)[1]
        self._asked_until, self._open = None, True
        self.wake()
        line = playing or next(self._at(Stage.QUEUED), None)
        told, document = self._documents.tell(line)
        self._documents.current, self._hush = told, False
        if line is not None:
            self._begin(line)
        return document

    # -- speaking -----------------------------------------------------------------------------

    async def run(self) -> None:
        """Put lines into the call, one after the other, for the life of the call."""
        while True:
            self._changed.clear()
            self._expire()
            if self._may_send():
                await self._send()
            else:
                await self._until_change()

    def _may_send(self) -> bool:
        if not self._open or self._asked_until is not None or self._now_ms() < self._not_before:
            return False
        if self._hush and not self._by_reply:
            return True  # a command that silences the carrier takes no word from the caller
        wanted = self._hush or (not self.speaking and any(self._at(Stage.QUEUED)))
        return wanted and self._may_speak()

    async def _send(self) -> None:
        """Give the carrier the next line, or silence in place of what it says."""
        line = None if self.speaking or not self._may_speak() else next(self._at(Stage.QUEUED), None)
        if self._fetches or (line is not None and self._by_reply and len(line.text) > FETCHED):
            way = _OnItsWay(None, line)
            self._ordered, document = self._documents.ask()
        else:
            told, document = self._documents.tell(line)
            way = _OnItsWay(told, line)
        hushing, self._hush = self._hush, False
        self._on_its_way = way
        error: CarrierError | None = None
        try:
            async with asyncio.timeout(INSTRUCT_SECONDS):
                await self._instruct(document)
        except CarrierError as failure:
            error = failure
        except TimeoutError:
            error = CarrierError(f"the carrier took more than {INSTRUCT_SECONDS:.0f} s", kind="unknown")
        finally:
            self._on_its_way = None
        if error is None:
            self._failures = 0
            self._taken(way)
        elif not way.taken:
            self._refused(line, error, hushing)

    def _taken(self, way: _OnItsWay) -> None:
        """The carrier executes a document of ours now."""
        if way.taken:
            return
        way.taken = True
        if way.told is None:
            self._asked_until = self._now_ms() + ASK_MS
            return
        self._documents.current = way.told
        if way.line is None:
            return
        if way.line.stage is Stage.OVER:
            self._hush = True  # cut while it was on its way
        else:
            self._begin(way.line)

    def _refused(self, line: Utterance | None, error: CarrierError, hushing: bool) -> None:
        if error.kind == "retry" and self._failures < len(RETRY_PAUSES_MS):
            self._not_before = self._now_ms() + RETRY_PAUSES_MS[self._failures]
            self._failures += 1
            self._hush = self._hush or hushing
            log.info("call %s: a document was not taken, again soon: %s", self._call_id, error)
            return
        self._failures = 0
        if error.kind == "gone":
            self.close()  # what waits ends with the call
            self.on_gone()
        elif line is None:
            log.warning("call %s: the carrier could not be silenced: %s", self._call_id, error)
        else:
            self._fail(line, str(error))

    def _begin(self, line: Utterance) -> None:
        self._began_ms = self._now_ms()
        if line.stage is Stage.PLAYING:
            return
        line.stage = Stage.PLAYING
        self._reach(line, "frame")
        self._post(Draft("say.started", self._call_id, {"sayId": line.say_id, "synthMs": 0}))

    def _expire(self) -> None:
        """Settle what nothing more will be heard of."""
        now = self._now_ms()
        for line in self._at(Stage.PLAYING):
            limit = self._limit_ms(line)
            if limit is None or now < self._began_ms + limit:
                continue
            if line.kind == "keys":
                self._fail(line, "the carrier has not said that the keys were played")
            else:
                self._post(self._was_heard(line, _length_ms(line), confirmed=False))
        if self._asked_until is not None and now >= self._asked_until:
            self._asked_until = None
            for line in list(self._at(Stage.QUEUED))[:1]:
                self._fail(line, "the carrier has not fetched it")

    @staticmethod
    def _limit_ms(line: Utterance) -> float | None:
        """When a line that was begun is over although nobody says so. A message after which the carrier hangs up is
        over with the call."""
        if line.kind == "notify":
            return None
        if line.kind == "keys":
            return _length_ms(line) + ASK_MS
        return LEAD_MS + _length_ms(line) * SLACK

    async def _until_change(self) -> None:
        """Wait for something to happen, or for the next moment at which something is over."""
        due = [self._not_before] if self._not_before > self._now_ms() else []
        due += [self._asked_until] if self._asked_until is not None else []
        limits = (self._limit_ms(line) for line in self._at(Stage.PLAYING))
        due += [self._began_ms + limit for limit in limits if limit is not None]
        seconds = max(0.0, (min(due) - self._now_ms()) / 1000) if due else None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()

    # -- being silent (engine.live.lines.Speaking) ---------------------------------------------

    def _queued(self, line: Utterance) -> None:
        self.wake()

    def _cut_playing(self) -> list[Draft]:
        elapsed = round(self._now_ms() - self._began_ms)
        playing = list(self._at(Stage.PLAYING))
        if playing and not self._by_reply:
            self._hush = True  # its voice does not stop by itself
        return [self._was_stopped(line, _heard_ms(line, elapsed), confirmed=False) for line in playing]

    def _stop_playing(self) -> None:
        for draft in self._cut_playing():
            self._post(draft)

    def silence(self, why: str) -> list[Draft]:
        """As `Speaking` has it; the carrier is told, unless it is silent by itself."""
        self._hush = self._hush or self.speaking
        return super().silence(why)

    def _dropped(self, line: Utterance) -> None:
        self.wake()

    def _interrupted(self) -> None:
        self.wake()

    def _silenced(self) -> None:
        self.wake()


def _length_ms(line: Utterance) -> int:
    return duration_ms(line.text) if line.kind == "keys" else line.full_ms


def _heard_ms(line: Utterance, elapsed: int) -> int:
    """How much of a line was said after `elapsed` ms. The carrier's voice may be quicker than the estimate: most of a
    line counts as all of it. A message on a machine is followed by our own hang-up, not by the machine's."""
    length = _length_ms(line)
    share = LEFT_SHARE if line.kind == "notify" else HEARD_SHARE
    return length if elapsed >= length * share else elapsed
