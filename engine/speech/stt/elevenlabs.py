"""ElevenLabs Scribe, realtime.

Wire facts: the vendor's Python SDK 2.78.0 (`realtime/scribe.py`, `types/*_payload.py`). Audio goes
out as it comes from the line (`ulaw_8000`). The session is ready at `session_started`. Texts carry no ids: they come
in the order of the commits.
"""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import urlencode

from engine.media.audio import PHONE
from engine.speech.ports import Hearing, Lost, SpeechUnavailable
from engine.speech.stt.commits import Commits
from engine.speech.stt.session import Answer, Ready, fit_to_tell, socket_url, words_of
from engine.speech.stt.vendor_recogniser import VendorRecogniser

log = logging.getLogger(__name__)

BASE_URL: Final = "https://api.elevenlabs.io"
MODEL: Final = "scribe_v2_realtime"
LIFETIME_SECONDS: Final = 55 * 60.0
BREATH_SECONDS: Final = 5.0
"""A session that hears nothing for long is ended by the vendor (`insufficient_audio_activity`)."""
_KEY_HINT: Final = "check `streaming.providers.elevenlabs.api_key`"
_CREDIT_HINT: Final = "check plan and credit of the account at elevenlabs.io"
_HOPELESS: Final[Mapping[str, tuple[str, str]]] = {
    "auth_error": ("the API key is not valid, or may not be used for this", _KEY_HINT),
    "quota_exceeded": ("the account has no credit left", _CREDIT_HINT),
    "unaccepted_terms": ("the account has not accepted the vendor's terms", "accept them at elevenlabs.io"),
    "invalid_request": ("it did not accept the session", "check `streaming.providers.elevenlabs.model`"),
}
"""Message that no second try changes -> what it means, and what to do."""
_PASSING: Final[Mapping[str, str]] = {
    "error": "an error",
    "rate_limited": "too many requests, or too many sessions at a time",
    "resource_exhausted": "the vendor has no capacity now",
    "queue_overflow": "it was sent audio faster than it takes it",
    "transcriber_error": "the transcription failed",
    "input_error": "it could not read what it was sent",
    "chunk_size_exceeded": "it was sent too much audio at once",
}
"""Message after which a new session may do -> what it means."""
_RENEWED: Final = ("session_time_limit_exceeded", "insufficient_audio_activity")
"""The session was as long, or as silent, as the vendor lets one be."""
_STATUS: Final[Mapping[int, tuple[str, str]]] = {
    401: ("the API key is not valid", _KEY_HINT),
    402: ("the account has no credit left", _CREDIT_HINT),
    403: ("the API key may not be used for this", "check the key's permissions"),
    404: ("there is no transcription at this address", "check `streaming.providers.elevenlabs.base_url`"),
    429: ("too many requests, or too many sessions at a time", _CREDIT_HINT),
}


@dataclass(frozen=True, slots=True)
class ElevenLabsSettings:
    """How to transcribe. `api_key` is a secret; `language` an ISO-639 code, empty: found out."""

    api_key: str
    base_url: str = BASE_URL
    model: str = MODEL
    language: str = ""
    commit_strategy: Literal["manual", "vad"] = "manual"
    vad_silence_threshold_secs: float = 0.8
    vad_threshold: float = 0.4


class ElevenLabsRecogniser(VendorRecogniser):
    """The `Recogniser` port."""

    name = "elevenlabs"

    def __init__(self, settings: ElevenLabsSettings) -> None:
        super().__init__()
        self._settings = settings

    def session(self) -> ElevenLabsSession:
        """A new session. Raises SpeechUnavailable without a key."""
        if not self._settings.api_key:
            raise SpeechUnavailable("elevenlabs has no API key", _KEY_HINT, hopeless=True)
        return ElevenLabsSession(self._settings)


class ElevenLabsSession:
    """One session: our messages, and what the server's mean.

    Items get numbers of ours, in the order of their texts.
    """

    name = "elevenlabs"
    lifetime_seconds = LIFETIME_SECONDS
    breath_seconds = BREATH_SECONDS

    def __init__(self, settings: ElevenLabsSettings) -> None:
        self._item = 1
        self._ready = self._appended = False
        self._vad = settings.commit_strategy == "vad"
        self.commits = Commits(vendor_commits=self._vad)
        query: dict[str, str | float] = {
            "model_id": settings.model,
            "audio_format": "ulaw_8000",
            "commit_strategy": settings.commit_strategy,
        }
        if self._vad:
            query["vad_silence_threshold_secs"] = settings.vad_silence_threshold_secs
            query["vad_threshold"] = settings.vad_threshold
        if settings.language:
            query["language_code"] = settings.language
        self.url = socket_url(settings.base_url, f"/v1/speech-to-text/realtime?{urlencode(query)}")
        self.headers: Mapping[str, str] = {"xi-api-key": settings.api_key}

    def greeting(self) -> Iterable[str]:
        """Everything stands in the address."""
        return ()

    def audio(self, data: bytes) -> str:
        """A piece of audio."""
        self._appended = True
        return _chunk(base64.b64encode(data).decode(), commit=False)

    def commit(self, number: int) -> str | None:
        """The end of an utterance. With the vendor's own detector it is for what that has not ended yet."""
        appended, self._appended = self._appended, False
        if not appended or self.commits.complete:
            return None
        return _chunk("", commit=True)

    def hear(self, message: Mapping[str, Any], now: float) -> Iterator[Hearing | Ready | Answer]:
        """What a message means."""
        kind, item = words_of(message, "message_type"), f"{self._item}"
        told = words_of(message, "error") or kind
        if kind == "session_started":
            yield from self._started(message.get("config"))
        elif kind == "partial_transcript":
            if text := words_of(message, "text"):
                self.commits.delta(item, text, whole=True)
        elif kind == "committed_transcript":
            self._item += 1
            self.commits.committed(item, None, now, by_vendor=self._vad)
            self.commits.completed(item, words_of(message, "text"))
        elif kind == "commit_throttled":
            self.commits.refused(None)  # too little audio for a commit
        elif kind in _RENEWED:
            yield Lost(f"elevenlabs ended the session: {told}", planned=self._ready)
        elif kind in _HOPELESS:
            what, hint = _HOPELESS[kind]
            yield Lost(f"elevenlabs: {what} ({kind}: {told})", hint, hopeless=True)
        elif kind in _PASSING:
            yield Lost(f"elevenlabs: {_PASSING[kind]} ({kind}: {told})")
        elif kind == "warning":
            log.warning("elevenlabs recognition: %s", fit_to_tell(words_of(message, "warning") or told, self))

    def refused(self, status: int) -> Lost:
        """The upgrade was answered with an HTTP status."""
        what, hint = _STATUS.get(status, (f"it answered with HTTP {status}", ""))
        hopeless = status in (401, 402, 403, 404)
        return Lost(f"elevenlabs refused the connection: {what} ({status})", hint, hopeless=hopeless)

    def closed(self, code: int | None, reason: str) -> Lost:
        """The server closed the socket."""
        return Lost(f"elevenlabs closed the connection: {reason or 'it gave no reason'} (code {code})")

    def _started(self, config: Any) -> Iterator[Ready | Lost]:
        """Audio in another format than the server expects would be noise in, nonsense out."""
        expects = words_of(config, "audio_format") if isinstance(config, dict) else ""
        if expects not in ("", "ulaw_8000"):
            hint = "check `streaming.providers.elevenlabs.base_url`"
            yield Lost(f"elevenlabs expects {expects} and not ulaw_8000", hint, hopeless=True)
        else:
            self._ready = True
            yield Ready()


def _chunk(audio: str, *, commit: bool) -> str:
    return json.dumps(
        {"message_type": "input_audio_chunk", "audio_base_64": audio, "commit": commit, "sample_rate": PHONE.rate}
    )
