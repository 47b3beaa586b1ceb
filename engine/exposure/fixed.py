"""Addresses that nothing has to be started for: a `public_url`, and this machine's own loopback address."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

from engine.exposure.port import Address, Local, Tunnel, socket_url


class _Standing(Tunnel):
    """An address that is there, and stays."""

    pid = None

    async def watch(self) -> Address:
        never: asyncio.Future[Address] = asyncio.get_running_loop().create_future()
        return await never

    async def close(self) -> None:
        """Nothing was opened."""


class PublicUrl(_Standing):
    """`public_url`: the exact address of the webhook. The stream lies on the same host, at its own path."""

    name = "public_url"

    def __init__(self, url: str) -> None:
        self._url = url

    async def open(self, local: Local) -> Address:
        url = urlsplit(self._url)
        return Address(self._url, socket_url(f"{url.scheme}://{url.netloc}") + local.stream_path)


class Loopback(_Standing):
    """This machine only: for the simulated carrier, and for a carrier's stand-in on this machine."""

    name = "loopback"

    async def open(self, local: Local) -> Address:
        return local.at(local.origin)
