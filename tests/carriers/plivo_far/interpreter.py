"""Does what Plivo XML says, element by element, on one call."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any, Final

from engine.simulator.leg import Leg
from engine.simulator.voices import CARRIER_VOICE
from tests.carriers.far.bridge import Bridge
from tests.carriers.far.hearing import Hearing
from tests.carriers.plivo_far.model import CallState, bare
from tests.carriers.plivo_far.stream import carry
from tests.carriers.plivo_far.world import Goto
from tests.carriers.plivo_far.xml import Element, Unusable, read_reply

if TYPE_CHECKING:
    from tests.carriers.plivo_far.call import FarCall

KEY_S: Final = 0.1
WAIT_S: Final = {"w": 0.5, "W": 1.0}
_MAX_DOCUMENTS: Final = 500


@dataclass
class Spoken:
    """Something that Plivo's own voice said. `whole`: to the end."""

    text: str
    voice: str
    language: str
    at: float
    whole: bool = False


@dataclass(frozen=True)
class _Input:
    """A GetInput as the ear wants it (far.hearing.Listens)."""

    action: str
    partial_url: str
    speech: bool
    keys: bool
    timeout_s: float
    speech_timeout: str
    num_digits: int
    finish_on_key: str
    language: str
    barge_in: bool = True


class Interpreter:
    """One call's documents. `hearing` is the ear of the GetInput that runs."""

    def __init__(self, call: FarCall) -> None:
        self.hearing: Hearing | None = None
        self._call = call
        self._replacement: asyncio.Future[Goto] | None = None

    async def run(self, first: Goto) -> None:
        """Follow documents until one of them ends the call; REST may send it elsewhere in between."""
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
        self._call.finish("completed", 4010, "Answer XML")

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
            await asyncio.sleep(WAIT_S.get(digit, KEY_S) / self._speed)

    @property
    def _speed(self) -> float:
        return self._call.world.settings.wait_speed

    async def _follow(self, first: Goto) -> None:
        goto: Goto | None = first
        for _ in range(_MAX_DOCUMENTS):
            if goto is None:
                return
            goto = await self._execute(await self._fetch(goto))
        raise AssertionError("too many documents in a row")

    async def _fetch(self, goto: Goto) -> list[Element]:
        """The next document; when there is none that can be used, the call ends with a cause that says so."""
        call = self._call
        reply = await call.ask(goto.kind, goto.url, goto.method, dict(goto.more))
        if reply.why:
            self._broken(goto.bad_url)
            await asyncio.Event().wait()
        call.documents.append(reply.body)
        try:
            reading = read_reply(reply.content_type, reply.body)
        except Unusable as error:
            call.world.complain(str(error))
            self._broken(goto.bad_xml)
            await asyncio.Event().wait()
        for remark in reading.remarks:
            call.world.complain(remark)
        return reading.elements

    def _broken(self, cause: int) -> None:
        ringing = self._call.state.answered_at is None
        self._call.finish("failed" if ringing else "completed", cause, "Error")

    async def _execute(self, elements: list[Element]) -> Goto | None:
        """The elements in order; returns where to go on, or None at the end: then Plivo hangs up."""
        for element in elements:
            goto: Goto | None = None
            match element.name:
                case "Speak":
                    await self._speak(element)
                case "DTMF":
                    await self.play_keys(element.text)
                case "Wait":
                    # As the first element of an unanswered call it lets it ring on.
                    await asyncio.sleep(int(element.get("length", "1")) / self._speed)
                case "GetInput":
                    goto = await self._get_input(element)
                case "Stream":
                    await self._stream(element)
                case "Redirect":
                    return Goto(element.text, element.get("method", "POST"), "redirect", (), 7014, 8014)
                case "Dial":
                    goto = await self._dial(element)
                case "Hangup":
                    self._hang_up(element.get("reason"))
                    return None
            if goto is not None:
                return goto
        return None

    def _answered(self) -> Leg:
        """Any element that the caller can hear answers an inbound call."""
        call = self._call
        return call.leg if call.leg is not None else call.answer()

    def _hang_up(self, reason: str) -> None:
        call = self._call
        if call.state.answered_at is not None or not reason:
            self._answered()
            call.finish("completed", 4000, "Answer XML")
        else:
            call.finish("busy" if reason == "busy" else "failed", 3010 if reason == "busy" else 3020, "Answer XML")

    async def _speak(self, element: Element) -> None:
        call, leg = self._call, self._answered()
        line = await call.world.voices.line(CARRIER_VOICE, element.text)
        frames = line.frames[: max(1, round(len(line.frames) / call.world.settings.say_speed))]
        spoken = Spoken(element.text, element.get("voice"), element.get("language"), time.time())
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

    async def _get_input(self, element: Element) -> Goto | None:
        leg = self._answered()
        kinds = element.get("inputType").split()
        end = element.get("speechEndTimeout", "auto")
        verb = _Input(
            action=element.get("action"),
            partial_url=element.get("interimSpeechResultsCallback"),
            speech="speech" in kinds,
            keys="dtmf" in kinds,
            timeout_s=float(element.get("executionTimeout", "15")),
            speech_timeout=end,
            num_digits=int(element.get("numDigits", "0")),
            finish_on_key="" if element.get("finishOnKey") == "none" else element.get("finishOnKey", "#"),
            language=element.get("language"),
        )
        hearing = self.hearing = Hearing(leg, verb, self._speed)
        self._call.changed.set()
        partials = asyncio.create_task(self._tell_partials(verb, hearing))
        try:
            await self._prompt(element, hearing)
            hearing.prompt_over()
            await hearing.over.wait()
            await hearing.partials.join()
        finally:
            self.hearing = None
            partials.cancel()
            await asyncio.wait([partials])
        heard = hearing.result
        if heard.empty:
            return None  # passed over
        more = {"InputType": "dtmf" if heard.digits else "speech", "Digits": heard.digits, "Speech": heard.speech}
        if heard.speech:
            more["SpeechConfidenceScore"] = "0.92"
        return Goto(verb.action, element.get("method", "POST"), "input", tuple(more.items()), 7012, 8012)

    async def _prompt(self, element: Element, hearing: Hearing) -> None:
        """What a GetInput says while it listens; the first word or key ends it."""

        async def speak() -> None:
            for part in element.inner:
                await self._speak(part)

        prompt, begun = asyncio.create_task(speak()), asyncio.create_task(hearing.begun.wait())
        try:
            await asyncio.wait({prompt, begun}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (prompt, begun):
                task.cancel()
            await asyncio.wait({prompt, begun})
        if not prompt.cancelled():
            prompt.result()

    async def _tell_partials(self, verb: _Input, hearing: Hearing) -> None:
        sequence = 0
        while True:
            text = await hearing.partials.get()
            if verb.partial_url and text:
                stable, _, unstable = text.rpartition(" ")
                more = {"StableSpeech": stable, "UnstableSpeech": unstable, "Stability": "0.8"}
                more["SequenceNumber"] = str(sequence)
                sequence += 1
                await self._call.ask("partial", verb.partial_url, "POST", more)
            hearing.partials.task_done()

    async def _stream(self, element: Element) -> None:
        """Without keepCallAlive the document goes on at once, which usually ends the call."""
        leg = self._answered()
        job = carry(self._call, leg, element)
        if element.get("keepCallAlive") == "true":
            await job
        else:
            self._call.world.spawn(job)

    async def _dial(self, element: Element) -> Goto | None:
        """Connect the caller with another number, as long as both stay."""
        other = await self._transfer(self._answered(), element)
        if not element.get("action"):
            return None
        status = other.status if other.over else "completed"
        more = {
            "DialStatus": status,
            "DialRingStatus": "true",
            "DialHangupCause": "NORMAL_CLEARING",
            "DialALegUUID": self._call.state.uuid,
            "DialBLegUUID": other.uuid if other.answered_at is not None else "",
        }
        if element.get("redirect", "true") != "true":
            await self._call.ask("dial", element.get("action"), element.get("method", "POST"), more)
            return None
        return Goto(element.get("action"), element.get("method", "POST"), "dial", tuple(more.items()), 7012, 8012)

    async def _transfer(self, leg: Leg, element: Element) -> CallState:
        call = self._call
        number = f"+{bare(element.inner[0].text)}"
        allowed = {bare(known) for known in (*call.world.own_numbers(), call.state.from_number, call.state.to_number)}
        uuid = call.world.new_id()
        caller_id = element.get("callerId") or bare(call.state.from_number)
        other = CallState(uuid, uuid, "outbound", f"+{caller_id}", number, status="ringing")
        call.transfers.append(other)
        call.changed.set()
        if caller_id not in allowed:
            other.status = "failed"
            call.world.complain(f"callerId {caller_id} is not one of this account")
            return other
        try:
            await self._ring_and_join(leg, element, other)
        finally:
            other.ended_at = time.time()
            if not other.over:  # the caller left, or another document came
                other.status = "completed" if other.answered_at is not None else "cancel"
            call.changed.set()
        return other

    async def _ring_and_join(self, leg: Leg, element: Element, other: CallState) -> None:
        world = self._call.world
        person = world.find_person(other.to_number)
        await world.voices.prepare(person.voice, person.texts())
        manners = person.manners
        ring_s = Random(other.uuid).randint(*manners.ring_ms) / 1000
        patience_s = float(element.get("timeout", "120")) / self._speed
        if manners.answers == "never" or ring_s > patience_s:
            await asyncio.sleep(patience_s)
            other.status = "no-answer"
            return
        await asyncio.sleep(ring_s)
        if manners.answers == "busy":
            other.status = "busy"
            return
        other.status, other.answered_at = "in-progress", time.time()
        self._call.changed.set()
        await Bridge(world, leg, person, other.uuid).run()
        other.status = "completed"
