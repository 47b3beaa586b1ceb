"""Whole calls that a speech-to-speech model holds: a real engine, the simulated carrier with its people, a far end
that speaks OpenAI's protocol. Only the voices are quick: tones instead of words.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from engine.api import Refusal
from engine.calls import State
from engine.config import Config
from engine.config.realtime import Realtime
from tests.engine.conftest import Humming, Running, Understands, running, settings
from tests.engine.simulators import Simulator
from tests.speech.far.openai_realtime import KEY, Answer, FarRealtime, far_realtime

DANIEL = "+15550100151"
SINK = "+15550100191"


def realtime(far: FarRealtime, **changes: Any) -> Realtime:
    """The `realtime` block of a configuration that uses this far end."""
    vendor = {"api_key": KEY, "base_url": far.url, **changes.pop("openai", {})}
    return Realtime.model_validate({"enabled": True, "providers": {"openai": vendor}, **changes})


def with_realtime(config: Config, far: FarRealtime, **changes: Any) -> Config:
    off = config.streaming.model_copy(update={"enabled": False})
    return config.model_copy(update={"realtime": realtime(far, **changes), "streaming": off})


@asynccontextmanager
async def calling(
    tmp_path: Path, simulator: Simulator, far: FarRealtime, voice: Humming | None = None, **changes: Any
) -> AsyncIterator[Running]:
    config = with_realtime(settings(simulator, **changes.pop("config", {})), far, **changes)
    async with running(tmp_path, config, simulator, voice=voice, recogniser=Understands()) as run:
        yield run


def texts(call: Any) -> list[str]:
    return [line.text for line in call.in_order]


async def test_a_person_calls_in_is_greeted_heard_and_answered_by_the_model(
    tmp_path: Path, simulator: Simulator
) -> None:
    async with far_realtime() as far, calling(tmp_path, simulator, far) as run:
        call = await run.ring_in("Grace Young")
        done = await run.until_call(call.call_id, lambda call: len(call.turns) >= 1)
        done = await run.until_call(
            call.call_id, lambda call: [line.speaker for line in call.in_order][:3] == ["agent", "caller", "agent"]
        )
        assert texts(done)[0] == "Hello, how can I help you?"
        assert texts(done)[1] == "what are your opening hours"
        assert "We are open from nine to five.".startswith(texts(done)[2])
        assert set(done.turns[0]) == {"end", "agent", "voice", "send", "heard", "total"}
        rungs = {"signed", "document", "answered", "socket", "start", "caller", "stt", "voice", "heard", "understood"}
        assert rungs <= set(done.rungs)
        health = run.engine.health()["speech"]
        assert health["realtime"]["state"] == "ready"
        assert (health["stt"]["state"], health["brain"]["state"]) == ("unused", "unused")
        assert far.session.errors == []


async def events_of(run: Running, call_id: str, *types: str) -> list[Any]:
    return [event for event in await run.events(call_id) if event.type in types]


def verbatim_requests(far: FarRealtime) -> list[str]:
    return [
        str(event["response"]["instructions"])
        for session in far.sessions
        for event in session.said("response.create")
        if "exactly" in str(event["response"].get("instructions"))
    ]


LONG = "One. Two. Three. " * 30
"""Eighteen seconds of tone, so that anybody can interrupt it."""
OLIVER = "+15550100158"
"""Interrupts whoever talks for more than 1.5 s."""


async def test_the_first_line_is_made_while_the_phone_rings_and_said_once(
    tmp_path: Path, simulator: Simulator
) -> None:
    async with far_realtime() as far, calling(tmp_path, simulator, far) as run:
        call_id = await run.engine.initiate(DANIEL, "Hello, is Tuesday at ten all right?", "conversation", by="cli")
        await run.until_call(call_id, lambda call: "heard" in call.rungs)
        asked = verbatim_requests(far)
        assert len(asked) == 1 and "is Tuesday at ten all right" in asked[0]
        call = await run.until_call(call_id, lambda call: len(call.turns) >= 1)
        assert texts(call).count("Hello, is Tuesday at ten all right?") == 1
        assert len(verbatim_requests(far)) == 1
        assert far.session.config["instructions"].count("You placed this call") == 1


async def test_an_interruption_is_truncated_at_what_was_heard(tmp_path: Path, simulator: Simulator) -> None:
    manners = {"answers": (Answer(LONG), Answer("Sure."))}
    async with far_realtime(**manners) as far, calling(tmp_path, simulator, far) as run:
        call_id = await run.engine.initiate(OLIVER, "Hello there.", "conversation", by="cli")
        call = await run.until_call(call_id, lambda call: any(line.cut for line in call.transcript))
        (cut,) = [line for line in call.transcript if line.cut]
        (fact,) = await events_of(run, call_id, "say.cut")
        assert LONG.startswith(cut.text) and 0 < len(cut.text) < len(LONG) / 2
        (truncated,) = far.session.said("conversation.item.truncate")
        assert truncated["audio_end_ms"] == fact.data["heardMs"] > 1000
        await run.until_call(call_id, lambda call: "Sure." in texts(call))
        assert far.session.errors in ([], ["response_cancel_not_active"])
        item = far.session.items[truncated["item_id"]]
        assert item.kept_ms == fact.data["heardMs"] < item.audio_ms


async def test_an_answer_that_still_comes_is_cancelled_by_an_interruption(
    tmp_path: Path, simulator: Simulator
) -> None:
    manners = {"answers": (Answer(LONG * 2), Answer("Sure.")), "pace": 0.09}
    async with far_realtime(**manners) as far, calling(tmp_path, simulator, far) as run:
        call_id = await run.engine.initiate(OLIVER, "Hello there.", "conversation", by="cli")
        await run.until_call(call_id, lambda call: "Sure." in texts(call))
        assert len(far.session.said("response.cancel")) == 1
        (truncated,) = far.session.said("conversation.item.truncate")
        item = far.session.items[truncated["item_id"]]
        assert truncated["audio_end_ms"] <= item.audio_ms < 2 * 12 * len(LONG)
        assert far.session.errors == []


async def test_the_model_hangs_up_once_its_farewell_was_heard(tmp_path: Path, simulator: Simulator) -> None:
    goodbye = Answer("Thank you for calling, and have a very good day. Goodbye.", tools=(("end_call", "{}"),))
    async with far_realtime(answers=(goodbye,)) as far, calling(tmp_path, simulator, far) as run:
        call_id = await run.engine.initiate(DANIEL, "Hello.", "conversation", by="cli")
        call = await run.until_call(call_id, lambda call: not call.live)
        assert (call.end_reason, call.ended_by) == (State.HANGUP_BOT, "agent")
        last = call.transcript[-1]
        assert (last.text, last.cut) == (goodbye.text, False)
        ends = [event.type for event in await events_of(run, call_id, "say.heard", "call.ended")]
        assert ends[-2:] == ["say.heard", "call.ended"]


async def test_a_model_that_hangs_up_without_a_word_is_told_to_say_goodbye(
    tmp_path: Path, simulator: Simulator
) -> None:
    answers = (Answer(tools=(("end_call", "{}"),)), Answer("Goodbye then.", tools=(("end_call", "{}"),)))
    async with far_realtime(answers=answers) as far, calling(tmp_path, simulator, far) as run:
        call_id = await run.engine.initiate(DANIEL, "Hello.", "conversation", by="cli")
        call = await run.until_call(call_id, lambda call: not call.live)
        assert call.transcript[-1].text == "Goodbye then."
        outputs = [item.output for item in far.session.items.values() if item.role == "tool"]
        assert len(outputs) == 1 and "goodbye aloud" in outputs[0]


async def test_a_farewell_that_goes_with_the_tool_is_said_first(tmp_path: Path, simulator: Simulator) -> None:
    answers = (Answer(tools=(("end_call", '{"farewell": "So long, and thanks."}'),)),)
    async with far_realtime(answers=answers) as far, calling(tmp_path, simulator, far) as run:
        call_id = await run.engine.initiate(DANIEL, "Hello.", "conversation", by="cli")
        call = await run.until_call(call_id, lambda call: not call.live)
        assert (call.transcript[-1].text, call.transcript[-1].cut) == ("So long, and thanks.", False)
        assert call.end_reason is State.HANGUP_BOT


async def test_a_farewell_that_is_interrupted_keeps_the_call(tmp_path: Path, simulator: Simulator) -> None:
    answers = (Answer(LONG, tools=(("end_call", "{}"),)), Answer("I am still here."))
    async with far_realtime(answers=answers) as far, calling(tmp_path, simulator, far) as run:
        call_id = await run.engine.initiate(OLIVER, "Hello.", "conversation", by="cli")
        call = await run.until_call(call_id, lambda call: "I am still here." in texts(call))
        assert call.live
        await far.session.until(lambda session: any(item.role == "tool" for item in session.items.values()))
        outputs = [item.output for item in far.session.items.values() if item.role == "tool"]
        assert "the call goes on" in outputs[0]


async def test_a_tool_that_does_not_exist_is_answered_with_an_error(tmp_path: Path, simulator: Simulator) -> None:
    answers = (Answer(tools=(("order_pizza", '{"size": 3}'),)), Answer("I can not order a pizza."))
    async with far_realtime(answers=answers) as far, calling(tmp_path, simulator, far) as run:
        call_id = await run.engine.initiate(DANIEL, "Hello.", "conversation", by="cli")
        await run.until_call(call_id, lambda call: "I can not order a pizza." in texts(call))
        outputs = [item.output for item in far.session.items.values() if item.role == "tool"]
        assert len(outputs) == 1 and "order_pizza" in outputs[0] and "error" in outputs[0]


async def test_a_persons_line_is_said_in_our_voice_and_the_model_is_told(
    tmp_path: Path, simulator: Simulator
) -> None:
    async with far_realtime() as far, calling(tmp_path, simulator, far) as run:
        call_id = await run.engine.initiate(SINK, "Hello.", "conversation", by="cli")
        await run.until_call(call_id, lambda call: "heard" in call.rungs)
        await run.engine.speak(call_id, "This is Ada, a real person.", "console:ada")
        call = await run.until_call(call_id, lambda call: call.transcript[-1].speaker == "operator")
        assert call.transcript[-1].text == "This is Ada, a real person."
        assert len(verbatim_requests(far)) == 1  # the first line, and not this one
        told = await far.session.until(lambda s: [i.text for i in s.items.values() if i.role == "system"])
        assert "This is Ada, a real person." in told[0] and "human colleague" in told[0]


async def test_a_persons_line_is_said_by_the_model_when_there_is_no_voice(
    tmp_path: Path, simulator: Simulator
) -> None:
    voice = Humming()
    async with far_realtime() as far, calling(tmp_path, simulator, far, voice) as run:
        voice.broken = "no voice today"
        call_id = await run.engine.initiate(SINK, "Hello.", "conversation", by="cli")
        await run.until_call(call_id, lambda call: "heard" in call.rungs)
        await run.engine.speak(call_id, "This is Ada, a real person.", "console:ada")
        assert "This is Ada" in verbatim_requests(far)[-1]


async def test_a_line_from_a_program_is_said_in_the_models_voice(tmp_path: Path, simulator: Simulator) -> None:
    async with far_realtime() as far, calling(tmp_path, simulator, far) as run:
        call_id = await run.engine.initiate(SINK, "Hello.", "conversation", by="cli")
        await run.until_call(call_id, lambda call: "heard" in call.rungs)
        await run.engine.speak(call_id, "The doctor will call back.", "cli")
        assert "The doctor will call back." in verbatim_requests(far)[-1]
        said = [item.text for item in far.session.items.values() if item.role == "assistant"]
        assert said == ["Hello.", "The doctor will call back."]


async def test_the_model_is_silent_while_a_person_has_the_floor_and_goes_on_after(
    tmp_path: Path, simulator: Simulator
) -> None:
    async with far_realtime() as far, calling(tmp_path, simulator, far) as run:
        call_id = await run.engine.initiate(DANIEL, "Hello.", "conversation", by="cli")
        await run.until_call(call_id, lambda call: "heard" in call.rungs)
        await run.engine.set_floor(call_id, "operator", "console:ada")
        asked = len(far.session.said("response.create"))
        await run.until_call(call_id, lambda call: call.transcript[-1].speaker == "caller")
        await run.engine.speak(call_id, "Ada here.", "console:ada")
        assert len(far.session.said("response.create")) == asked
        call = run.engine.call(call_id)
        assert call is not None and not [line for line in call.transcript if line.text.startswith("We are open")]
        await run.engine.set_floor(call_id, "agent", "console:ada")
        await run.until_call(
            call_id, lambda call: any(line.text.startswith("We are open") for line in call.transcript)
        )
        system = [item.text for item in far.session.items.values() if item.role == "system"]
        assert "Ada here." in system[0] and "speak with the caller again" in system[1]


async def test_taking_the_floor_cuts_the_model_off(tmp_path: Path, simulator: Simulator) -> None:
    async with far_realtime(answers=(Answer(LONG),)) as far, calling(tmp_path, simulator, far) as run:
        call = await run.ring_in("Grace Young")
        await run.until_call(
            call.call_id,
            lambda call: any(line.playing and line.text.startswith("One.") for line in call.transcript),
        )
        await run.engine.set_floor(call.call_id, "operator", "console:ada")
        done = await run.until_call(call.call_id, lambda call: any(line.cut for line in call.transcript))
        assert not done.queued
        await far.session.until(lambda session: session.said("conversation.item.truncate"))


async def test_a_held_call_says_so_and_the_model_keeps_silent(tmp_path: Path, simulator: Simulator) -> None:
    async with far_realtime() as far, calling(tmp_path, simulator, far) as run:
        call_id = await run.engine.initiate(DANIEL, "Hello.", "conversation", by="cli")
        await run.until_call(call_id, lambda call: "heard" in call.rungs)
        await run.engine.set_floor(call_id, "held", "console:ada")
        await run.until_call(call_id, lambda call: "One moment, please." in texts(call))
        await run.until_call(call_id, lambda call: call.transcript[-1].speaker == "caller")
        assert not await events_of(run, call_id, "turn.completed")


async def test_a_question_from_outside_gets_the_answer_and_the_model_none(
    tmp_path: Path, simulator: Simulator
) -> None:
    async with far_realtime(hears=("yes that is fine",)) as far, calling(tmp_path, simulator, far) as run:
        call_id = await run.engine.initiate(DANIEL, "Hello, this is a test.", "conversation", by="cli")
        await run.until_call(call_id, lambda call: "heard" in call.rungs)
        answer = await run.engine.continue_call(call_id, "Is Tuesday all right?", "agent")
        assert answer == "yes that is fine"
        assert "Is Tuesday all right?" in verbatim_requests(far)[-1]


async def test_keys_are_tones_and_no_words_of_the_model(tmp_path: Path, simulator: Simulator) -> None:
    async with far_realtime() as far, calling(tmp_path, simulator, far) as run:
        call_id = await run.engine.initiate(SINK, "Hello.", "conversation", by="cli")
        await run.until_call(call_id, lambda call: "heard" in call.rungs)
        await run.engine.send_dtmf(call_id, "42#", "console")
        await run.until_carrier(call_id, lambda report: report["heard"]["digits"] == "42#")
        assert len(verbatim_requests(far)) == 1


async def test_a_lost_connection_is_told_at_once_and_the_next_session_knows_what_was_said(
    tmp_path: Path, simulator: Simulator
) -> None:
    async with far_realtime() as far, calling(tmp_path, simulator, far) as run:
        call_id = await run.engine.initiate(SINK, "Hello there.", "conversation", by="cli")
        await run.until_call(call_id, lambda call: "heard" in call.rungs)
        first = far.session
        await first.drop()
        await run.until_call(call_id, lambda call: call.deaf)
        await run.until_call(call_id, lambda call: not call.deaf)
        (lost,) = await events_of(run, call_id, "speech.failed")
        assert lost.data["code"] == "connection_lost" and not lost.data["final"]
        second = far.session
        assert second is not first
        told = await second.until(lambda session: list(session.items.values()))
        assert [(item.role, item.text) for item in told] == [("assistant", "Hello there.")]
        await run.engine.speak(call_id, "Still here.", "cli")
        assert [item.text for item in second.items.values()][-1] == "Still here."


async def test_an_answer_that_breaks_off_with_the_connection_is_asked_for_again(
    tmp_path: Path, simulator: Simulator
) -> None:
    answers = (Answer(LONG), Answer("Could you say that again?"))
    async with far_realtime(answers=answers) as far, calling(tmp_path, simulator, far) as run:
        call = await run.ring_in("Grace Young")
        await run.until_call(call.call_id, lambda call: "heard" in call.rungs)
        far.manners.stall_after_chunks = -1  # the answer has not begun when the connection goes
        session = far.session
        await session.until(lambda session: len(session.said("response.create")) == 2)
        far.manners.stall_after_chunks = 0
        await session.drop()
        await run.until_call(
            call.call_id, lambda call: "Could you say that again?" in texts(call) or LONG in texts(call)
        )
        asked = far.session.said("response.create")[0]["response"]["instructions"]
        assert "connection was broken" in asked


@pytest.mark.parametrize(
    ("manners", "code", "hint"),
    [
        ({"http_status": 401}, "invalid_api_key", "api_key"),
        ({"http_status": 403}, "forbidden", "model"),
        ({"refuse": ("insufficient_quota", "You exceeded your current quota.")}, "insufficient_quota", "credit"),
        ({"refuse": ("model_not_found", "The model does not exist.")}, "model_not_found", "model"),
        ({"output_format": "audio/pcm"}, "wrong_format", "mu-law"),
    ],
)
async def test_a_service_that_can_not_be_used_is_named_and_the_caller_is_let_go_politely(
    tmp_path: Path, simulator: Simulator, manners: dict[str, Any], code: str, hint: str
) -> None:
    async with far_realtime(**manners) as far, calling(tmp_path, simulator, far) as run:
        call_id = await run.engine.initiate(SINK, "Hello there.", "conversation", by="cli")
        call = await run.until_call(call_id, lambda call: not call.live)
        assert call.end_reason is State.ERROR
        (failed,) = await events_of(run, call_id, "speech.failed")
        assert failed.data["code"] == code and failed.data["final"] and hint in failed.data["hint"]
        assert any("Goodbye" in text for text in texts(call))
        health = run.engine.health()["speech"]["realtime"]
        assert (health["state"], hint in health["hint"]) == ("failed", True)


async def test_a_lost_model_is_replaced_by_recogniser_brain_and_voice(tmp_path: Path, simulator: Simulator) -> None:
    async with far_realtime() as far, calling(tmp_path, simulator, far, fallback="streaming") as run:
        call_id = await run.engine.initiate(DANIEL, "Hello there.", "conversation", by="cli")
        await run.until_call(call_id, lambda call: "heard" in call.rungs)
        far.manners.http_status = 401
        await far.session.drop()
        call = await run.until_call(call_id, lambda call: len(call.turns) >= 1 and "text" in call.turns[-1])
        assert call.live and not call.deaf
        failed = await events_of(run, call_id, "speech.failed")
        assert failed[-1].data["fallback"] == "words" and failed[-1].data["code"] == "invalid_api_key"


async def test_a_session_is_replaced_before_it_expires(
    tmp_path: Path, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.live.realtime_link.LEAST_SECONDS", 1.0)
    async with far_realtime(expires_in=121) as far, calling(tmp_path, simulator, far) as run:
        call_id = await run.engine.initiate(SINK, "Hello there.", "conversation", by="cli")
        await run.until_call(call_id, lambda call: "heard" in call.rungs)
        first = far.calls[0]
        far.manners.expires_in = 3600
        await first.over.wait()
        second = far.session
        await second.until(lambda session: session.items and session.said("input_audio_buffer.append"))
        assert [item.text for item in second.items.values()] == ["Hello there."]
        assert not await events_of(run, call_id, "speech.failed")
        await run.engine.speak(call_id, "Still here.", "cli")


async def test_a_session_that_does_not_even_let_go_of_an_answer_is_replaced(
    tmp_path: Path, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.live.realtime_voice.STALL_SECONDS", 0.5)
    monkeypatch.setattr("engine.live.realtime_voice.HOPELESS_SECONDS", 1.0)
    async with far_realtime() as far, calling(tmp_path, simulator, far) as run:
        call_id = await run.engine.initiate(DANIEL, "Hello.", "conversation", by="cli")
        await run.until_call(call_id, lambda call: "heard" in call.rungs)
        far.manners.stall_after_chunks, far.manners.deaf_to_cancel = 3, True
        failed = await run.until_event(lambda event: event.type == "speech.failed")
        assert failed.data["code"] == "stalled" and not failed.data["final"]
        far.manners.stall_after_chunks, far.manners.deaf_to_cancel = 0, False
        await run.until_call(call_id, lambda call: not call.deaf)
        assert await events_of(run, call_id, "say.cut")


async def test_an_answer_that_never_comes_has_a_limit(
    tmp_path: Path, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.live.realtime_voice.STALL_SECONDS", 1.0)
    async with far_realtime() as far, calling(tmp_path, simulator, far) as run:
        call_id = await run.engine.initiate(DANIEL, "Hello.", "conversation", by="cli")
        await run.until_call(call_id, lambda call: "heard" in call.rungs)
        far.manners.stall_after_chunks = -1
        failed = await run.until_event(lambda event: event.type == "reply.failed")
        assert "gave nothing for 1 s" in failed.data["error"]
        await run.until_call(call_id, lambda call: any("Could you say that again" in text for text in texts(call)))
        assert far.session.said("response.cancel")


async def test_an_answer_that_fails_is_apologised_for(tmp_path: Path, simulator: Simulator) -> None:
    answers = (Answer(failed=("rate_limit_exceeded", "Rate limit reached.")), Answer("Now it works."))
    async with far_realtime(answers=answers) as far, calling(tmp_path, simulator, far) as run:
        call_id = await run.engine.initiate(DANIEL, "Hello.", "conversation", by="cli")
        failed = await run.until_event(lambda event: event.type == "reply.failed")
        assert "Rate limit" in failed.data["error"] and "wait" in failed.data["hint"]
        await run.until_call(call_id, lambda call: any("Could you say that again" in text for text in texts(call)))


async def test_a_notice_is_said_by_our_voice_and_needs_no_model(tmp_path: Path, simulator: Simulator) -> None:
    async with far_realtime() as far, calling(tmp_path, simulator, far) as run:
        call_id = await run.engine.initiate(SINK, "Your parcel is here.", "notify", by="cli")
        call = await run.until_call(call_id, lambda call: not call.live)
        assert [(line.text, line.cut) for line in call.transcript] == [("Your parcel is here.", False)]
        assert far.calls == []


async def test_a_call_that_ends_leaves_no_session_behind(tmp_path: Path, simulator: Simulator) -> None:
    async with far_realtime() as far, calling(tmp_path, simulator, far) as run:
        call_id = await run.engine.initiate(SINK, "Hello.", "conversation", by="cli")
        await run.until_call(call_id, lambda call: "heard" in call.rungs)
        await run.engine.end(call_id, "cli")
        async with asyncio.timeout(5):
            await far.calls[0].over.wait()
        with pytest.raises(Refusal):
            await run.engine.speak(call_id, "Hello?", "cli")


async def test_keys_that_the_caller_presses_are_a_turn(tmp_path: Path, simulator: Simulator) -> None:
    answers = (Answer("Please press one to confirm."), Answer("It is confirmed."))
    async with far_realtime(answers=answers) as far, calling(tmp_path, simulator, far) as run:
        call = await run.ring_in("George Hill")
        await run.until_call(call.call_id, lambda call: "It is confirmed." in texts(call))
        system = [item.text for item in far.session.items.values() if item.role == "system"]
        assert system == ["The caller pressed these keys: 1"]


async def test_the_model_is_told_what_is_remembered_of_the_caller(tmp_path: Path, simulator: Simulator) -> None:
    async with far_realtime() as far, calling(tmp_path, simulator, far) as run:
        first = await run.ring_in("Grace Young")
        await run.until_call(first.call_id, lambda call: len(call.turns) >= 1 and len(call.transcript) >= 3)
        await run.engine.end(first.call_id, "cli")
        second = await run.ring_in("Grace Young")
        await run.until_call(second.call_id, lambda call: "heard" in call.rungs)
        told = [(item.role, item.text) for item in far.session.items.values()]
        assert told[0][0] == "system" and "earlier call" in told[0][1]
        assert ("user", "what are your opening hours") in told
        assert any(role == "system" and "this call begins" in text for role, text in told)


async def test_a_service_that_is_slow_to_come_is_not_waited_for_with_the_first_words(
    tmp_path: Path, simulator: Simulator
) -> None:
    async with far_realtime(ready_after=7) as far, calling(tmp_path, simulator, far) as run:
        call_id = await run.engine.initiate(DANIEL, "Hello there.", "conversation", by="cli")
        await run.until_call(call_id, lambda call: "Hello there." in texts(call))
        assert verbatim_requests(far) == []  # in our voice, because nobody else was there
        failed = await run.until_event(lambda event: event.type == "speech.failed")
        assert "not ready" in failed.data["error"] and not failed.data["final"]
        call = await run.until_call(call_id, lambda call: not call.deaf and "stt" in call.rungs)
        assert call.live
        told = await far.session.until(lambda session: [item.text for item in session.items.values()])
        assert "Hello there." in told


async def test_a_line_that_breaks_off_with_the_connection_is_recorded_as_far_as_it_was_heard(
    tmp_path: Path, simulator: Simulator
) -> None:
    manners = {"answers": (Answer(LONG), Answer("Where was I?")), "drop_after_chunks": 0}
    async with far_realtime(**manners) as far, calling(tmp_path, simulator, far) as run:
        call_id = await run.engine.initiate(DANIEL, "Hello.", "conversation", by="cli")
        await run.until_call(call_id, lambda call: "heard" in call.rungs)
        far.manners.drop_after_chunks = 5  # half a second of eighteen
        call = await run.until_call(call_id, lambda call: any(line.cut for line in call.transcript))
        (cut,) = [line for line in call.transcript if line.cut]
        assert LONG.startswith(cut.text) and len(cut.text) < len(LONG) / 4


async def test_a_caller_who_may_not_interrupt_is_answered_afterwards(tmp_path: Path, simulator: Simulator) -> None:
    text = "One. Two. Three. " * 12
    manners = {"answers": (Answer("Go on."), Answer(text), Answer("Sure."))}
    patient = {"interrupt_response_on_input_audio": False}
    async with far_realtime(**manners) as far, calling(tmp_path, simulator, far, openai=patient) as run:
        call_id = await run.engine.initiate(OLIVER, text, "conversation", by="cli")
        call = await run.until_call(call_id, lambda call: "Go on." in texts(call))
        assert not [line for line in call.transcript if line.cut]
        assert text in texts(call) and not await events_of(run, call_id, "say.cut")


async def test_what_a_program_wants_said_is_said_in_our_voice_when_the_model_says_something_else(
    tmp_path: Path, simulator: Simulator
) -> None:
    other = "Sure, I would be happy to help you with all of that today, just tell me more about it please."
    async with far_realtime() as far, calling(tmp_path, simulator, far) as run:
        call_id = await run.engine.initiate(SINK, "Hello.", "conversation", by="cli")
        await run.until_call(call_id, lambda call: "heard" in call.rungs)
        far.manners.disobeys = other
        for wanted in ("The doctor will call you back on Thursday.", "Bring the insurance card and your passport."):
            await run.engine.speak(call_id, wanted, "cli")
            call = run.engine.call(call_id)
            assert call is not None and texts(call)[-1] == wanted
        said = [(item.role, item.text) for item in far.session.items.values()]
        assert ("assistant", "The doctor will call you back on Thursday.") in said
        assert ("assistant", other) not in said
