"""The checks as a sheet, the reason under the ladder, the exposure line, and the warning that every screen has."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from console.screens.view import reason_of
from engine.api import Refusal
from tests.console.harness import bench
from tests.console.scripted import HEALTH, Script

GOOD = {"id": "voice", "ok": True, "message": "the offline voice is installed", "fix": ""}
BAD = {"id": "exposure-tls", "ok": False, "message": "the certificate has expired", "fix": "renew it"}


def found(*checks: Mapping[str, Any]) -> dict[str, Any]:
    return {"ok": all(check["ok"] for check in checks), "checks": list(checks)}


async def test_the_checks_are_asked_in_the_background_and_what_failed_stands_first() -> None:
    async with bench() as made:
        later: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        made.client.answers["voicecall.checks"] = found(GOOD)
        await made.press("C")
        assert await made.shows("the offline voice is installed")
        made.client.answers["voicecall.checks"] = later
        await made.press("r")
        assert await made.shows("asking the carrier")
        later.set_result(found(GOOD, BAD))
        assert await made.shows("1 of 2 to put right")
        text = made.text()
        assert text.index("exposure-tls") < text.index("the offline voice") and "→ renew it" in text
        asked = [params for method, params in made.client.requests if method == "voicecall.checks"]
        assert {"online": True} in asked and {"online": False} in asked
        await made.press("escape")


async def test_an_engine_that_can_not_be_asked_is_said_in_the_sheet() -> None:
    async with bench() as made:
        made.client.answers["voicecall.checks"] = Refusal(
            "not_supported", "There is no such method.", "a newer engine"
        )
        await made.type(":setup")
        await made.press("enter")
        assert await made.shows("There is no such method.; a newer engine")


async def test_the_ladder_says_the_reason_that_doctor_says() -> None:
    script = Script()
    script.add("exposure.probed", None, ok=False, error="the certificate has expired", fix="renew it", step="tls")
    ends: dict[str, Any] = {"from_": "+15550100142", "to": "+15550109999"}
    script.add("call.initiated", "c1", provider="twilio", direction="outbound", mode="conversation", **ends)
    script.add("call.dialing", "c1")
    script.add("call.accepted", "c1", providerCallId="CA1")
    async with bench(script.events, (160, 40), now=script.at + 60_000) as made:
        assert await made.shows("the public address did not work")
        assert "→ renew it" in made.text()
        refused = script.add(
            "webhook.received", None, verdict="refused", why="signed with another auth token", type="call"
        )
        await made.send(refused)
        assert await made.shows("a webhook was refused: signed with")
        call = made.screen.board.calls["c1"]
        assert "signed with another auth token → the console" in reason_of(made.screen.board, call, made.clock[0])


async def test_the_exposure_line_says_how_the_address_looks_from_outside_and_how_fast_we_answer() -> None:
    answers = {"count": 9, "p95": 31, "max": 40, "limitMs": 15_000}
    exposure = {
        **HEALTH["exposure"],
        "provider": "public_url",
        "probe": {"state": "ok", "ok": True, "ms": 84.0, "error": "", "fix": ""},
        "answers": answers,
    }
    async with bench(size=(160, 40), health={**HEALTH, "exposure": exposure}) as made:
        assert await made.shows("outside ● ok 84 ms")
        assert "answers p95 31 ms of 15 s" in made.text()
        dead = {"state": "dead", "ok": False, "error": "localhost:9 refuses connections", "fix": "is the tunnel up"}
        made.client.health_answer = {**HEALTH, "exposure": {**exposure, "probe": dead}}
        assert await made.shows("✗ from outside: localhost:9 refuses connections → is the tunnel up")
        assert "outside ✗ dead" in made.text()
        assert "! nobody reaches us from outside: localhost:9 refuses connections; is the tunnel up" in made.text()


async def test_one_look_that_failed_is_no_alarm() -> None:
    probe = {"state": "failing", "ok": False, "error": "no answer", "fix": ""}
    exposure = {**HEALTH["exposure"], "provider": "public_url", "probe": probe}
    async with bench(size=(160, 40), health={**HEALTH, "exposure": exposure}) as made:
        assert await made.shows("outside … failing")
        assert "✗ from outside" not in made.text()


async def test_every_screen_warns_while_nothing_is_verified() -> None:
    health = {**HEALTH, "security": {"skipSignatures": True}}
    async with bench(health=health) as made:
        assert await made.shows("SIGNATURES ARE NOT CHECKED")
        for key in ("question_mark", "L", "n", "C"):
            await made.press(key)
            async with asyncio.timeout(10):
                while not made.app.screen.query("Unverified"):
                    await made.pilot.pause(0.05)
            await made.pilot.pause()
            assert made.app.screen.query_one("Unverified").region.height == 1
            assert await made.shows("! SIGNATURES ARE NOT CHECKED")
            await made.press("escape")
