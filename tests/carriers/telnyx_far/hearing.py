"""Telnyx's transcription of a call: what the simulated person says, by their script, growing and then final.

Driven by the call's 20 ms tick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tests.carriers.telnyx_far.call import FarCall

WORD_MS: Final = 300
FINAL_MS: Final = 600
"""How long a person is silent until what they said is final."""


class Transcription:
    """One call's ear, from `transcription_start` on."""

    def __init__(self, call: FarCall, interim: bool) -> None:
        self._call = call
        self._interim = interim
        self._next = len(call.leg.said) if call.leg is not None else 0
        self._told = ""

    def tick(self) -> None:
        leg = self._call.leg
        if leg is None or self._next >= len(leg.said):
            return
        line = leg.said[self._next]
        words = line.text.split()
        if not line.end_ms:
            spoken = " ".join(words[: (leg.now_ms - line.start_ms) // WORD_MS])
            if self._interim and spoken and spoken != self._told:
                self._told = spoken
                self.tell(spoken, final=False)
        elif leg.now_ms - line.end_ms >= FINAL_MS:
            self._next, self._told = self._next + 1, ""
            self.tell(line.text, final=True)

    def tell(self, text: str, *, final: bool) -> None:
        data = {"transcript": text, "is_final": final, "confidence": 0.977219, "transcription_track": "inbound"}
        self._call.tell("call.transcription", transcription_data=data)
