"""What the carrier noted about calls that went wrong: asked for after their end, and put into their record.

A call that broke says little by itself; the carrier knows which address it could not reach, which document it could
not read, and which frame of ours it did not like.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from engine.calls import Call, Draft, State
from engine.carriers.base import Alert, Carrier, CarrierError
from engine.recorder import Recorder

log = logging.getLogger(__name__)

PAUSES: Final = (1.0, 5.0, 15.0)
"""Seconds before each question: carriers note things late."""
MAX_ASKING: Final = 20
"""Calls that are asked about at a time; beyond it nothing is asked, since something larger is wrong."""


def in_trouble(call: Call) -> bool:
    """Whether a call that is over deserves the question: it failed, or it was answered and nobody heard us."""
    if call.end_reason in (State.ERROR, State.FAILED):
        return True
    return call.answered_at is not None and "heard" not in call.rungs


def about(alert: Alert) -> dict[str, str]:
    """A note of the carrier's as the error of a call."""
    facts = {"message": alert.message, "carrierCode": alert.code, "link": alert.link}
    if not alert.unreachable:
        return {"code": "carrier_error" if alert.error else "carrier_warning", **facts}
    url = urlunsplit((*urlsplit(alert.url)[:3], "", ""))
    at = f" at {url}" if url else ""
    return {"code": "webhook_unreachable", **facts, "message": f"webhook not reachable{at}: {alert.message}"}


class Alerts:
    """Asks one carrier about calls in trouble."""

    def __init__(self, carrier: Carrier, recorder: Recorder) -> None:
        self._carrier = carrier
        self._recorder = recorder
        self._asking: set[asyncio.Task[None]] = set()

    def changed(self, before: Call | None, after: Call) -> None:
        """The log says something new of a call."""
        if after.live or before is None or not before.live or not in_trouble(after):
            return
        if not self._carrier.capabilities.alerts or after.provider_call_id is None or len(self._asking) >= MAX_ASKING:
            return
        told = [dict(after.error)] if after.error is not None else []
        task = asyncio.create_task(self._ask(after.call_id, after.provider_call_id, told))
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def close(self) -> None:
        """Ask no more."""
        tasks = list(self._asking)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _ask(self, call_id: str, provider_call_id: str, told: list[dict[str, str]]) -> None:
        """`told`: errors that the record has already. A carrier notes each of its tries."""
        for pause in PAUSES:
            await asyncio.sleep(pause)
            try:
                alerts = await self._carrier.alerts(provider_call_id)
            except CarrierError as error:
                log.warning("call %s: the carrier was not to be asked for its notes: %s", call_id, error)
                continue
            for facts in map(about, reversed(alerts)):
                if facts not in told:
                    told.append(facts)
                    self._recorder.post(Draft("call.error", call_id, facts))
