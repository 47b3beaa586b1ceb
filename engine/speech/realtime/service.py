"""The realtime service of one engine: its account, its address, and how it is."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import aiohttp

from engine.config.base import reveal
from engine.speech.realtime.notices import Notice
from engine.speech.realtime.problems import Problem
from engine.speech.realtime.session import RealtimeSession, SessionFailed
from engine.speech.realtime.setup import DEFAULT_INSTRUCTIONS, SessionSettings

if TYPE_CHECKING:
    from engine.config import Config

log = logging.getLogger(__name__)

BASE_URL: Final = "https://api.openai.com/v1"


class RealtimeService:
    """Opens sessions. One for all calls; each call has sessions of its own."""

    name = "openai realtime"

    def __init__(
        self,
        api_key: str,
        base_url: str,
        settings: SessionSettings,
        by_number: Mapping[str, str] | None = None,
        *,
        interruptible: bool = True,
    ) -> None:
        """`by_number`: instructions of those of our numbers that have their own."""
        self._api_key = api_key
        self._base_url = base_url or BASE_URL
        self._settings = settings
        self._by_number = dict(by_number or {})
        self._http: aiohttp.ClientSession | None = None
        self._problem: Problem | None = None
        self._seen = False
        self.interruptible = interruptible
        """The caller can cut the model off."""

    async def start(self) -> None:
        """Open a session and close it, which costs nothing, so that a wrong key shows before a call needs it."""
        session = self.session("", lambda notice: None)
        try:
            await session.open()
        except SessionFailed as error:
            log.warning("%s can not be used: %s", self.name, error)
            self.was(error.problem)
        else:
            self.was(None)
            await session.close()

    def session(self, number: str, on_notice: Callable[[Notice], None], instructions: str = "") -> RealtimeSession:
        """A new session for a call on `number` of ours; `instructions` are for this call, beside the general ones."""
        settings = self._settings
        text = "\n\n".join(filter(None, (self._by_number.get(number, settings.instructions), instructions)))
        return RealtimeSession(self._client(), self._base_url, replace(settings, instructions=text), on_notice)

    @property
    def silence_ms(self) -> int:
        """Silence after the last sound that the end of a turn, as the service tells it, includes."""
        return self._settings.silence_duration_ms if self._settings.turn_detection == "server_vad" else 0

    def was(self, problem: Problem | None) -> None:
        """How the latest attempt went."""
        self._seen = True
        self._problem = problem

    def health(self) -> dict[str, Any]:
        """As the other speech engines show it."""
        problem = self._problem
        state = "failed" if problem is not None else "ready" if self._seen else "starting"
        return {
            "name": self.name,
            "ok": problem is None,
            "state": state,
            "error": problem.message if problem is not None else "",
            "hint": problem.hint if problem is not None else "",
        }

    async def close(self) -> None:
        """Close all connections."""
        if self._http is not None:
            await self._http.close()
            self._http = None

    def _client(self) -> aiohttp.ClientSession:
        if self._http is None or self._http.closed:
            headers = {"Authorization": f"Bearer {self._api_key}"} if self._api_key else {}
            self._http = aiohttp.ClientSession(headers=headers)
        return self._http


def make_service(config: Config) -> RealtimeService | None:
    """The service that the configuration asks for; None when calls are held in another way."""
    realtime = config.realtime
    if not realtime.enabled:
        return None
    vendor = realtime.providers.openai
    settings = SessionSettings(
        model=vendor.model,
        voice=vendor.voice,
        instructions=realtime.instructions or config.response_system_prompt or DEFAULT_INSTRUCTIONS,
        speed=vendor.speed,
        reasoning_effort=vendor.reasoning_effort,
        transcription_model=vendor.transcription_model,
        language=vendor.language,
        noise_reduction=vendor.noise_reduction,
        turn_detection=vendor.turn_detection,
        vad_threshold=vendor.vad_threshold,
        silence_duration_ms=vendor.silence_duration_ms,
        prefix_padding_ms=vendor.prefix_padding_ms,
        eagerness=vendor.eagerness,
    )
    by_number = {
        number: route.response_system_prompt
        for number, route in config.numbers.items()
        if route.response_system_prompt
    }
    return RealtimeService(
        reveal(vendor.api_key),
        vendor.base_url or "",
        settings,
        by_number,
        interruptible=vendor.interrupt_response_on_input_audio,
    )
