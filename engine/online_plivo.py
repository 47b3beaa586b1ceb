"""What `setup --online` asks Plivo, and what `--fix` writes there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from engine.carriers import plivo_setup
from engine.carriers.base import CarrierError
from engine.carriers.factory import make_carrier
from engine.carriers.plivo_account import OwnNumber
from engine.check import Check
from engine.clock import epoch_ms
from engine.config import Config
from engine.online import Change, Findings, Written, unwritable

if TYPE_CHECKING:
    from engine.carriers.plivo import PlivoCarrier

AT_ONCE: Final = 4
"""Requests at the same time: Plivo answers 429 to many."""
_T = TypeVar("_T")


async def ask_plivo(config: Config, state_dir: Path) -> Findings:
    """The credentials and the credit, our numbers, the addresses of their applications, and the clock."""
    try:
        async with _plivo(config, state_dir) as carrier:
            account = await _answer(carrier.account())
            first = plivo_setup.credentials(account)
            if plivo_setup.out_of_reach(account):
                return Findings([first])
            wanted = [number for number in dict.fromkeys((config.from_number, *config.numbers)) if number]
            found = await _look(carrier, wanted)
            clock = plivo_setup.clock(await _answer(_ahead_ms(carrier)))
    except CarrierError as error:  # without credentials there is no carrier to ask
        return Findings([Check("plivo-credentials", False, f"{error}: nothing was asked", "see `credentials`")])
    own = [number for number in found if isinstance(number, OwnNumber)]
    checks = [
        first,
        *(plivo_setup.own_number(number, answer) for number, answer in zip(wanted, found, strict=True)),
        *([] if wanted else [plivo_setup.no_number()]),
        *_addresses(config, own),
        clock,
    ]
    url = config.public_url
    changes: list[Change] = [change for number in own if url and (change := plivo_setup.change(number, url))]
    return Findings(checks, changes, unwritable(config))


async def write_plivo(config: Config, state_dir: Path, changes: Sequence[Change]) -> Sequence[Written]:
    """Write one after the other, and read each of them back."""
    async with _plivo(config, state_dir) as carrier:
        return [await _write(carrier, change) for change in changes if isinstance(change, plivo_setup.Change)]


async def _look(carrier: PlivoCarrier, numbers: Sequence[str]) -> list[OwnNumber | CarrierError | None]:
    gate = asyncio.Semaphore(AT_ONCE)

    async def look(number: str) -> OwnNumber | CarrierError | None:
        async with gate:
            return await _answer(carrier.number(number))

    return list(await asyncio.gather(*(look(number) for number in numbers)))


async def _ahead_ms(carrier: PlivoCarrier) -> int:
    return await carrier.server_time() - epoch_ms()


def _addresses(config: Config, numbers: Sequence[OwnNumber]) -> list[Check]:
    if config.public_url is None:
        tailscale = f"tailscale {config.tailscale.mode}" if config.tailscale.mode != "off" else ""
        return [plivo_setup.no_address(config.tunnel.provider if config.tunnel.provider != "none" else tailscale)]
    return [check for number in numbers for check in plivo_setup.addresses(number, config.public_url)]


async def _write(carrier: PlivoCarrier, change: plivo_setup.Change) -> Written:
    try:
        await carrier.set_addresses(change)
        found = await carrier.number(change.number)
    except CarrierError as error:
        return Written(change, str(error))
    if found is None or plivo_setup.change(found, change.then.answer.url) is not None:
        return Written(change, "Plivo took the addresses, and tells others when it is asked again")
    return Written(change)


@asynccontextmanager
async def _plivo(config: Config, state_dir: Path) -> AsyncIterator[PlivoCarrier]:
    from engine.carriers.plivo import PlivoCarrier

    carrier = await make_carrier(config, state_dir)
    assert isinstance(carrier, PlivoCarrier)
    await carrier.open()
    try:
        yield carrier
    finally:
        await carrier.close()


async def _answer(request: Awaitable[_T]) -> _T | CarrierError:
    try:
        return await request
    except CarrierError as error:
        return error
