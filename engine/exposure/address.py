"""Where the carrier reaches us, and what it did there: the facts of the exposure panel."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from engine.calls import Draft
from engine.config import Config
from engine.web.address import Arrival, Believed, Trust, believe, is_from_here
from engine.web.budget import Budget

log = logging.getLogger(__name__)

_LAST: Final = ("verdict", "why", "ms", "effect", "type", "status", "form", "tried", "forwarded")
"""What the health says of the last webhook."""


class Exposure:
    """The public address of one engine. With the simulated carrier that is its own loopback address."""

    def __init__(self, config: Config, post: Callable[..., None]) -> None:
        self._config = config
        self._post = post
        self._port = config.serve.port
        self._trust = Trust.of(config)
        self._verdicts: Counter[str] = Counter()
        self._last: dict[str, Any] | None = None
        self._refusals = Budget(per_second=5, burst=50)

    async def open(self, port: int) -> None:
        """The server listens on `port`: say under which address it is known."""
        self._port = port
        self._post(
            Draft(
                "exposure.changed",
                None,
                {"provider": self._provider(), "publicUrl": self.webhook_url(), "ok": True},
            )
        )

    def webhook_url(self) -> str:
        """The exact address that the carrier calls, without a query."""
        return self._config.public_url or f"http://{self._host()}:{self._port}{self._config.serve.path}"

    def stream_url(self) -> str:
        """The address of the media socket as the carrier dials it."""
        url = urlsplit(self.webhook_url())
        scheme = "wss" if url.scheme == "https" else "ws"
        return urlunsplit((scheme, url.netloc, self._config.streaming.stream_path, "", ""))

    def webhook_address(self, arrival: Arrival) -> Believed:
        """The URL to which the carrier sent a webhook."""
        believed = believe(arrival, self.webhook_url(), self._trust, public=self._public)
        return replace(believed, unsigned=self._needs_no_signature(arrival))

    def socket_address(self, arrival: Arrival) -> Believed:
        """The URL to which the carrier sent the upgrade request of a media socket."""
        believed = believe(arrival, self.stream_url(), self._trust, public=self._public, socket=True)
        return replace(believed, unsigned=self._needs_no_signature(arrival))

    def _needs_no_signature(self, arrival: Arrival) -> bool:
        """The configuration allows this only where nothing public is set up; there may be a tunnel all the same."""
        return self._config.skip_signature_verification and is_from_here(arrival)

    @property
    def _public(self) -> bool:
        """Whether our address is one that the carrier is known to use, so that no header has to be believed."""
        return self._config.public_url is not None

    def webhook_seen(self, draft: Draft) -> None:
        """Count a webhook and record it. Strangers can not fill the disk: refusals beyond a rate are only counted."""
        verdict = str(draft.data.get("verdict"))
        self._verdicts[verdict] += 1
        self._last = {key: draft.data.get(key) for key in _LAST if key in draft.data}
        if verdict != "refused":
            self._post(draft)
        elif self._refusals.take():
            log.info("webhook refused with %s: %s", draft.data.get("status"), draft.data.get("why"))
            self._post(draft)

    def health(self) -> dict[str, Any]:
        """The `exposure` part of the engine's health."""
        return {
            "provider": self._provider(),
            "publicUrl": self.webhook_url(),
            "port": self._port,
            "path": self._config.serve.path,
            "streamPath": self._config.streaming.stream_path,
            "webhooks": {name: self._verdicts[name] for name in ("ok", "refused", "replay")},
            "lastWebhook": self._last,
            "probe": None,
        }

    def _host(self) -> str:
        bind = self._config.serve.bind
        return {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(bind, f"[{bind}]" if ":" in bind else bind)

    def _provider(self) -> str:
        if self._config.public_url:
            return "public_url"
        return "loopback" if self._config.tunnel.provider == "none" else self._config.tunnel.provider
