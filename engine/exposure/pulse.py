"""How an exposure fares over time: looks again and again, and says so only when it is sure. `Pulse` is pure.

One look that fails is no alert, since a proxy may restart and a packet be lost: so many of the last looks must fail.
It is over when the newest two are good. What changes is stored; every look is in the health.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from engine.calls import Draft
from engine.exposure.outside import Outside, Target
from engine.exposure.probe import Report

log = logging.getLogger(__name__)

SOON_SECONDS: Final = 3.0
"""Until the next look after one that is not like those before: doubts are settled quickly."""
LOOK_SECONDS: Final = 55.0
"""All steps together have less; this is for what nobody thought of."""
GOOD_AGAIN: Final = 2


@dataclass(frozen=True, slots=True)
class Manners:
    """How often, and when it is an alert."""

    every_seconds: float = 60.0
    failures: int = 2
    of: int = 3


class Pulse:
    """The verdict over the last looks."""

    def __init__(self, manners: Manners) -> None:
        self._manners = manners
        self._last: deque[Report] = deque(maxlen=manners.of)
        self.report: Report | None = None
        self.ok: bool | None = None
        """None until it is known."""
        self.failures = 0
        """How many of the newest looks failed, one after the other."""

    def take(self, report: Report) -> bool:
        """Take a look into account; True when the verdict, or its cause, is another one now."""
        if self.report is not None and self.report.url != report.url:
            self._last.clear()  # another address: what was seen of the old one says nothing
            self.failures, self.ok = 0, None
        before = (self.ok, self._cause() if self.ok is False else "")
        self.report = report
        self._last.append(report)
        self.failures = 0 if report.ok else self.failures + 1
        failed = sum(not look.ok for look in self._last)
        if failed >= self._manners.failures:
            if not report.ok:
                self.ok = False
        elif report.ok and self.ok is None:
            self.ok = True
        if self.ok is False and report.ok and self._good() >= min(GOOD_AGAIN, self._manners.of):
            self.ok = True
        return (self.ok, self._cause() if self.ok is False else "") != before

    @property
    def settled(self) -> bool:
        """The newest look says what the verdict says: nothing to hurry for."""
        return self.report is not None and self.ok is not None and self.report.ok is self.ok

    def _good(self) -> int:
        count = 0
        for look in reversed(self._last):
            if not look.ok:
                break
            count += 1
        return count

    def _cause(self) -> str:
        return next((look.cause for look in reversed(self._last) if not look.ok), "")

    def to_json(self) -> dict[str, Any] | None:
        """For the health: the newest look, and the verdict (`state`: ok, failing, dead, unknown)."""
        if self.report is None:
            return None
        state = {True: "ok", False: "dead", None: "unknown"}[self.ok]
        if self.ok is not False and not self.report.ok:
            state = "failing"
        return {**self.report.to_json(), "state": state, "failures": self.failures}


class Heartbeat:
    """Looks at the exposure for as long as the engine runs."""

    def __init__(
        self, outside: Outside, target: Callable[[], Target | None], manners: Manners, post: Callable[[Draft], None]
    ) -> None:
        """`target` is asked before each look: a tunnel's address changes. None: there is nothing to look at."""
        self._outside = outside
        self._target = target
        self._manners = manners
        self._post = post
        self._pulse = Pulse(manners)
        self._gate = asyncio.Lock()
        self._wake = asyncio.Event()

    async def run(self) -> None:
        """Look for ever. With `every_seconds` 0 only when asked to."""
        while True:
            self._wake.clear()
            every = self._manners.every_seconds
            if every > 0:
                await self._look_safely()
            pause = every if self._pulse.settled or self._target() is None else min(SOON_SECONDS, every)
            try:
                async with asyncio.timeout(pause if every > 0 else None):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _look_safely(self) -> None:
        """The engine's parts end together: whatever a look did not foresee must not end the calls that go on."""
        try:
            await self.look()
        except Exception:
            log.exception("looking at the public address failed")

    def soon(self) -> None:
        """Look at once: the address is another one."""
        self._wake.set()

    async def look(self) -> Report | None:
        """One look, now. None when there is nothing to look at, or it did not come to an end."""
        async with self._gate:
            target = self._target()
            if target is None:
                return None
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    report = await self._outside.look(target)
            except TimeoutError:
                log.error("the look at %s did not come to an end", target.webhook_url)
                return None
            if self._pulse.take(report):
                self._tell(report)
            return report

    def health(self) -> dict[str, Any] | None:
        return self._pulse.to_json()

    def _tell(self, report: Report) -> None:
        if self._pulse.ok is None:
            return
        told = report.to_json()
        broken = report.broken
        facts = {"publicUrl": report.url, "ok": self._pulse.ok, "ms": told["ms"]}
        if broken is not None:
            facts |= {"step": broken.name, "cause": report.cause, "error": broken.message, "fix": broken.fix}
            log.error("the public address does not work: %s. %s", broken.message, broken.fix)
        else:
            log.info("the public address works: %s", report.url)
        self._post(Draft("exposure.probed", None, facts))
