"""What went wrong between us and the realtime service, in words that say what to do. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

_MAX_TEXT: Final = 300
_KEY: Final = re.compile(r"\b(?:sk|ek|sess)-[\w*-]{4,}")


@dataclass(frozen=True, slots=True)
class Problem:
    """`final`: another attempt would end the same way. `lost`: this session is of no use any more."""

    code: str
    message: str
    hint: str = ""
    final: bool = False
    lost: bool = True


_KEY_HINT: Final = "check realtime.providers.openai.api_key, or OPENAI_API_KEY"
_MODEL_HINT: Final = "check realtime.providers.openai.model, and that the account may use it"
_QUOTA_HINT: Final = "the account's credit is used up: see its billing page"
_ADDRESS_HINT: Final = "check realtime.providers.openai.base_url and the network"

_KNOWN: Final[Mapping[str, tuple[str, bool]]] = {
    "invalid_api_key": (_KEY_HINT, True),
    "model_not_found": (_MODEL_HINT, True),
    "insufficient_quota": (_QUOTA_HINT, True),
    "rate_limit_exceeded": ("the account's rate limit is reached: wait, or raise it", False),
    "beta_api_shape_disabled": ("the server speaks a dead protocol: check realtime.providers.openai.base_url", True),
    "session_expired": ("sessions last 60 minutes at most; a new one goes on with the conversation", False),
    "wrong_format": ("use a model and a server that speak G.711 mu-law (audio/pcmu)", True),
}
"""Code -> hint, and whether trying again is useless."""
_BY_STATUS: Final[Mapping[int, tuple[str, str, bool]]] = {
    401: ("invalid_api_key", _KEY_HINT, True),
    403: ("forbidden", f"the key may not do this; {_MODEL_HINT}", True),
    404: ("model_not_found", f"{_MODEL_HINT}; or {_ADDRESS_HINT}", True),
    429: ("rate_limit_exceeded", "the account's rate limit or credit is used up", False),
}
_NO_SESSION: Final = frozenset({*_KNOWN, "server_error"}) - {"rate_limit_exceeded"}
"""Codes of `error` events after which a session is of no use. All others leave it open."""


def from_error(error: Any) -> Problem:
    """A problem from the `error` of an event, or of a response that failed."""
    facts = error if isinstance(error, Mapping) else {}
    code = str(facts.get("code") or facts.get("type") or "unknown_error")
    message = _safe(str(facts.get("message") or "no explanation"))
    if "maximum duration" in message.lower():
        code = "session_expired"
    hint, final = _KNOWN.get(code, ("", False))
    return Problem(code, message, hint, final, code in _NO_SESSION)


def from_status(status: int, body: str = "") -> Problem:
    """A problem from the HTTP answer to the upgrade request; `body` may hold the service's own error."""
    code, hint, final = _BY_STATUS.get(status, (f"http_{status}", "", False))
    if not hint:
        hint = "the service has a problem of its own" if status >= 500 else _ADDRESS_HINT
    named = re.search(r'"code"\s*:\s*"([a-z_]+)"', body)
    if named and named[1] in _KNOWN:
        code = named[1]
        hint, final = _KNOWN[code]
    said = re.search(r'"message"\s*:\s*"((?:[^"\\]|\\.)*)"', body)
    return Problem(code, f"the service answered {status}" + (f": {_safe(said[1])}" if said else ""), hint, final)


def from_close(code: int | None, reason: str = "") -> Problem:
    """A problem from the end of the socket; the reason may name the error (4000: beta_api_shape_disabled)."""
    for name, (hint, final) in _KNOWN.items():
        if name in reason:
            return Problem(name, f"the service closed the session ({code}): {_safe(reason)}", hint, final)
    if "maximum duration" in reason.lower():
        return Problem("session_expired", _safe(reason), _KNOWN["session_expired"][0])
    said = f": {_safe(reason)}" if reason else ""
    return Problem("connection_lost", f"the connection to the service was lost ({code}){said}")


def unreachable(error: Exception) -> Problem:
    """The service can not be reached at all."""
    return Problem(
        "unreachable", f"the service can not be reached: {_safe(str(error)) or type(error).__name__}", _ADDRESS_HINT
    )


def _safe(text: str) -> str:
    """Bounded, on one line, and without anything that looks like a key."""
    return _KEY.sub("***", " ".join(text.split()))[:_MAX_TEXT]
