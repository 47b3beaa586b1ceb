"""A carrier's recogniser (Twilio's `<Gather>`, Plivo's `<GetInput>`): it hears what the simulated person says, by
their script, and their keys.

Driven by the call's 20 ms tick. What is understood is what the person's script says, word for word, as far as it has
been spoken; a line is final when the person has been silent for a while.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final, Protocol

from engine.simulator.leg import Leg

WORD_MS: Final = 300
AUTO_SPEECH_TIMEOUT_MS: Final = 700
"""What `speechTimeout="auto"` waits after the last word."""
_BARGE_IN_MS: Final = 200


@dataclass(frozen=True)
class Heard:
    """What a Gather ended with; both empty after a time-out."""

    speech: str = ""
    digits: str = ""

    @property
    def empty(self) -> bool:
        return not (self.speech or self.digits)


class Listens(Protocol):
    """What the document asks of the ear."""

    @property
    def speech(self) -> bool: ...

    @property
    def keys(self) -> bool: ...

    @property
    def timeout_s(self) -> float: ...

    @property
    def speech_timeout(self) -> str:
        """Seconds of silence after the last word, or "auto"."""
        ...

    @property
    def num_digits(self) -> int: ...

    @property
    def finish_on_key(self) -> str: ...

    @property
    def barge_in(self) -> bool: ...


class Hearing:
    """The ear of one. `begun` is set with the first word or key, `over` with the result."""

    def __init__(self, leg: Leg, verb: Listens, wait_speed: float) -> None:
        self.begun = asyncio.Event()
        self.over = asyncio.Event()
        self.result = Heard()
        self.partials: asyncio.Queue[str] = asyncio.Queue()
        self._leg = leg
        self._verb = verb
        auto = verb.speech_timeout in ("auto", "")
        self._speech_ms = AUTO_SPEECH_TIMEOUT_MS if auto else float(verb.speech_timeout) * 1000 / wait_speed
        self._timeout_ms = verb.timeout_s * 1000 / wait_speed
        self._since: int | None = None
        """When the prompt was over; None before."""
        self._first = len(leg.said)
        self._spoken = ""
        self._digits = ""
        self._last_key = 0

    def prompt_over(self) -> None:
        """From now on silence counts."""
        self._since = self._leg.now_ms
        if not self._verb.barge_in and not self.begun.is_set():
            self._first = len(self._leg.said)

    def tick(self) -> None:
        if self.over.is_set():
            return
        now = self._leg.now_ms
        waits_for_prompt = self._since is None and not self._verb.barge_in
        if self._verb.speech and not waits_for_prompt:
            self._listen(now)
        if self._digits and now - self._last_key > self._timeout_ms:
            self._finish(Heard(digits=self._digits))
        if self._since is not None and not self.begun.is_set() and now - self._since > self._timeout_ms:
            self._finish(Heard())

    def press(self, digit: str) -> None:
        """A key of the person's."""
        if not self._verb.keys or self.over.is_set():
            return
        self.begun.set()
        if digit == self._verb.finish_on_key:
            self._finish(Heard(digits=self._digits))
            return
        self._digits += digit
        self._last_key = self._leg.now_ms
        if self._verb.num_digits and len(self._digits) >= self._verb.num_digits:
            self._finish(Heard(digits=self._digits))

    def hear(self, *texts: str) -> None:
        """Words that a test puts into the person's mouth: growing, the last one final."""
        self.begun.set()
        for text in texts[:-1]:
            self.partials.put_nowait(text)
        self._finish(Heard(speech=texts[-1]))

    def _listen(self, now: int) -> None:
        lines = self._leg.said[self._first :]
        if not lines:
            return
        last = lines[-1]
        if now - last.start_ms >= _BARGE_IN_MS:
            self.begun.set()
        said = [line.text for line in lines[:-1]]
        words = last.text.split()
        if not last.end_ms:
            words = words[: (now - last.start_ms) // WORD_MS]
        spoken = " ".join([*said, *words]).strip()
        if spoken != self._spoken:
            self._spoken = spoken
            self.partials.put_nowait(spoken)
        if last.end_ms and now - last.end_ms >= self._speech_ms and self._since is not None:
            self._finish(Heard(speech=spoken))

    def _finish(self, result: Heard) -> None:
        if not self.over.is_set():
            self.result = result
            self.over.set()
