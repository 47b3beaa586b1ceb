"""OpenAI realtime transcription, in the protocol that is generally available since 2025.

Wire facts: OpenAI's specification of 2026-08-21 and its guide "Realtime transcription". The socket is opened with
`?intent=transcription`, with no model in the address (that would open a conversation, which refuses this session)
and without the `OpenAI-Beta` header, whose protocol was switched off in May 2026 (`beta_api_shape_disabled`, close
code 4000). The session is ready at `session.updated`.

Audio goes out as it comes from the line (`audio/pcmu`). The specification lets every model have it, the guide shows
`audio/pcm` at 24 kHz only: where a server refuses the first, the second is asked for and made.
"""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from engine.media.convert import PhoneUpsampler
from engine.speech.ports import Hearing, Lost, SpeechEnded, SpeechUnavailable, VoiceConfirmed
from engine.speech.stt.commits import Commits
from engine.speech.stt.session import Answer, Ready, fit_to_tell, socket_url, words_of
from engine.speech.stt.vendor_recogniser import VendorRecogniser

log = logging.getLogger(__name__)

BASE_URL: Final = "https://api.openai.com/v1"
MODEL: Final = "gpt-live-transcribe"
LIFETIME_SECONDS: Final = 55 * 60.0
"""A session ends after 60 minutes."""
PCMU: Final[Mapping[str, str | int]] = {"type": "audio/pcmu"}
PCM: Final[Mapping[str, str | int]] = {"type": "audio/pcm", "rate": 24_000}
"""What can be sent; of PCM the server takes this rate only."""
_COMMIT: Final = "utterance-"
"""Our commits are called this and the number of the utterance: an error names the event that it is about."""
_WHOLE_DELTAS: Final = ("whisper-1",)
"""Models whose every delta is the whole text so far."""
_KEY_HINT: Final = "check `streaming.providers.openai.api_key`"
_MODEL_HINT: Final = "check `streaming.providers.openai.model`"
_VAD_HINT: Final = "set `streaming.providers.openai.turn_detection` to none, or choose another model"
_CREDIT_HINT: Final = "check plan and billing of the account at platform.openai.com"
_HOPELESS: Final[Mapping[str, tuple[str, str]]] = {
    "invalid_api_key": ("the API key is not valid", _KEY_HINT),
    "insufficient_quota": ("the account has no credit left", _CREDIT_HINT),
    "model_not_found": ("there is no such model, or the key may not use it", _MODEL_HINT),
    "beta_api_shape_disabled": (
        "the server only speaks the current protocol, and something on the way made ours look like the old one",
        "check `streaming.providers.openai.base_url`: a proxy must not add the header OpenAI-Beta",
    ),
}
"""Code of an error that no second try changes -> what it means, and what to do."""
_ENDINGS: Final = ("rate_limit_exceeded", "session_expired", "server_error", "internal_error")
"""Codes or types of errors after which nothing more comes; most others leave the session as it was."""
_STATUS: Final[Mapping[int, tuple[str, str]]] = {
    401: ("the API key is not valid", _KEY_HINT),
    403: ("the API key may not be used for this", "check the key's permissions and the country you call from"),
    404: ("there is no transcription at this address", "check `streaming.providers.openai.base_url`"),
    429: ("too many requests, or no credit left", _CREDIT_HINT),
}


@dataclass(frozen=True, slots=True)
class OpenAiSettings:
    """How to transcribe. `api_key` is a secret; `language` an ISO-639-1 code, empty: found out."""

    api_key: str
    base_url: str = BASE_URL
    model: str = MODEL
    language: str = ""
    turn_detection: Literal["none", "server_vad"] = "none"
    silence_duration_ms: int = 800
    vad_threshold: float = 0.5


class OpenAiRecogniser(VendorRecogniser):
    """The `Recogniser` port."""

    name = "openai"

    def __init__(self, settings: OpenAiSettings) -> None:
        super().__init__()
        self._settings = settings

    def session(self) -> OpenAiSession:
        """A new session. Raises SpeechUnavailable without a key."""
        if not self._settings.api_key and self._settings.base_url == BASE_URL:
            raise SpeechUnavailable("openai has no API key", _KEY_HINT, hopeless=True)
        return OpenAiSession(self._settings)


class OpenAiSession:
    """One transcription session: our events, and what the server's mean."""

    name = "openai"
    lifetime_seconds = LIFETIME_SECONDS
    breath_seconds = 0.0

    def __init__(self, settings: OpenAiSettings) -> None:
        self._settings = settings
        self._whole = settings.model.startswith(_WHOLE_DELTAS)
        self._stopped: set[str] = set()
        """Items that the server's own detector has ended and not yet committed."""
        self._ready = self._appended = False
        self._upsampler: PhoneUpsampler | None = None
        """Set where the server wants PCM."""
        self.commits = Commits(vendor_commits=settings.turn_detection == "server_vad")
        self.url = socket_url(settings.base_url, "/realtime?intent=transcription")
        self.headers: Mapping[str, str] = {"Authorization": f"Bearer {settings.api_key}"} if settings.api_key else {}

    def greeting(self) -> Iterable[str]:
        """What the session is to be."""
        yield self._session_update(PCMU)

    def audio(self, data: bytes) -> str:
        """A piece of audio; the server does not confirm it."""
        self._appended = True
        if self._upsampler is not None:
            data = self._upsampler.feed(data)
        return json.dumps({"type": "input_audio_buffer.append", "audio": base64.b64encode(data).decode()})

    def commit(self, number: int) -> str | None:
        """The end of an utterance. With the server's own detector it is for what that has not ended yet."""
        appended, self._appended = self._appended, False
        if not appended or self.commits.complete:
            return None
        return json.dumps({"type": "input_audio_buffer.commit", "event_id": f"{_COMMIT}{number}"})

    def hear(self, message: Mapping[str, Any], now: float) -> Iterator[Hearing | Ready | Answer]:
        """What a server event means."""
        item = words_of(message, "item_id")
        match message.get("type"):
            case "session.updated":
                yield from self._updated(message.get("session"))
            case "error":
                yield from self._error(message.get("error"))
            case "input_audio_buffer.speech_started":
                self.commits.delta(item, "")
                yield VoiceConfirmed(1.0)
            case "input_audio_buffer.speech_stopped":
                self._stopped.add(item)
                yield SpeechEnded()
            case "input_audio_buffer.committed":
                by_vendor = item in self._stopped
                self._stopped.discard(item)
                self.commits.committed(item, words_of(message, "previous_item_id"), now, by_vendor=by_vendor)
            case "input_audio_buffer.cleared":
                self.commits.refused(None)  # how some compatible servers say that there was nothing to commit
            case "conversation.item.input_audio_transcription.delta":
                self.commits.delta(item, words_of(message, "delta"), whole=self._whole)
            case "conversation.item.input_audio_transcription.completed":
                self.commits.completed(item, words_of(message, "transcript"))
            case "conversation.item.input_audio_transcription.failed":
                self.commits.failed(item, _Told.of(message.get("error")).text)

    def refused(self, status: int) -> Lost:
        """The upgrade was answered with an HTTP status."""
        what, hint = _STATUS.get(status, (f"it answered with HTTP {status}", ""))
        return Lost(f"openai refused the connection: {what} ({status})", hint, hopeless=status in (401, 403, 404))

    def closed(self, code: int | None, reason: str) -> Lost:
        """The server closed the socket; its reason may name the error."""
        for error, (what, hint) in _HOPELESS.items():
            if error in reason:
                return Lost(f"openai closed the connection: {what} ({error}, code {code})", hint, hopeless=True)
        return Lost(f"openai closed the connection: {reason or 'it gave no reason'} (code {code})")

    def _session_update(self, audio_format: Mapping[str, str | int]) -> str:
        settings = self._settings
        transcription = {"model": settings.model} | ({"language": settings.language} if settings.language else {})
        detection = {
            "type": "server_vad",
            "threshold": settings.vad_threshold,
            "prefix_padding_ms": 300,
            "silence_duration_ms": settings.silence_duration_ms,
        }
        audio_input = {
            "format": audio_format,
            "transcription": transcription,
            "turn_detection": detection if settings.turn_detection == "server_vad" else None,
        }
        session = {"type": "transcription", "audio": {"input": audio_input}}
        return json.dumps({"type": "session.update", "session": session})

    def _updated(self, session: Any) -> Iterator[Ready | Lost]:
        """Audio in another format than the server expects would be noise in, nonsense out."""
        wanted = PCMU["type"] if self._upsampler is None else PCM["type"]
        try:
            expects = session["audio"]["input"]["format"]["type"]
        except (KeyError, TypeError):
            expects = wanted  # it says nothing else
        if expects != wanted:
            yield Lost(f"openai expects {expects} and not {wanted}", _MODEL_HINT, hopeless=True)
        else:
            self._ready = True
            yield Ready()

    def _error(self, error: Any) -> Iterator[Lost | Answer]:
        told = _Told.of(error)
        if told.code in _HOPELESS:
            what, hint = _HOPELESS[told.code]
            yield Lost(f"openai: {what} ({told.text})", hint, hopeless=True)
        elif not self._ready and self._upsampler is None and "audio.input.format" in told.param:
            log.warning(
                "openai does not take %s with %s: %s",
                PCMU["type"],
                self._settings.model,
                fit_to_tell(told.text, self),
            )
            self._upsampler = PhoneUpsampler(24_000)
            yield Answer(self._session_update(PCM))
        elif not self._ready:
            hints = {"turn_detection": _VAD_HINT, "model": _MODEL_HINT}
            hint = next((hint for word, hint in hints.items() if word in told.param), "")
            yield Lost(f"openai did not accept the session: {told.text}", hint, hopeless="invalid" in told.type)
        elif told.code == "input_audio_buffer_commit_empty":
            self.commits.refused(told.utterance)
        elif told.utterance is not None:
            self.commits.refused(told.utterance, told.text)
        elif told.code in _ENDINGS or told.type in _ENDINGS:
            yield Lost(f"openai: {told.text}", _CREDIT_HINT if told.code == "rate_limit_exceeded" else "")
        else:
            log.warning("openai recognition: %s", fit_to_tell(told.text, self))


@dataclass(frozen=True, slots=True)
class _Told:
    """What an error says of itself. `utterance`: whose commit it is about."""

    type: str
    code: str
    param: str
    text: str
    utterance: int | None

    @staticmethod
    def of(error: Any) -> _Told:
        fields = error if isinstance(error, dict) else {}
        code, message = words_of(fields, "code"), words_of(fields, "message")
        event = words_of(fields, "event_id")
        number = event.removeprefix(_COMMIT)
        return _Told(
            words_of(fields, "type"),
            code,
            words_of(fields, "param"),
            f"{message or 'no message'} ({code})" if code else message or "an error without a message",
            int(number) if event.startswith(_COMMIT) and number.isdecimal() else None,
        )
