"""A machine answers a conversation in Twilio's own voice."""

from __future__ import annotations

from pathlib import Path

from engine.calls import Cursor, State
from engine.config import parse_config
from tests.engine.twilio_rig import MACHINE, live

MESSAGE = "This is the dental practice with a message for you."


async def test_a_machines_greeting_is_not_answered_before_the_message_is_left(tmp_path: Path) -> None:
    """It interrupts our first words, as a person would; after the beep the message is begun once, and said whole."""
    streaming = parse_config(b"streaming: {enabled: false}", None, {}).config.streaming
    async with live(tmp_path, 1, {"streaming": streaming}, answering_machine="leave_message") as at:
        call, far = await at.dial(MACHINE, MESSAGE)
        ended = await at.until(call, lambda call: not call.live)
        assert ended.end_reason is State.VOICEMAIL
        page = await at.engine.events(Cursor(at.engine.cursor().generation, 0), call.call_id, limit=5000)
        kinds = [event.data["kind"] for event in page.events if event.type == "say.queued"]
        assert kinds == ["greeting", "notify"]
        assert [event.type for event in page.events].count("say.started") == 2
        assert [spoken.whole for spoken in far.spoken if spoken.text == MESSAGE][-1]
