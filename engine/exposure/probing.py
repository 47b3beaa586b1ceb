"""The engine's own eye on its exposure: looks from outside in, and how fast webhooks are answered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from engine.api import Refusal
from engine.calls import Draft
from engine.config import Config
from engine.exposure.answering import Answering
from engine.exposure.challenge import Challenges
from engine.exposure.outside import Outside, Target
from engine.exposure.probe import Ours, Report
from engine.exposure.pulse import Heartbeat, Manners
from engine.exposure.reach import carrier_is_near, tunnel_kind

Urls = Callable[[], tuple[str, str]]
"""Our webhook and our media socket as the carrier is told them just now. Raises Refusal while there are none."""


class Probing:
    """One engine's."""

    def __init__(
        self,
        config: Config,
        urls: Urls,
        port: Callable[[], int],
        signature_header: str,
        post: Callable[[Draft], None],
    ) -> None:
        """`port`: where our server listens; `signature_header`: the one in which the carrier signs."""
        self._config = config
        self._urls = urls
        self._port = port
        self._signature_header = signature_header
        self._challenges = Challenges()
        probe = config.probe
        manners = Manners(probe.every_seconds, probe.failures, max(probe.of, probe.failures))
        self._heartbeat = Heartbeat(Outside(self._challenges), self._target, manners, post)
        self._answering = Answering(config.provider)

    async def answer(self, request: web.Request) -> web.StreamResponse | None:
        """Our answer to a request that we made ourselves; None for anybody else's."""
        return await self._challenges.answer(request)

    async def run(self) -> None:
        """Look again and again, for ever."""
        await self._heartbeat.run()

    def soon(self) -> None:
        """The address has changed: look at once."""
        self._heartbeat.soon()

    async def look(self) -> Report | None:
        """One look, now; None when nothing is exposed."""
        return await self._heartbeat.look()

    def seen(self, draft: Draft) -> None:
        """A webhook was answered. Only the carrier's own count: what strangers send is refused at once."""
        ms = draft.data.get("ms")
        if draft.data.get("verdict") in ("ok", "replay") and isinstance(ms, int | float):
            self._answering.add(ms)

    def health(self) -> Mapping[str, Any]:
        """What it adds to the `exposure` part of the health."""
        return {"probe": self._heartbeat.health(), "answers": self._answering.to_json()}

    def _target(self) -> Target | None:
        if tunnel_kind(self._config) == "loopback":
            return None  # the carrier is on this machine: there is no outside
        try:
            webhook, stream = self._urls()
        except Refusal:
            return None  # the tunnel is down, which its supervisor tells of
        return target(self._config, webhook, stream, self._port(), self._signature_header)


def target(config: Config, webhook: str, stream: str, port: int, signature_header: str) -> Target:
    """What is to be looked at: the media socket only where there are such."""
    return Target(
        webhook,
        stream if config.media_streams else None,
        Ours(port, config.serve.path, config.streaming.stream_path),
        signature_header,
        carrier_is_near(config),
    )
