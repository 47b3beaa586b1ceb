"""The recognisers of an engine in the order in which they are asked, and how each one is.

A recogniser that failed for good in one call is not asked first by the next ones for a while: each call would lose
seconds of its caller's words to find out again. Between calls it is found out whether it works again, so that the
health is that of now and not of the last call.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from engine.media.audio import AudioFormat
from engine.speech.ports import Listener, Lost, Recogniser, SpeechUnavailable

log = logging.getLogger(__name__)

AVOID_SECONDS: Final = 60.0
"""How long a recogniser that failed for good is asked last, and how often it is tried without a call."""


@dataclass(slots=True)
class Standing:
    """How one recogniser of the chain is."""

    state: str = "starting"
    error: str = ""
    hint: str = ""
    failed_at: float | None = None
    """When it failed for good; None once it works."""


class RecogniserChain:
    """The `Recogniser` port over several: the first that works. Calls ask them one by one (`order`)."""

    def __init__(self, engines: Sequence[Recogniser], now: Callable[[], float] = time.monotonic) -> None:
        self._engines = tuple(engines)
        self._now = now
        self._standing = {engine.name: Standing() for engine in engines}
        self.name = engines[0].name
        self._trying: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start them all; each may fail. Raises SpeechUnavailable when none of them works."""
        async with asyncio.TaskGroup() as group:
            for engine in self._engines:
                group.create_task(self._start(engine))
        self._trying = asyncio.create_task(self._keep_trying(), name="recognisers: try the failed ones again")
        if all(standing.state == "failed" for standing in self._standing.values()):
            first = self._standing[self.name]
            raise SpeechUnavailable(first.error, first.hint)

    async def listen(self, format: AudioFormat) -> Listener:  # noqa: A002
        """A listener of the first recogniser that gives one. Raises SpeechUnavailable."""
        refusal: SpeechUnavailable | None = None
        for engine in self.order():
            try:
                return await engine.listen(format)
            except SpeechUnavailable as error:
                refusal = refusal or error
        assert refusal is not None, "a chain has recognisers"
        raise refusal

    async def close(self) -> None:
        """Stop them all."""
        if self._trying is not None:
            self._trying.cancel()
            await asyncio.gather(self._trying, return_exceptions=True)
        for engine in self._engines:
            await engine.close()

    def order(self) -> list[Recogniser]:
        """Whom to ask, the best first: as configured, with those behind that failed a moment ago."""
        return sorted(self._engines, key=self._avoided)  # stable

    def untried(self, but: Recogniser) -> list[Recogniser]:
        """Who has not failed of late, except one."""
        return [engine for engine in self._engines if engine is not but and not self._avoided(engine)]

    def works(self, name: str) -> None:
        """A recogniser hears a call."""
        self._standing[name] = Standing("ready")

    def failed(self, name: str, lost: Lost) -> None:
        """A recogniser failed a call for good."""
        self._standing[name] = Standing("failed", lost.why, lost.hint, self._now())

    def health(self) -> dict[str, Any]:
        """How the chain is now: `using` hears the next call; an error of the first one is told even while another
        one stands in for it."""
        using, first = self.order()[0].name, self._standing[self.name]
        state = self._standing[using].state
        return {
            "ok": state != "failed",
            "state": state,
            "error": first.error,
            "hint": first.hint,
            "using": using,
            "engines": [
                {"name": name, "state": standing.state, "error": standing.error, "hint": standing.hint}
                for name, standing in self._standing.items()
            ],
        }

    def _avoided(self, engine: Recogniser) -> bool:
        failed_at = self._standing[engine.name].failed_at
        return failed_at is not None and self._now() - failed_at < AVOID_SECONDS

    async def _keep_trying(self) -> None:
        while True:
            await asyncio.sleep(AVOID_SECONDS)
            for engine in self._engines:
                if self._standing[engine.name].state == "failed":
                    await self._start(engine)

    async def _start(self, engine: Recogniser) -> None:
        before = self._standing[engine.name]
        try:
            await engine.start()
        except SpeechUnavailable as error:
            if str(error) != before.error:
                log.warning("stt %s can not be used: %s", engine.name, error)
            self.failed(engine.name, Lost(str(error), error.hint))
        else:
            if before.state == "failed":
                log.info("stt %s works again", engine.name)
            self.works(engine.name)


def chain_of(recogniser: Recogniser) -> RecogniserChain:
    """A recogniser as a chain of one, unless it is a chain."""
    return recogniser if isinstance(recogniser, RecogniserChain) else RecogniserChain([recogniser])
