"""What `setup --online` asks Telnyx, and what `--fix` writes there."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from engine.carriers import telnyx_setup
from engine.carriers.base import CarrierError
from engine.carriers.telnyx_account import Application, OwnNumber
from engine.check import Check
from engine.config import Config
from engine.online import Change, Findings, Written, unwritable
from engine.online_carrier import address_from, answer_to, opened, own_numbers

if TYPE_CHECKING:
    from engine.carriers.telnyx import TelnyxCarrier


async def ask_telnyx(config: Config, state_dir: Path) -> Findings:
    """The key, the application, its API version and address, who gets the calls of our numbers, and the clock."""
    try:
        async with _telnyx(config, state_dir) as carrier:
            answer = await answer_to(carrier.application())
            first = telnyx_setup.key(answer)
            if isinstance(answer, CarrierError):
                more = [telnyx_setup.connection(answer, config.telnyx.connection_id or "")] if first.ok else []
                return Findings([first, *more])
            wanted = own_numbers(config)
            found = await asyncio.gather(*(answer_to(carrier.number(number)) for number in wanted))
            clock = telnyx_setup.clock(carrier.ahead_ms)
    except CarrierError as error:  # without credentials there is no carrier to ask
        return Findings(
            [Check("telnyx-key", False, f"{error}: nothing was asked", error.hint or "see `credentials`")]
        )
    checks = [
        first,
        telnyx_setup.connection(answer, config.telnyx.connection_id or ""),
        telnyx_setup.api_version(answer),
        _address(config, answer),
        *(telnyx_setup.own_number(number, own, answer) for number, own in zip(wanted, found, strict=True)),
        *([] if wanted else [telnyx_setup.no_number()]),
        clock,
    ]
    own = [number for number in found if isinstance(number, OwnNumber)]
    return Findings(checks, _changes(config, answer, own), unwritable(config))


async def write_telnyx(config: Config, state_dir: Path, changes: Sequence[Change]) -> Sequence[Written]:
    """Write one after the other, and read each of them back."""
    async with _telnyx(config, state_dir) as carrier:
        return [await _write(carrier, change) for change in changes if isinstance(change, telnyx_setup.Change)]


def _changes(config: Config, app: Application, numbers: Sequence[OwnNumber]) -> list[Change]:
    changes: list[Change] = []
    ours = config.public_url or app.webhook_url
    if ours and (change := telnyx_setup.application_change(app, ours)) is not None:
        changes.append(change)
    changes += [change for number in numbers if (change := telnyx_setup.number_change(number, app)) is not None]
    return changes


def _address(config: Config, app: Application) -> Check:
    if config.public_url is not None:
        return telnyx_setup.webhook_url(app, config.public_url)
    return telnyx_setup.no_address(address_from(config))


async def _write(carrier: TelnyxCarrier, change: telnyx_setup.Change) -> Written:
    try:
        if change.url:
            await carrier.set_application(change.name, change.url)
            left = telnyx_setup.application_change(await carrier.application(), change.url)
        else:
            await carrier.set_number(change.id)
            number = await carrier.number(change.number)
            left = change if number is None or not number.connection_id else None
    except CarrierError as error:
        return Written(change, str(error))
    return Written(change, "Telnyx took it, and tells something else when it is asked again" if left else "")


def _telnyx(config: Config, state_dir: Path) -> AbstractAsyncContextManager[TelnyxCarrier]:
    from engine.carriers.telnyx import TelnyxCarrier

    return opened(TelnyxCarrier, config, state_dir)
