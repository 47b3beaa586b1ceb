"""What is the same for every carrier that `setup --online` asks: opening it, its answers, what it is asked about."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, TypeVar

from engine.carriers.base import Carrier, CarrierError
from engine.carriers.factory import make_carrier
from engine.config import Config

AT_ONCE: Final = 4
"""Requests at the same time: carriers answer 429 to many."""
_T = TypeVar("_T")
_C = TypeVar("_C", bound=Carrier)


@asynccontextmanager
async def opened(kind: type[_C], config: Config, state_dir: Path) -> AsyncIterator[_C]:
    """The configured carrier, which is a `kind`, open for a while. Raises CarrierError."""
    carrier = await make_carrier(config, state_dir)
    assert isinstance(carrier, kind)
    await carrier.open()
    try:
        yield carrier
    finally:
        await carrier.close()


async def answer_to(request: Awaitable[_T]) -> _T | CarrierError:
    """What came of a request, so that one that fails keeps none of the others from being made."""
    try:
        return await request
    except CarrierError as error:
        return error


def own_numbers(config: Config) -> list[str]:
    """The numbers that should be ours, each once."""
    return [number for number in dict.fromkeys((config.from_number, *config.numbers)) if number]


def address_from(config: Config) -> str:
    """What gives us an address once it is up; empty when nothing does."""
    if config.tunnel.provider != "none":
        return config.tunnel.provider
    return f"tailscale {config.tailscale.mode}" if config.tailscale.mode != "off" else ""
