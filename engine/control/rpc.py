"""JSON-RPC 2.0 (https://www.jsonrpc.org/specification): bytes in, bytes out, whatever the bytes are."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import orjson

from engine.api import Refusal
from engine.control.methods import UnknownMethod
from engine.store import StoreError

log = logging.getLogger(__name__)

MAX_BODY_BYTES: Final = 64 * 1024
MAX_BATCH: Final = 50

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603
REFUSED: Final = -32000
"""The engine's own refusals; `data.code` says which."""

_Response = dict[str, Any]


class Dispatches(Protocol):
    """Whoever carries out methods: the door's dispatcher, or an attachment's."""

    async def dispatch(self, method: str, params: object, by: str) -> Mapping[str, Any]:
        """The result as JSON. Raises Refusal."""


async def answer(dispatcher: Dispatches, body: bytes | str, by: str) -> bytes | None:
    """The response to one request or batch; None when it holds notifications only. Never raises for bad input."""
    try:
        message = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        return encode(failure(None, PARSE_ERROR, Refusal("invalid_params", f"This is not JSON: {error}.")))
    if not isinstance(message, list):
        response = await _one(dispatcher, message, by)
        return None if response is None else encode(response)
    if not 0 < len(message) <= MAX_BATCH:
        return encode(_invalid(None, f"A batch holds 1 to {MAX_BATCH} requests, this one {len(message)}."))
    responses = await asyncio.gather(*(_one(dispatcher, request, by) for request in message))
    wanted = [response for response in responses if response is not None]
    return encode(wanted) if wanted else None


def too_many(body: bytes | str, limit: int) -> bytes:
    """The refusal of a request because `limit` requests of this client run already."""
    try:
        message = orjson.loads(body)
    except orjson.JSONDecodeError:
        message = None
    request_id = message.get("id") if isinstance(message, dict) else None
    refusal = Refusal("at_capacity", f"{limit} requests of this client run already.", "Wait for one of them.")
    return encode(failure(request_id, REFUSED, refusal))


def failure(request_id: object, code: int, refusal: Refusal) -> _Response:
    """An error response: `code` is JSON-RPC's, `data.code` the slug."""
    return {
        "jsonrpc": "2.0",
        "id": request_id,
        "error": {"code": code, "message": refusal.error, "data": refusal.data()},
    }


def encode(value: Any) -> bytes:
    """`value` as JSON text; mappings and sequences of any kind will do."""
    return orjson.dumps(value, default=_plain)


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence):
        return list(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


async def _one(dispatcher: Dispatches, request: object, by: str) -> _Response | None:
    if not isinstance(request, dict):
        return _invalid(None, "A request is a JSON object.")
    request_id = request.get("id")
    if isinstance(request_id, bool) or not isinstance(request_id, str | int | float | None):
        return _invalid(None, "The id of a request is a string, a number or null.")
    method = request.get("method")
    if request.get("jsonrpc") != "2.0" or not isinstance(method, str):
        return _invalid(request_id, 'A request has "jsonrpc": "2.0" and a "method".')
    response = await _run(dispatcher, request_id, method, request.get("params"), by)
    return response if "id" in request else None


async def _run(dispatcher: Dispatches, request_id: object, method: str, params: object, by: str) -> _Response:
    try:
        result: Mapping[str, Any] = await dispatcher.dispatch(method, params, by)
    except UnknownMethod as refusal:
        return failure(request_id, METHOD_NOT_FOUND, refusal)
    except Refusal as refusal:
        code = INVALID_PARAMS if refusal.code == "invalid_params" else REFUSED
        return failure(request_id, code, refusal)
    except StoreError as error:
        return failure(request_id, REFUSED, Refusal("store_failed", error.error, error.hint))
    except Exception:
        log.exception("%s failed", method)
        unexpected = Refusal("internal_error", f"{method} failed unexpectedly.", "The engine's log says why.")
        return failure(request_id, INTERNAL_ERROR, unexpected)
    return {"jsonrpc": "2.0", "id": request_id, "result": result}


def _invalid(request_id: object, error: str) -> _Response:
    return failure(request_id, INVALID_REQUEST, Refusal("invalid_params", error))
