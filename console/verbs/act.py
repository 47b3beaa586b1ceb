"""call, continue, speak, dtmf, transfer, admit and end: one request to the running engine each."""

from __future__ import annotations

import asyncio
from argparse import Namespace
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from console.text import clean
from console.verbs.door import running_engine
from console.verbs.runner import DONE, INVALID, Session, fail
from engine.client import EngineClient

_Result = tuple[dict[str, Any], str]
_SUCCESS: Final = {"success": True}


def run(session: Session) -> int:
    args = session.args
    if args.verb == "admit" and bool(args.verdict) != bool(args.call_id):
        wrong = "--call-id is needed to decide about a caller, and only then"
        return fail(session.out, INVALID, "invalid_params", wrong, "see `voicecall admit --help`")
    result, text = asyncio.run(_act(session))
    session.out.result(result, text.splitlines())
    return DONE


async def _act(session: Session) -> _Result:
    state_dir = session.state_dir(session.load())
    async with running_engine(state_dir) as client:
        return await _ACTS[session.args.verb](client, session.args)


async def _call(client: EngineClient, args: Namespace) -> _Result:
    call_id = await client.call(args.to, args.message, args.mode, args.dtmf_sequence or "")
    return {"callId": call_id}, f"dialling: call {call_id}"


async def _continue(client: EngineClient, args: Namespace) -> _Result:
    transcript = await client.continue_call(args.call_id, args.message)
    return {**_SUCCESS, "transcript": transcript}, clean(transcript) or "(the caller said nothing)"


async def _speak(client: EngineClient, args: Namespace) -> _Result:
    await client.speak(args.call_id, args.message)
    return _SUCCESS, "heard"


async def _dtmf(client: EngineClient, args: Namespace) -> _Result:
    await client.dtmf(args.call_id, args.digits)
    return _SUCCESS, "sent"


async def _transfer(client: EngineClient, args: Namespace) -> _Result:
    await client.transfer(args.call_id, args.to)
    return _SUCCESS, "put through: the call comes back if nobody answers there"


async def _admit(client: EngineClient, args: Namespace) -> _Result:
    if args.list:
        numbers = await client.admitted()
        return {"numbers": numbers}, "\n".join(map(clean, numbers)) or "nobody was let in always"
    if args.forget is not None:
        await client.forget(args.forget)
        return _SUCCESS, f"{clean(args.forget)} is a stranger again"
    await client.admit(args.call_id, args.verdict)
    return _SUCCESS, "turned away" if args.verdict == "no" else f"let in {args.verdict}"


async def _end(client: EngineClient, args: Namespace) -> _Result:
    await client.end(args.call_id)
    return _SUCCESS, "ended"


_ACTS: Final[Mapping[str, Callable[[EngineClient, Namespace], Awaitable[_Result]]]] = {
    "call": _call,
    "continue": _continue,
    "speak": _speak,
    "dtmf": _dtmf,
    "transfer": _transfer,
    "admit": _admit,
    "end": _end,
}
