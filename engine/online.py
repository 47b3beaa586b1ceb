"""What `voicecall setup --online` asks of a carrier, and the one thing that `--fix` writes there.

A request has the carrier's own limit of time, and one that fails keeps none of the others from being made.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, Protocol, TypeVar

from engine.carriers import twilio_setup
from engine.carriers.base import CarrierError
from engine.carriers.setup_checks import out_of_reach
from engine.carriers.twilio_account import OwnNumber
from engine.check import Check
from engine.checks import is_private
from engine.clock import epoch_ms
from engine.config import Config
from engine.online_brain import thinking
from engine.online_carrier import AT_ONCE, address_from, answer_to, opened, own_numbers
from engine.online_speech import recognition

if TYPE_CHECKING:
    from engine.carriers.twilio import TwilioCarrier

_P = ParamSpec("_P")
_T = TypeVar("_T")


class Change(Protocol):
    """What would be written to the account, as each carrier's set-up has it."""

    @property
    def number(self) -> str:
        """What it is about: a number, or something else by its name."""

    def lines(self) -> Iterator[str]:
        """For people: what, as it is now, as it would be."""

    def to_json(self) -> dict[str, object]:
        """The same for programs."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What the account says, and what would put a number right."""

    checks: Sequence[Check]
    changes: Sequence[Change] = ()
    unwritable: str = ""
    """Why `changes` must not be written; empty when they may."""


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a change. `error` is empty when the number was read back and is as it should be."""

    change: Change
    error: str = ""


async def ask(config: Config, state_dir: Path) -> Findings:
    """Ask the carrier and the vendors, and look at our own address from outside. Nothing is written or dialled."""
    from engine.online_exposure import exposure

    findings = await ask_vendors(config, state_dir)
    return replace(findings, checks=[*findings.checks, *await exposure(config, state_dir)])


async def ask_vendors(config: Config, state_dir: Path) -> Findings:
    """Ask the carrier and the vendors that recognise speech or think. Nothing is written, started or dialled."""
    findings = await _ask_carrier(config, state_dir)
    return replace(findings, checks=[*findings.checks, *await recognition(config), *await thinking(config)])


async def _ask_carrier(config: Config, state_dir: Path) -> Findings:
    if config.provider == "twilio":
        return await _ask_twilio(config, state_dir)
    if config.provider == "telnyx":
        from engine.online_telnyx import ask_telnyx

        return await ask_telnyx(config, state_dir)
    if config.provider == "plivo":
        from engine.online_plivo import ask_plivo

        return await ask_plivo(config, state_dir)
    return Findings([await _ask_simulator(config, state_dir)])


async def write(config: Config, state_dir: Path, changes: Sequence[Change]) -> Sequence[Written]:
    """Write the addresses of numbers, one number after the other, and read each of them back."""
    if config.provider == "telnyx":
        from engine.online_telnyx import write_telnyx

        return await write_telnyx(config, state_dir, changes)
    if config.provider == "plivo":
        from engine.online_plivo import write_plivo

        return await write_plivo(config, state_dir, changes)
    async with _twilio(config, state_dir) as carrier:
        return [await _write(carrier, change) for change in changes if isinstance(change, twilio_setup.Change)]


async def _ask_twilio(config: Config, state_dir: Path) -> Findings:
    try:
        async with _twilio(config, state_dir) as carrier:
            account = await answer_to(carrier.account())
            first = twilio_setup.credentials(account)
            if out_of_reach(account):
                return Findings([first])
            numbers, countries, clock = await _questions(config, carrier)
    except CarrierError as error:  # without credentials there is no carrier to ask
        return Findings([Check("twilio-credentials", False, f"{error}: nothing was asked", "see `credentials`")])
    found = [answer for _, answer in numbers if isinstance(answer, OwnNumber)]
    checks = [
        first,
        *(twilio_setup.own_number(number, answer) for number, answer in numbers),
        *([] if numbers else [twilio_setup.no_number()]),
        *_address_checks(config, found),
        *(twilio_setup.dialling(country, whose, answer) for (whose, country), answer in countries),
        clock,
    ]
    url = config.public_url
    changes = [change for number in found if url and (change := twilio_setup.change(number, url))]
    return Findings(checks, changes, unwritable(config))


async def _questions(
    config: Config, carrier: TwilioCarrier
) -> tuple[
    list[tuple[str, OwnNumber | CarrierError | None]],
    list[tuple[tuple[str, str], bool | CarrierError | None]],
    Check,
]:
    """The answers about each number, about each country, and the clock."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def gated(request: Callable[_P, Awaitable[_T]], *args: _P.args, **more: _P.kwargs) -> _T | CarrierError:
        async with gate:
            return await answer_to(request(*args, **more))

    async def may_dial(country: str) -> bool | None:
        return await carrier.dialing_permission(country) if country else None

    async def ahead_ms() -> int:
        return await carrier.server_time() - epoch_ms()

    numbers, countries = own_numbers(config), _countries(config)
    async with asyncio.TaskGroup() as group:
        number_tasks = [group.create_task(gated(carrier.number, number)) for number in numbers]
        country_tasks = [group.create_task(gated(may_dial, country)) for _, country in countries]
        clock_task = group.create_task(gated(ahead_ms))
    return (
        [(number, task.result()) for number, task in zip(numbers, number_tasks, strict=True)],
        [(asked, task.result()) for asked, task in zip(countries, country_tasks, strict=True)],
        twilio_setup.clock(clock_task.result()),
    )


def _countries(config: Config) -> list[tuple[str, str]]:
    """Whose country, and which: that of to_number and our own; once when it is the same."""
    named = (("to_number", config.to_number), ("from_number", config.from_number))
    found: dict[str, list[str]] = {}
    for key, number in named:
        if number:
            found.setdefault(twilio_setup.country_of(number), []).append(key)
    return [(" and ".join(keys), country) for country, keys in found.items()]


def _address_checks(config: Config, numbers: Sequence[OwnNumber]) -> list[Check]:
    if config.public_url is None:
        return [twilio_setup.no_address(address_from(config))]
    return [check for number in numbers for check in twilio_setup.addresses(number, config.public_url)]


def unwritable(config: Config) -> str:
    """Another carrier than the carrier's own may be on this machine and reach addresses that are not public."""
    addresses = {
        "twilio": config.twilio.api_base_url,
        "telnyx": config.telnyx.api_base_url,
        "plivo": config.plivo.api_base_url,
    }
    theirs = addresses.get(config.provider)
    if config.public_url and theirs is None and is_private(config.public_url):
        return "public_url can not be reached from the internet: a number with that address would be dead"
    return ""


async def _write(carrier: TwilioCarrier, change: twilio_setup.Change) -> Written:
    then = change.then
    try:
        await carrier.set_number_urls(change.sid, then.voice.url, then.status.url)
        found = await carrier.number(change.number)
    except CarrierError as error:
        return Written(change, str(error))
    if found is None or twilio_setup.change(found, then.voice.url) is not None:
        return Written(change, "Twilio took the addresses, and tells others when it is asked again")
    return Written(change)


async def _ask_simulator(config: Config, state_dir: Path) -> Check:
    check = "simulator"
    if config.mock.api_base_url is None:
        from engine.simulator.launch import find_simulator

        if await find_simulator(state_dir) is None:
            return Check(check, True, "no simulator runs: nothing to ask, the engine starts its own")
        return Check(check, True, "the simulator of this state folder answers")
    from engine.carriers.mock import MockCarrier

    try:
        async with opened(MockCarrier, config, state_dir) as carrier:
            await carrier.report(last=1)
    except CarrierError as error:
        return Check(check, False, str(error), "start it, or correct mock.api_base_url and mock.api_key")
    return Check(check, True, f"the simulator at {config.mock.api_base_url} answers")


def _twilio(config: Config, state_dir: Path) -> AbstractAsyncContextManager[TwilioCarrier]:
    from engine.carriers.twilio import TwilioCarrier

    return opened(TwilioCarrier, config, state_dir)
