"""How every far end can be set up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

OUR_NUMBER: Final = "+15550100000"


@dataclass(frozen=True, kw_only=True)
class FarSettings:
    """A far end. Times are divided by the two speeds, so that tests need not wait for a voice to read a sentence."""

    number: str = OUR_NUMBER
    callers: Sequence[Mapping[str, Any]] = ()
    """People besides the simulator's cast, as `mock.callers` writes them."""
    say_speed: float = 1.0
    """How much faster than life the carrier's own voice talks; only that part of a line is played then."""
    wait_speed: float = 1.0
    """How much faster pauses, time-outs, rings of a transfer, keys and machine detection are."""
    routes: Mapping[str, str] = field(default_factory=dict)
    """Public origin -> where it really is, as a tunnel would do it: {"https://calls.example.com":
    "http://127.0.0.1:3334"}. What is signed is the public address."""
    ring_pause_s: float = 0.05
    """From the dial to the first ring."""
    webhook_s: float = 15.0
    seed: int = 1
