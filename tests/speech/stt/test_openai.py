"""OpenAI recognition against a server that speaks the real protocol, and breaks."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import aiohttp
import pytest

from engine.media.audio import PHONE, AudioFormat
from engine.speech.ports import Final, Partial, SpeechEnded, SpeechUnavailable, VoiceConfirmed
from engine.speech.stt import vendor, vendor_recogniser
from engine.speech.stt.openai import OpenAiRecogniser, OpenAiSession, OpenAiSettings
from tests.speech.far.openai_schemas import available, client_event_problems
from tests.speech.far.openai_transcription import BETA_GONE, KEY, FarOpenAi, Manners, far_openai
from tests.speech.stt.collect import listening, say, silence, tone


def recogniser(far: FarOpenAi, **changes: Any) -> OpenAiRecogniser:
    return OpenAiRecogniser(OpenAiSettings(**{"api_key": KEY, "base_url": far.url, **changes}))


async def test_each_utterance_gets_its_text_and_the_audio_arrives_as_it_was() -> None:
    async with far_openai() as far, listening(recogniser(far)) as (listener, heard):
        line = tone(400) + silence(200)
        await say(listener, line)
        first = listener.finish()
        await say(listener, line)
        second = listener.finish()
        finals = await heard.until_finals(2)
        assert finals == [Final("one", first), Final("two", second)]
        assert far.sessions[0].audio == line * 2
        assert far.problems == []


async def test_the_session_is_the_one_of_the_current_protocol() -> None:
    async with far_openai() as far, listening(recogniser(far, language="en", model="gpt-transcribe")):
        config = far.sessions[0].config
    assert config == {
        "type": "transcription",
        "audio": {
            "input": {
                "format": {"type": "audio/pcmu"},
                "transcription": {"model": "gpt-transcribe", "language": "en"},
                "turn_detection": None,
            }
        },
    }


async def test_it_is_ready_only_when_the_server_says_so() -> None:
    async with far_openai(Manners(ready_after=0.2)) as far:
        began = asyncio.get_running_loop().time()
        async with listening(recogniser(far)):
            assert asyncio.get_running_loop().time() - began >= 0.2


async def test_a_server_that_is_never_ready_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vendor_recogniser, "CONNECT_SECONDS", 0.3)
    async with far_openai(Manners(never_ready=True)) as far:
        with pytest.raises(SpeechUnavailable, match="was not ready within"):
            await recogniser(far).listen(PHONE)


async def test_words_come_while_they_are_spoken_and_deltas_add_up() -> None:
    settings = {"turn_detection": "server_vad", "silence_duration_ms": 200}
    async with (
        far_openai(Manners(texts=["hello there"])) as far,
        listening(recogniser(far, **settings)) as (listener, heard),
    ):
        await say(listener, tone(300), silence(300))
        await heard.until(lambda hearing: isinstance(hearing, Partial))
        listener.finish()
        finals = await heard.until_finals(1)
    partials = [hearing.text for hearing in heard.all if isinstance(hearing, Partial)]
    assert partials[-1] == "hello there" and finals[0].text == "hello there"
    assert all("hello there".startswith(partial) for partial in partials)


async def test_a_delta_of_whisper_is_the_whole_text() -> None:
    session = OpenAiSession(OpenAiSettings("k", model="whisper-1"))
    delta = "conversation.item.input_audio_transcription.delta"
    for text in ("good", "good morning"):
        list(session.hear({"type": delta, "item_id": "a", "delta": text}, 0.0))
    assert session.commits.partial() == "good morning"


async def test_texts_that_come_in_any_order_are_told_in_the_order_of_speech() -> None:
    async with far_openai(Manners(delays=(0.5, 0.25, 0.01))) as far, listening(recogniser(far)) as (listener, heard):
        numbers = []
        for _ in range(3):
            await say(listener, tone(200))
            numbers.append(listener.finish())
        assert await heard.until_finals(3) == [
            Final(text, n) for text, n in zip(("one", "two", "three"), numbers, strict=True)
        ]


async def test_a_failed_item_blocks_nothing_and_says_why() -> None:
    async with far_openai(Manners(fail=frozenset({0}))) as far, listening(recogniser(far)) as (listener, heard):
        for _ in range(2):
            await say(listener, tone(200))
            listener.finish()
        failed, good = await heard.until_finals(2)
        assert failed.text == "" and "No words in it" in failed.error
        assert good == Final("two", 2)


async def test_an_utterance_too_short_for_the_server_is_an_empty_text_and_no_hang() -> None:
    async with far_openai() as far, listening(recogniser(far)) as (listener, heard):
        await say(listener, tone(60))
        short = listener.finish()
        nothing = listener.finish()
        await say(listener, tone(400))
        listener.finish()
        assert await heard.until_finals(3) == [Final("", short), Final("", nothing), Final("one", 3)]
        assert far.problems == [] and far.commits == 2


async def test_with_the_servers_detector_an_utterance_is_all_its_pieces() -> None:
    settings = {"turn_detection": "server_vad", "silence_duration_ms": 300}
    async with (
        far_openai(Manners(delays=(0.4, 0.01))) as far,
        listening(recogniser(far, **settings)) as (listener, heard),
    ):
        await say(listener, tone(300), silence(400), tone(300), silence(400))
        listener.finish()
        await say(listener, tone(300))  # its end comes before the detector finds one
        listener.finish()
        finals = await heard.until_finals(2)
    assert [final.text for final in finals] == ["one two", "three"]
    assert VoiceConfirmed(1.0) in heard.all
    assert SpeechEnded() in heard.all
    assert far.problems == []
    detection = far.sessions[0].config["audio"]["input"]["turn_detection"]
    assert detection["silence_duration_ms"] == 300 and detection["threshold"] == 0.5


async def test_with_the_servers_detector_noise_without_a_voice_is_an_empty_text() -> None:
    async with (
        far_openai(Manners(texts=[""])) as far,
        listening(recogniser(far, turn_detection="server_vad")) as (listener, heard),
    ):
        await say(listener, silence(500))
        listener.finish()
        assert await heard.until_finals(1) == [Final("", 1)]


async def test_torn_frames_and_fragmented_messages_are_read() -> None:
    async with far_openai(Manners(tear=True)) as far, listening(recogniser(far)) as (listener, heard):
        await say(listener, tone(200))
        listener.finish()
        assert (await heard.until_finals(1))[0].text == "one"


async def test_a_connection_that_breaks_is_a_loss_with_a_reason() -> None:
    async with far_openai(Manners(drop_after_bytes=800)) as far, listening(recogniser(far)) as (listener, heard):
        await say(listener, tone(400))
        lost = await heard.until_lost()
        assert lost.why.startswith(("the connection to openai broke", "openai closed the connection"))
        assert not lost.hopeless


async def test_a_server_that_stops_transcribing_is_a_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vendor, "STALL_SECONDS", 0.3)
    async with far_openai(Manners(stall=True)) as far, listening(recogniser(far)) as (listener, heard):
        await say(listener, tone(400))
        listener.finish()
        assert "sent no text" in (await heard.until_lost()).why


async def test_credit_that_ends_in_a_call_is_named_although_the_connection_breaks_with_it() -> None:
    manners = Manners(end_at_commit=("insufficient_quota", "You exceeded your current quota."))
    async with far_openai(manners) as far, listening(recogniser(far)) as (listener, heard):
        await say(listener, tone(400))
        listener.finish()
        for _ in range(20):  # the caller goes on speaking into the socket that is being closed
            await say(listener, tone(400))
        lost = await heard.until_lost()
    assert "no credit left" in lost.why and lost.hopeless and "billing" in lost.hint


async def test_a_server_that_is_frozen_is_a_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection is up, and nobody is there."""
    monkeypatch.setattr(vendor_recogniser, "HEARTBEAT_SECONDS", 0.2)
    async with far_openai(Manners(frozen=True)) as far, listening(recogniser(far)) as (_, heard):
        assert "the connection to openai broke" in (await heard.until_lost()).why


async def test_an_error_of_ours_is_a_loss_and_no_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    async with far_openai() as far, listening(recogniser(far)) as (listener, heard):

        def broken(self: OpenAiSession, data: bytes) -> str:
            raise KeyError("a mistake")

        monkeypatch.setattr(OpenAiSession, "audio", broken)
        await say(listener, tone(400))
        assert (await heard.until_lost()).why == "an internal error: KeyError"


async def test_a_session_is_renewed_before_the_server_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OpenAiSession, "lifetime_seconds", 0.2)
    async with far_openai() as far, listening(recogniser(far)) as (listener, heard):
        await say(listener, tone(200))
        await asyncio.sleep(0.4)  # older than it may get, but in the middle of a word
        listener.finish()
        assert (await heard.until_finals(1))[0].text == "one"
        assert (await heard.until_lost()).planned


@pytest.mark.parametrize(
    ("status", "says", "hopeless"),
    [(401, "API key is not valid", True), (429, "too many requests", False), (500, "HTTP 500", False)],
)
async def test_an_upgrade_that_is_refused_says_why(status: int, says: str, hopeless: bool) -> None:
    async with far_openai(Manners(http_status=status)) as far:
        with pytest.raises(SpeechUnavailable, match=says) as refusal:
            await recogniser(far).start()
        assert refusal.value.hopeless is hopeless


@pytest.mark.parametrize(
    ("code", "says", "hint"),
    [
        ("insufficient_quota", "no credit left", "billing"),
        ("beta_api_shape_disabled", "current protocol", "base_url"),
        ("model_not_found", "no such model", "model"),
        ("invalid_value", "did not accept the session", ""),
    ],
)
async def test_a_session_that_is_refused_says_why_and_what_to_do(code: str, says: str, hint: str) -> None:
    async with far_openai(Manners(refuse=(code, "The server's own words."))) as far:
        with pytest.raises(SpeechUnavailable, match=says) as refusal:
            await recogniser(far).start()
    assert refusal.value.hopeless and hint in refusal.value.hint
    assert "The server's own words." in str(refusal.value)


async def test_a_model_that_takes_no_pcmu_is_sent_pcm_of_the_same_length() -> None:
    async with far_openai(Manners(no_pcmu=True)) as far, listening(recogniser(far)) as (listener, heard):
        await say(listener, tone(400))
        listener.finish()
        assert (await heard.until_finals(1))[0].text == "one"
        session = far.sessions[0]
        assert session.config["audio"]["input"]["format"] == {"type": "audio/pcm", "rate": 24_000}
        assert len(session.audio) == 24_000 * 2 * 400 // 1000
        assert far.problems == []


async def test_a_model_without_voice_detection_says_which_setting_to_change() -> None:
    async with far_openai() as far:
        with pytest.raises(SpeechUnavailable, match="did not accept") as refusal:
            await recogniser(far, model="gpt-realtime-whisper", turn_detection="server_vad").start()
    assert "turn_detection" in refusal.value.hint


async def test_a_model_that_is_not_there_is_known_at_the_start() -> None:
    async with far_openai() as far:
        with pytest.raises(SpeechUnavailable, match="gpt-9 .*model_not_found|no such model"):
            await recogniser(far, model="gpt-9").start()


async def test_a_wrong_key_and_a_missing_one_are_known_at_the_start() -> None:
    async with far_openai() as far:
        with pytest.raises(SpeechUnavailable, match="401") as refusal:
            await recogniser(far, api_key="sk-wrong").start()
    assert "sk-wrong" not in str(refusal.value)
    with pytest.raises(SpeechUnavailable, match="no API key"):
        await OpenAiRecogniser(OpenAiSettings("")).start()


async def test_a_server_that_is_not_there_is_unavailable_and_not_an_error() -> None:
    with pytest.raises(SpeechUnavailable, match="can not be reached") as refusal:
        await OpenAiRecogniser(OpenAiSettings(KEY, base_url="http://127.0.0.1:9/v1")).start()
    assert "127.0.0.1:9" in refusal.value.hint


async def test_other_audio_than_the_telephones_is_refused() -> None:
    with pytest.raises(SpeechUnavailable, match="mu-law"):
        await OpenAiRecogniser(OpenAiSettings(KEY)).listen(AudioFormat("pcm16", 16_000))


async def test_nothing_is_left_open_after_a_call() -> None:
    async with far_openai() as far:
        async with listening(recogniser(far)) as (listener, _):
            await say(listener, tone(200))
            listener.finish()
        async with asyncio.timeout(5):
            await far.sessions[0].ended.wait()
        left = [task for task in asyncio.all_tasks() if "openai" in task.get_name()]
        assert left == []


async def test_the_far_end_refuses_the_dead_protocol_as_the_real_one_does() -> None:
    """By header and by event, with the real error and close code."""
    beta = {"type": "transcription_session.update", "session": {"input_audio_format": "g711_ulaw"}}
    async with far_openai() as far, aiohttp.ClientSession() as http:
        for headers in ({"OpenAI-Beta": "realtime=v1"}, {}):
            url = f"{far.url}/realtime?intent=transcription"
            async with http.ws_connect(url, headers={"Authorization": f"Bearer {KEY}", **headers}) as socket:
                if not headers:
                    await socket.send_json(beta)
                events = [json.loads(frame.data) async for frame in socket]
            assert events[-1]["error"]["code"] == "beta_api_shape_disabled"
            assert events[-1]["error"]["message"] == BETA_GONE
            assert socket.close_code == 4000


@pytest.mark.skipif(not available(), reason="the specification is not on this machine")
def test_our_events_are_as_the_specification_says() -> None:
    for detection in ("none", "server_vad"):
        session = OpenAiSession(OpenAiSettings("k", turn_detection=detection, language="en"))
        sent = [*session.greeting(), session.audio(b"\xff" * 160), session.commit(1)]
        for event in sent:
            assert event is not None
            assert client_event_problems(json.loads(event)) == []


@pytest.mark.skipif(not available(), reason="the specification is not on this machine")
def test_the_schema_check_can_fail() -> None:
    assert client_event_problems({"type": "input_audio_buffer.append"}) == ["$.audio: missing"]
    assert client_event_problems({"type": "input_audio_buffer.commit", "audio": ""})
    wrong = {"type": "session.update", "session": {"type": "transcription", "audio": {"input": {"format": "g711"}}}}
    assert client_event_problems(wrong)


def test_our_events_are_as_the_official_sdk_types_them() -> None:
    pydantic = pytest.importorskip("pydantic")
    realtime = pytest.importorskip("openai.types.realtime")
    session = OpenAiSession(OpenAiSettings("k", turn_detection="server_vad"))
    models = (realtime.SessionUpdateEvent, realtime.InputAudioBufferAppendEvent, realtime.InputAudioBufferCommitEvent)
    sent = (*session.greeting(), session.audio(b"\xff"), session.commit(1))
    for model, event in zip(models, sent, strict=True):
        assert event is not None
        typed = pydantic.TypeAdapter(model).validate_json(event)
        assert typed.to_dict(exclude_unset=True) == json.loads(event)


async def test_the_official_client_and_the_far_end_understand_each_other() -> None:
    """The oracle for the far end: what passes here is the protocol, not our idea of it."""
    openai = pytest.importorskip("openai")
    async with far_openai(Manners(texts=["good morning"])) as far:
        client = openai.AsyncOpenAI(api_key=KEY, base_url=far.url, max_retries=0)
        seen: list[Any] = []
        async with client, client.realtime.connect(extra_query={"intent": "transcription"}) as connection:
            session = json.loads(next(iter(OpenAiSession(OpenAiSettings("k")).greeting())))["session"]
            await connection.session.update(session=session)
            await connection.input_audio_buffer.append(audio=base64.b64encode(b"\xff" * 1600).decode())
            await connection.input_audio_buffer.commit()
            async with asyncio.timeout(10):
                async for event in connection:
                    seen.append(event)
                    if event.type == "conversation.item.input_audio_transcription.completed":
                        break
        assert far.problems == []
    types = [event.type for event in seen]
    assert types[:3] == ["session.created", "session.updated", "input_audio_buffer.committed"]
    assert seen[-1].transcript == "good morning"
