"""The methods of the control door: from a name and JSON parameters to `EngineApi`, and back to JSON."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any, Final, TypeVar, cast

from pydantic import ValidationError

from engine.api import EngineApi, Page, Refusal
from engine.calls import Call, Cursor, apply, needs
from engine.clock import epoch_ms
from engine.control import params as p
from engine.control.operations import Operations
from engine.store import WebhookQuery

Result = Mapping[str, Any]
_P = TypeVar("_P", bound=p.Params)
LISTEN: Final = "voicecall.listen"
UNLISTEN: Final = "voicecall.unlisten"
MICROPHONE: Final = "voicecall.microphone"
MICROPHONE_CLOSE: Final = "voicecall.microphone.close"
_SUCCESS: Final[Result] = {"success": True}


@dataclass(frozen=True, slots=True)
class Method:
    """One method: what it takes, what it does, and whether it changes anything."""

    params: type[p.Params]
    run: Callable[[Dispatcher, p.Params, str], Awaitable[Result]]
    acts: bool


class Dispatcher:
    """Calls the engine on behalf of any client. Belongs to the engine's loop.

    What was begun is carried through even if the one who asked is gone; only reads end with their reader.
    """

    def __init__(self, api: EngineApi) -> None:
        self._api = api
        self._acts: set[asyncio.Task[Result]] = set()
        self._operations = Operations()
        self._closed = False

    async def dispatch(self, method: str, params: object, by: str) -> Result:
        """The result of `method` as JSON. Raises Refusal, also for an unknown method or wrong parameters."""
        known = METHODS.get(method)
        if known is None:
            raise UnknownMethod(method)
        taken = checked(known.params, params)
        if self._closed:
            raise _stopping("The engine is stopping.")
        if not known.acts:
            return await known.run(self, taken, by)
        task = asyncio.ensure_future(known.run(self, taken, by))
        self._acts.add(task)
        task.add_done_callback(self._acts_done)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            asker = asyncio.current_task()
            if task.cancelled() and asker is not None and not asker.cancelling():
                raise _stopping(f"The engine stopped before {method} was done.") from None
            raise

    async def close(self) -> None:
        """Give up what still runs, with `engine_stopping` for who waits, and begin nothing more."""
        self._closed = True
        tasks = list(self._acts)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await self._operations.close()

    def _acts_done(self, task: asyncio.Task[Result]) -> None:
        self._acts.discard(task)
        if not task.cancelled():
            task.exception()  # its asker may be gone; the engine has recorded what happened

    async def initiate(self, params: p.Initiate, by: str) -> Result:
        call_id = await self._api.initiate(params.to, params.message, params.mode, params.dtmf_sequence, by)
        return {"callId": call_id}

    async def start(self, params: p.Start, by: str) -> Result:
        call_id = await self._api.initiate(params.to, params.message, params.mode, params.dtmf_sequence, by)
        return {"callId": call_id}

    async def continue_call(self, params: p.Say, by: str) -> Result:
        transcript = await self._api.continue_call(params.call_id, params.message, by)
        return {"success": True, "transcript": transcript}

    async def continue_start(self, params: p.Say, by: str) -> Result:
        return {"operationId": self._operations.start(self.continue_call(params, by))}

    async def continue_result(self, params: p.Operation, by: str) -> Result:
        return self._operations.result(params.operation_id)

    async def speak(self, params: p.Say, by: str) -> Result:
        await self._api.speak(params.call_id, params.message, by)
        return _SUCCESS

    async def dtmf(self, params: p.Dtmf, by: str) -> Result:
        await self._api.send_dtmf(params.call_id, params.digits, by)
        return _SUCCESS

    async def transfer(self, params: p.Transfer, by: str) -> Result:
        await self._api.transfer(params.call_id, params.to, by)
        return _SUCCESS

    async def end(self, params: p.OneCall, by: str) -> Result:
        await self._api.end(params.call_id, by)
        return _SUCCESS

    async def floor(self, params: p.SetFloor, by: str) -> Result:
        await self._api.set_floor(params.call_id, params.holder, by, params.take_over)
        return _SUCCESS

    async def hint(self, params: p.Say, by: str) -> Result:
        await self._api.hint(params.call_id, params.message, by)
        return _SUCCESS

    async def admit(self, params: p.Admit, by: str) -> Result:
        await self._api.admit(params.call_id, params.verdict, by)
        return _SUCCESS

    async def admitted(self, params: p.Params, by: str) -> Result:
        return {"numbers": list(self._api.always_admitted())}

    async def forget(self, params: p.Forget, by: str) -> Result:
        await self._api.forget_caller(params.number, by)
        return _SUCCESS

    async def record(self, params: p.Record, by: str) -> Result:
        await self._api.record_call(params.call_id, params.on, by)
        return _SUCCESS

    async def acknowledge(self, params: p.OneCall, by: str) -> Result:
        await self._api.acknowledge(params.call_id, by)
        return _SUCCESS

    async def recording(self, params: p.ReadRecording, by: str) -> Result:
        part = await self._api.recorded(params.call_id, params.index, params.from_ms, params.ms)
        return {"pcm": base64.b64encode(part.pcm).decode(), "sampleRate": 8000, "totalMs": part.total_ms}

    async def status(self, params: p.Status, by: str) -> Result:
        if params.call_id is None:
            return {"calls": [_status(call) for call in self._api.live_calls()]}
        call = self._api.call(params.call_id) or await self._stored_call(params.call_id)
        return {"found": False} if call is None else {"found": True, "call": _status(call)}

    async def _stored_call(self, call_id: str) -> Call | None:
        """The engine keeps its latest calls at hand; an older one is in the log."""
        call: Call | None = None
        cursor = Cursor(self._api.cursor().generation, 0)
        while (page := await self._api.events(cursor, call_id, limit=p.MAX_EVENTS)).events:
            call = reduce(apply, page.events, call)
            cursor = page.cursor
        return call

    async def events(self, params: p.Events, by: str) -> Result:
        cursor = Cursor.parse(params.cursor) if params.cursor is not None else None
        return _page(await self._api.events(cursor, params.call_id, params.wait_ms, params.limit))

    async def history(self, params: p.History, by: str) -> Result:
        return {"calls": [call.to_json() for call in await self._api.history(params.last, params.query)]}

    async def webhooks(self, params: p.Webhooks, by: str) -> Result:
        wanted = WebhookQuery(params.last, params.call_id, params.verdict, params.query, params.before, params.after)
        return {"webhooks": list(await self._api.webhooks(wanted))}

    async def webhook(self, params: p.Webhook, by: str) -> Result:
        return {"webhook": await self._api.webhook(params.id, params.with_secrets)}

    async def replay(self, params: p.Replay, by: str) -> Result:
        return await self._api.replay_webhook(params.id, params.into, by)

    async def health(self, params: p.Params, by: str) -> Result:
        return self._api.health()

    async def probe(self, params: p.Params, by: str) -> Result:
        return {"probe": await self._api.probe()}

    async def checks(self, params: p.Checks, by: str) -> Result:
        return await self._api.checks(online=params.online)

    async def latency(self, params: p.Latency, by: str) -> Result:
        return await self._api.latency(params.last)

    async def backlog(self, params: p.Backlog, by: str) -> Result:
        return _page(await self._api.backlog(params.calls))

    async def listen(self, params: p.OneCall, by: str) -> Result:
        """What an attached client asks is answered by `engine.control.listenings`; nobody else can get sound."""
        raise Refusal(
            "not_supported",
            "Live audio comes and goes as binary frames over an attached socket, not in an answer.",
            "Open a WebSocket with GET /attach and send the same request there.",
        )


class UnknownMethod(Refusal):
    """There is no method of this name."""

    def __init__(self, method: str) -> None:
        super().__init__(
            "not_supported", f"There is no method {method[:80]!r}.", f"Methods: {', '.join(sorted(METHODS))}."
        )


def _stopping(error: str) -> Refusal:
    return Refusal("engine_stopping", error, "Start one again with `voicecall` or `voicecall serve`.")


def checked(model: type[_P], params: object) -> _P:
    """`params` as the model that the method takes. Raises Refusal that names what is wrong."""
    try:
        return model.model_validate({} if params is None else params)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)[:5]
        what = "; ".join(f"{'.'.join(str(part) for part in one['loc']) or 'params'}: {one['msg']}" for one in found)
        takes = ", ".join(field.alias or name for name, field in model.model_fields.items()) or "nothing"
        raise Refusal("invalid_params", f"Wrong parameters: {what}.", f"This method takes: {takes}.") from error


def _status(call: Call) -> Result:
    return {**call.to_json(), "attention": [need.to_json() for need in needs(call, epoch_ms())]}


def _page(page: Page) -> Result:
    return {"events": [event.to_json() for event in page.events], "cursor": str(page.cursor)}


def _method(
    model: type[_P], run: Callable[[Dispatcher, _P, str], Awaitable[Result]], *, acts: bool = False
) -> Method:
    # `_check` has made the parameters with this very model.
    return Method(model, cast(Callable[[Dispatcher, p.Params, str], Awaitable[Result]], run), acts)


METHODS: Final[Mapping[str, Method]] = {
    "voicecall.initiate": _method(p.Initiate, Dispatcher.initiate, acts=True),
    "voicecall.start": _method(p.Start, Dispatcher.start, acts=True),
    "voicecall.continue": _method(p.Say, Dispatcher.continue_call, acts=True),
    "voicecall.continue.start": _method(p.Say, Dispatcher.continue_start, acts=True),
    "voicecall.continue.result": _method(p.Operation, Dispatcher.continue_result),
    "voicecall.speak": _method(p.Say, Dispatcher.speak, acts=True),
    "voicecall.dtmf": _method(p.Dtmf, Dispatcher.dtmf, acts=True),
    "voicecall.transfer": _method(p.Transfer, Dispatcher.transfer, acts=True),
    "voicecall.end": _method(p.OneCall, Dispatcher.end, acts=True),
    "voicecall.floor": _method(p.SetFloor, Dispatcher.floor, acts=True),
    "voicecall.hint": _method(p.Say, Dispatcher.hint, acts=True),
    "voicecall.admit": _method(p.Admit, Dispatcher.admit, acts=True),
    "voicecall.admitted": _method(p.Params, Dispatcher.admitted),
    "voicecall.forget": _method(p.Forget, Dispatcher.forget, acts=True),
    "voicecall.record": _method(p.Record, Dispatcher.record, acts=True),
    "voicecall.acknowledge": _method(p.OneCall, Dispatcher.acknowledge, acts=True),
    "voicecall.recording": _method(p.ReadRecording, Dispatcher.recording),
    "voicecall.status": _method(p.Status, Dispatcher.status),
    "voicecall.events": _method(p.Events, Dispatcher.events),
    "voicecall.history": _method(p.History, Dispatcher.history),
    "voicecall.webhooks": _method(p.Webhooks, Dispatcher.webhooks),
    "voicecall.webhook": _method(p.Webhook, Dispatcher.webhook),
    "voicecall.webhook.replay": _method(p.Replay, Dispatcher.replay, acts=True),
    "voicecall.health": _method(p.Params, Dispatcher.health),
    "voicecall.probe": _method(p.Params, Dispatcher.probe),
    "voicecall.checks": _method(p.Checks, Dispatcher.checks),
    "voicecall.latency": _method(p.Latency, Dispatcher.latency),
    "voicecall.backlog": _method(p.Backlog, Dispatcher.backlog),
    LISTEN: _method(p.OneCall, Dispatcher.listen),
    UNLISTEN: _method(p.OneCall, Dispatcher.listen),
    MICROPHONE: _method(p.OneCall, Dispatcher.listen),
    MICROPHONE_CLOSE: _method(p.OneCall, Dispatcher.listen),
}
