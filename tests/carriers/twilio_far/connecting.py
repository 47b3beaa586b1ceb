"""`<Connect><Stream>`: carries a call over our media socket, and tells its status callback."""

from __future__ import annotations

import asyncio
import time
from email.utils import formatdate
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from engine.simulator.leg import Leg
from tests.carriers.twilio_far.stream import MediaSocket, StreamRecord, StreamTrouble
from tests.carriers.twilio_far.twiml import Connect

if TYPE_CHECKING:
    from tests.carriers.twilio_far.call import FarCall


async def carry(call: FarCall, leg: Leg, verb: Connect, base_url: str) -> str:
    """One stream from its upgrade to its end; returns its SID."""
    record = StreamRecord(call.world.new_sid("MZ"), verb.url, verb.parameters)
    call.streams.append(record)
    status_url = urljoin(base_url, verb.status_url) if verb.status_url else ""
    socket = call.socket = MediaSocket(record, call.state.sid, leg, call.world.settings, call.world.spawn)
    watcher = asyncio.create_task(_announce(call, socket, status_url))
    try:
        await socket.run(call.world.http)
    except StreamTrouble as trouble:
        record.end = record.end or str(trouble)
        call.reporter.note(trouble.code, str(trouble), verb.url)
        if trouble.code != 31921:
            _tell(call, record, status_url, "stream-error", f"{trouble.code} {trouble}")
    finally:
        call.socket = None
        for code, why in record.errors:
            call.reporter.note(code, why, verb.url)
        if record.started:
            _tell(call, record, status_url, "stream-stopped", "")
        watcher.cancel()
        await asyncio.wait([watcher])
        call.changed.set()
    return record.sid


async def _announce(call: FarCall, socket: MediaSocket, status_url: str) -> None:
    await socket.started.wait()
    call.changed.set()
    _tell(call, socket.record, status_url, "stream-started", "")


def _tell(call: FarCall, record: StreamRecord, url: str, event: str, error: str) -> None:
    if not url:
        return
    more = {
        "AccountSid": call.state.account_sid,
        "CallSid": call.state.sid,
        "StreamSid": record.sid,
        "StreamName": record.sid,
        "StreamEvent": event,
        "Timestamp": formatdate(time.time()).replace("-0000", "+0000"),
    }
    if error:
        more["StreamError"] = error
    call.world.spawn(call.reporter.ask("stream", url, "POST", more, whole=False))
