"""Scenes that several tests look at."""

from __future__ import annotations

from typing import Any

from engine.calls import Event
from tests.console.scripted import Script

CUT_LINE = "On Thursday we have nine o'clock, a quarter past eleven, or half past two in the afternoon."
CUT_HEARD = "On Thursday we have nine o'clock, a quarter"


def morning() -> Script:
    """Three live calls, one that rings, four that are over; the first one has everything in its transcript."""
    script = Script()
    script.add("engine.started", version="0.1.0", pid=1, provider="mock")
    url = "http://127.0.0.1:3334/voice/webhook"
    script.add("exposure.changed", provider="loopback", publicUrl=url, ok=True, ms=2)
    ends = (("completed", "agent"), ("busy", "carrier"), ("hangup-user", "caller"), ("voicemail", "carrier"))
    for index, (reason, by) in enumerate(ends):
        call_id = f"ended-{index}"
        script.talking(call_id, f"+1555010{200 + index:04d}", "outbound" if index % 2 else "inbound")
        script.hears(call_id, "I would like to cancel my subscription.")
        script.ended(call_id, reason, by)
    script.talking("anna", "+15550100142")
    script.hears("anna", "Hi, I need to move my appointment to another day, it was on Tuesday with Doctor Miller.")
    script.turn("anna", 1, 210, 90, 140, 40, 110, 20, 60)
    script.say("anna", "s1", "Of course. Which day would suit you best?")
    script.hears("anna", "Thursday.", 2)
    script.turn("anna", 2, 230, 70, 380, 60, 100, 30, 70)
    script.add("say.queued", "anna", sayId="s2", speaker="agent", kind="reply", text=CUT_LINE)
    script.add("say.started", "anna", sayId="s2", synthMs=4000)
    script.add("say.cut", "anna", 1800, sayId="s2", heardMs=1800, heardText=CUT_HEARD)
    script.hears("anna", "Nine is good, thank you.", 3)
    script.turn("anna", 3, 180, 110, 90, 40, 130, 20, 50)
    script.say("anna", "s3", "This is Anna from the front desk, please bring your card.", speaker="operator")
    script.add("dtmf.received", "anna", digits="1")
    script.talking("berta", "+447700900123", "outbound")
    script.add("floor.changed", "berta", holder="held", by="console")
    script.talking("carl", "+4915112345678")
    script.add("speech.failed", "carl", engine="local", error="the worker died", hint="it is started again")
    numbers: dict[str, Any] = {"from_": "+15550109999", "to": "+15550100177"}
    script.add("call.initiated", "dora", provider="mock", direction="outbound", mode="conversation", **numbers)
    script.add("call.dialing", "dora")
    script.add("call.accepted", "dora", providerCallId="sim-dora")
    script.add("call.ringing", "dora")
    return script


def live_details(script: Script) -> list[Event]:
    """What is not stored: a partial and levels."""
    return [
        script.ephemeral("speech.partial", "anna", text="And could you tell me whether"),
        script.ephemeral("audio.level", "anna", caller=-12.0, agent=-90.0),
        script.ephemeral("audio.level", "anna", caller=-30.0, agent=-90.0),
        script.ephemeral("audio.level", "anna", caller=-21.0, agent=-90.0, floor=-57, threshold=-46),
        script.ephemeral("audio.level", "berta", caller=-90.0, agent=-20.0),
    ]
