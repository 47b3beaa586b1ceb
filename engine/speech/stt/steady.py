"""One call's hearing, whatever becomes of the recognisers: lost ones are started again, then replaced by the next.

Audio is kept until its text is there, ten seconds of it. What the caller said while nobody listened, or to a
recogniser that died before it had written it down, goes to the next one. Utterances keep their numbers all the way.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Final

from engine.media.audio import AudioFormat
from engine.speech.ports import Final as FinalText
from engine.speech.ports import Hearing, Listener, Lost, Recogniser, SpeechUnavailable
from engine.speech.stt.chain import RecogniserChain
from engine.speech.stt.outbox import Outbox

RETRIES: Final = (0.2, 1.0, 3.0)
"""Seconds to wait before the last recogniser of a chain is started again."""
SHORT_RETRIES: Final = (0.2, 1.0)
"""The same where another one could take over: the caller is waiting."""
START_SECONDS: Final = 3.0
"""How long a recogniser may take to get ready where another one could take over."""
SLOW_SECONDS: Final = 10.0
"""The pause before everything is tried again, once all has failed, for as long as the call lasts."""
STABLE_SECONDS: Final = 30.0
"""A recogniser that lived this long has its retries back."""
MIN_SESSION_SECONDS: Final = 5.0
"""A session that ends as planned before this age is one that failed."""


@dataclass(frozen=True, slots=True)
class NowHears:
    """A recogniser is ready. `instead_of`: the one that it replaces in this call."""

    engine: str
    instead_of: str = ""


@dataclass(frozen=True, slots=True)
class HearsNothing:
    """A recogniser is gone, or could not be had."""

    engine: str
    error: str
    hint: str
    fallback: str = ""
    """Who is asked instead; empty: the same one again."""
    final: bool = False
    """Every recogniser has failed. They are tried again, slowly."""


News = Hearing | NowHears | HearsNothing


class SteadyListener:
    """Fed and finished like a `Listener`, at any time; `hearings` does the work, for the life of the call."""

    def __init__(
        self,
        chain: RecogniserChain,
        format: AudioFormat,  # noqa: A002
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._chain = chain
        self._format = format
        self._now = now
        self._listener: Listener | None = None
        self._kept: Outbox[int] = Outbox(format.bytes_per_second)
        """Audio without a text, and the ends of utterances in it."""
        self._numbers: dict[int, int] = {}
        """The listener's number of an utterance -> ours."""
        self._utterance = 0
        self._missing_ms = 0
        """Milliseconds of the oldest utterance that were not kept for this listener."""

    @property
    def hears(self) -> bool:
        """A recogniser listens."""
        return self._listener is not None

    def feed(self, audio: bytes) -> None:
        """Caller audio; kept while nobody listens, the oldest dropped after ten seconds."""
        self._kept.audio(audio)
        if self._listener is not None:
            self._listener.feed(audio)

    def finish(self) -> int:
        """The utterance is over; its `Final` has the returned number, from whichever recogniser."""
        self._utterance += 1
        self._kept.mark(self._utterance)
        if self._listener is not None:
            self._numbers[self._listener.finish()] = self._utterance
        return self._utterance

    def forget(self) -> None:
        """Nobody waits any more for what is kept."""
        self._kept.clear()
        self._kept.take_dropped_ms()

    async def hearings(self) -> AsyncGenerator[News, None]:
        """What is heard, and how the hearing is. Ends only when a recogniser was closed by its owner."""
        attempts = _Attempts(self._chain)
        heard_by = ""
        while True:
            engine, lived, lost = attempts.engine, 0.0, None
            try:
                listener = await self._listen(engine, hurry=attempts.following is not None)
            except SpeechUnavailable as error:
                lost = Lost(str(error), error.hint, error.hopeless)
            else:
                began = self._now()
                self._chain.works(engine.name)
                yield NowHears(engine.name, "" if heard_by == engine.name else heard_by)
                heard_by = engine.name
                try:
                    async for hearing in listener.hearings():
                        if isinstance(hearing, Lost):
                            lost = hearing
                            break
                        if (ours := self._ours(hearing)) is not None:
                            yield ours
                finally:
                    self._listener = None
                    self._numbers.clear()
                    await listener.close()
                if lost is None:
                    return
                lived = self._now() - began
                if lost.planned and lived >= MIN_SESSION_SECONDS:
                    continue
            step = attempts.failed(lost, lived)
            if step.fallback or step.final:
                self._chain.failed(engine.name, lost)
            if not step.again:
                yield HearsNothing(engine.name, lost.why, lost.hint, step.fallback, step.final)
            await asyncio.sleep(step.pause)

    async def _listen(self, engine: Recogniser, *, hurry: bool) -> Listener:
        """A listener, fed with everything that is kept. Raises SpeechUnavailable."""
        try:
            async with asyncio.timeout(START_SECONDS if hurry else None):
                listener = await engine.listen(self._format)
        except TimeoutError:
            why = f"{engine.name} was not ready within {START_SECONDS:.0f} s"
            raise SpeechUnavailable(why, hopeless=True) from None
        self._missing_ms = self._kept.take_dropped_ms()
        for item in self._kept:
            if isinstance(item, bytes):
                listener.feed(item)
            else:
                self._numbers[listener.finish()] = item
        self._listener = listener
        return listener

    def _ours(self, hearing: Hearing) -> Hearing | None:
        """A hearing with our number of the utterance, whose audio need not be kept any more."""
        if not isinstance(hearing, FinalText):
            return hearing
        number = self._numbers.pop(hearing.utterance, None)
        if number is None:
            return None
        self._kept.forget_until(number)
        self._kept.take_dropped_ms()  # it was heard before it was dropped here
        missing, self._missing_ms = self._missing_ms, 0
        return dataclasses.replace(hearing, utterance=number, dropped_ms=hearing.dropped_ms + missing)


@dataclass(frozen=True, slots=True)
class _Step:
    """What comes after a failure."""

    pause: float
    fallback: str = ""
    final: bool = False
    again: bool = False
    """Everything had failed already."""


class _Attempts:
    """Who is asked next, and when. Pure."""

    def __init__(self, chain: RecogniserChain) -> None:
        self._chain = chain
        self._exhausted = False
        self._queue: list[Recogniser] = []
        self._pauses: list[float] = []
        self._restart()

    @property
    def engine(self) -> Recogniser:
        """Who is asked now."""
        return self._queue[0]

    @property
    def following(self) -> Recogniser | None:
        """Who could take over."""
        return self._queue[1] if len(self._queue) > 1 else None

    def failed(self, lost: Lost, lived: float) -> _Step:
        """The one that was asked is gone, after it had listened for `lived` seconds."""
        if lived >= STABLE_SECONDS:
            self._exhausted = False
            self._pauses = self._budget()
        following = self.following
        if self._pauses and not lost.hopeless and not self._exhausted:
            return _Step(self._pauses.pop(0))
        if following is not None:
            self._queue.pop(0)
            self._pauses = self._budget()
            return _Step(0.0 if not self._exhausted else SLOW_SECONDS, following.name, again=self._exhausted)
        if untried := self._chain.untried(self.engine):  # an earlier one, which may work again by now
            self._queue = untried
            self._pauses = self._budget()
            return _Step(0.0, untried[0].name)
        again, self._exhausted = self._exhausted, True
        self._restart()
        return _Step(SLOW_SECONDS, final=True, again=again)

    def _restart(self) -> None:
        self._queue = self._chain.order()
        self._pauses = self._budget()

    def _budget(self) -> list[float]:
        return list(RETRIES if self.following is None else SHORT_RETRIES)
