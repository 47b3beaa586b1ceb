"""The realtime protocol as a table: what the service says, what we wish, and what follows."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.speech.realtime.core import HELD_FRAMES, MAX_ASKS, RealtimeCore
from engine.speech.realtime.notices import (
    Action,
    CallerBegan,
    CallerPartial,
    CallerStopped,
    CallerText,
    CallerTurn,
    LineAudio,
    LineBegan,
    LineOver,
    LineText,
    Ready,
    ResponseBegan,
    ResponseOver,
    Send,
    ToolCall,
    Trouble,
)
from engine.speech.realtime.responses import Ask
from engine.speech.realtime.setup import SessionSettings
from tests.speech.far.openai_realtime import CLIENT_EVENTS
from tests.speech.far.openai_schemas import available, problems

EXAMPLES = Path(__file__).parents[4] / "shared/vectors/openai/realtime_event_examples.json"
PCMU = {"type": "audio/pcmu"}
SESSION = {"type": "realtime", "audio": {"input": {"format": PCMU}, "output": {"format": PCMU}}, "expires_at": 1756}
FRAME = bytes(160)


def sent(actions: Sequence[Action]) -> list[dict[str, Any]]:
    """What is sent, without its ids; and it is as the specification wants it."""
    events = [action.event for action in actions if isinstance(action, Send)]
    if available():
        for event in events:
            assert problems(CLIENT_EVENTS[event["type"]], event) == []
    return [{key: value for key, value in event.items() if key != "event_id"} for event in events]


def told(actions: Sequence[Action]) -> list[Action]:
    return [action for action in actions if not isinstance(action, Send)]


def ready() -> RealtimeCore:
    core = RealtimeCore(SessionSettings())
    core.open()
    core.receive({"type": "session.updated", "session": SESSION})
    return core


def responding(core: RealtimeCore, key: str = "a", id_: str = "resp_1") -> None:
    core.respond(Ask(key))
    core.receive({"type": "response.created", "response": {"id": id_, "metadata": {"key": key}}})


def item_added(id_: str = "item_1", response: str = "resp_1") -> dict[str, Any]:
    return {
        "type": "response.output_item.added",
        "response_id": response,
        "item": {"id": id_, "type": "message", "role": "assistant"},
    }


def audio(ms: int, item: str = "item_1", response: str = "resp_1") -> dict[str, Any]:
    delta = b64encode(bytes(ms * 8)).decode()
    return {"type": "response.output_audio.delta", "response_id": response, "item_id": item, "delta": delta}


def words(text: str, item: str = "item_1", response: str = "resp_1") -> dict[str, Any]:
    return {
        "type": "response.output_audio_transcript.delta",
        "response_id": response,
        "item_id": item,
        "delta": text,
    }


def done(status: str = "completed", id_: str = "resp_1", **details: Any) -> dict[str, Any]:
    return {"type": "response.done", "response": {"id": id_, "status": status, "status_details": details or None}}


def error(code: str, message: str = "no", event_id: str | None = None) -> dict[str, Any]:
    return {"type": "error", "error": {"type": "t", "code": code, "message": message, "event_id": event_id}}


def id_of(actions: Sequence[Action], type_: str) -> str:
    (event,) = [action.event for action in actions if isinstance(action, Send) and action.event["type"] == type_]
    return str(event["event_id"])


# -- the session ------------------------------------------------------------------------------


def test_a_session_is_asked_for_in_the_current_shape_and_never_answers_by_itself() -> None:
    (update,) = sent(RealtimeCore(SessionSettings(voice="cedar", language="de", reasoning_effort="low")).open())
    session = update["session"]
    assert (session["type"], session["output_modalities"]) == ("realtime", ["audio"])
    hearing, speaking = session["audio"]["input"], session["audio"]["output"]
    assert (hearing["format"], speaking["format"]) == (PCMU, PCMU)
    assert speaking["voice"] == "cedar" and session["reasoning"] == {"effort": "low"}
    assert hearing["transcription"] == {"model": "gpt-transcribe", "language": "de"}
    vad = hearing["turn_detection"]
    assert (vad["type"], vad["create_response"], vad["interrupt_response"]) == ("server_vad", False, False)
    assert [tool["name"] for tool in session["tools"]] == ["end_call"]
    assert "temperature" not in session


def test_semantic_turn_detection_has_no_settings_of_the_other_kind() -> None:
    (update,) = sent(RealtimeCore(SessionSettings(turn_detection="semantic_vad", eagerness="high")).open())
    vad = update["session"]["audio"]["input"]["turn_detection"]
    assert vad == {
        "type": "semantic_vad",
        "eagerness": "high",
        "create_response": False,
        "interrupt_response": False,
    }


def test_audio_waits_until_the_session_is_confirmed_and_is_bounded() -> None:
    core = RealtimeCore(SessionSettings())
    core.open()
    for number in range(HELD_FRAMES + 10):
        assert not core.hear(bytes([number % 256]) * 160)
    assert told(core.receive({"type": "session.created", "session": {"type": "realtime"}})) == []
    actions = core.receive({"type": "session.updated", "session": SESSION})
    assert told(actions) == [Ready(1756.0)]
    frames = sent(actions)
    assert len(frames) == HELD_FRAMES
    assert frames[0]["audio"] == b64encode(bytes([10]) * 160).decode()
    assert [event["type"] for event in sent(core.hear(FRAME))] == ["input_audio_buffer.append"]
    assert core.heard_ms == (HELD_FRAMES + 1) * 20


@pytest.mark.parametrize(
    "session",
    [
        {"type": "realtime"},
        {"audio": {"input": {"format": PCMU}, "output": {"format": {"type": "audio/pcm", "rate": 24000}}}},
        {"audio": {"input": {"format": {"type": "audio/pcma"}}, "output": {"format": PCMU}}},
        {"audio": "loud"},
    ],
)
def test_audio_that_is_not_what_was_asked_for_is_refused(session: dict[str, Any]) -> None:
    core = RealtimeCore(SessionSettings())
    core.open()
    (trouble,) = core.receive({"type": "session.updated", "session": session})
    assert isinstance(trouble, Trouble)
    assert (trouble.problem.code, trouble.problem.final, trouble.problem.lost) == ("wrong_format", True, True)
    assert not core.ready


@pytest.mark.parametrize(
    ("code", "final", "hint"),
    [
        ("invalid_api_key", True, "api_key"),
        ("model_not_found", True, "model"),
        ("insufficient_quota", True, "credit"),
        ("beta_api_shape_disabled", True, "base_url"),
        ("rate_limit_exceeded", False, "wait"),
        ("something_new", False, ""),
    ],
)
def test_an_error_before_the_session_stands_ends_it_with_a_hint(code: str, final: bool, hint: str) -> None:
    core = RealtimeCore(SessionSettings())
    core.open()
    (trouble,) = core.receive(error(code, "no sk-abcdef123 here"))
    assert isinstance(trouble, Trouble)
    assert (trouble.problem.code, trouble.problem.final, trouble.problem.lost) == (code, final, True)
    assert hint in trouble.problem.hint and "sk-abcdef123" not in trouble.problem.message


def test_a_session_that_is_too_old_is_no_reason_to_give_up() -> None:
    (trouble,) = ready().receive(error("", "Your session hit the maximum duration of 60 minutes."))
    assert isinstance(trouble, Trouble)
    assert (trouble.problem.code, trouble.problem.final, trouble.problem.lost) == ("session_expired", False, True)


def test_most_errors_leave_the_session_open() -> None:
    (trouble,) = ready().receive(error("invalid_value"))
    assert isinstance(trouble, Trouble) and not trouble.problem.lost


# -- the caller -------------------------------------------------------------------------------


def test_a_turn_of_the_caller_is_told_from_its_beginning_to_its_words() -> None:
    core = ready()
    name = "conversation.item.input_audio_transcription"
    steps: list[tuple[dict[str, Any], list[Action]]] = [
        (
            {"type": "input_audio_buffer.speech_started", "audio_start_ms": 320, "item_id": "i"},
            [CallerBegan("i", 320)],
        ),
        (
            {"type": "input_audio_buffer.speech_stopped", "audio_end_ms": 1900, "item_id": "i"},
            [CallerStopped("i", 1900)],
        ),
        ({"type": "input_audio_buffer.committed", "item_id": "i", "previous_item_id": None}, [CallerTurn("i")]),
        ({"type": f"{name}.delta", "item_id": "i", "delta": "Hello "}, [CallerPartial("i", "Hello ")]),
        ({"type": f"{name}.delta", "item_id": "i", "delta": "there"}, [CallerPartial("i", "Hello there")]),
        (
            {"type": f"{name}.completed", "item_id": "i", "transcript": " Hello there. "},
            [CallerText("i", "Hello there.")],
        ),
        ({"type": f"{name}.completed", "item_id": "i", "transcript": "again"}, []),
        ({"type": f"{name}.delta", "item_id": "i", "delta": "late"}, []),
    ]
    for event, expected in steps:
        assert core.receive(event) == expected


def test_words_come_in_the_order_of_the_turns_whatever_order_they_are_made_in() -> None:
    core = ready()
    name = "conversation.item.input_audio_transcription"
    for item in ("a", "b", "c"):
        core.receive({"type": "input_audio_buffer.committed", "item_id": item})
    assert core.receive({"type": f"{name}.completed", "item_id": "c", "transcript": "three"}) == []
    assert core.receive({"type": f"{name}.completed", "item_id": "b", "transcript": "two"}) == []
    failed = {"type": f"{name}.failed", "item_id": "a", "error": {"code": "x", "message": "unclear"}}
    assert core.receive(failed) == [CallerText("a", "", "unclear"), CallerText("b", "two"), CallerText("c", "three")]


def test_words_that_do_not_come_are_given_up_and_those_behind_them_are_told() -> None:
    core = ready()
    name = "conversation.item.input_audio_transcription"
    for item in ("a", "b"):
        core.receive({"type": "input_audio_buffer.committed", "item_id": item})
    core.receive({"type": f"{name}.delta", "item_id": "a", "delta": "half"})
    core.receive({"type": f"{name}.completed", "item_id": "b", "transcript": "two"})
    first, second = core.give_up_text("a")
    assert isinstance(first, CallerText) and first.text == "half" and first.error
    assert second == CallerText("b", "two")
    assert core.receive({"type": f"{name}.completed", "item_id": "a", "transcript": "late"}) == []


# -- responses --------------------------------------------------------------------------------


def test_a_response_is_told_line_by_line() -> None:
    core = ready()
    (create,) = sent(core.respond(Ask("a", "Be brief.", tools=False)))
    assert create == {
        "type": "response.create",
        "response": {"metadata": {"key": "a"}, "instructions": "Be brief.", "tool_choice": "none"},
    }
    created = {"type": "response.created", "response": {"id": "resp_1", "metadata": {"key": "a"}}}
    assert core.receive(created) == [ResponseBegan("a")]
    assert core.receive(item_added()) == [LineBegan("a", "item_1")]
    assert core.receive(words("Hello ")) == [LineText("item_1", "Hello ")]
    assert core.receive(audio(100)) == [LineAudio("item_1", bytes(800))]
    transcript = {"type": "response.output_audio_transcript.done", "item_id": "item_1", "transcript": "Hello you."}
    assert core.receive(transcript) == [LineText("item_1", "Hello you.")]
    over = {"type": "response.output_item.done", "item": {"id": "item_1", "type": "message"}}
    assert core.receive(over) == [LineOver("item_1", "Hello you.", 100)]
    assert core.receive(done()) == [ResponseOver("a", "completed")]
    assert not core.busy


def test_one_response_runs_at_a_time_and_the_next_waits_for_it() -> None:
    core = ready()
    responding(core, "a")
    assert core.respond(Ask("b")) == []
    actions = core.receive(done())
    assert told(actions) == [ResponseOver("a", "completed")]
    assert [event["response"]["metadata"]["key"] for event in sent(actions)] == ["b"]


def test_too_many_wishes_are_refused() -> None:
    core = ready()
    responding(core, "a")
    for number in range(MAX_ASKS):
        assert core.respond(Ask(f"b{number}")) == []
    (over,) = core.respond(Ask("c"))
    assert isinstance(over, ResponseOver) and over.status == "failed"


def test_a_wish_that_waits_is_withdrawn_without_a_word_to_the_service() -> None:
    core = ready()
    responding(core, "a")
    core.respond(Ask("b"))
    assert core.withdraw("b") == [ResponseOver("b", "cancelled")]
    assert sent(core.receive(done())) == []


def test_a_withdrawn_response_is_cancelled_once_and_says_nothing_more() -> None:
    core = ready()
    responding(core)
    core.receive(item_added())
    assert sent(core.withdraw("a")) == [{"type": "response.cancel", "response_id": "resp_1"}]
    assert core.withdraw("a") == []
    assert core.receive(audio(20)) == [] and core.receive(words("more")) == []
    assert core.receive(item_added("item_2")) == []
    tool = {
        "type": "response.function_call_arguments.done",
        "response_id": "resp_1",
        "call_id": "c",
        "name": "end_call",
    }
    assert core.receive(tool) == []
    assert core.receive(done("cancelled", reason="client_cancelled")) == [
        ResponseOver("a", "cancelled", None, "client_cancelled")
    ]


def test_a_response_that_is_withdrawn_before_it_has_a_name_is_cancelled_again_by_name() -> None:
    core = ready()
    core.respond(Ask("a"))
    assert sent(core.withdraw("a")) == [{"type": "response.cancel"}]
    created = {"type": "response.created", "response": {"id": "resp_1", "metadata": {"key": "a"}}}
    assert sent(core.receive(created)) == [{"type": "response.cancel", "response_id": "resp_1"}]


def test_that_there_was_nothing_to_cancel_is_no_trouble() -> None:
    core = ready()
    responding(core)
    cancel = id_of(core.withdraw("a"), "response.cancel")
    failure = error("response_cancel_not_active", "Cancellation failed: no active response found", cancel)
    assert core.receive(failure) == []


def test_a_response_that_nobody_asked_for_is_cancelled_and_not_heard() -> None:
    core = ready()
    created = {"type": "response.created", "response": {"id": "resp_9", "metadata": None}}
    assert sent(core.receive(created)) == [{"type": "response.cancel", "response_id": "resp_9"}]
    assert core.receive(item_added("item_9", "resp_9")) == []
    assert core.receive(audio(100, "item_9", "resp_9")) == []
    assert core.respond(Ask("a")) == []  # it would be refused while the stranger runs
    assert [event["type"] for event in sent(core.receive(done(id_="resp_9")))] == ["response.create"]


def test_a_wish_that_meets_another_response_is_made_again_after_it() -> None:
    core = ready()
    create = id_of(core.respond(Ask("a")), "response.create")
    message = "Conversation already has an active response in progress: resp_9"
    assert core.receive(error("conversation_already_has_active_response", message, create)) == []
    assert [event["type"] for event in sent(core.receive(done(id_="resp_9")))] == ["response.create"]


def test_a_wish_that_is_refused_is_over() -> None:
    core = ready()
    create = id_of(core.respond(Ask("a")), "response.create")
    (over,) = core.receive(error("rate_limit_exceeded", "slow down", create))
    assert isinstance(over, ResponseOver) and over.status == "failed"
    assert over.problem is not None and not over.problem.lost
    assert [event["type"] for event in sent(core.respond(Ask("b")))] == ["response.create"]


def test_a_response_that_fails_says_why_and_may_cost_the_session() -> None:
    core = ready()
    responding(core)
    failure = {"type": "insufficient_quota", "code": "insufficient_quota", "message": "pay"}
    over, trouble = core.receive(done("failed", error=failure))
    assert isinstance(over, ResponseOver) and over.problem is not None and over.problem.code == "insufficient_quota"
    assert isinstance(trouble, Trouble) and trouble.problem.final


def test_a_tool_is_told_once_although_the_service_tells_it_twice() -> None:
    core = ready()
    responding(core)
    item = {"id": "f", "type": "function_call", "name": "end_call", "call_id": "c", "arguments": "{}"}
    core.receive({"type": "response.output_item.added", "response_id": "resp_1", "item": item})
    arguments = {"type": "response.function_call_arguments.done", "response_id": "resp_1", "item_id": "f"}
    call = ToolCall("a", "c", "end_call", "{}")
    assert core.receive({**arguments, "call_id": "c", "arguments": "{}"}) == [call]
    assert core.receive({"type": "response.output_item.done", "response_id": "resp_1", "item": item}) == []
    (answer,) = sent(core.answer_tool("c", '{"ok": true}'))
    assert answer["item"] == {"type": "function_call_output", "call_id": "c", "output": '{"ok": true}'}


# -- interruptions ----------------------------------------------------------------------------


@pytest.mark.parametrize(("played", "kept"), [(0, 0), (-5, 0), (60, 60), (140, 140), (5000, 140)])
def test_a_line_is_cut_at_what_was_played_and_never_beyond_its_audio(played: int, kept: int) -> None:
    core = ready()
    responding(core)
    core.receive(item_added())
    core.receive(audio(100))
    core.receive(audio(40))
    cancel, truncate = sent(core.cut("item_1", played))
    assert cancel["type"] == "response.cancel"
    assert truncate == {
        "type": "conversation.item.truncate",
        "item_id": "item_1",
        "content_index": 0,
        "audio_end_ms": kept,
    }


def test_a_line_without_audio_yet_is_only_cancelled() -> None:
    core = ready()
    responding(core)
    core.receive(item_added())
    core.receive(words("Hel"))
    assert [event["type"] for event in sent(core.cut("item_1", 0))] == ["response.cancel"]
    assert core.receive(audio(100)) == []


def test_a_line_that_was_heard_whole_is_not_cut() -> None:
    core = ready()
    responding(core)
    core.receive(item_added())
    core.receive(audio(100))
    core.receive(done())
    assert core.cut("item_1", 100) == []
    assert [event["type"] for event in sent(core.cut("item_1", 60))] == ["conversation.item.truncate"]
    assert core.cut("item_of_another_session", 60) == []


def test_cutting_a_line_that_is_complete_cancels_nothing_else() -> None:
    core = ready()
    responding(core, "a")
    core.receive(item_added())
    core.receive(audio(100))
    core.receive(done())
    responding(core, "b", "resp_2")
    assert [event["type"] for event in sent(core.cut("item_1", 60))] == ["conversation.item.truncate"]


def test_what_was_said_without_the_model_becomes_part_of_the_conversation() -> None:
    core = ready()
    for role, kind in (("user", "input_text"), ("assistant", "output_text"), ("system", "input_text")):
        (event,) = sent(core.tell(role, "Hello."))  # type: ignore[arg-type]
        assert event["item"] == {"type": "message", "role": role, "content": [{"type": kind, "text": "Hello."}]}
    assert core.tell("user", "") == []


# -- anything ---------------------------------------------------------------------------------


@pytest.mark.skipif(not EXAMPLES.is_file(), reason="the specification is not on this machine")
def test_every_published_server_event_is_understood_or_passed_over() -> None:
    examples: Mapping[str, str] = json.loads(EXAMPLES.read_text())["examples"]
    read = 0
    for name, text in examples.items():
        if not name.startswith("RealtimeServerEvent"):
            continue
        try:
            event = json.loads(text)
        except ValueError:
            continue  # some are published with comments in them
        read += 1
        core = ready()
        responding(core, "a", event.get("response_id") or "resp_001")
        core.receive(event)
    assert read > 25


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
TYPES = [
    "session.created",
    "session.updated",
    "error",
    "input_audio_buffer.speech_started",
    "input_audio_buffer.speech_stopped",
    "input_audio_buffer.committed",
    "conversation.item.input_audio_transcription.delta",
    "conversation.item.input_audio_transcription.completed",
    "conversation.item.input_audio_transcription.failed",
    "response.created",
    "response.output_item.added",
    "response.output_audio.delta",
    "response.output_audio_transcript.delta",
    "response.output_audio_transcript.done",
    "response.output_item.done",
    "response.function_call_arguments.done",
    "response.done",
]
KEYS = [
    "item_id",
    "item",
    "response",
    "response_id",
    "delta",
    "session",
    "error",
    "call_id",
    "name",
    "audio_start_ms",
]
ids = st.sampled_from(["resp_1", "item_1", "a", "completed", "message", "function_call", "///8"])
wild = st.dictionaries(
    st.sampled_from(KEYS),
    json_values | ids | st.dictionaries(st.sampled_from(["id", "type", "status", "metadata"]), ids, max_size=4),
    max_size=5,
)


@given(st.lists(st.tuples(st.sampled_from(TYPES), wild), max_size=25))
def test_whatever_the_service_sends_is_survived_and_answered_within_the_protocol(
    events: list[tuple[str, dict[str, Any]]],
) -> None:
    core = ready()
    responding(core)
    received = 0
    for type_, fields in events:
        for action in core.receive({**fields, "type": type_}):
            if isinstance(action, LineAudio) and action.item == "item_1":
                received += len(action.audio)
    for event in sent(core.cut("item_1", 10_000)):
        if event["type"] == "conversation.item.truncate":
            assert event["audio_end_ms"] <= received // 8
