"""Lines that a carrier says by itself: one after the other, each with one end, and nothing over the caller."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Literal, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.carriers.base import CarrierError, Hangup, Keys, Listen, Redirect, Say
from engine.live.lines import MAX_LINES, MS_PER_CHARACTER, MouthFull
from engine.live.native_mouth import ASK_MS, FETCHED, INSTRUCT_SECONDS, LEAD_MS, SLACK
from engine.live.turn_clock import NATIVE_POINTS, TurnClock
from tests.live.native_bench import Bench, native_bench, prompt_of
from tests.virtual_time import VirtualTimeLoop, virtual_time

LINE = "Good morning, this is the practice."
LENGTH_S = len(LINE) * MS_PER_CHARACTER / 1000
LIMIT_S = LEAD_MS / 1000 + LENGTH_S * SLACK


def now() -> float:
    return asyncio.get_running_loop().time()


# saying lines


@virtual_time
async def test_a_line_is_put_into_the_call_and_taken_for_heard_after_its_time() -> None:
    async with native_bench() as it:
        line = it.mouth.say(LINE)
        assert await line.done == "heard"
        assert now() == pytest.approx(LIMIT_S)
        assert it.types() == ["say.queued", "say.started", "say.heard"]
        assert it.facts[-1].data == {
            "sayId": line.say_id,
            "ms": len(LINE) * MS_PER_CHARACTER,
            "unconfirmed": True,
        }
        assert it.prompts == [LINE]


@virtual_time
async def test_a_line_is_heard_for_sure_when_the_carrier_asks_what_now() -> None:
    async with native_bench() as it:
        line = it.mouth.say(LINE)
        await asyncio.sleep(1)
        it.mouth.played()
        assert await line.done == "heard"
        assert "unconfirmed" not in it.facts[-1].data


@virtual_time
async def test_lines_are_said_strictly_one_after_the_other() -> None:
    """Pain A5."""
    async with native_bench() as it:
        it.takes = 0.3
        lines = [it.mouth.say(text) for text in ("One thing.", "Another thing.", "A last one.")]
        assert [await line.done for line in lines] == ["heard"] * 3
        assert it.prompts == ["One thing.", "Another thing.", "A last one."]
        spoken = [(draft.type, draft.data["sayId"]) for draft in it.facts if draft.type != "say.queued"]
        assert spoken == [(type_, line.say_id) for line in lines for type_ in ("say.started", "say.heard")]


@virtual_time
async def test_nothing_is_put_into_a_call_before_the_carrier_has_asked_for_its_first_document() -> None:
    async with native_bench(opened=False) as it:
        line = it.mouth.say(LINE)
        await asyncio.sleep(60)
        assert it.told == [] and not line.done.done()
        assert prompt_of(it.mouth.document()) == LINE
        assert await line.done == "heard"
        assert it.told == []


@virtual_time
async def test_a_line_that_waits_goes_along_when_the_carrier_asks() -> None:
    async with native_bench() as it:
        it.may_speak = False
        line = it.mouth.say(LINE)
        await asyncio.sleep(1)
        assert prompt_of(it.mouth.document()) == LINE
        assert await line.done == "heard"


@virtual_time
async def test_nothing_is_put_into_the_call_while_the_caller_speaks() -> None:
    async with native_bench() as it:
        it.may_speak = False
        it.mouth.say(LINE)
        await asyncio.sleep(30)
        assert it.told == []
        it.may_speak = True
        it.mouth.wake()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert it.prompts == [LINE]


@virtual_time
async def test_only_so_many_lines_may_wait() -> None:
    async with native_bench(opened=False) as it:
        for _ in range(MAX_LINES):
            it.mouth.say("More")
        with pytest.raises(MouthFull):
            it.mouth.say("Too much")


@virtual_time
async def test_a_carrier_that_asks_for_the_first_document_again_gets_the_same_line() -> None:
    async with native_bench(opened=False) as it:
        line = it.mouth.say(LINE)
        it.mouth.document()
        await asyncio.sleep(LIMIT_S - 0.5)
        assert prompt_of(it.mouth.document(again=True)) == LINE
        await asyncio.sleep(1)
        assert not line.done.done(), "its time begins anew"
        assert await line.done == "heard"
        assert it.types().count("say.started") == 1


@virtual_time
async def test_a_line_that_is_too_long_for_a_request_is_fetched() -> None:
    async with native_bench() as it:
        text = "word " * (FETCHED // 4)
        line = it.mouth.say(text)
        await asyncio.sleep(1)
        ((_, (redirect,)),) = it.told
        assert isinstance(redirect, Redirect) and "flow=connect" in redirect.url
        assert "say.started" not in it.types()
        assert prompt_of(it.mouth.document()) == text
        assert await line.done == "heard"


@virtual_time
async def test_a_long_line_that_the_carrier_does_not_fetch_fails_and_the_next_one_is_said() -> None:
    async with native_bench() as it:
        long, short = it.mouth.say("word " * FETCHED), it.mouth.say("Short.")
        assert await long.done == "failed"
        assert now() == pytest.approx(ASK_MS / 1000)
        assert await short.done == "heard"


@virtual_time
async def test_a_message_after_which_the_carrier_hangs_up_is_over_with_the_call() -> None:
    async with native_bench() as it:
        line = it.mouth.say(LINE, kind="notify")
        await asyncio.sleep(600)
        assert [document for _, document in it.told] == [(Say(LINE), Hangup())]
        assert not line.done.done()
        assert [draft.type for draft in it.mouth.silence("the call ended")] == ["say.heard"]


@virtual_time
async def test_a_reply_completes_its_turn_with_the_stages_that_exist() -> None:
    async with native_bench() as it:
        it.takes = 0.25
        clock = TurnClock(4, needed=NATIVE_POINTS)
        clock.reach("text", 0)
        clock.reach("words", 100)
        clock.reach("sentence", 150)
        await asyncio.sleep(0.15)
        await it.mouth.say(LINE, kind="reply", clock=clock).done
        assert it.of("turn.completed") == [
            {"turn": 4, "stages": {"agent": 100, "sentence": 50, "send": 250, "total": 400}}
        ]


# keys


@virtual_time
async def test_keys_are_a_document_that_asks_what_now_and_no_words() -> None:
    async with native_bench() as it:
        first = it.mouth.say("12#", kind="keys")
        await asyncio.sleep(2)
        keys, again = it.told[0][1]
        assert keys == Keys("12#") and isinstance(again, Redirect)
        assert not first.done.done()
        it.mouth.played()
        assert await first.done == "heard"
        it.mouth.say("3", kind="keys")
        await asyncio.sleep(0.1)
        later = it.told[1][1][1]
        assert isinstance(later, Redirect) and later.url != again.url, "the same address would be a replay"


@virtual_time
async def test_keys_of_which_the_carrier_says_nothing_fail() -> None:
    async with native_bench() as it:
        line = it.mouth.say("1", kind="keys")
        assert await line.done == "failed"
        assert now() < 1 + ASK_MS / 1000


# the caller


@virtual_time
async def test_a_caller_who_speaks_over_a_line_cuts_it_where_it_was() -> None:
    async with native_bench() as it:
        line, waiting = it.mouth.say(LINE), it.mouth.say("More of that.")
        await asyncio.sleep(LENGTH_S / 2)
        it.mouth.interrupted("the caller interrupted")
        assert (await line.done, await waiting.done) == ("cut", "skipped")
        (cut,) = it.of("say.cut")
        assert 0 < len(cut["heardText"]) < len(LINE) and LINE.startswith(cut["heardText"])
        await asyncio.sleep(60)
        assert it.prompts == [LINE], "the caller's voice has silenced the carrier: a document would cut off theirs"


@virtual_time
async def test_who_speaks_before_the_first_word_was_over_has_heard_nothing() -> None:
    async with native_bench() as it:
        line = it.mouth.say(LINE)
        await asyncio.sleep(0.1)
        it.mouth.interrupted("the caller interrupted")
        assert await line.done == "cut"
        assert it.of("say.cut")[0]["heardText"] == ""


@virtual_time
async def test_who_speaks_when_a_line_was_said_has_heard_all_of_it() -> None:
    async with native_bench() as it:
        line = it.mouth.say(LINE)
        await asyncio.sleep(LENGTH_S + 0.01)
        it.mouth.interrupted("the caller interrupted")
        assert await line.done == "heard"


@virtual_time
async def test_what_a_person_wants_said_is_said_after_the_interruption() -> None:
    async with native_bench() as it:
        it.mouth.say(LINE)
        operator = it.mouth.say("One moment, I am looking.", speaker="operator")
        await asyncio.sleep(1)
        it.mouth.interrupted("the caller interrupted")
        assert prompt_of(it.mouth.document()) == operator.text
        assert await operator.done == "heard"


@virtual_time
async def test_keys_are_not_cut_off_by_a_voice_menu() -> None:
    async with native_bench() as it:
        keys = it.mouth.say("1234567890", kind="keys")
        await asyncio.sleep(0.5)
        it.mouth.interrupted("the caller interrupted")
        assert not keys.done.done()
        it.mouth.played()
        assert await keys.done == "heard"


# silence that we want


@virtual_time
async def test_a_cut_silences_the_carrier() -> None:
    async with native_bench() as it:
        line = it.mouth.say(LINE)
        await asyncio.sleep(1)
        it.mouth.cut("the floor went to held")
        assert await line.done == "cut"
        await asyncio.sleep(0.1)
        assert it.prompts == [LINE, ""]


@virtual_time
async def test_a_cut_needs_no_silence_where_another_line_follows_or_nothing_is_said() -> None:
    async with native_bench() as it:
        it.mouth.say(LINE)
        await asyncio.sleep(1)
        it.mouth.cut("the floor went to held")
        await it.mouth.say("One moment, please.", kind="hold").done
        it.mouth.cut("again")
        await asyncio.sleep(60)
        assert it.prompts == [LINE, "One moment, please."]


@virtual_time
async def test_a_line_that_was_cut_on_its_way_is_silenced_when_it_arrives() -> None:
    async with native_bench() as it:
        it.takes = 1.0
        line = it.mouth.say(LINE)
        await asyncio.sleep(0.5)
        it.mouth.cut("no")
        assert await line.done == "skipped"
        await asyncio.sleep(3)
        assert it.prompts == [LINE, ""]
        assert "say.started" not in it.types()


@virtual_time
async def test_no_document_goes_into_a_call_that_ends() -> None:
    async with native_bench() as it:
        it.mouth.say(LINE)
        await asyncio.sleep(1)
        it.mouth.silence("the call ended")
        it.mouth.close()
        await asyncio.sleep(60)
        assert it.prompts == [LINE]


@virtual_time
async def test_who_is_back_after_a_restart_makes_the_carrier_listen_to_them() -> None:
    async with native_bench(opened=False) as it:
        it.mouth.open(hush=True)
        await asyncio.sleep(1)
        assert it.prompts == [""]


# documents that cross each other


@virtual_time
async def test_a_document_that_is_asked_for_while_a_line_is_on_its_way_says_nothing() -> None:
    async with native_bench() as it:
        it.takes = 1.0
        before = it.documents.current
        line = it.mouth.say(LINE)
        await asyncio.sleep(0.5)
        assert prompt_of(it.mouth.document()) == ""
        assert it.documents.current is before
        await asyncio.sleep(1)
        assert it.documents.current is not None and it.documents.current.after == line.say_id
        assert it.types() == ["say.queued", "say.started"]


@virtual_time
async def test_a_line_has_begun_when_the_caller_is_heard_in_its_document() -> None:
    """Their word may be here before the carrier's answer to our request."""
    async with native_bench() as it:
        it.takes = 1.0
        line = it.mouth.say(LINE)
        await asyncio.sleep(0.5)
        (token,) = [token for token, told in it.documents._told.items() if told.after == line.say_id]
        told = it.documents.find(token)
        assert told is not None
        it.mouth.runs(told)
        it.mouth.interrupted("the caller interrupted")
        assert await line.done == "cut"
        await asyncio.sleep(60)
        assert it.endings()[line.say_id] == ["say.cut"]
        assert it.prompts == [LINE]


@virtual_time
async def test_a_document_that_we_did_not_believe_in_is_believed_when_it_is_heard_from() -> None:
    async with native_bench() as it:
        line = it.mouth.say(LINE)
        await asyncio.sleep(1)
        (listen,) = it.mouth.document(late=True)
        assert isinstance(listen, Listen) and not line.done.done()
        told = it.documents.find(listen.url.rpartition("turn=")[2])
        assert told is not None and told.after == line.say_id
        it.mouth.runs(told)
        assert await line.done == "cut"
        assert it.documents.current is told


# a carrier that refuses


@virtual_time
async def test_a_carrier_that_refuses_a_line_fails_it_with_its_words_and_takes_the_next() -> None:
    async with native_bench() as it:
        it.fail = [CarrierError("13520: empty", kind="refused")]
        first, second = it.mouth.say("One."), it.mouth.say("Two.")
        assert (await first.done, await second.done) == ("failed", "heard")
        assert first.error == "13520: empty"


@virtual_time
async def test_a_carrier_that_is_busy_is_asked_again_and_no_line_is_lost() -> None:
    async with native_bench() as it:
        it.fail = [CarrierError("busy", kind="retry") for _ in range(3)]
        first, second = it.mouth.say("One."), it.mouth.say("Two.")
        assert (await first.done, await second.done) == ("heard", "heard")
        assert it.prompts == ["One.", "Two."]


@virtual_time
async def test_a_carrier_that_stays_busy_is_not_asked_for_ever() -> None:
    async with native_bench() as it:
        it.fail = [CarrierError("busy", kind="retry") for _ in range(9)]
        line = it.mouth.say("One.")
        assert await line.done == "failed"
        assert len(it.fail) == 5


@virtual_time
async def test_silence_is_asked_for_again_as_well() -> None:
    async with native_bench() as it:
        it.mouth.say(LINE)
        await asyncio.sleep(1)
        it.fail = [CarrierError("busy", kind="retry")]
        it.mouth.cut("no")
        await asyncio.sleep(1)
        assert it.prompts == [LINE, ""]


@virtual_time
async def test_a_carrier_that_does_not_answer_fails_the_line_after_a_limit() -> None:
    """Pain F10."""
    async with native_bench() as it:
        it.takes = 3600.0
        line = it.mouth.say(LINE)
        assert await line.done == "failed"
        assert now() == INSTRUCT_SECONDS


# any order of events

Step = Literal["say", "operator", "keys", "long", "cut", "interrupted", "played", "stopped", "document", "late"]
More = Literal["again", "skip", "hush", "busy", "refuse", "quiet", "loud", "wait", "wait long"]


def step(it: Bench, what: str) -> Callable[[], object]:
    """One thing that may happen, at any time."""
    say = it.mouth.say
    steps: dict[str, Callable[[], object]] = {
        "say": lambda: None if it.mouth.full else say("Something to say.", kind="reply"),
        "operator": lambda: None if it.mouth.full else say("From a person.", speaker="operator"),
        "keys": lambda: None if it.mouth.full else say("12", kind="keys"),
        "long": lambda: None if it.mouth.full else say("word " * FETCHED),
        "cut": lambda: it.mouth.cut("no"),
        "interrupted": lambda: it.mouth.interrupted("no"),
        "played": it.mouth.played,
        "stopped": it.mouth.stopped,
        "document": it.mouth.document,
        "late": lambda: it.mouth.document(late=True),
        "again": lambda: it.mouth.document(again=True),
        "skip": lambda: it.mouth.skip_replies("no"),
        "hush": it.mouth.hush,
        "busy": lambda: it.fail.append(CarrierError("busy", kind="retry")),
        "refuse": lambda: it.fail.append(CarrierError("no")),
        "quiet": lambda: setattr(it, "may_speak", True),
        "loud": lambda: setattr(it, "may_speak", False),
    }
    return steps.get(what, lambda: None)


async def happens(steps: list[str]) -> None:
    async with native_bench() as it:
        it.takes = 0.2
        for what in steps:
            step(it, what)()
            it.mouth.wake()
            await asyncio.sleep({"wait": 0.1, "wait long": 5.0}.get(what, 0.0))
            playing = [data["sayId"] for data in it.of("say.started")]
            assert sum(not it.endings()[say_id] for say_id in playing) <= 1, "one line at a time"
        it.may_speak = True
        it.mouth.wake()
        async with asyncio.timeout(36_000):
            await asyncio.gather(*(line.done for line in it.mouth._lines.values()))
        assert all(len(ends) == 1 for ends in it.endings().values()), it.endings()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([*get_args(Step), *get_args(More)]), max_size=25))
def test_whatever_happens_each_line_ends_once_and_the_mouth_goes_on(steps: list[str]) -> None:
    """Pain C7."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(happens(steps))
