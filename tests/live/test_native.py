"""Whole conversations by documents: an engine whose carrier speaks and listens by itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from engine.api import Refusal
from engine.calls import Call, Draft, State
from engine.carriers.base import CarrierError, Hangup, Listen, Say
from engine.carriers.links import read_link
from engine.clock import epoch_ms
from engine.config import Config
from engine.live.native_mouth import NativeMouth
from engine.speech.ports import Brain, BrainOutput, Conversation, EndCall, Words
from engine.store import DATABASE_NAME, EventLog
from tests.engine.fake_carrier import OURS, Table, sid, table

NATIVE: dict[str, Any] = {"streaming": {"enabled": False}}
HELLO = "Hello, is Tuesday all right?"
CALLER = "+15550100103"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A carrier's voice that is fast and begins at once."""
    monkeypatch.setattr("engine.live.lines.MS_PER_CHARACTER", 8)
    monkeypatch.setattr("engine.live.native_mouth.LEAD_MS", 0)


class Says(Brain):
    """Answers what a test tells it to, after as long as a test wants."""

    name = "says"

    def __init__(self, *answers: str, end: bool = False) -> None:
        self.answers = list(answers) or ["Fine."]
        self.heard: list[str] = []
        self.end = end
        self.go = asyncio.Event()
        self.go.set()

    async def start(self) -> None:
        """Nothing to load."""

    async def reply(self, conversation: Conversation) -> AsyncIterator[BrainOutput]:  # type: ignore[override]
        self.heard.append(conversation.lines[-1].text)
        await self.go.wait()
        yield Words(self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])
        if self.end:
            yield EndCall()

    async def close(self) -> None:
        """Nothing to let go of."""


class Line:
    """One call as its carrier sees it: `turn` is the token of the document that it executes."""

    def __init__(self, at: Table, call: Call) -> None:
        self.at = at
        self.call = call
        self.turn = ""

    async def tell(self, type_: str, *, turn: str | None = None, **more: Any) -> str:
        """One webhook that wants a document; its prompt. A request of ours may have come before."""
        self.follow()
        asked = self.turn if turn is None else turn
        document = await self.at.tell(type_, sid(self.call), turn=asked, wants_document=True, **more)
        return self.take(document)

    async def partial(self, text: str, turn: str | None = None) -> None:
        self.follow()
        asked = self.turn if turn is None else turn
        assert await self.at.tell("partial", sid(self.call), turn=asked, text=text) == []

    def take(self, document: list[dict[str, Any]]) -> str:
        """Execute a document that a reply brought."""
        (verb,) = document
        assert verb["verb"] == "Listen", document
        self.turn = read_link(verb["url"])[1]["turn"]
        assert read_link(verb["partial_url"]) == ("partial", {**read_link(verb["url"])[1], "flow": "partial"})
        return str(verb["prompt"])

    def follow(self) -> None:
        """Execute what our side put into the call."""
        for document in self.at.carrier.instructed[getattr(self, "_seen", 0) :]:
            if isinstance(document[0], Listen):
                self.turn = read_link(document[0].url)[1]["turn"]
        self._seen = len(self.at.carrier.instructed)

    async def told(self, count: int) -> str:
        """What the carrier was told to say by the request of that number, once it was."""
        document = (await self.at.carrier.until(self.at.carrier.instructed, count)) and self.at.carrier.instructed
        (verb,) = document[count - 1]
        assert isinstance(verb, Listen)
        return verb.prompt

    async def heard(self, text: str) -> None:
        """Return once a line of ours counts as heard."""
        await self.at.until(
            self.call, lambda call: any(line.text == text and not line.playing for line in call.transcript)
        )


async def dial(at: Table, message: str = HELLO) -> Line:
    """A call of ours that is answered, with its greeting on its way."""
    line = Line(at, await at.call_out(message))
    assert await line.tell("answered", direction="outbound") == message
    return line


async def ring(at: Table, provider_call_id: str = "CAin", caller: str = CALLER) -> tuple[Line, str]:
    """Somebody calls in; the line and what they hear."""
    numbers = {"direction": "inbound", "from_number": caller, "to_number": OURS}
    document = await at.tell("incoming", provider_call_id, wants_document=True, **numbers)
    call = at.engine.call(provider_call_id)
    assert call is not None
    line = Line(at, call)
    return line, line.take(document)


async def says(at: Table, call: Call) -> list[tuple[str, str]]:
    """What happened to our lines, in order: what, and which line."""
    events = [event for event in await at.events(call) if event.type.startswith("say.")]
    texts = {event.data["sayId"]: event.data["text"] for event in events if event.type == "say.queued"}
    return [(event.type, texts[event.data["sayId"]]) for event in events]


# a conversation


async def test_a_conversation_is_held_by_documents_and_stands_in_the_log_as_any_other(tmp_path: Path) -> None:
    async with table(tmp_path, brain=Says("Then I will see you on Tuesday."), **NATIVE) as at:
        line = await dial(at)
        await line.heard(HELLO)
        await line.partial("yes")
        assert await line.tell("speech", text="Yes, it is.") == "", "the answer comes when it is known"
        assert await line.told(1) == "Then I will see you on Tuesday."
        await line.heard("Then I will see you on Tuesday.")
        call = at.now(line.call)
        assert [(said.speaker, said.text, said.cut) for said in call.transcript] == [
            ("agent", HELLO, False),
            ("caller", "Yes, it is.", False),
            ("agent", "Then I will see you on Tuesday.", False),
        ]
        assert call.media == "native" and call.state is State.LISTENING
        assert set(call.turns[0]) == {"agent", "sentence", "send", "total"}
        types = await at.types(call)
        assert [type_ for type_ in types if type_.startswith("speech.")] == ["speech.started", "speech.final"]
        assert not {"stream.opened", "call.error", "say.failed", "speech.ready"} & set(types)
        assert at.carrier.reopened == []


async def test_a_caller_is_let_in_answered_and_greeted_by_one_reply(tmp_path: Path) -> None:
    async with table(tmp_path, inbound_greeting="Good morning.", **NATIVE) as at:
        line, prompt = await ring(at)
        call = at.now(line.call)
        assert prompt == "Good morning."
        assert call.answered_at is not None and call.media == "native"
        await line.heard("Good morning.")
        assert at.carrier.instructed == []


async def test_a_second_caller_is_served_while_one_is_live(tmp_path: Path) -> None:
    """Pain F5."""
    async with table(tmp_path, brain=Says("Yes."), inbound_greeting="Good morning.", **NATIVE) as at:
        (first, _), (second, prompt) = await ring(at, "CAin1"), await ring(at, "CAin2", "+15550100104")
        assert prompt == "Good morning."
        for line in (first, second):
            await line.heard("Good morning.")
            await line.tell("speech", text="Are you open?")
            await line.heard("Yes.")
        assert len(at.engine.live_calls()) == 2


async def test_the_greeting_is_said_once_although_the_answer_is_told_several_times(tmp_path: Path) -> None:
    """Pain A4."""
    async with table(tmp_path, **NATIVE) as at:
        call = await at.call_out(HELLO)
        assert await at.tell("answered", sid(call), direction="outbound") == []
        line = Line(at, call)
        assert await line.tell("answered", direction="outbound") == HELLO
        assert await line.tell("answered", direction="outbound") == HELLO, "it was not taken the first time"
        await at.tell("answered", sid(call), direction="outbound")
        await line.heard(HELLO)
        assert await line.tell("silence") == ""
        assert await says(at, call) == [("say.queued", HELLO), ("say.started", HELLO), ("say.heard", HELLO)]
        assert (await at.types(call)).count("call.answered") == 1


async def test_silence_goes_on_with_listening_at_another_address_each_time(tmp_path: Path) -> None:
    """Pain F13."""
    async with table(tmp_path, **NATIVE) as at:
        line = await dial(at)
        turns = {line.turn}
        for _ in range(5):
            assert await line.tell("silence") == ""
            turns.add(line.turn)
        assert len(turns) == 6 and at.now(line.call).live
        heard = [event.data for event in await at.events(line.call) if event.type == "say.heard"]
        assert [data.get("unconfirmed") for data in heard] == [None], "the carrier was at the end of its document"


async def test_a_slow_brain_does_not_delay_the_reply_to_the_carrier(tmp_path: Path) -> None:
    brain = Says("At last.")
    brain.go.clear()
    async with table(tmp_path, brain=brain, **NATIVE) as at:
        line = await dial(at)
        await line.heard(HELLO)
        assert await line.tell("speech", text="And now?") == ""
        assert await line.tell("silence") == ""
        assert at.carrier.instructed == []
        brain.go.set()
        assert await line.told(1) == "At last."


async def test_what_the_operator_wants_said_goes_along_with_the_next_document(tmp_path: Path) -> None:
    async with table(tmp_path, **NATIVE) as at:
        line = await dial(at)
        await line.heard(HELLO)
        await at.engine.set_floor(line.call.call_id, "operator", "console")
        await line.partial("well let me")
        speaking = asyncio.create_task(at.engine.speak(line.call.call_id, "I am listening.", "console"))
        await at.until(line.call, lambda call: bool(call.queued))
        assert at.carrier.instructed == [], "that would cut off the caller's words"
        assert await line.tell("speech", text="Well, let me see.") == "I am listening."
        await speaking
        assert at.carrier.instructed == []


async def test_keys_of_the_caller_are_noted_and_answered_with_listening(tmp_path: Path) -> None:
    async with table(tmp_path, **NATIVE) as at:
        line = await dial(at)
        await line.heard(HELLO)
        assert await line.tell("dtmf", digits="42#") == ""
        assert at.now(line.call).dtmf == "42#"


async def test_a_slow_answer_is_bridged_in_the_carriers_voice_too(tmp_path: Path) -> None:
    brain = Says("It is on Monday.")
    brain.go.clear()
    block = Config().response.model_copy(update={"holding_after_ms": 200, "holding_phrases": ["One moment."]})
    async with table(tmp_path, brain=brain, response=block, **NATIVE) as at:
        line = await dial(at)
        await line.heard(HELLO)
        await line.tell("speech", text="When is it?")
        assert await line.told(1) == "One moment."
        brain.go.set()
        assert await line.told(2) == "It is on Monday."
        await line.heard("It is on Monday.")


async def test_keys_of_the_caller_are_a_turn_that_is_answered(tmp_path: Path) -> None:
    brain = Says("You pressed it.")
    async with table(tmp_path, brain=brain, **NATIVE) as at:
        line = await dial(at)
        await line.heard(HELLO)
        first = await line.tell("dtmf", digits="42#")
        assert first == "You pressed it." or await line.told(1) == "You pressed it."
        await line.heard("You pressed it.")
    assert brain.heard == ["42#"]


async def test_the_agent_ends_the_call_when_its_farewell_was_heard(tmp_path: Path) -> None:
    """Pain C6."""
    async with table(tmp_path, brain=Says("Goodbye, then.", end=True), **NATIVE) as at:
        line = await dial(at)
        await line.heard(HELLO)
        await line.tell("speech", text="That was all.")
        ended = await at.until(line.call, lambda call: not call.live)
        assert ended.end_reason is State.HANGUP_BOT
        assert ended.transcript[-1].text == "Goodbye, then." and not ended.transcript[-1].cut
        assert at.carrier.hung_up == [sid(line.call)]


# interruptions


async def test_a_caller_who_speaks_over_a_line_cuts_it_and_is_not_cut_off_themselves(tmp_path: Path) -> None:
    brain = Says("A long answer about opening hours. And another sentence about them.", "Of course.")
    async with table(tmp_path, brain=brain, **NATIVE) as at:
        line = await dial(at)
        await line.heard(HELLO)
        await line.tell("speech", text="When are you open?")
        assert await line.told(1) == "A long answer about opening hours."
        await at.until(line.call, lambda call: call.state is State.SPEAKING)
        await line.partial("no")
        await line.partial("no I mean")
        cut = await at.until(line.call, lambda call: call.transcript[-1].cut)
        assert cut.transcript[-1].text != "A long answer about opening hours."
        assert len(at.carrier.instructed) == 1, "the caller's voice has silenced the carrier"
        assert await line.tell("speech", text="No, I mean on Sunday.") == ""
        assert await line.told(2) == "Of course."
        assert brain.heard == ["When are you open?", "No, I mean on Sunday."]
        ends = [what for what, _ in await says(at, line.call) if what in ("say.cut", "say.skipped")]
        assert sorted(ends) == ["say.cut", "say.skipped"]


async def test_newer_words_of_the_caller_revoke_an_older_reply(tmp_path: Path) -> None:
    """Pain C8."""
    brain = Says("An answer to the first.", "An answer to the second.")
    brain.go.clear()
    async with table(tmp_path, brain=brain, **NATIVE) as at:
        line = await dial(at)
        await line.heard(HELLO)
        await line.tell("speech", text="First.")
        await line.tell("speech", text="Second.")
        brain.go.set()
        await at.carrier.until(at.carrier.instructed)
        await line.heard("An answer to the first.")
        assert [what for what, _ in await says(at, line.call)].count("say.started") == 2, "the greeting and one reply"
        assert at.now(line.call).transcript[-1].text == "An answer to the first."


async def test_words_that_crossed_the_answer_to_earlier_ones_silence_it_and_are_answered(tmp_path: Path) -> None:
    """Pain C9."""
    brain = Says("About the first thing, at length.", "About the second.")
    async with table(tmp_path, brain=brain, **NATIVE) as at:
        line = await dial(at)
        await line.heard(HELLO)
        await line.tell("speech", text="The first thing.")
        before = line.turn
        await at.until(line.call, lambda call: call.state is State.SPEAKING)
        await line.tell("speech", turn=before, text="And the second.")
        await line.heard("About the second.")
        prompts = [verb.prompt for (verb,) in at.carrier.instructed if isinstance(verb, Listen)]
        assert prompts[0] == "About the first thing, at length." and prompts[-1] == "About the second."
        assert [said.cut for said in at.now(line.call).transcript if said.text.startswith("About the f")] in (
            [True],
            [],
        )


@pytest.mark.parametrize("kind", ["speech", "dtmf", "silence"])
async def test_what_an_older_turn_ended_with_and_comes_late_is_no_new_turn(tmp_path: Path, kind: str) -> None:
    """Turn tokens are good once: a result that comes again, or behind one of a newer turn, is nothing new."""
    more = {"speech": {"text": "Words of before."}, "dtmf": {"digits": "7"}, "silence": {}}[kind]
    async with table(tmp_path, brain=Says("One.", "Two.", "Three."), **NATIVE) as at:
        line = await dial(at)
        await line.heard(HELLO)
        first = line.turn
        await line.tell("speech", text="The first thing.")
        await line.heard("One.")
        before = await at.types(line.call)
        current = line.turn
        document = await at.tell(kind, sid(line.call), turn=first, wants_document=True, **more)
        assert [verb["verb"] for verb in document] == ["Listen"] and not document[0]["prompt"]
        news = [type_ for type_ in (await at.types(line.call))[len(before) :] if type_ != "webhook.received"]
        assert news == [], "nothing was heard, pressed or interrupted"
        line.turn = current
        await line.tell("speech", text="The second thing.")
        said = [said.text for said in at.now(line.call).transcript if said.speaker == "caller"]
        assert said == ["The first thing.", "The second thing."]


# questions


async def test_a_question_is_answered_by_what_is_said_in_its_document(tmp_path: Path) -> None:
    async with table(tmp_path, **NATIVE) as at:
        line = await dial(at)
        await line.heard(HELLO)
        asking = asyncio.create_task(at.engine.continue_call(line.call.call_id, "Which day?", "cli"))
        assert await line.told(1) == "Which day?"
        await line.heard("Which day?")
        await line.tell("speech", text="Thursday.")
        assert await asking == "Thursday."


async def test_an_answer_that_comes_before_the_question_was_said_whole_is_one(tmp_path: Path) -> None:
    async with table(tmp_path, **NATIVE) as at:
        line = await dial(at)
        await line.heard(HELLO)
        asking = asyncio.create_task(
            at.engine.continue_call(line.call.call_id, "Which day, and at what time?", "cli")
        )
        await at.until(line.call, lambda call: call.state is State.SPEAKING)
        await line.tell("speech", text="Thursday at ten.")
        assert await asking == "Thursday at ten."
        assert at.now(line.call).transcript[1].cut


async def test_an_answer_may_come_after_silence(tmp_path: Path) -> None:
    async with table(tmp_path, **NATIVE) as at:
        line = await dial(at)
        await line.heard(HELLO)
        asking = asyncio.create_task(at.engine.continue_call(line.call.call_id, "Which day?", "cli"))
        await line.told(1)
        await line.heard("Which day?")
        await line.tell("silence")
        await line.tell("silence")
        await line.tell("speech", text="Let me think. Thursday.")
        assert await asking == "Let me think. Thursday."


async def test_what_was_said_before_the_question_is_written_down_and_is_no_answer(tmp_path: Path) -> None:
    """Pain F13."""
    brain = Says("Never asked.")
    async with table(tmp_path, brain=brain, **NATIVE) as at:
        line = await dial(at)
        await line.heard(HELLO)
        before = line.turn
        asking = asyncio.create_task(at.engine.continue_call(line.call.call_id, "Which day?", "cli"))
        await at.until(line.call, lambda call: call.state is State.SPEAKING)
        await line.partial("you are", turn=before)
        await line.tell("speech", turn=before, text="You are hard to hear.")
        assert not asking.done()
        await line.heard("Which day?")
        line.turn = read_link(at.carrier.instructed[0][0].url)[1]["turn"]  # type: ignore[union-attr]
        await line.tell("speech", text="Thursday.")
        assert await asking == "Thursday."
        said = [said.text for said in at.now(line.call).transcript if said.speaker == "caller"]
        assert said == ["You are hard to hear.", "Thursday."]
        assert brain.heard == []


async def test_a_question_that_the_carrier_does_not_take_is_refused(tmp_path: Path) -> None:
    async with table(tmp_path, **NATIVE) as at:
        line = await dial(at)
        await line.heard(HELLO)
        at.carrier.fail["instruct"] = CarrierError("20003: no")
        with pytest.raises(Refusal, match="20003"):
            await at.engine.continue_call(line.call.call_id, "Which day?", "cli")
        at.carrier.fail["instruct"] = CarrierError("20003: no")
        with pytest.raises(Refusal, match="20003") as refused:
            await at.engine.speak(line.call.call_id, "Well.", "cli")
        assert refused.value.code == "speech_unavailable"
        await at.engine.speak(line.call.call_id, "Well then.", "cli")


async def test_a_question_ends_with_its_call(tmp_path: Path) -> None:
    async with table(tmp_path, **NATIVE) as at:
        line = await dial(at)
        await line.heard(HELLO)
        asking = asyncio.create_task(at.engine.continue_call(line.call.call_id, "Which day?", "cli"))
        await line.told(1)
        await line.heard("Which day?")
        await at.tell("ended", sid(line.call), reason="completed")
        with pytest.raises(Refusal) as refused:
            await asking
        assert refused.value.code == "call_ended"


# the floor


async def test_a_held_agent_says_so_and_answers_what_was_said_once_it_has_the_floor_again(tmp_path: Path) -> None:
    brain = Says("Here I am.")
    async with table(tmp_path, brain=brain, **NATIVE) as at:
        line = await dial(at)
        await line.heard(HELLO)
        await at.engine.set_floor(line.call.call_id, "held", "console")
        assert await line.told(1) == "One moment, please."
        await line.heard("One moment, please.")
        await line.tell("speech", text="Are you there?")
        await line.tell("silence")
        assert brain.heard == []
        await at.engine.set_floor(line.call.call_id, "agent", "console")
        await line.heard("Here I am.")
        assert brain.heard == ["Are you there?"]


async def test_who_takes_the_floor_silences_the_agent_at_once(tmp_path: Path) -> None:
    async with table(tmp_path, **NATIVE) as at:
        line = await dial(at, "A long message that takes its time. " * 5)
        await at.engine.set_floor(line.call.call_id, "operator", "console")
        assert await line.told(1) == ""
        await at.until(line.call, lambda call: call.transcript[0].cut)
        await at.engine.speak(line.call.call_id, "This is a person.", "console")
        assert await line.told(2) == "This is a person."


# ends


async def test_a_line_that_plays_at_the_end_keeps_what_was_heard_and_what_waits_is_skipped(tmp_path: Path) -> None:
    async with table(tmp_path, **NATIVE) as at:
        line = await dial(at, "A long message that takes its time. " * 5)
        waiting = asyncio.create_task(at.engine.speak(line.call.call_id, "More.", "cli"))
        await at.until(line.call, lambda call: bool(call.queued))
        await asyncio.sleep(0.2)
        assert await at.tell("ended", sid(line.call), reason="completed") == []
        with pytest.raises(Refusal):
            await waiting
        (said,) = at.now(line.call).transcript
        assert said.cut and said.text
        assert [what for what, _ in await says(at, line.call)][-2:] == ["say.cut", "say.skipped"]
        assert at.carrier.instructed == []


async def test_the_end_is_noticed_although_nobody_tells_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.live.native.QUIET_SECONDS", 0.2)
    async with table(tmp_path, **NATIVE) as at:
        line, _ = await ring(at)
        at.carrier.hung_up.append("CAin")
        ended = await at.until(line.call, lambda call: not call.live)
        assert ended.end_reason is State.COMPLETED


async def test_a_call_that_the_carrier_calls_over_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.live.native.GONE_SECONDS", 0.1)
    async with table(tmp_path, **NATIVE) as at:
        line = await dial(at)
        await line.heard(HELLO)
        at.carrier.fail["instruct"] = CarrierError("21220", kind="gone")
        at.carrier.hung_up.append(sid(line.call))
        with pytest.raises(Refusal) as refused:
            await at.engine.speak(line.call.call_id, "Hello?", "cli")
        assert refused.value.code == "call_ended"
        ended = await at.until(line.call, lambda call: not call.live)
        assert ended.end_reason is State.COMPLETED


# transfers, machines, streams


async def test_a_caller_whom_nobody_took_hears_so_with_the_document_that_brings_them_back(tmp_path: Path) -> None:
    async with table(tmp_path, **NATIVE) as at:
        line = await dial(at, "A long message that takes its time. " * 5)
        await at.engine.transfer(line.call.call_id, "+15550100177", "cli")
        await asyncio.sleep(0.1)
        assert at.carrier.instructed == [], "a document would fetch the caller back"
        prompt = await line.tell("transfer_over", reached=False, detail="busy")
        assert "put you through" in prompt
        await line.heard(prompt)
        await at.engine.speak(line.call.call_id, "Anything else?", "cli")


async def test_a_message_is_left_on_a_machine_by_the_carrier_which_hangs_up_then(tmp_path: Path) -> None:
    async with table(tmp_path, outbound={"answering_machine": "leave_message"}, **NATIVE) as at:
        line = await dial(at)
        await at.tell("machine", sid(line.call), answered_by="machine")
        assert await line.told(1) == "", "nothing is said into a greeting"
        await line.partial("please leave a message")
        await at.tell("machine", sid(line.call), answered_by="machine_end")
        await at.carrier.until(at.carrier.instructed, 2)
        assert at.carrier.instructed[1] == (Say(HELLO), Hangup())
        await at.until(line.call, lambda call: call.state is State.SPEAKING)
        await asyncio.sleep(0.4)
        await at.tell("ended", sid(line.call), reason="completed")
        ended = at.now(line.call)
        assert ended.end_reason is State.VOICEMAIL
        assert (ended.transcript[-1].text, ended.transcript[-1].cut) == (HELLO, False)
        assert at.carrier.hung_up == []


async def test_a_notice_keeps_what_was_said_into_a_greeting_apart_from_the_message_that_was_left(
    tmp_path: Path,
) -> None:
    async with table(tmp_path, outbound={"answering_machine": "leave_message"}) as at:
        call = await at.call_out("Your table is ready, and so are we.", "notify")
        await at.tell("answered", sid(call))
        await at.tell("machine", sid(call), answered_by="machine_end")
        assert await at.carrier.until(at.carrier.instructed) == (Say(call.message), Hangup())
        await at.until(call, lambda call: len(call.transcript) == 2)
        await asyncio.sleep(0.4)
        await at.tell("ended", sid(call), reason="completed", duration_s=30)
        ended = at.now(call)
        assert ended.end_reason is State.VOICEMAIL
        assert [what for what, _ in await says(at, call)] == [
            "say.queued",
            "say.started",
            "say.cut",
            "say.queued",
            "say.started",
            "say.heard",
        ]
        assert [line.text for line in ended.transcript if line.text][-1] == call.message


async def test_a_call_over_a_stream_is_never_instructed(tmp_path: Path) -> None:
    """Pain C10; trap 1.2/interrupts."""
    async with table(tmp_path, brain=Says("Yes.")) as at:
        call, _ = await at.ring_in()
        await at.until_event(call, "say.heard")
        await at.engine.speak(call.call_id, "Hello.", "cli")
        await at.engine.set_floor(call.call_id, "held", "console")
        await at.engine.set_floor(call.call_id, "agent", "console")
        for type_ in ("asks", "answered"):
            (verb,) = await at.tell(type_, sid(call), wants_document=True)
            assert verb["verb"] == "Connect"
        live = at.engine._calls.get(call.call_id)
        assert live is not None and not isinstance(live.mouth, NativeMouth)
        assert at.carrier.instructed == []


async def test_nobody_can_listen_in_where_there_is_no_audio(tmp_path: Path) -> None:
    async with table(tmp_path, **NATIVE) as at:
        line = await dial(at)
        with pytest.raises(Refusal) as refused:
            at.engine.listen(line.call.call_id)
        assert refused.value.code == "not_supported"


# after a restart


async def test_after_a_restart_the_call_goes_on_and_is_controllable(tmp_path: Path) -> None:
    ends = {"direction": "inbound", "mode": "conversation", "from": CALLER, "to": OURS, "media": "native"}
    lines = {"sayId": "s1", "speaker": "agent", "kind": "greeting", "text": "Good morning."}
    async with await EventLog.open(tmp_path / DATABASE_NAME) as log:
        await log.append(
            [
                Draft("call.initiated", "c1", {"provider": "fake", **ends}, epoch_ms()),
                Draft("call.accepted", "c1", {"providerCallId": "CAin"}, epoch_ms()),
                Draft("call.answered", "c1", {}, epoch_ms()),
                Draft("say.queued", "c1", lines, epoch_ms()),
                Draft("say.started", "c1", {"sayId": "s1", "synthMs": 0}, epoch_ms()),
            ]
        )
    async with table(tmp_path, brain=Says("I am back."), **NATIVE) as at:
        call = await at.taken_up("c1")
        line = Line(at, call)
        assert await line.told(1) == "", "what the carrier executed was told by an engine that is gone"
        await line.tell("speech", turn="of another life", text="Are you still there?")
        await line.heard("I am back.")
        await at.engine.speak("c1", "So, where were we?", "cli")
        assert at.carrier.reopened == []
        over = {event.type for event in await at.events(call) if event.data.get("sayId") == "s1"}
        assert len(over & {"say.heard", "say.cut", "say.failed"}) == 1, "by an estimate"
        assert not at.now(call).transcript[0].playing


async def test_after_a_restart_a_webhook_may_be_quicker_than_we_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = {"direction": "inbound", "mode": "conversation", "from": CALLER, "to": OURS, "media": "native"}
    async with await EventLog.open(tmp_path / DATABASE_NAME) as log:
        await log.append(
            [
                Draft("call.initiated", "c1", {"provider": "fake", **ends}, epoch_ms()),
                Draft("call.accepted", "c1", {"providerCallId": "CAin"}, epoch_ms()),
                Draft("call.answered", "c1", {}, epoch_ms()),
                Draft("speech.final", "c1", {"text": "Hello", "turn": 1}, epoch_ms()),
            ]
        )
    quick = asyncio.Event()

    async def slowly(self: object) -> None:
        await quick.wait()

    monkeypatch.setattr("engine.reconcile.Reconciler.restore", slowly)
    async with table(tmp_path, brain=Says("I am back."), **NATIVE) as at:
        call = at.engine.call("c1")
        assert call is not None
        line = Line(at, call)
        assert await line.tell("speech", turn="of another life", text="Are you still there?") == ""
        await line.heard("I am back.")
        quick.set()


@pytest.mark.parametrize("by", ["console", "cli"])
async def test_a_reply_that_a_line_of_ours_displaced_is_not_blamed_on_the_caller(tmp_path: Path, by: str) -> None:
    brain = Says("A first sentence that is long enough. And a second one that waits for it.")
    async with table(tmp_path, brain=brain, **NATIVE) as at:
        line = await dial(at)
        await line.heard(HELLO)
        await line.tell("speech", text="When are you open?")
        await at.until(line.call, lambda call: any(each.text.startswith("And a") for each in call.queued.values()))
        act = at.engine.speak if by == "console" else at.engine.continue_call
        acting = asyncio.create_task(act(line.call.call_id, "This is Eva herself.", by))
        skipped = await at.until_event(line.call, "say.skipped")
        wanted = "the operator speaks" if by == "console" else "the caller is asked something else"
        assert skipped.data["why"] == wanted
        acting.cancel()
        await asyncio.wait([acting])
