"""What the operator asks of the engine: each request limited, remembered while it is under way, and accounted for.

Nothing here knows a widget. A request ends in an `Outcome`, never in an exception.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from console.board import Board
from console.facts import Act
from console.text import clean
from engine.client import Decision, EngineClient, Floor, Mode, NoEngine, Refusal

log = logging.getLogger(__name__)

OUTER_SECONDS: Final = 16 * 60.0
"""The client limits each request by its kind; this is the limit beyond those, so that nothing is pending for ever."""
WHO: Final = "you"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a request ended."""

    ok: bool
    answer: str = ""
    """What a successful request brought: a call's id, the caller's words."""
    code: str = ""
    error: str = ""
    hint: str = ""

    @property
    def sentence(self) -> str:
        """What to tell the operator about a refusal."""
        return f"{self.error}; {self.hint}" if self.hint else self.error


@dataclass(frozen=True, slots=True)
class Pending:
    """A request under way."""

    call_id: str | None
    what: str
    since: float
    """Monotonic seconds."""


class Acts:
    """Runs requests against `client`; `board.acts` is their log."""

    def __init__(
        self, client: EngineClient, board: Board, now: Callable[[], int], changed: Callable[[], None] = lambda: None
    ) -> None:
        self._client = client
        self._board = board
        self._now = now
        self._changed = changed
        self.pending: dict[int, Pending] = {}
        self._count = 0

    @property
    def client(self) -> EngineClient:
        """The engine that is asked."""
        return self._client

    def pending_on(self, call_id: str | None) -> Pending | None:
        """The oldest request under way for a call."""
        return next((each for each in self.pending.values() if each.call_id == call_id), None)

    async def dial(self, to: str, message: str, mode: Mode | None, dtmf: str) -> Outcome:
        """Place a call; the answer is its id."""
        request = self._client.call(to or None, message, mode, dtmf)
        return await self._run(None, f"dial {to}", request)

    async def speak(self, call_id: str, text: str) -> Outcome:
        """Say a line; ends when it was heard."""
        return await self._run(call_id, "speak", self._client.speak(call_id, text))

    async def ask(self, call_id: str, text: str) -> Outcome:
        """Say a line and wait for the caller's answer."""
        return await self._run(call_id, "continue", self._client.continue_call(call_id, text))

    async def end(self, call_id: str) -> Outcome:
        """Hang up."""
        return await self._run(call_id, "end", self._client.end(call_id))

    async def keys(self, call_id: str, digits: str) -> Outcome:
        """Send keys."""
        return await self._run(call_id, "keys", self._client.dtmf(call_id, digits))

    async def transfer(self, call_id: str, to: str) -> Outcome:
        """Connect the caller with another number."""
        return await self._run(call_id, f"transfer to {to}", self._client.transfer(call_id, to))

    async def record(self, call_id: str, on: bool) -> Outcome:
        """Record the call, or stop."""
        return await self._run(call_id, "record" if on else "stop recording", self._client.record(call_id, on))

    async def seen(self, call_id: str) -> Outcome:
        """We have seen why the call needs a person."""
        return await self._run(call_id, "seen", self._client.acknowledge(call_id))

    async def admit(self, call_id: str, verdict: Decision) -> Outcome:
        """Let a caller in who waits, or not."""
        what = "reject" if verdict == "no" else f"let in {verdict}"
        return await self._run(call_id, what, self._client.admit(call_id, verdict))

    async def floor(self, call_id: str, holder: Floor, *, take_over: bool = False) -> Outcome:
        """Give the floor to somebody; `take_over`: from another person too."""
        request = self._client.floor(call_id, holder, take_over=take_over)
        return await self._run(call_id, f"{'take over the ' if take_over else ''}floor {holder}", request)

    async def hint(self, call_id: str, text: str) -> Outcome:
        """Tell the brain something."""
        return await self._run(call_id, "hint", self._client.hint(call_id, text))

    async def checks(self, online: bool) -> Mapping[str, Any] | Outcome:
        """What the engine finds when it looks at itself and, `online`, at the carrier and its own address."""
        found: dict[str, Any] = {}

        async def ask() -> None:
            found.update(await self._client.checks(online=online))

        outcome = await self._run(None, "checks, online" if online else "checks", ask())
        return found if outcome.ok else outcome

    async def _run(self, call_id: str | None, what: str, request: Awaitable[object]) -> Outcome:
        self._count += 1
        key = self._count
        self.pending[key] = Pending(call_id, what, time.monotonic())
        call = self._board.calls.get(call_id or "")
        act = Act(self._now(), WHO, f"{what} {call.peer}" if call else what, "under way", ok=None)
        self._board.acts.append(act)
        self._changed()
        try:
            outcome = await _outcome_of(request)
        except asyncio.CancelledError:  # whoever asked has left the page that wanted to know
            self._account(act, Outcome(False, code="left", error="not waited for"))
            raise
        finally:
            del self.pending[key]
        self._account(act, outcome)
        self._changed()
        return outcome

    def _account(self, act: Act, outcome: Outcome) -> None:
        done = replace(act, outcome="done" if outcome.ok else f"{outcome.code}: {outcome.sentence}", ok=outcome.ok)
        for index, each in enumerate(self._board.acts):
            if each is act:
                self._board.acts[index] = done
                return


async def _outcome_of(request: Awaitable[object]) -> Outcome:
    try:
        async with asyncio.timeout(OUTER_SECONDS):
            answer = await request
    except Refusal as refusal:
        return Outcome(False, code=refusal.code, error=clean(refusal.error, 300), hint=clean(refusal.hint, 300))
    except NoEngine as error:
        return Outcome(
            False, "", "no_engine", clean(str(error), 300), "the console reconnects by itself; then try again"
        )
    except TimeoutError:
        hint = "it may still happen: look at the call before trying again"
        return Outcome(False, "", "timeout", "the engine did not answer in time", hint)
    except Exception as error:
        log.exception("a request failed unexpectedly")
        return Outcome(
            False, "", "internal_error", clean(f"{type(error).__name__}: {error}", 300), "the log has more"
        )
    return Outcome(True, answer if isinstance(answer, str) else "")
