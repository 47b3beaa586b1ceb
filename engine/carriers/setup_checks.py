"""Findings of `setup --online` that are the same whoever the carrier is. Pure."""

from __future__ import annotations

from typing import Final

from engine.carriers.base import CarrierError
from engine.carriers.callback import Callback
from engine.check import Check

SKEW_MS: Final = 30_000
"""A clock that is further from the carrier's is wrong. Theirs is known to about a second."""
FIX: Final = "voicecall setup --online --fix writes ours, after showing what it would do"


def out_of_reach(answer: object) -> bool:
    """No connection came about: there is no use in asking anything else."""
    return isinstance(answer, CarrierError) and answer.code == "not_reached"


def no_address(check: str, carrier: str, tunnel: str) -> Check:
    """There is nothing to compare with. `tunnel`: what gives us an address once it is up, or nothing."""
    if tunnel:
        message = f"not compared: the address of {tunnel} is known only while it is up"
        return Check(check, True, message, "set public_url if that address is always the same")
    message = "not compared: our own address is not known, public_url is not set"
    return Check(check, False, message, f"set public_url to the address at which {carrier} reaches us")


def clock(check: str, carrier: str, ahead_ms: int, so: str, skew_ms: int = SKEW_MS) -> Check:
    """`ahead_ms`: how far the carrier's clock is before ours; `so`: what comes of it when that is too much."""
    seconds = round(abs(ahead_ms) / 1000)
    if abs(ahead_ms) <= skew_ms:
        return Check(check, True, f"our clock agrees with {carrier}'s" + (f" to {seconds} s" if seconds > 1 else ""))
    way = "behind" if ahead_ms > 0 else "ahead of"
    fix = "set the clock by the network: timedatectl set-ntp true (Linux), Settings, Date & Time (macOS)"
    return Check(check, False, f"our clock is {seconds} s {way} {carrier}'s: {so}", fix)


def compared(check: str, what: str, now: Callback, then: Callback) -> Check:
    """Whether something is reported to us. `what`: who "come to" us, or do not."""
    if now.fits(then):
        return Check(check, True, f"{what} come to {then.shown(then.url)}")
    lost = f"{what} do not come to us" if now.url else f"{what} are told to nobody"
    lines = (lost, f"ours: {then.shown(then.url)}", f"theirs: {now.shown(then.url)}")
    return Check(check, False, "\n".join(lines), FIX)
