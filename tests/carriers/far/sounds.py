"""A cheap voice for tests: tones instead of words, as long as the words would be."""

from __future__ import annotations

import math
from array import array
from typing import Literal

from engine.simulator.voices import VoiceBank, VoiceSpec

_RATE = 16_000
_WORD_S = 0.3


class ToneSynthesizer:
    """A beep of 0.2 s for each word; costs next to nothing."""

    kind: Literal["pico", "noise"] = "noise"

    def __init__(self) -> None:
        tone = [round(9000 * math.sin(2 * math.pi * 440 * at / _RATE)) for at in range(int(_RATE * 0.2))]
        gap = [0] * int(_RATE * (_WORD_S - 0.2))
        self._word = array("h", tone + gap).tobytes()

    def speak(self, text: str, voice: VoiceSpec) -> bytes:
        return self._word * max(1, len(text.split()))


def tones() -> VoiceBank:
    """Voices of people and of the carrier that are only told apart by what they say."""
    return VoiceBank(ToneSynthesizer())
