from __future__ import annotations

import asyncio
import base64
import itertools
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import orjson
import pytest

from engine.calls import Draft
from engine.live import mouth
from engine.live.lines import MAX_LINES, MouthFull
from engine.live.mouth import Mouth
from engine.live.turn_clock import TurnClock
from engine.media.audio import Audio, AudioFormat
from engine.media.playout import Playout
from engine.media.ticker import Ticker
from engine.media.twilio_wire import TwilioWire
from engine.speech.ports import SpeechUnavailable
from tests.media.dtmf_ear import keys_in
from tests.virtual_time import virtual_time

PCM = AudioFormat("pcm16", 8000)
MS_PER_CHARACTER = 50


class Voice:
    """Silence, 50 ms a character, in pieces that take `pause` seconds each to make; `whole`: in one piece."""

    name = "test voice"

    def __init__(self, pause: float = 0.0, broken: str = "", *, whole: bool = False, endless: bool = False) -> None:
        self.pause = pause
        self.broken = broken
        self.whole = whole
        self.endless = endless
        self.asked: list[str] = []

    async def start(self) -> None:
        """Nothing to load."""

    async def speak(self, text: str, voice: str = "") -> AsyncGenerator[Audio, None]:
        self.asked.append(text)
        if self.broken:
            raise SpeechUnavailable(self.broken)
        for word in [text.strip()] if self.whole else itertools.cycle(["ever"]) if self.endless else text.split():
            await asyncio.sleep(self.pause)
            yield Audio(PCM, bytes(PCM.bytes_for(MS_PER_CHARACTER * (len(word) + 1))))

    async def close(self) -> None:
        """Nothing to let go of."""


class Phone:
    """A carrier that plays what it is sent at its own pace and returns marks when they are reached."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._until = 0.0
        self._generation = 0
        self.cleared = 0
        self.audio = b""
        self.playout: Playout | None = None

    def send(self, messages: Sequence[bytes]) -> None:
        for message in messages:
            self._take(orjson.loads(message))

    def _take(self, frame: dict[str, Any]) -> None:
        now = self._loop.time()
        match frame["event"]:
            case "media":
                self.audio += base64.b64decode(frame["media"]["payload"])
                self._until = max(self._until, now) + 0.02
            case "mark":
                self._loop.call_at(max(self._until, now), self._echo, frame["mark"]["name"], self._generation)
            case "clear":
                self._generation += 1
                self.cleared += 1
                self._until = now

    def _echo(self, name: str, generation: int) -> None:
        if self.playout is not None and generation == self._generation:
            self.playout.mark_returned(name)


class Bench:
    """A mouth on a phone, in virtual time."""

    def __init__(self, voice: Voice) -> None:
        loop = asyncio.get_running_loop()
        self.facts: list[Draft] = []
        self.phone = Phone(loop)
        self.ticker = Ticker(loop.time)
        wire = TwilioWire()
        wire.receive(_START)
        self.playout = Playout(wire, self.phone.send, self.ticker)
        self.phone.playout = self.playout
        self.voice = voice
        self.mouth = Mouth("call-0001", voice, "", self.post, lambda: loop.time() * 1000)

    def post(self, *drafts: Draft) -> None:
        self.facts.extend(drafts)

    def types(self) -> list[str]:
        return [draft.type for draft in self.facts]


_START = orjson.dumps(
    {
        "event": "start",
        "sequenceNumber": "1",
        "streamSid": "MZ1",
        "start": {
            "accountSid": "AC1",
            "streamSid": "MZ1",
            "callSid": "CA1",
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": {},
        },
    }
)


@asynccontextmanager
async def bench(voice: Voice | None = None, *, attached: bool = True) -> AsyncGenerator[Bench, None]:
    it = Bench(voice or Voice())
    tasks = [asyncio.create_task(it.ticker.run()), asyncio.create_task(it.mouth.run())]
    if attached:
        it.mouth.attach(it.playout)
    try:
        yield it
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@virtual_time
async def test_a_line_is_spoken_only_when_the_carrier_has_played_it() -> None:
    """Trap 1.5/marks."""
    async with bench() as it:
        line = it.mouth.say("Good morning.")
        assert not line.done.done()
        assert await line.done == "heard"
        assert it.types() == ["say.queued", "say.started", "say.heard"]
        assert it.facts[-1].data["ms"] == pytest.approx(13 * MS_PER_CHARACTER, abs=60)
        assert asyncio.get_running_loop().time() >= it.facts[-1].data["ms"] / 1000


@virtual_time
async def test_lines_are_spoken_one_after_the_other() -> None:
    """Pain A5."""
    async with bench() as it:
        lines = [it.mouth.say(text) for text in ("One thing.", "Another thing.", "A last one.")]
        assert await asyncio.gather(*(line.done for line in lines)) == ["heard"] * 3
        spoken = [draft.data["sayId"] for draft in it.facts if draft.type in ("say.started", "say.heard")]
        assert sorted(spoken, key=[line.say_id for line in lines].index) == sorted(spoken, key=spoken.index), (
            "each line starts and is heard in the order in which it was asked for"
        )


@virtual_time
async def test_a_cut_keeps_what_was_heard_and_skips_what_waits() -> None:
    """Pains C4 and C7."""
    async with bench() as it:
        first = it.mouth.say("This is a rather long sentence about nothing at all.")
        second = it.mouth.say("Nobody will hear this.")
        await asyncio.sleep(1.0)
        it.mouth.cut("the caller interrupted")
        assert (await first.done, await second.done) == ("cut", "skipped")
        cut = next(draft for draft in it.facts if draft.type == "say.cut")
        assert 0 < len(cut.data["heardText"]) < len(first.text)
        assert first.text.startswith(cut.data["heardText"])
        assert it.phone.cleared == 1
        assert not it.mouth.busy
        assert await it.mouth.say("And now this.").done == "heard"


@virtual_time
async def test_a_cut_stops_a_synthesis_that_is_under_way() -> None:
    async with bench(Voice(pause=5.0)) as it:
        line = it.mouth.say("Slow words")
        await asyncio.sleep(1.0)
        it.mouth.cut("no")
        assert await line.done == "skipped"
        it.voice.pause = 0.0
        began = asyncio.get_running_loop().time()
        assert await it.mouth.say("Quick").done == "heard"
        assert asyncio.get_running_loop().time() - began < 1.0


@virtual_time
async def test_a_failing_voice_fails_its_line_and_no_other() -> None:
    async with bench(Voice(broken="the model is missing")) as it:
        broken = it.mouth.say("One")
        assert await broken.done == "failed"
        assert broken.error == "the model is missing"
        it.voice.broken = ""
        assert await it.mouth.say("Two").done == "heard"


@virtual_time
async def test_a_voice_that_never_ends_fails_its_line_after_a_limit() -> None:
    async with bench(Voice(pause=3600)) as it:
        line = it.mouth.say("Never")
        assert await line.done == "failed"
        assert "took more than" in line.error


@virtual_time
async def test_a_line_longer_than_what_may_wait_is_heard_to_its_end() -> None:
    """Pain A8: all that a message may hold, from a voice that is far ahead of the telephone."""
    for voice in (Voice(), Voice(whole=True)):
        async with bench(voice) as it:
            line = it.mouth.say("word " * 800)
            after = it.mouth.say("Goodbye.")
            assert await line.done == "heard", line.error
            assert it.facts[-1].data["ms"] == pytest.approx(4000 * MS_PER_CHARACTER, abs=60)
            assert await after.done == "heard"


@virtual_time
async def test_a_voice_no_quicker_than_speech_may_take_as_long_as_its_line() -> None:
    """Pain A8: what is limited is for how long nothing comes, not how long a line is."""
    async with bench(Voice(pause=0.25)) as it:
        line = it.mouth.say("word " * 400)
        assert await line.done == "heard", line.error


@virtual_time
async def test_a_long_line_that_is_cut_while_it_waits_for_room_is_let_go_at_once() -> None:
    async with bench() as it:
        line = it.mouth.say("word " * 800)
        await asyncio.sleep(10)
        it.mouth.cut("enough")
        assert await line.done == "cut"
        began = asyncio.get_running_loop().time()
        assert await it.mouth.say("Goodbye.").done == "heard"
        assert asyncio.get_running_loop().time() - began < 2


@virtual_time
async def test_a_voice_that_does_not_stop_is_cut_off() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mouth, "LINE_LIMIT_MS", 60_000)
        async with bench(Voice(endless=True)) as it:
            line = it.mouth.say("Never")
            assert await line.done == "cut"
            assert "does not stop" in line.error


@virtual_time
async def test_a_line_that_could_not_be_prepared_is_made_when_it_is_its_turn() -> None:
    """Pain A13: nothing is lost by having tried while the telephone rang."""
    async with bench(Voice(pause=0.25)) as it, asyncio.TaskGroup() as group:
        text = "word " * 400
        prepared = it.mouth.prepare(text, group)
        line = it.mouth.say(text, kind="greeting", prepared=prepared)
        assert await line.done == "heard", line.error


LONG: Final = "We have Tuesday at ten, Wednesday at half past two, and Friday in the afternoon."


@virtual_time
async def test_a_line_that_was_interrupted_for_nothing_goes_on_where_it_was_cut() -> None:
    async with bench() as it:
        line, after = it.mouth.say(LONG, kind="reply"), it.mouth.say("Which one suits you?", kind="reply")
        await asyncio.sleep(1.5)
        it.mouth.interrupted("the caller interrupted", keep=True)
        assert it.mouth.broken_off and not line.done.done() and not after.done.done()
        heard = line.heard_text
        assert heard and not it.mouth.speaking
        await asyncio.sleep(1)
        it.mouth.go_on()
        assert await line.done == "heard" and await after.done == "heard"
        assert it.voice.asked[-2:] == [LONG[len(heard) :].strip(), "Which one suits you?"]
        assert it.types().count("say.cut") == 1 and it.types().count("say.heard") == 2


@virtual_time
async def test_a_line_that_was_interrupted_for_a_reason_stays_cut_and_tells_whoever_waits() -> None:
    async with bench() as it:
        line, after = it.mouth.say(LONG, kind="reply"), it.mouth.say("Which one suits you?", kind="reply")
        await asyncio.sleep(1.5)
        it.mouth.interrupted("the caller interrupted", keep=True)
        it.mouth.give_up()
        assert (await line.done, await after.done) == ("cut", "skipped")
        it.mouth.go_on()
        assert not it.mouth.busy


@virtual_time
async def test_a_newer_reply_gives_up_the_interrupted_one_and_the_end_of_the_call_everything() -> None:
    async with bench() as it:
        reply, said = it.mouth.say(LONG, kind="reply"), it.mouth.say("And a word from the desk.", kind="speak")
        await asyncio.sleep(1.5)
        it.mouth.interrupted("the caller interrupted", keep=True)
        it.mouth.skip_replies("a newer turn of the caller")
        assert await reply.done == "cut" and not said.done.done()
        it.mouth.cut("the call ended")
        assert await said.done == "skipped" and not it.mouth.busy


@virtual_time
async def test_a_nod_in_the_middle_of_a_line_is_told_from_an_answer() -> None:
    async with bench() as it:
        it.mouth.say(LONG)
        await asyncio.sleep(1.5)
        assert not it.mouth.was_nodded_at("Okay.")
        it.mouth.interrupted("the caller interrupted", keep=True)
        assert it.mouth.was_nodded_at("Okay.")
        assert not it.mouth.was_nodded_at("Okay, stop.")
        it.mouth.give_up()
        it.mouth.say("Is that all right? Then I will write it down for you now.")
        await asyncio.sleep(1.5)
        it.mouth.interrupted("the caller interrupted", keep=True)
        assert not it.mouth.was_nodded_at("Yes.")


class Faulty(Voice):
    """Has a fault of its own."""

    async def speak(self, text: str, voice: str = "") -> AsyncGenerator[Audio, None]:
        self.asked.append(text)
        if self.asked:
            raise ZeroDivisionError
        yield Audio(PCM, b"")


@virtual_time
async def test_a_fault_of_the_voice_while_it_rings_fails_the_line_and_not_the_call() -> None:
    """Pain A1."""
    async with bench(Faulty()) as it, asyncio.TaskGroup() as group:
        line = it.mouth.say("Hello", kind="greeting", prepared=it.mouth.prepare("Hello", group))
        assert await line.done == "failed" and "ZeroDivisionError" in line.error
        assert it.voice.asked == ["Hello", "Hello"]


@virtual_time
async def test_a_line_of_nothing_but_silence_marks_fails_instead_of_hanging() -> None:
    async with bench() as it:
        line = it.mouth.say("  ")
        assert await line.done == "failed"
        assert line.error == "the voice gave no audio"


@virtual_time
async def test_lines_wait_for_a_stream_and_survive_its_loss() -> None:
    async with bench(attached=False) as it:
        first, second = it.mouth.say("Hello there my friend."), it.mouth.say("Second.")
        await asyncio.sleep(5)
        assert it.types() == ["say.queued", "say.queued"]
        it.mouth.attach(it.playout)
        await asyncio.sleep(0.5)
        it.mouth.detach()
        assert await first.done == "cut"
        it.mouth.attach(Bench(it.voice).playout)
        assert not second.done.done()


@virtual_time
async def test_only_so_many_lines_may_wait() -> None:
    async with bench(attached=False) as it:
        for _ in range(MAX_LINES):
            it.mouth.say("More")
        assert it.mouth.full
        with pytest.raises(MouthFull):
            it.mouth.say("Too much")


@virtual_time
async def test_a_prepared_line_is_not_synthesized_again() -> None:
    async with bench() as it, asyncio.TaskGroup() as group:
        prepared = it.mouth.prepare("Good morning.", group)
        await prepared.done()
        assert await it.mouth.say("Good morning.", prepared=prepared).done == "heard"
        assert it.voice.asked == ["Good morning."]


@virtual_time
async def test_a_turn_is_complete_with_the_first_mark_of_its_first_line() -> None:
    async with bench() as it:
        clock = TurnClock(3)
        for point in ("voiced", "ended", "text", "words", "sentence"):
            clock.reach(point, 0.0)
        await it.mouth.say("An answer to that.", kind="reply", clock=clock).done
        turns = [draft for draft in it.facts if draft.type == "turn.completed"]
        assert len(turns) == 1
        assert turns[0].data["turn"] == 3
        assert turns[0].data["stages"]["total"] >= 20


@virtual_time
async def test_replies_that_wait_are_skipped_and_other_lines_are_not() -> None:
    """Pain C8."""
    async with bench() as it:
        playing = it.mouth.say("A line that plays now.", kind="reply")
        await asyncio.sleep(0.1)
        reply = it.mouth.say("An older reply.", kind="reply")
        operator = it.mouth.say("From the operator.", speaker="operator")
        it.mouth.skip_replies("a newer turn")
        assert await reply.done == "skipped"
        assert (await playing.done, await operator.done) == ("heard", "heard")


@virtual_time
async def test_an_interruption_silences_the_agent_and_delays_what_a_person_wants_said() -> None:
    async with bench() as it:
        playing = it.mouth.say("The agent says something rather long about this and that.", kind="reply")
        reply = it.mouth.say("And more.", kind="reply")
        question = it.mouth.say("What is your name?", speaker="operator")
        await asyncio.sleep(0.5)
        it.mouth.interrupted("the caller interrupted")
        assert (await playing.done, await reply.done) == ("cut", "skipped")
        assert await question.done == "heard"
        assert it.types().count("say.started") == 2


@virtual_time
async def test_what_a_program_asked_for_is_said_once_the_caller_who_talked_over_the_agent_is_over() -> None:
    async with bench() as it:
        playing = it.mouth.say("The agent says something rather long about this and that.", kind="reply")
        asked = it.mouth.say("Your table is booked.", wanted=True)
        await asyncio.sleep(0.5)
        it.mouth.interrupted("the caller interrupted", keep=True)
        await asyncio.sleep(2)
        assert not asked.done.done() and it.types().count("say.started") == 1, "not into the caller's words"
        it.mouth.give_up()
        it.mouth.caller_over()
        assert (await playing.done, await asked.done) == ("cut", "heard")


async def _said_again(keep: bool) -> None:
    async with bench() as it:
        asked, after = it.mouth.say("Your table is booked.", wanted=True), it.mouth.say("And paid.", wanted=True)
        await asyncio.sleep(0.05)
        assert it.mouth.speaking
        it.mouth.interrupted("the caller interrupted", keep=keep)
        assert not asked.done.done()
        it.mouth.caller_over()
        assert (await asked.done, await after.done) == ("heard", "heard")
        said = [fact.data["text"] for fact in it.facts if fact.type == "say.queued"]
        assert said == ["Your table is booked.", "And paid.", "Your table is booked."]
        assert it.voice.asked[-2:] == ["Your table is booked.", "And paid."]


@virtual_time
async def test_what_a_program_asked_for_and_nobody_heard_is_said_again() -> None:
    """The caller began to speak in the same moment."""
    await _said_again(keep=False)
    await _said_again(keep=True)


@virtual_time
async def test_what_is_wanted_said_waits_until_the_caller_has_finished_and_no_longer_than_is_polite() -> None:
    async with bench() as it:
        it.mouth.caller_began()
        asked = it.mouth.say("Your table is booked.", wanted=True)
        await asyncio.sleep(3)
        assert not it.voice.asked
        it.mouth.caller_over()
        assert await asked.done == "heard"
        it.mouth.caller_began()
        assert await it.mouth.say("And paid.", wanted=True).done == "heard"


@virtual_time
async def test_a_line_that_was_broken_off_for_nothing_comes_before_what_waits() -> None:
    async with bench() as it:
        playing = it.mouth.say(LONG, kind="reply")
        asked = it.mouth.say("Your table is booked.", wanted=True)
        await asyncio.sleep(1.5)
        it.mouth.interrupted("the caller interrupted", keep=True)
        rest = playing.rest
        it.mouth.go_on()
        assert (await playing.done, await asked.done) == ("heard", "heard")
        assert it.voice.asked[-2:] == [rest, "Your table is booked."]


@virtual_time
async def test_lines_that_had_been_sent_ahead_are_said_on_the_next_stream() -> None:
    async with bench() as it:
        first, second = it.mouth.say("The first of two lines."), it.mouth.say("The second.")
        await asyncio.sleep(0.3)
        it.mouth.detach()
        assert await first.done == "cut"
        it.mouth.attach(it.playout)
        assert await second.done == "heard"


@virtual_time
async def test_keys_wait_their_turn_and_are_heard_when_the_tones_were_played() -> None:
    async with bench() as it:
        line = it.mouth.say("One moment please.")
        keys = it.mouth.say("42w#", kind="keys")
        assert await keys.done == "heard"
        assert await line.done == "heard"
        assert keys_in(it.phone.audio) == "42#"
        assert it.voice.asked == ["One moment please."], "nobody reads the keys out"
        assert [draft.type for draft in it.facts if draft.data["sayId"] == keys.say_id] == [
            "say.queued",
            "say.started",
            "say.heard",
        ]
        assert asyncio.get_running_loop().time() >= 18 * MS_PER_CHARACTER / 1000 + 1.1


@virtual_time
async def test_a_voice_menu_that_speaks_on_does_not_cut_off_the_keys() -> None:
    async with bench() as it:
        keys = it.mouth.say("123456", kind="keys")
        reply = it.mouth.say("An answer to the menu.", kind="reply")
        await asyncio.sleep(0.5)
        it.mouth.interrupted("the caller interrupted")
        assert (await keys.done, await reply.done) == ("heard", "skipped")
        assert keys_in(it.phone.audio) == "123456"
        assert it.phone.cleared == 0


@virtual_time
async def test_keys_that_wait_behind_a_line_that_is_interrupted_are_pressed_afterwards() -> None:
    async with bench() as it:
        line = it.mouth.say("A rather long line of words.", kind="reply")
        keys = it.mouth.say("77", kind="keys")
        await asyncio.sleep(0.5)
        it.mouth.interrupted("the caller interrupted")
        assert (await line.done, await keys.done) == ("cut", "heard")
        assert keys_in(it.phone.audio) == "77"


@virtual_time
async def test_keys_that_are_cut_say_which_of_them_were_heard() -> None:
    async with bench() as it:
        keys = it.mouth.say("123456", kind="keys")
        await asyncio.sleep(0.55)
        it.mouth.cut("the floor went to operator")
        assert await keys.done == "cut"
        assert keys.heard_text == "123"
        assert it.facts[-1].data["heardText"] == "123"


@virtual_time
async def test_our_own_tones_are_not_told_as_words_that_the_caller_hears() -> None:
    async with bench() as it:
        told: list[str] = []
        it.mouth.on_line = told.append
        await it.mouth.say("5", kind="keys").done
        await it.mouth.say("Now words.").done
        assert told == ["Now words."]
