"""What `setup --online` asks Plivo, and what `--fix` writes there."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from engine.carriers import plivo_setup
from engine.carriers.base import CarrierError
from engine.carriers.plivo_account import OwnNumber
from engine.carriers.setup_checks import out_of_reach
from engine.check import Check
from engine.clock import epoch_ms
from engine.config import Config
from engine.online import Change, Findings, Written, unwritable
from engine.online_carrier import AT_ONCE, address_from, answer_to, opened, own_numbers

if TYPE_CHECKING:
    from engine.carriers.plivo import PlivoCarrier


async def ask_plivo(config: Config, state_dir: Path) -> Findings:
    """The credentials and the credit, our numbers, the addresses of their applications, and the clock."""
    try:
        async with _plivo(config, state_dir) as carrier:
            account = await answer_to(carrier.account())
            first = plivo_setup.credentials(account)
            if out_of_reach(account):
                return Findings([first])
            wanted = own_numbers(config)
            found = await _look(carrier, wanted)
            clock = plivo_setup.clock(await answer_to(_ahead_ms(carrier)))
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
            return await answer_to(carrier.number(number))

    return list(await asyncio.gather(*(look(number) for number in numbers)))


async def _ahead_ms(carrier: PlivoCarrier) -> int:
    return await carrier.server_time() - epoch_ms()


def _addresses(config: Config, numbers: Sequence[OwnNumber]) -> list[Check]:
    if config.public_url is None:
        return [plivo_setup.no_address(address_from(config))]
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


def _plivo(config: Config, state_dir: Path) -> AbstractAsyncContextManager[PlivoCarrier]:
    from engine.carriers.plivo import PlivoCarrier

    return opened(PlivoCarrier, config, state_dir)
