"""The live calls of one engine: which are up, their stream tokens, and what happens when one ends."""

from __future__ import annotations

import asyncio
import hmac
import logging
import secrets
from collections.abc import Callable
from typing import Final

from engine.api import Refusal
from engine.book import CallBook
from engine.calls import Call, Draft
from engine.clock import epoch_ms
from engine.keyed_lock import KeyedLock
from engine.live import notice
from engine.live.call import LiveCall
from engine.live.lines import lost_lines
from engine.live.listening import Listener
from engine.live.parts import Parts

log = logging.getLogger(__name__)

LEVEL_SECONDS: Final = 0.1


class StreamTokens:
    """One-time tokens that bind a media socket to a call."""

    def __init__(self) -> None:
        self._tokens: dict[str, str] = {}

    def issue(self, call_id: str) -> str:
        """A new token for a call; an older one that was not used is void."""
        token = secrets.token_urlsafe(24)
        self._tokens[call_id] = token
        return token

    def current(self, call_id: str) -> str:
        """The call's unused token, for a carrier that asks for its instructions again; a new one when it was used."""
        return self._tokens.get(call_id) or self.issue(call_id)

    def redeem(self, call_id: str, token: str) -> bool:
        """Use a token up. Compared in constant time."""
        expected = self._tokens.get(call_id)
        if expected is None or not hmac.compare_digest(expected.encode(), token.encode("utf-8", "replace")):
            return False
        del self._tokens[call_id]
        return True

    def awaits(self, call_id: str) -> bool:
        """A token was given out for this call and not used yet: a stream may be on its way."""
        return call_id in self._tokens

    def knows(self, token: str) -> bool:
        """The token is good for one of our calls. Compared in constant time."""
        given = token.encode("utf-8", "replace")
        return any([hmac.compare_digest(known.encode(), given) for known in self._tokens.values()])

    def drop(self, call_id: str) -> None:
        """The call is over."""
        self._tokens.pop(call_id, None)


class LiveCalls:
    """Starts and ends the task groups of calls."""

    def __init__(self, book: CallBook, tokens: StreamTokens) -> None:
        self._book = book
        self._tokens = tokens
        self._calls: dict[str, LiveCall] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._taking_up = KeyedLock()
        self._idle = asyncio.Event()
        self._idle.set()

    def start(self, call: Call, parts: Parts) -> LiveCall:
        """Bring a call to life, once."""
        live = self._calls.get(call.call_id)
        if live is None:
            live = LiveCall(call, parts)
            self._calls[call.call_id] = live
            self._idle.clear()
            task = asyncio.create_task(live.run(), name=f"call {call.call_id}")
            self._tasks[call.call_id] = task
            task.add_done_callback(lambda _: self._gone(call.call_id))
        return live

    async def take_up(self, call: Call, parts: Parts) -> LiveCall:
        """Bring a call to life that may be older than this engine: lines whose voice is gone end first, once.

        After a restart the carrier may ask about a call while we ask the carrier about it.
        """
        async with self._taking_up.hold(call.call_id):
            live = self._calls.get(call.call_id)
            if live is not None:
                return live
            call = self._book.get(call.call_id) or call
            # A notice is said by the carrier, whatever became of us.
            lost = lost_lines(call, "the engine stopped", epoch_ms()) if call.media != "inline" else []
            if lost:
                await parts.recorder.record(*lost)
                call = self._book.get(call.call_id) or call
            live = self.start(call, parts)
            if not call.live:
                live.over()
            return live

    async def change_voice(self, call: Call, parts: Parts) -> None:
        """A call whose media changed in the log goes on in that voice, from our first words on."""
        async with self._taking_up.hold(call.call_id):
            older, task = self._calls.get(call.call_id), self._tasks.get(call.call_id)
            self._tokens.drop(call.call_id)
            if older is not None and task is not None:
                older.leave("the call goes on in the carrier's own voice")
                await asyncio.wait([task])
            current = self._book.get(call.call_id)
            if current is None or not current.live:
                return
            live = self.start(current, parts)
        await live.began.wait()
        live.first_words()

    def get(self, call_id: str) -> LiveCall | None:
        return self._calls.get(call_id)

    def changed(self, before: Call | None, after: Call) -> None:
        """The log says something new of a call."""
        live = self._calls.get(after.call_id)
        if after.answered_at is not None and live is not None:
            live.answered.set()
        if live is not None and after.live and before is not None and after.pressed != before.pressed:
            live.caller_pressed(after.pressed[-1][1])
        if not after.live and (before is None or before.live):
            self._tokens.drop(after.call_id)
            if live is not None:
                live.over()

    def closing_facts(self, call_id: str, duration_s: int | None = None) -> list[Draft]:
        """What has to be recorded just before a call's end, which came after `duration_s` by the carrier's count."""
        live = self._calls.get(call_id)
        if live is not None:
            return live.closing_facts(duration_s)
        call = self._book.get(call_id)
        if call is None:
            return []
        said_by_carrier = notice.closing(call, duration_s, epoch_ms())
        return said_by_carrier or lost_lines(call, "the engine had stopped", epoch_ms())

    def listen(self, call_id: str) -> Listener:
        """A new listener of a live call, also of one that still rings. Raises Refusal."""
        call = self._known(call_id)
        if call.media != "stream":
            raise Refusal(
                "not_supported",
                "the carrier speaks and listens in this call by itself: its audio does not come here",
                "set streaming.enabled: true for calls to listen to",
            )
        live = self._calls.get(call.call_id)
        if live is None:
            raise Refusal(
                "call_not_connected",
                "the call was not taken up again yet after a restart",
                "try again in a moment",
            )
        return live.listeners.add()

    def _known(self, call_id: str) -> Call:
        """A call that is not over. Raises Refusal."""
        call = self._book.get(call_id)
        if call is None:
            raise Refusal("call_not_found", f"there is no call {call_id}", "`voicecall status` lists the calls")
        if not call.live:
            raise Refusal("call_ended", f"the call is over ({call.state.value})")
        return call

    def connected(self, call_id: str) -> LiveCall:
        """A call that can be spoken to. Raises Refusal, and says why it can not."""
        call = self._known(call_id)
        live = self._calls.get(call.call_id)
        if live is None or call.answered_at is None:
            raise Refusal(
                "call_not_connected",
                f"the call is not connected yet ({call.state.value})",
                "try again once it is answered",
            )
        return live

    async def report_levels(self, watched: Callable[[], bool]) -> None:
        """Tell watchers the levels of all calls ten times a second, for ever; one timer serves all calls."""
        while True:
            await asyncio.sleep(LEVEL_SECONDS)
            if watched():
                for live in self._calls.values():
                    live.report_level()

    async def wait_idle(self) -> None:
        """Return when no call is live."""
        await self._idle.wait()

    async def close(self) -> None:
        """Cut the task groups that are left; their calls stay as the log has them."""
        tasks = list(self._tasks.values())
        for live in list(self._calls.values()):
            live.over()
        if tasks:
            await asyncio.wait(tasks, timeout=5)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _gone(self, call_id: str) -> None:
        self._calls.pop(call_id, None)
        self._tasks.pop(call_id, None)
        if not self._calls:
            self._idle.set()
