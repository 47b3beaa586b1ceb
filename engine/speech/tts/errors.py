"""What a speech service's refusal means, and what to do about it.

OpenAI: `{"error": {"message", "type", "param", "code"}}` (platform.openai.com/docs/guides/error-codes). ElevenLabs:
`{"detail": {"status", "message"}}`, where `status` says more than the number (a used-up quota is a 401), and
`{"detail": [{"loc", "msg"}]}` for a request that is not valid.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from engine.speech.answers import json_object, short
from engine.speech.ports import SpeechUnavailable


@dataclass(frozen=True, slots=True)
class Refused:
    """A refusal as it was read: `code` is the service's own word for it, `about` the parameter it is about."""

    status: int
    code: str
    message: str
    about: str = ""


Explain = Callable[[Refused], str]
"""Refusal -> what to do about it."""


def explained(explain: Explain, status: int, body: bytes, reason: str, secret: str) -> SpeechUnavailable:
    """The refusal as an error for the operator."""
    refused = read_refusal(status, body)
    text = redacted(refused.message or reason or "no explanation", secret)
    what = f"{status} {refused.code}".strip()
    return SpeechUnavailable(f"the speech service answered {what}: {text}", explain(refused))


def read_refusal(status: int, body: bytes) -> Refused:
    """Read an error body; other shapes, and other servers, give their text."""
    text = body.decode("utf-8", "replace")
    value = json_object(text)
    error: Any = value.get("error") or value.get("detail") or value
    if isinstance(error, list) and error:
        first = error[0] if isinstance(error[0], Mapping) else {}
        where = ".".join(str(part) for part in first.get("loc", ()) if isinstance(part, str | int))
        return Refused(status, str(first.get("type", "")), short(f"{where}: {first.get('msg', '')}"), where)
    if isinstance(error, str):
        return Refused(status, "", short(error))
    if isinstance(error, Mapping) and error:
        code = next((str(error[key]) for key in ("status", "code", "type") if error.get(key)), "")
        return Refused(status, short(code), short(str(error.get("message") or "")), str(error.get("param") or ""))
    return Refused(status, "", short(text))


def redacted(text: str, secret: str) -> str:
    """`text` without the key, and without a part of it that a service quotes back."""
    text = short(text)
    return text.replace(secret, "***") if secret else text


def openai_hint(refused: Refused) -> str:
    """What to do about OpenAI's refusals."""
    code, said = refused.code, refused.message.lower()
    if refused.status == 401:
        return _OPENAI[401]
    if code in ("insufficient_quota", "billing_hard_limit_reached"):
        return "the account's credit is used up: add some at platform.openai.com"
    if refused.about == "voice" or (refused.status in (400, 422) and "voice" in said):
        return "check `tts.providers.openai.voice`: not every model has every voice"
    if code == "model_not_found" or refused.about == "model" or (refused.status == 404 and "model" in said):
        return "check `tts.providers.openai.model`: it does not exist, or this key may not use it"
    return _OPENAI.get(refused.status, _SERVER if refused.status >= 500 else "")


def elevenlabs_hint(refused: Refused) -> str:
    """What to do about ElevenLabs' refusals."""
    if refused.code in _ELEVENLABS:
        return _ELEVENLABS[refused.code]
    if "voice_id" in refused.about:
        return _ELEVENLABS["voice_not_found"]
    by_status = {401: _ELEVENLABS["invalid_api_key"], 404: _ELEVENLABS["voice_not_found"], 429: _BUSY}
    return by_status.get(refused.status, _SERVER if refused.status >= 500 else "")


_SERVER: Final = "the service has a problem of its own"
_BUSY: Final = "the account's limit of requests is reached: fewer calls at once, or a larger plan"
_OPENAI: Final[Mapping[int, str]] = {
    401: "check `tts.providers.openai.api_key`",
    403: "the key may not do this: check its permissions, and `tts.providers.openai.model`",
    404: "check `tts.providers.openai.base_url` and `tts.providers.openai.model`",
    429: _BUSY,
}
_ELEVENLABS: Final[Mapping[str, str]] = {
    "invalid_api_key": "check `tts.providers.elevenlabs.api_key`",
    "missing_permissions": "give the key the permission text_to_speech",
    "quota_exceeded": "the account's characters are used up: wait for the next month, or take a larger plan",
    "too_many_concurrent_requests": _BUSY,
    "system_busy": _SERVER,
    "voice_not_found": "check `tts.providers.elevenlabs.voice_id`: the voice must be in the account's library",
    "model_not_found": "check `tts.providers.elevenlabs.model_id`",
    "model_can_not_do_text_to_speech": "check `tts.providers.elevenlabs.model_id`",
    "invalid_uid": "check `tts.providers.elevenlabs.voice_id`: that is not an id, it may be a name",
    "output_format_not_allowed": "the account's plan has no ulaw_8000",
    "subscription_required": "the account's plan does not include this",
}
