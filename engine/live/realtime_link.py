"""A call's connection to the realtime service: made while the phone rings, made again when it is lost, and replaced
before the service ends it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from engine.speech.realtime.core import HELD_FRAMES
from engine.speech.realtime.notices import Action, Notice
from engine.speech.realtime.problems import Problem
from engine.speech.realtime.service import RealtimeService
from engine.speech.realtime.session import RealtimeSession, SessionFailed

log = logging.getLogger(__name__)

RETRIES: Final = (0.2, 1.0, 3.0)
"""Seconds to wait before the next attempt, in a row."""
HEALTHY_SECONDS: Final = 30.0
"""A session that lasted this long gives all retries back."""
SESSION_SECONDS: Final = 58 * 60.0
"""The service ends every session after 60 minutes."""
RENEW_SECONDS: Final = 120.0
"""How long before its end a session is replaced, at the next quiet moment."""
LEAST_SECONDS = 60.0
"""No session is replaced sooner, whatever the clocks of both sides say."""
QUIET_LOOKS: Final = 0.25
LAST_MOMENT_SECONDS: Final = 20.0
"""This long before the end nobody waits for a quiet moment any more."""


class Link:
    """The sessions of one call, one after the other."""

    def __init__(
        self,
        service: RealtimeService,
        number: str,
        instructions: str,
        on_notice: Callable[[Notice], None],
        on_up: Callable[[], Awaitable[None]],
        on_down: Callable[[Problem, bool], None],
        is_quiet: Callable[[], bool],
    ) -> None:
        """`on_up`: a session can be talked to. `on_down`: it was lost, or did not come about; true: for good."""
        self._service = service
        self._number = number
        self._instructions = instructions
        self._on_notice = on_notice
        self._on_up = on_up
        self._on_down = on_down
        self._is_quiet = is_quiet
        self._session: RealtimeSession | None = None
        self._held: deque[bytes] = deque(maxlen=HELD_FRAMES)
        self._changed = asyncio.Event()
        self.given_up: Problem | None = None

    @property
    def session(self) -> RealtimeSession | None:
        """The session that can be talked to, if there is one."""
        return self._session

    async def wait(self) -> RealtimeSession | None:
        """The session, as soon as there is one; None when there never will be."""
        while self._session is None and self.given_up is None:
            self._changed.clear()
            await self._changed.wait()
        return self._session

    def hear(self, frame: bytes) -> None:
        """The caller's audio; kept for a while when nobody can hear it."""
        if self._session is None:
            self._held.append(frame)
        else:
            self._session.do(self._session.core.hear(frame))

    def do(self, actions: Iterable[Action]) -> None:
        """What follows from our wishes; they are made of `session.core`."""
        if self._session is not None:
            self._session.do(actions)

    async def run(self) -> Problem:
        """Keep a session for as long as that is possible; returns why it is not any more."""
        failures = 0
        session: RealtimeSession | None = None
        try:
            while True:
                began = time.monotonic()
                try:
                    session = await self._open()
                except SessionFailed as error:
                    problem = error.problem
                else:
                    problem, session = await self._carry(session)
                self._put(None)
                if time.monotonic() - began > HEALTHY_SECONDS:
                    failures = 0
                final = problem.final or failures >= len(RETRIES)
                self._service.was(problem)
                if final:
                    self.given_up = problem
                self._on_down(problem, final)
                self._changed.set()
                if final:
                    return problem
                await asyncio.sleep(RETRIES[failures])
                failures += 1
        finally:
            self._put(None)
            if session is not None:
                await session.close()

    def fail(self, problem: Problem) -> None:
        """The session is up and of no use: let go of it."""
        session = self._session
        if session is not None:
            session.fail(problem)

    async def _open(self) -> RealtimeSession:
        """A new session that is ready. What it notices counts once it is the call's."""
        session = self._service.session(
            self._number, lambda notice: self._notice(session, notice), self._instructions
        )
        await session.open()
        self._service.was(None)
        return session

    def _notice(self, session: RealtimeSession, notice: Notice) -> None:
        if session is self._session:
            self._on_notice(notice)

    def _put(self, session: RealtimeSession | None) -> None:
        self._session = session
        if session is not None:
            held, self._held = self._held, deque(maxlen=HELD_FRAMES)
            for frame in held:
                session.do(session.core.hear(frame))
        self._changed.set()

    async def _carry(self, session: RealtimeSession) -> tuple[Problem, RealtimeSession]:
        """Carry sessions on to the end of the last one."""
        while True:
            self._put(session)
            running = asyncio.create_task(session.run())
            renewing = asyncio.create_task(self._replacement(session))
            try:
                await self._on_up()
                await asyncio.wait([running, renewing], return_when=asyncio.FIRST_COMPLETED)
                if running.done():
                    return running.result(), session
                newer = renewing.result()
                self._put(newer)
            finally:
                for task in (running, renewing):
                    task.cancel()
                await asyncio.gather(running, renewing, return_exceptions=True)
            session = newer

    async def _replacement(self, session: RealtimeSession) -> RealtimeSession:
        """The next session, shortly before this one expires and when nobody speaks."""
        lasts = SESSION_SECONDS
        if session.expires_at is not None:
            lasts = min(lasts, session.expires_at - time.time())
        await asyncio.sleep(max(LEAST_SECONDS, lasts - RENEW_SECONDS))
        latest = time.monotonic() + RENEW_SECONDS - LAST_MOMENT_SECONDS
        while True:
            if not self._is_quiet() and time.monotonic() < latest:
                await asyncio.sleep(QUIET_LOOKS)
                continue
            try:
                newer = await self._open()
            except SessionFailed as error:
                log.warning("a realtime session could not be replaced yet: %s", error)
                await asyncio.sleep(RETRIES[-1])
                continue
            if self._is_quiet() or time.monotonic() >= latest:
                return newer
            await newer.close()
