"""What the carrier, and this call, can not do: commands that the screen does not offer, or refuses in one sentence.

What a carrier never can is hidden wherever commands are listed; what this one call can not is grey. Either is
refused when it is typed or pressed all the same. The engine has the last word: what is not known here is offered.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from console.keys import Command
from console.text import clean
from engine.client import Call

_SAID: Final[Mapping[str, tuple[str, str]]] = {
    "streaming": ("media streams: levels and a voice of ours", "no media streams: no levels, no voice of ours"),
    "nativeSpeech": ("a voice and a recogniser of its own", "no voice and no recogniser of its own"),
    "transfer": ("puts callers through", "puts no callers through"),
    "sendDtmf": ("presses keys by itself", "presses no keys: they go as tones on the line"),
    "machineDetection": ("tells machines from people", "does not tell machines from people"),
    "inlineNotify": ("says a notice without us", "says no notice without us"),
    "reopenStream": ("opens a lost stream again", "does not open a lost stream again"),
    "alerts": ("tells what it noted about a call", "tells nothing about its own trouble with a call"),
}
"""Capability -> how the help says that it is there, and that it is not."""
_VOICED: Final = frozenset(
    {"dial", "speak", "continue", "keypad", "hold", "take", "talk", "latch", "hand-back", "hint"}
)
"""Commands that are nothing without a voice in the call."""
_SPOKEN: Final = frozenset({"speak", "continue", "keypad", "talk"})
"""Commands whose work the caller hears."""


@dataclass(frozen=True, slots=True)
class Abilities:
    """What one carrier can do. Everything, until the engine says otherwise."""

    name: str = ""
    can: Mapping[str, bool] | None = None
    """Capability -> whether; None is not known."""
    streams: bool = True
    """Calls get a media stream: the carrier can, and the configuration has not switched it off."""

    @property
    def lists(self) -> tuple[list[str], list[str]]:
        """What it can and what it can not, in words, as the configuration leaves it."""
        known = {key: self.streams if key == "streaming" else can for key, can in (self.can or {}).items()}
        can = [there for key, (there, _) in _SAID.items() if known.get(key) is True]
        return can, [missing for key, (_, missing) in _SAID.items() if known.get(key) is False]

    def lacks(self, command: str) -> str:
        """Why no call of this carrier can do `command`, or nothing."""
        if self.can is None:
            return ""
        carrier = self.name or "the carrier"
        if command == "transfer" and self.can.get("transfer") is False:
            return f"{carrier} can not put callers through"
        if command in _VOICED and not self.streams and self.can.get("nativeSpeech") is False:
            return f"{carrier} has no voice of its own, and media streams are switched off (streaming.enabled)"
        return ""

    def hidden(self, commands: Iterable[Command]) -> frozenset[str]:
        """Names of the commands that are not offered."""
        return frozenset(command.name for command in commands if self.lacks(command.name))


def read_abilities(carrier: object) -> Abilities:
    """`carrier` of the engine's health; an engine that does not tell it can everything."""
    if not isinstance(carrier, Mapping):
        return Abilities()
    known: Any = carrier.get("capabilities")
    if not isinstance(known, Mapping):
        return Abilities()
    can = {str(key): value for key, value in known.items() if isinstance(value, bool)}
    name = carrier.get("name")
    streams = carrier.get("streams")
    usable = streams if isinstance(streams, bool) else can.get("streaming", True)
    return Abilities(clean(name, 30) if isinstance(name, str) else "", can, usable)


def call_lacks(command: str, call: Call) -> str:
    """Why this live call can not do `command`, or nothing."""
    if call.transferred_to and command in _SPOKEN:
        return "the caller is put through and can not hear us"
    if call.transferred_to and command == "transfer":
        return "the caller is put through already"
    if call.media == "inline" and command in _SPOKEN:
        return "this call is a notice that the carrier speaks by itself: nothing else can be said in it"
    if call.media == "inline" and command in ("hold", "take", "hint", "hand-back"):
        return "this call is a notice that the carrier speaks by itself: nobody has the floor in it"
    return ""
