"""What `setup --online` asks Telnyx, and what `--fix` writes there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from engine.carriers import telnyx_setup
from engine.carriers.base import CarrierError
from engine.carriers.factory import make_carrier
from engine.carriers.telnyx_account import Application, OwnNumber
from engine.check import Check
from engine.config import Config
from engine.online import Change, Findings, Written, unwritable

if TYPE_CHECKING:
    from engine.carriers.telnyx import TelnyxCarrier

_T = TypeVar("_T")


async def ask_telnyx(config: Config, state_dir: Path) -> Findings:
    """The key, the application, its API version and address, who gets the calls of our numbers, and the clock."""
    try:
        async with _telnyx(config, state_dir) as carrier:
            answer = await _answer(carrier.application())
            first = telnyx_setup.key(answer)
            if isinstance(answer, CarrierError):
                more = [telnyx_setup.connection(answer, config.telnyx.connection_id or "")] if first.ok else []
                return Findings([first, *more])
            wanted = [number for number in dict.fromkeys((config.from_number, *config.numbers)) if number]
            found = await asyncio.gather(*(_answer(carrier.number(number)) for number in wanted))
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
    tailscale = f"tailscale {config.tailscale.mode}" if config.tailscale.mode != "off" else ""
    return telnyx_setup.no_address(config.tunnel.provider if config.tunnel.provider != "none" else tailscale)


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


@asynccontextmanager
async def _telnyx(config: Config, state_dir: Path) -> AsyncIterator[TelnyxCarrier]:
    from engine.carriers.telnyx import TelnyxCarrier

    carrier = await make_carrier(config, state_dir)
    assert isinstance(carrier, TelnyxCarrier)
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
