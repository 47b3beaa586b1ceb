"""A tunnel that is down is on the screen, with what fixes it, for a console that comes later as well."""

from __future__ import annotations

from console.facts import Streams
from console.health import read_health
from console.widgets.exposure import ExposureFacts, exposure_rows

DOWN = {
    "provider": "ngrok",
    "ok": False,
    "publicUrl": "https://old.ngrok-free.app/voice/webhook",
    "error": "the ngrok token is not valid (ERR_NGROK_107)",
    "hint": "copy the token again",
    "probe": None,
}


def test_a_tunnel_that_is_down_is_an_alert_with_its_fix() -> None:
    health = read_health({"exposure": DOWN})
    assert health.exposure.ok is False and health.exposure.failing
    rows = exposure_rows(ExposureFacts(exposure=health.exposure, streams=Streams(), port=3334), 200, 2)
    text = "\n".join("".join(part for part, _ in row) for row in rows)
    assert "ERR_NGROK_107" in text and "copy the token again" in text


def test_one_that_is_up_is_judged_by_the_look_from_outside() -> None:
    up = {**DOWN, "ok": True, "error": "", "hint": "", "probe": {"state": "ok", "ms": 80}}
    assert read_health({"exposure": up}).exposure.ok is True
