"""What every client of an engine can do, in terms of one request and one stream of events."""

from __future__ import annotations

import base64
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Final, Protocol, Self

from engine.api import AudioFrame, Page, Recorded, Refusal, ReplayInto
from engine.calls import Cursor, Event, Floor, Mode
from engine.calls.policy import Decision
from engine.control.feed import Batch

READ_S: Final = 30.0
DIAL_S: Final = 90.0
TALK_S: Final = 15 * 60.0
PROBE_S: Final = 90.0
CHECKS_S: Final = 180.0
"""Limits in seconds. The engine has tighter ones of its own; these are for one that no longer answers."""


class NoEngine(Exception):
    """No engine can be reached. `error` is a sentence, `hint` says what to do next."""

    def __init__(self, error: str, hint: str = "Start one with `voicecall` or `voicecall serve`.") -> None:
        super().__init__(error)
        self.error = error
        self.hint = hint


class MicrophoneLine(Protocol):
    """An open way for a voice. Belongs to the loop that opened it."""

    async def send(self, payload: bytes) -> None:
        """A piece of the voice: mu-law, 8 kHz, 20 ms."""

    async def rest(self) -> None:
        """The speaker stopped for now."""

    async def put_away(self) -> None:
        """No more will come, on purpose; the floor stays."""

    async def ended(self) -> str:
        """Return once the engine has closed it, with the reason."""


class EngineClient(ABC):
    """An engine, wherever it runs. Methods raise Refusal when it refuses and NoEngine when it is not there."""

    @abstractmethod
    async def _request(self, method: str, params: Mapping[str, Any], timeout_s: float = READ_S) -> Any:
        """The result of one method of the control door. After `timeout_s` the Refusal is `timeout`."""

    @abstractmethod
    def watch(self, cursor: Cursor | None = None, last: int = 0) -> AsyncIterator[Batch]:
        """Events after `cursor` (None: from the last `last` ones on), at most ten batches a second.

        No stored event is missed or told twice. Of levels and partials the newest per call is told. Ends when the
        engine stops for good.
        """

    def listen(self, call_id: str) -> AsyncGenerator[AudioFrame, None]:
        """The sound of a live call from now on, both sides, until it ends. Who is too slow loses the oldest frames.

        Refusals come with the first frame that is asked for. Close it (`aclosing`) to stop before the end.
        """
        raise Refusal("not_supported", "This client has no way for live audio.", "Use another kind of client.")

    def for_sound(self) -> EngineClient:
        """A client of the same engine for the loop of another thread: sound must not wait for a screen."""
        return self

    def microphone(self, call_id: str) -> AbstractAsyncContextManager[MicrophoneLine]:
        """A way for the operator's own voice to a caller whose floor they have; silent until something is sent.

        Left without `put_away` it counts as lost, and the engine gives the call to somebody else.
        """
        raise Refusal("not_supported", "This client has no way for a voice.", "Use another kind of client.")

    @abstractmethod
    async def close(self) -> None:
        """Let go of the engine. Again is harmless."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def call(self, to: str | None, message: str, mode: Mode | None = None, dtmf_sequence: str = "") -> str:
        """Place a call to an E.164 number (None: the configured one); returns its id once the carrier took it."""
        params = {"to": to, "message": message, "mode": mode, "dtmfSequence": dtmf_sequence}
        return str((await self._request("voicecall.initiate", params, DIAL_S))["callId"])

    async def speak(self, call_id: str, message: str) -> None:
        """Say a line; returns when it has been heard."""
        await self._request("voicecall.speak", {"callId": call_id, "message": message}, TALK_S)

    async def continue_call(self, call_id: str, message: str) -> str:
        """Say a line and wait for the caller's answer, which is returned."""
        result = await self._request("voicecall.continue", {"callId": call_id, "message": message}, TALK_S)
        return str(result["transcript"])

    async def dtmf(self, call_id: str, digits: str) -> None:
        """Play keys into the call; returns when they were played, after what is being said."""
        await self._request("voicecall.dtmf", {"callId": call_id, "digits": digits}, TALK_S)

    async def transfer(self, call_id: str, to: str) -> None:
        """Connect the caller with another E.164 number; returns when the carrier took it."""
        await self._request("voicecall.transfer", {"callId": call_id, "to": to}, DIAL_S)

    async def end(self, call_id: str) -> None:
        """Hang up. A call that is over already is a success."""
        await self._request("voicecall.end", {"callId": call_id}, DIAL_S)

    async def floor(self, call_id: str, holder: Floor, *, take_over: bool = False) -> None:
        """Who speaks for our side from now on. `take_over`: also when another person has the floor."""
        params = {"callId": call_id, "holder": holder, "takeOver": take_over}
        await self._request("voicecall.floor", params)

    async def hint(self, call_id: str, message: str) -> None:
        """Tell the brain something that the caller does not hear; it counts from the next reply on."""
        await self._request("voicecall.hint", {"callId": call_id, "message": message})

    async def admit(self, call_id: str, verdict: Decision) -> None:
        """Let a caller who waits in, once or always, or not. The first decision counts; later ones are refused."""
        await self._request("voicecall.admit", {"callId": call_id, "verdict": verdict})

    async def admitted(self) -> list[str]:
        """The numbers that were let in for good."""
        return list((await self._request("voicecall.admitted", {}))["numbers"])

    async def forget(self, number: str) -> None:
        """Take that back: the number is a stranger's again."""
        await self._request("voicecall.forget", {"number": number})

    async def acknowledge(self, call_id: str) -> None:
        """We have seen why a call needs a person: it is quiet about that until it happens anew."""
        await self._request("voicecall.acknowledge", {"callId": call_id})

    async def record(self, call_id: str, on: bool = True) -> None:
        """Record a call, or no more of it; returns when it is so: after the consent line, where one is said."""
        await self._request("voicecall.record", {"callId": call_id, "on": on}, TALK_S)

    async def recorded(self, call_id: str, index: int = 0, from_ms: int = 0, ms: int = 5000) -> Recorded:
        """A stretch of a recording, 5000 ms at most; `index` counts the recordings of a call, 0 is the last one."""
        params = {"callId": call_id, "index": index, "fromMs": from_ms, "ms": ms}
        part = await self._request("voicecall.recording", params)
        return Recorded(base64.b64decode(part["pcm"]), int(part["totalMs"]))

    async def status(self, call_id: str) -> dict[str, Any] | None:
        """The record of a call by our id or the carrier's; None when there is no such call."""
        result = await self._request("voicecall.status", {"callId": call_id})
        return dict(result["call"]) if result["found"] else None

    async def live(self) -> list[dict[str, Any]]:
        """The records of all calls that are not over, oldest first."""
        return list((await self._request("voicecall.status", {}))["calls"])

    async def history(self, last: int = 50, query: str = "") -> list[dict[str, Any]]:
        """The records of the last calls, newest first; `query` matches numbers and words that were said."""
        return list((await self._request("voicecall.history", {"last": last, "query": query}))["calls"])

    async def events(
        self, cursor: Cursor | None = None, call_id: str | None = None, wait_ms: int = 0, limit: int = 500
    ) -> Page:
        """Stored events after `cursor` (None: from now on). Waits `wait_ms` (45,000 at most) for the first one."""
        params = {
            "cursor": None if cursor is None else str(cursor),
            "callId": call_id,
            "waitMs": wait_ms,
            "limit": limit,
        }
        return _page(await self._request("voicecall.events", params, READ_S + wait_ms / 1000))

    async def backlog(self, calls: int = 50) -> Page:
        """All events of the last `calls` calls and of every live one, plus the last 200 without a call, in order.

        Folding them gives the call records; the cursor is the one to watch from.
        """
        return _page(await self._request("voicecall.backlog", {"calls": calls}))

    async def webhooks(
        self,
        last: int = 50,
        call_id: str | None = None,
        verdict: str | None = None,
        query: str = "",
        before: int | None = None,
        after: int | None = None,
    ) -> list[dict[str, Any]]:
        """Requests of the carrier that were kept, newest first, in short. `verdict`: ok, refused or replay.

        `query`: words that must all be in it. `before` and `after` are ids.
        """
        params = {"last": last, "callId": call_id, "verdict": verdict, "query": query}
        params |= {"before": before, "after": after}
        return list((await self._request("voicecall.webhooks", params))["webhooks"])

    async def webhook(self, webhook_id: int, with_secrets: bool = False) -> dict[str, Any]:
        """All that is known of one, its secrets masked unless asked for. `curl` in it is a command that sends it."""
        params = {"id": webhook_id, "withSecrets": with_secrets}
        return dict((await self._request("voicecall.webhook", params))["webhook"])

    async def replay_webhook(self, webhook_id: int, into: ReplayInto = "sandbox") -> dict[str, Any]:
        """Let one come again: to a copy of its call in memory, or to the engine as if the carrier had sent it."""
        return dict(await self._request("voicecall.webhook.replay", {"id": webhook_id, "into": into}))

    async def latency(self, last: int = 200) -> dict[str, Any]:
        """Per stage of a turn: count, minMs, maxMs, avgMs, p50Ms, p95Ms over the last `last` turns."""
        return dict(await self._request("voicecall.latency", {"last": last}))

    async def probe(self) -> dict[str, Any] | None:
        """Look at the public address from outside, now: ok, error, fix, steps; None when there is none."""
        report = (await self._request("voicecall.probe", {}, PROBE_S))["probe"]
        return None if report is None else dict(report)

    async def checks(self, *, online: bool = False) -> dict[str, Any]:
        """What `voicecall setup` (`online`: `--online`) looks at, as the engine sees it: ok, checks."""
        return dict(await self._request("voicecall.checks", {"online": online}, CHECKS_S))

    async def health(self) -> dict[str, Any]:
        """engine, exposure, speech, store and slots."""
        return dict(await self._request("voicecall.health", {}))


def _page(value: Mapping[str, Any]) -> Page:
    return Page([Event.from_json(event) for event in value["events"]], Cursor.parse(value["cursor"]))


def plain(params: Mapping[str, Any]) -> dict[str, Any]:
    """`params` with half surrogate pairs (a broken paste) replaced: they are no UTF-8 and can not travel."""
    return {
        key: value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
        for key, value in params.items()
    }
