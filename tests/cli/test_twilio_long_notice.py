"""Notices from the command line that are longer than a request to Twilio may be, or than a notice may be at all."""

from __future__ import annotations

from pathlib import Path

from engine.client import SocketClient
from tests.carriers.twilio_far import Settings, TwilioFar
from tests.engine.test_restart import until_event
from tests.engine.test_twilio_restart import PATIENT, SINK, desk_at

LIMIT = 4000
"""Characters of a message; and of a document in a request to Twilio, where `&` takes five."""


def message(length: int, word: str = "one two & three. ") -> str:
    return (word * (length // len(word) + 1))[: length - 1] + "!"


async def test_a_notice_whose_document_does_not_fit_in_the_request_is_fetched_and_heard_whole(tmp_path: Path) -> None:
    """Trap 1.1/inline-limit, from the command line: Twilio would refuse the dial, so it asks us for the document."""
    text = message(LIMIT)
    # The far end reads it out in a second, so what was heard is taken from there and not from the engine's clock.
    async with TwilioFar(Settings(callers=(PATIENT,), say_speed=1000, wait_speed=100)) as far:
        desk = desk_at(tmp_path, far, outbound={"notify_hangup_delay_sec": 0})
        async with desk.serve(), await SocketClient.connect(desk.state) as client:
            done = await desk.run("call", "--to", SINK, "--message", text, "--mode", "notify")
            assert done.code == 0, done.err
            call_id = done.json["callId"]
            await until_event(client, call_id, "call.ended")
            await far.call().until_over()
        (request,) = [request for request in far.requests if request.operation == "dial"]
        assert "Url" in request.form and "Twiml" not in request.form
        assert "".join(spoken.text for spoken in far.call().spoken).replace(" ", "") == text.replace(" ", "")
        assert all(spoken.whole for spoken in far.call().spoken) and far.call().codes() == []


async def test_a_notice_over_the_limit_is_refused_with_the_limit_and_nobody_is_called(tmp_path: Path) -> None:
    """Trap 1.1/inline-limit: nothing is cut off in silence."""
    async with TwilioFar(Settings(callers=(PATIENT,))) as far:
        desk = desk_at(tmp_path, far)
        async with desk.serve():
            done = await desk.run("call", "--to", SINK, "--message", message(LIMIT + 1), "--mode", "notify")
            assert done.code == 1
            assert done.json["code"] == "invalid_message" and str(LIMIT) in done.json["error"]
            status = await desk.run("status")
        assert far.requests == [] and far.calls == {} and status.json["calls"] == []
