"""Has the carrier report calls to our numbers where we are reached now, where the configuration allows that."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, Final

from engine.calls import Draft
from engine.carriers.base import Carrier, CarrierError
from engine.config import Config
from engine.exposure.port import Address
from engine.exposure.reach import tunnel_kind

log = logging.getLogger(__name__)

PAUSES: Final = (1.0, 5.0, 15.0, 60.0, 300.0)
"""Seconds between attempts at a number that the carrier would not change; then it is left as it is."""


def may_repoint(config: Config) -> bool:
    """The simulated carrier has nobody else who would tell it; at a real one a person decides, for a tunnel's names:
    a public_url does not change, and `setup --online --fix` writes that."""
    if config.provider == "mock":
        return True
    return config.tunnel.update_carrier_number and tunnel_kind(config) not in ("public_url", "loopback")


class Repointer:
    """Writes the newest address to each number. An address that was overtaken is not written any more."""

    def __init__(self, carrier: Carrier, numbers: Sequence[str], post: Callable[..., None]) -> None:
        self._carrier = carrier
        self._numbers = numbers
        self._post = post
        self._wanted = ""
        self._written = ""
        self._news = asyncio.Event()
        self._failed: dict[str, str] = {}

    def wants(self, address: Address) -> None:
        """This is where we are reached now."""
        if address.webhook_url != self._wanted:
            self._wanted = address.webhook_url
            self._news.set()

    async def point(self) -> None:
        """Write the newest address once. Raises CarrierError for a number that could not be written."""
        self._news.clear()
        url = self._wanted
        if not url:
            return
        for number in self._numbers:
            await self._carrier.register_number(number, url)
        self._written = url

    async def run(self) -> None:
        """Write each new address, for ever."""
        while True:
            await self._news.wait()
            self._news.clear()
            if self._wanted != self._written:
                await self._write(self._wanted)

    async def _write(self, url: str) -> None:
        self._failed = dict.fromkeys(self._numbers, "not written yet")
        for pause in (*PAUSES, None):
            for number in list(self._failed):
                await self._one(number, url)
            if not self._failed:
                self._written = url
            if not self._failed or pause is None or await self._overtaken(pause):
                break
        facts = [{"number": number, "error": self._failed.get(number, "")} for number in self._numbers]
        self._post(Draft("exposure.repointed", None, {"publicUrl": url, "numbers": facts, "ok": not self._failed}))

    async def _one(self, number: str, url: str) -> None:
        try:
            await self._carrier.register_number(number, url)
        except CarrierError as error:
            self._failed[number] = str(error)
            log.error("calls to %s do not come to %s yet: %s", number, url, error)
        else:
            del self._failed[number]
            log.info("calls to %s come to %s", number, url)

    async def _overtaken(self, seconds: float) -> bool:
        """Wait; True as soon as there is a newer address."""
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            return False
        return True

    def health(self) -> dict[str, Any]:
        """Which numbers do not come to us, and why."""
        return {"publicUrl": self._written, "failed": dict(self._failed)}
