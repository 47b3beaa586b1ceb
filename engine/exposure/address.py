"""Where the carrier reaches us, and what it did there: the facts of the exposure panel."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from engine.api import Refusal
from engine.calls import Draft
from engine.carriers.urls import take_apart
from engine.config import Config, is_loopback
from engine.exposure.factory import local_server, make_tunnel
from engine.exposure.port import Address, TunnelError
from engine.exposure.reach import wrong_address
from engine.exposure.supervisor import State, Supervisor
from engine.web.address import Arrival, Believed, Trust, believe, is_from_here
from engine.web.budget import Budget

log = logging.getLogger(__name__)

_LAST: Final = ("verdict", "why", "ms", "effect", "type", "status", "form", "tried", "forwarded")
"""What the health says of the last webhook."""
_REMEMBERED: Final = 3
"""Earlier addresses of ours that may explain a refused webhook."""


class Exposure:
    """The public address of one engine. With the simulated carrier that is its own loopback address.

    Every URL that we hand out, and that signatures are checked against, is made from the address that holds now.
    """

    def __init__(self, config: Config, post: Callable[..., None], state_dir: Path | None = None) -> None:
        self._config = config
        self._post = post
        self._port = config.serve.port
        self._trust = Trust.of(config)
        self._verdicts: Counter[str] = Counter()
        self._last: dict[str, Any] | None = None
        self._refusals = Budget(per_second=5, burst=50)
        self._supervisor = Supervisor(make_tunnel(config, state_dir), self._is_now, self._check)
        self._address: Address | None = None
        self._earlier: list[Address] = []
        self._changes = 0
        self._subscribers: list[Callable[[Address], None]] = []

    # -- life ---------------------------------------------------------------------------------

    def subscribe(self, changed: Callable[[Address], None]) -> None:
        """Have `changed` called, on the engine's loop, with each new address: the first one, and whenever another
        holds. It must not wait."""
        self._subscribers.append(changed)

    async def run(self, port: int) -> None:
        """The server listens on `port`: keep it reachable, until `close`."""
        self._port = port
        await self._supervisor.run(local_server(self._config, port))

    async def reached(self) -> None:
        """Return once the carrier reaches us; at once when it does, as far as we know."""
        await self._supervisor.reached()

    async def settle(self, stop: asyncio.Event) -> None:
        """Return once it is known how we are reached, or that we are not; after a limit, or with `stop`, anyway."""
        waits = [asyncio.create_task(work) for work in (self._supervisor.settle(), stop.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waits:
                task.cancel()

    async def open(self, port: int) -> None:
        """Take the address of a tunnel that needs nobody to keep it open: what there is without a state folder."""
        self._port = port
        await self._supervisor.open_once(local_server(self._config, port))

    async def close(self) -> None:
        """Close the tunnel. Nobody reaches us from now on."""
        await self._supervisor.close()

    def _check(self, address: Address) -> None:
        wrong = wrong_address(self._config, address.webhook_url)
        if wrong is not None:
            raise TunnelError(*wrong, code="local_address")

    def _is_now(self, state: State) -> None:
        if (new := state.address) is not None and new != self._address:
            if self._address is not None:
                self._earlier = [self._address, *self._earlier][:_REMEMBERED]
                self._changes += 1
            self._address = new
        self._post(Draft("exposure.changed", None, self._facts(state)))
        if state.address is not None:
            for tell in self._subscribers:
                tell(state.address)

    def _facts(self, state: State) -> dict[str, Any]:
        facts: dict[str, Any] = {"provider": self._supervisor.tunnel.name, "ok": state.ok}
        if state.address is not None:
            facts |= {"publicUrl": state.address.webhook_url, "streamUrl": state.address.stream_url}
            if self._earlier:
                facts["before"] = self._earlier[0].webhook_url
            return facts | ({"note": state.address.note} if state.address.note else {})
        code = {"code": state.code} if state.code else {}
        return facts | {"error": state.error, "hint": state.hint, **code, "retryAt": state.retry_at}

    # -- addresses ----------------------------------------------------------------------------

    @property
    def ready(self) -> bool:
        """The carrier reaches us, as far as we know."""
        return self._supervisor.state.ok

    def require(self) -> None:
        """Raises Refusal while nobody could reach us: a call would be placed that we never hear of again."""
        state = self._supervisor.state
        if not state.ok:
            raise Refusal("no_public_url", f"the carrier can not reach us: {state.error}", state.hint)

    def urls(self) -> tuple[str, str]:
        """The webhook and the media socket as a carrier reaches them just now. Raises Refusal while it does not."""
        self.require()
        return self.webhook_url(), self.stream_url()

    def webhook_url(self) -> str:
        """The exact address that the carrier calls, without a query. While a tunnel is down, its last one."""
        return self._known().webhook_url

    def stream_url(self) -> str:
        """The address of the media socket as the carrier dials it."""
        return self._known().stream_url

    def _known(self) -> Address:
        if self._address is not None:
            return self._address
        local = local_server(self._config, self._port)
        return local.at(local.origin)

    def webhook_address(self, arrival: Arrival) -> Believed:
        """The URL to which the carrier sent a webhook."""
        believed = believe(arrival, self.webhook_url(), self._trust, public=self._is_public(arrival))
        return self._with_earlier(arrival, believed, [address.webhook_url for address in self._earlier])

    def socket_address(self, arrival: Arrival) -> Believed:
        """The URL to which the carrier sent the upgrade request of a media socket."""
        believed = believe(arrival, self.stream_url(), self._trust, public=self._is_public(arrival), socket=True)
        return self._with_earlier(arrival, believed, [])

    def _with_earlier(self, arrival: Arrival, believed: Believed, earlier: list[str]) -> Believed:
        """A carrier that still calls an address of before is refused, and that it does so is the reason told."""
        mark = "?" if "?" in arrival.target else ""
        query = arrival.target.partition("?")[2]
        before = [str(url) for text in earlier if (url := take_apart(f"{text}{mark}{query}")) is not None]
        suspects = tuple(dict.fromkeys((*before, *believed.suspects)))
        return replace(believed, suspects=suspects, unsigned=self._needs_no_signature(arrival))

    def _needs_no_signature(self, arrival: Arrival) -> bool:
        """The configuration allows this only where nothing public is set up; there may be a tunnel all the same."""
        return self._config.skip_signature_verification and is_from_here(arrival)

    def _is_public(self, arrival: Arrival) -> bool:
        """Whether our address is one that the carrier is known to use, so that no header has to be believed.

        ngrok's agent on this machine may be believed to know better under which name it was called.
        """
        if self._address is None or self._supervisor.tunnel.name == "loopback":
            return False
        return not (self._trust.local_agent and is_loopback(arrival.peer.removeprefix("::ffff:")))

    # -- what happened ------------------------------------------------------------------------

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
        state = self._supervisor.state
        return {
            "ok": self.ready,
            "error": state.error,
            "hint": state.hint,
            "note": state.address.note if state.address is not None else "",
            "provider": self._supervisor.tunnel.name,
            "publicUrl": self.webhook_url() if self._address is not None else "",
            "streamUrl": self.stream_url() if self._address is not None else "",
            "port": self._port,
            "path": self._config.serve.path,
            "streamPath": self._config.streaming.stream_path,
            "tunnel": {
                "pid": self._supervisor.tunnel.pid,
                "since": state.since,
                "restarts": state.restarts,
                "changes": self._changes,
                "retryAt": state.retry_at,
            },
            "webhooks": {name: self._verdicts[name] for name in ("ok", "refused", "replay")},
            "lastWebhook": self._last,
            "probe": None,
        }
