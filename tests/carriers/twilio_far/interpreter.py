"""Does what TwiML says, verb by verb, on one call."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, assert_never
from urllib.parse import urljoin

from engine.simulator.leg import Leg
from engine.simulator.voices import CARRIER_VOICE
from tests.carriers.far.hearing import Hearing
from tests.carriers.twilio_far.connecting import carry
from tests.carriers.twilio_far.model import Status
from tests.carriers.twilio_far.settings import WebhookKind
from tests.carriers.twilio_far.transfers import transfer
from tests.carriers.twilio_far.twiml import (
    Connect,
    Dial,
    Gather,
    Hangup,
    Pause,
    PlayDigits,
    Reading,
    Redirect,
    Reject,
    Say,
    Unusable,
    read_reply,
    read_twiml,
)

if TYPE_CHECKING:
    from tests.carriers.twilio_far.call import FarCall

KEY_S: Final = 0.1
WAIT_S: Final = {"w": 0.5, "W": 1.0}
_MAX_DOCUMENTS: Final = 500


@dataclass(frozen=True)
class Goto:
    """Where the next document comes from: an address, or `twiml` itself."""

    url: str = ""
    method: str = "POST"
    kind: WebhookKind = "answer"
    more: Mapping[str, str] = field(default_factory=dict)
    twiml: str | None = None
    fallback_url: str = ""


@dataclass
class Spoken:
    """Something that Twilio's own voice said. `whole`: to the end."""

    text: str
    voice: str
    language: str
    at: float
    whole: bool = False


class Interpreter:
    """One call's documents. `hearing` is the ear of the Gather that runs."""

    def __init__(self, call: FarCall) -> None:
        self.hearing: Hearing | None = None
        self._call = call
        self._replacement: asyncio.Future[Goto] | None = None
        self._base_url = ""

    async def run(self, first: Goto) -> None:
        """Follow documents until one of them ends the call; REST may put another in between."""
        goto: Goto | None = first
        while goto is not None:
            self._replacement = asyncio.get_running_loop().create_future()
            task = asyncio.create_task(self._follow(goto))
            try:
                either: list[asyncio.Future[Any]] = [task, self._replacement]
                await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            finally:
                task.cancel()
                await asyncio.wait({task})
            if self._replacement.done():
                goto = self._replacement.result()
            else:
                task.result()
                goto = None
        self._call.finish("completed", "document")

    def replace(self, goto: Goto) -> None:
        if self._replacement is not None and not self._replacement.done():
            self._replacement.set_result(goto)

    def press(self, digit: str) -> None:
        if self.hearing is not None:
            self.hearing.press(digit)

    async def play_keys(self, digits: str) -> None:
        leg = self._answered()
        for digit in digits:
            if digit not in WAIT_S:
                leg.heard.digits += digit
                self._call.changed.set()
            await asyncio.sleep(WAIT_S.get(digit, KEY_S) / self._wait_speed)

    @property
    def _wait_speed(self) -> float:
        return self._call.world.settings.wait_speed

    # documents

    async def _follow(self, first: Goto) -> None:
        goto: Goto | None = first
        for _ in range(_MAX_DOCUMENTS):
            if goto is None:
                return
            goto = await self._execute(await self._fetch(goto))
        self._call.reporter.note(11215, "too many documents in a row")

    async def _fetch(self, goto: Goto) -> Reading:
        """The next document; when there is none that can be used, the call ends with an error noted."""
        if goto.twiml is not None:
            self._call.documents.append(goto.twiml.encode())
            return self._remarked(lambda: read_twiml(goto.twiml or ""))
        url = urljoin(self._base_url, goto.url)
        reply = await self._call.reporter.ask(goto.kind, url, goto.method, goto.more)
        if reply.code and goto.fallback_url:
            error = {"ErrorCode": str(reply.code), "ErrorUrl": url}
            url = goto.fallback_url
            reply = await self._call.reporter.ask(goto.kind, url, "POST", {**goto.more, **error})
        if reply.code:
            self._fail()
            await asyncio.Event().wait()
        self._base_url = url
        self._call.documents.append(reply.body)
        return self._remarked(lambda: read_reply(reply.content_type, reply.body), url)

    def _remarked(self, read: Callable[[], Reading], url: str = "") -> Reading:
        try:
            reading = read()
        except Unusable as error:
            self._call.reporter.note(error.code, str(error), url)
            self._fail()
            return Reading([Hangup()])
        for code, text in reading.remarks:
            self._call.reporter.note(code, text, url)
        return reading

    def _fail(self) -> None:
        """An application error: Twilio says so to the caller and hangs up."""
        ringing = self._call.state.answered_at is None
        self._call.finish("failed" if ringing else "completed", "no-document")

    async def _execute(self, reading: Reading) -> Goto | None:
        """The verbs in order; returns where to go on, or None at the end: then Twilio hangs up."""
        for verb in reading.verbs:
            goto: Goto | None = None
            match verb:
                case Say():
                    await self._say(verb)
                case PlayDigits(digits):
                    await self.play_keys(digits)
                case Pause(seconds):
                    # The first verbs of an unanswered call let it ring on.
                    await asyncio.sleep(seconds / self._wait_speed)
                case Gather():
                    goto = await self._gather(verb)
                case Connect():
                    goto = await self._connect(verb)
                case Redirect(url, method):
                    return Goto(url or self._base_url, method, "redirect")
                case Dial():
                    goto = await self._dial(verb)
                case Reject(reason):
                    self._reject(reason)
                    return None
                case Hangup():
                    self._answered()
                    return None
                case _:
                    assert_never(verb)
            if goto is not None:
                return goto
        return None

    def _answered(self) -> Leg:
        """Any verb that the caller can hear answers an inbound call."""
        call = self._call
        return call.leg if call.leg is not None else call.answer()

    def _reject(self, reason: str) -> None:
        if self._call.state.answered_at is not None:
            return
        status: Status = "busy" if reason == "busy" else "no-answer"
        self._call.finish(status, f"rejected as {reason}")

    # verbs

    async def _say(self, verb: Say) -> None:
        call, leg = self._call, self._answered()
        line = await call.world.voices.line(CARRIER_VOICE, verb.text)
        speed = call.world.settings.say_speed
        frames = line.frames[: max(1, round(len(line.frames) / speed))]
        spoken = Spoken(verb.text, verb.voice, verb.language, time.time())
        call.spoken.append(spoken)
        call.changed.set()
        leg.playback.push(b"".join(frames))
        try:
            await asyncio.sleep(len(frames) * 0.02)
            spoken.whole = True
        finally:
            if not spoken.whole:
                leg.playback.clear()
            call.changed.set()

    async def _gather(self, verb: Gather) -> Goto | None:
        leg = self._answered()
        hearing = self.hearing = Hearing(leg, verb, self._wait_speed)
        self._call.changed.set()
        partials = asyncio.create_task(self._tell_partials(verb, hearing))
        try:
            await self._prompt(verb, hearing)
            hearing.prompt_over()
            await hearing.over.wait()
            await hearing.partials.join()
        finally:
            self.hearing = None
            partials.cancel()
            await asyncio.wait([partials])
        heard = hearing.result
        if heard.empty and not verb.action_on_empty:
            return None
        more: dict[str, str] = {}
        if verb.speech and not heard.digits:
            more = {"SpeechResult": heard.speech, "Language": verb.language}
            more["Confidence"] = "0.92" if heard.speech else "0.0"
        if heard.digits:
            more["Digits"] = heard.digits
            more["FinishedOnKey"] = ""
        return Goto(verb.action or self._base_url, "POST", "gather", more)

    async def _prompt(self, verb: Gather, hearing: Hearing) -> None:
        """What a Gather says while it listens; the first word or key ends it."""

        async def speak() -> None:
            for part in verb.prompt:
                if isinstance(part, Say):
                    await self._say(part)
                elif isinstance(part, PlayDigits):
                    await self.play_keys(part.digits)
                else:
                    await asyncio.sleep(part.seconds / self._wait_speed)

        prompt, begun = asyncio.create_task(speak()), asyncio.create_task(hearing.begun.wait())
        try:
            await asyncio.wait({prompt, begun}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (prompt, begun):
                task.cancel()
            await asyncio.wait({prompt, begun})
        if not prompt.cancelled():
            prompt.result()

    async def _tell_partials(self, verb: Gather, hearing: Hearing) -> None:
        sequence = 0
        while True:
            text = await hearing.partials.get()
            if not verb.partial_url or not text:
                hearing.partials.task_done()
                continue
            stable, _, unstable = text.rpartition(" ")
            more = {
                "StableSpeechResult": stable,
                "UnstableSpeechResult": unstable,
                "Stability": "0.8",
                "SequenceNumber": str(sequence),
                "Language": verb.language,
            }
            sequence += 1
            await self._call.reporter.ask("partial", urljoin(self._base_url, verb.partial_url), "POST", more)
            hearing.partials.task_done()

    async def _connect(self, verb: Connect) -> Goto | None:
        """The stream, until the other side closed it or it did not come about."""
        sid = await carry(self._call, self._answered(), verb, self._base_url)
        if not verb.action:
            return None
        return Goto(urljoin(self._base_url, verb.action), "POST", "connect", {"StreamSid": sid})

    async def _dial(self, verb: Dial) -> Goto | None:
        """Connect the caller with another number, as long as both stay."""
        child = await transfer(self._call, self._answered(), verb)
        if child is None or not verb.action:
            return None
        bridged = child.status == "completed"
        more = {"DialCallStatus": child.status, "DialCallSid": child.sid, "DialBridged": str(bridged).lower()}
        if child.answered_at is not None:
            more["DialCallDuration"] = str(child.duration_s)
        return Goto(urljoin(self._base_url, verb.action), "POST", "dial", more)
