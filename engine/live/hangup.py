"""Ending calls: one idempotent job per call, retried until the carrier confirms.

It does not belong to the call's own task group, because it has to outlive the call: a hang-up that fails is a call
that goes on costing money.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Final

from engine.api import Refusal
from engine.book import CallBook
from engine.calls import Draft, State
from engine.carriers.base import Carrier, CarrierError
from engine.recorder import Recorder

log = logging.getLogger(__name__)

PAUSES: Final = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""Seconds between tries."""


class HangUps:
    """The hang-ups of one engine."""

    def __init__(
        self,
        carrier: Carrier,
        recorder: Recorder,
        book: CallBook,
        before_end: Callable[[str], list[Draft]],
    ) -> None:
        self._carrier = carrier
        self._recorder = recorder
        self._book = book
        self._before_end = before_end
        self._jobs: dict[str, asyncio.Task[None]] = {}
        self._facts: dict[str, dict[str, str]] = {}
        """Of each job: what will be recorded as the end."""

    def start(self, call_id: str, reason: State, by: str, detail: str = "") -> None:
        """Begin to end a call; the first reason counts."""
        self._job(call_id, reason, by, detail)

    async def end(self, call_id: str, reason: State, by: str, seconds: float) -> None:
        """End a call and wait for it. Raises Refusal when the carrier has not confirmed within `seconds`."""
        job = self._job(call_id, reason, by, "")
        if job is None:
            return
        done, _ = await asyncio.wait([job], timeout=seconds)
        if not done:
            raise Refusal(
                "timeout",
                f"the carrier has not confirmed the hang-up within {seconds:.0f} s",
                "it is being retried; `voicecall status` shows when the call is over",
            )

    async def close(self) -> None:
        """Give up what is still under way."""
        for job in self._jobs.values():
            job.cancel()
        await asyncio.gather(*self._jobs.values(), return_exceptions=True)

    def under_way(self, call_id: str) -> Mapping[str, str] | None:
        """Why a call is being ended by us (`reason`, `by`, `detail`), while it is.

        The carrier may tell the end before it answers our request: then it is still ours.
        """
        return self._facts.get(call_id)

    def _job(self, call_id: str, reason: State, by: str, detail: str) -> asyncio.Task[None] | None:
        call = self._book.get(call_id)
        if call is None or not call.live:
            return None
        job = self._jobs.get(call_id)
        if job is None:
            data = {"reason": reason.value, "by": by} | ({"detail": detail} if detail else {})
            job = asyncio.create_task(self._run(call_id, data))
            self._jobs[call_id], self._facts[call_id] = job, data
            job.add_done_callback(lambda _: self._forget(call_id))
        return job

    def _forget(self, call_id: str) -> None:
        self._jobs.pop(call_id, None)
        self._facts.pop(call_id, None)

    async def _run(self, call_id: str, data: dict[str, str]) -> None:
        for pause in (*PAUSES, None):
            error = await self._try(call_id)
            if error is None:
                break
            if pause is None:
                detail = data["detail"] = f"the carrier never confirmed the hang-up: {error}"
                log.error("call %s: %s", call_id, detail)
                self._recorder.post(Draft("call.error", call_id, {"code": "carrier_refused", "message": detail}))
                break
            log.warning("call %s: hang-up failed, again in %.2f s: %s", call_id, pause, error)
            await asyncio.sleep(pause)
        self._recorder.post(*self._before_end(call_id), Draft("call.ended", call_id, data))
        await self._recorder.settle()

    async def _try(self, call_id: str) -> CarrierError | None:
        """Ask the carrier once; None when the call is over there."""
        call = self._book.get(call_id)
        if call is None or not call.live or call.provider_call_id is None:
            return None
        try:
            await self._carrier.hang_up(call.provider_call_id)
        except CarrierError as error:
            return None if error.kind == "gone" else error
        return None
