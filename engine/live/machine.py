"""When a machine answers: what the carrier's verdict means, and what our side does then.

The verdict comes by webhook, at any time: early, late, twice, or after the end. It is recorded once per thing that it
newly says, and acted on once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from math import ceil
from typing import Any, Final, Literal

from engine.calls import Call, Draft, State
from engine.carriers.base import AnsweredBy, Document, Hangup, Pause, Redirect, Say
from engine.clock import epoch_ms
from engine.config import Config
from engine.live.lines import Speaking
from engine.live.parts import Parts

log = logging.getLogger(__name__)

REPLY_SECONDS: Final = 3.0
"""How long the answer to what was heard first waits for the verdict, which comes at the end of a greeting."""

Setting = Literal["off", "hang_up", "leave_message", "continue"]
Action = Literal["continue", "wait", "leave_message", "hang_up"]
Detection = Literal["no", "answer", "message_end"]

GREETING_SECONDS: Final = 60.0
"""How long a machine's greeting may take until nothing is left on it."""
QUIET_SECONDS: Final = 2.5
"""Where the carrier does not tell: how long a machine is silent when its greeting and its beep are over."""
MACHINES_SECONDS: Final = 8.0
"""How long after the answer a carrier that tells of machines alone may take until it has taken somebody for one."""
VERDICT_SECONDS: Final = 30
"""How long after a notice was said the verdict may still come; carriers decide within that time (Twilio's
MachineDetectionTimeout is 30 s by default)."""

_NEWS: Final[dict[str, frozenset[AnsweredBy]]] = {
    "": frozenset({"human", "machine", "machine_end", "fax", "unknown"}),
    "unknown": frozenset({"human", "machine", "machine_end", "fax"}),
    "machine": frozenset({"machine_end", "fax"}),
}
"""What is known -> the verdicts that say something new. A person does not turn into a machine."""


def detection(config: Config, *, capable: bool) -> Detection:
    """What the carrier is asked to find out about who answers a call of ours."""
    if not capable or config.outbound.answering_machine == "off":
        return "no"
    return "message_end" if config.outbound.answering_machine == "leave_message" else "answer"


def decide(setting: Setting, answered_by: AnsweredBy) -> Action:
    """What to do about a verdict."""
    if answered_by in ("human", "unknown") or setting in ("off", "continue"):
        return "continue"
    if setting == "hang_up" or answered_by == "fax":
        return "hang_up"
    return "leave_message" if answered_by == "machine_end" else "wait"


def hears_greetings(parts: Parts, call: Call) -> bool:
    """Whether a call needs ears because a machine may answer, and only they can tell when its greeting is over."""
    leaves = parts.config.outbound.answering_machine == "leave_message"
    return leaves and call.direction == "outbound" and parts.carrier.capabilities.only_machines


def ended_as(answered_by: str, setting: Setting, reason: State) -> State:
    """Why a call is over that the carrier calls completed: one that a machine took was no conversation."""
    machine = answered_by in ("machine", "machine_end", "fax") and setting in ("hang_up", "leave_message")
    return State.VOICEMAIL if machine and reason in (State.COMPLETED, State.HANGUP_USER) else reason


def notice(message: str, config: Config, again_url: str, *, detects: Detection) -> Document:
    """What a notify call does by itself, without our media stream.

    Where a message is to be left after a machine's greeting, the end of the notice may come before the end of the
    greeting: then we are asked at `again_url` what now, instead of hanging up.
    """
    said = (Say(message), Pause(max(1, ceil(config.outbound.notify_hangup_delay_sec))))
    return (*said, Redirect(again_url)) if detects == "message_end" else (*said, Hangup())


def after_notice(call: Call) -> Document:
    """A notice was said and the carrier asks what now: wait for a machine's greeting to end, or for the verdict."""
    if call.answered_by in ("", "machine"):
        return (Pause(VERDICT_SECONDS if not call.answered_by else ceil(GREETING_SECONDS)), Hangup())
    return (Hangup(),)


class Machine:
    """What one live call does about an answering machine.

    `talks` is true from the moment when our side is not meant for a person any more: nothing that is heard is
    answered, and nothing interrupts.
    """

    def __init__(
        self,
        call_id: str,
        parts: Parts,
        mouth: Speaking,
        be_silent: Callable[[str], None],
        first_words: Callable[[], str],
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._call_id = call_id
        self._parts = parts
        self._mouth = mouth
        self._be_silent = be_silent
        self._first_words = first_words
        self._spawn = spawn
        call = parts.book.get(call_id)
        self._known: str = call.answered_by if call is not None else ""
        self._due: Action = "continue"
        self._told = asyncio.Event()
        """There is a verdict."""
        if self._known:
            self._told.set()
        self._leaving = asyncio.Event()
        self._ending = False
        self._heard = asyncio.Event()
        self._sounds = False
        """Whoever answered is speaking, as far as we hear."""
        self.talks = False

    def verdict(self, answered_by: AnsweredBy | None) -> list[Draft]:
        """The facts of a verdict, to be recorded before `act`; none when it says nothing new."""
        if answered_by is None or answered_by not in _NEWS.get(self._known, ()):
            return []
        self._known = answered_by
        # Who took the floor has the call in hand, machine or not.
        held = self._person_has_it()
        self._due = "continue" if held else decide(self._parts.config.outbound.answering_machine, answered_by)
        return [Draft("call.machine", self._call_id, {"answeredBy": answered_by, "action": self._due})]

    def act(self) -> None:
        """Do what the latest verdict asks for. Again: nothing happens."""
        due, self._due = self._due, "continue"
        if not self._known:
            return
        self._told.set()
        if due == "hang_up" and not self._ending:
            self._end(State.VOICEMAIL, f"{'a fax' if self._known == 'fax' else 'an answering'} machine took the call")
        elif due == "wait" and not self.talks:
            self._take_over()
            self._spawn(self._await_quiet() if self._only_machines else self._await_beep())
        elif due == "leave_message" and not self._leaving.is_set():
            self._leaving.set()
            self._take_over()
            self._spawn(self._leave())

    async def has_call(self) -> bool:
        """Whether a machine has the call; where that is being found out, wait for it as long as it may take."""
        setting = self._parts.config.outbound.answering_machine
        if setting == "leave_message" and self._parts.carrier.capabilities.machine_detection:
            try:
                async with asyncio.timeout(self._verdict_seconds()):
                    await self._told.wait()
            except TimeoutError:
                log.info("call %s: nobody said who answered", self._call_id)
        return self.talks

    @property
    def pending(self) -> bool:
        """What was heard may be a machine's greeting: the carrier finds out, and has not said so yet."""
        call = self._parts.book.get(self._call_id)
        finds = (
            self._parts.carrier.capabilities.machine_detection and call is not None and call.direction == "outbound"
        )
        leaves = self._parts.config.outbound.answering_machine == "leave_message"
        return finds and leaves and not self._only_machines and not self._told.is_set()

    async def told(self) -> None:
        """Return when it is known who answered, or after a moment: a person must not wait for long."""
        try:
            async with asyncio.timeout(REPLY_SECONDS):
                await self._told.wait()
        except TimeoutError:
            log.info("call %s: answered before anybody said who it is", self._call_id)

    def heard(self, sounds: bool) -> None:
        """Whoever answered has begun to speak, or has stopped."""
        self._sounds = sounds
        self._heard.set()

    @property
    def _only_machines(self) -> bool:
        return self._parts.carrier.capabilities.only_machines

    def _verdict_seconds(self) -> float:
        """How long the verdict may still take."""
        if not self._only_machines:
            return VERDICT_SECONDS
        call = self._parts.book.get(self._call_id)
        answered_at = call.answered_at if call is not None else None
        return max(0.0, MACHINES_SECONDS - (epoch_ms() - (answered_at or epoch_ms())) / 1000)

    def _take_over(self) -> None:
        self.talks = True
        self._be_silent("an answering machine took the call")

    def _person_has_it(self) -> bool:
        call = self._parts.book.get(self._call_id)
        return call is not None and call.floor == "operator"

    async def _await_beep(self) -> None:
        try:
            async with asyncio.timeout(GREETING_SECONDS):
                await self._leaving.wait()
        except TimeoutError:
            self._give_up(State.VOICEMAIL, "the answering machine's greeting did not end")

    async def _await_quiet(self) -> None:
        """The end of a greeting of which nobody tells us: we hear it."""
        try:
            async with asyncio.timeout(GREETING_SECONDS):
                while not await self._is_quiet():
                    pass
        except TimeoutError:
            self._give_up(State.VOICEMAIL, "the answering machine's greeting did not end")
            return
        if not self._leaving.is_set():
            self._leaving.set()
            await self._leave()

    async def _is_quiet(self) -> bool:
        """Whether nothing was heard for a while."""
        self._heard.clear()
        try:
            async with asyncio.timeout(QUIET_SECONDS):
                await self._heard.wait()
        except TimeoutError:
            return not self._sounds
        return False

    async def _leave(self) -> None:
        """Say the message after the beep; the call is over once it was heard."""
        call = self._parts.book.get(self._call_id)
        if call is None or not call.live:
            return
        text = call.message or self._first_words()
        if not text:
            self._end(State.VOICEMAIL, "an answering machine took the call, and there was no message to leave")
        elif call.media == "stream":
            await self._leave_by_stream(text)
        else:
            await self._leave_by_carrier(text)

    async def _leave_by_stream(self, text: str) -> None:
        line = self._mouth.say(text, kind="notify")
        ending = await line.done
        if ending == "heard":
            self._end(State.VOICEMAIL, "the message was left on the answering machine")
        else:
            self._give_up(State.FAILED, f"the message was not left: {line.error or 'it was not said to its end'}")

    async def _leave_by_carrier(self, text: str) -> None:
        """The carrier says it and hangs up, which is when we hear of the end (`ended_as`)."""
        line = self._mouth.say(text, kind="notify")
        ending = await line.done
        if ending == "failed":
            self._give_up(State.FAILED, f"the message was not left: {line.error}")
        elif ending == "heard" and not self._parts.carrier.capabilities.answers_by_reply:
            self._end(State.VOICEMAIL, "the message was left on the answering machine")  # it does not hang up itself
        elif self._person_has_it():
            self.talks = False

    def _give_up(self, reason: State, detail: str) -> None:
        """End the call, unless a person has taken the floor meanwhile: then it is theirs."""
        if self._person_has_it():
            self.talks = False
        else:
            self._end(reason, detail)

    def _end(self, reason: State, detail: str) -> None:
        self._ending = True
        self._parts.hang_up(self._call_id, reason, "engine", detail)
