"""A whole engine behind a tunnel, and a Twilio that calls the tunnel's address: loss, new names, refusals."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.api import Refusal
from engine.calls import Draft
from engine.config import Config, parse_config
from engine.config.network import Tunnel
from engine.exposure import ngrok, repoint
from engine.exposure.address import Exposure
from engine.store.lock import process_started
from engine.web.address import Arrival
from tests.carriers.twilio_far import OUR_NUMBER
from tests.engine.test_twilio_trust import URL
from tests.engine.twilio_rig import LIMIT_S, SINK, Live, live
from tests.exposure.agents import TOKEN, Behave, FakeNgrok

Health = dict[str, Any]


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ngrok, "ALIVE_SECONDS", 0.05)
    monkeypatch.setattr(ngrok, "LOOK_SECONDS", 0.1)


def tunnelled(fake: FakeNgrok, **more: Any) -> dict[str, Any]:
    """Changes to the configuration: reached by the fake agent's tunnel."""
    settings = {"provider": "ngrok", "ngrok_auth_token": TOKEN, "ngrok_path": str(fake.program), **more}
    return {"tunnel": Tunnel.model_validate(settings), "inbound_policy": "open", "max_concurrent_calls": 5}


def exposure(at: Live) -> Health:
    found: Health = at.engine.health()["exposure"]
    return found


async def until_exposed(at: Live, test: Callable[[Health], bool]) -> Health:
    async with asyncio.timeout(LIMIT_S):
        async for _ in at.engine.watch(None, 1):
            if test(exposure(at)):
                return exposure(at)
    raise AssertionError("the watch ended")


async def told(at: Live, type_: str) -> list[dict[str, Any]]:
    cursor = at.engine.cursor()
    page = await at.engine.events(type(cursor)(cursor.generation, 0), None, limit=5000)
    return [dict(event.data) for event in page.events if event.type == type_]


async def until_told(at: Live, type_: str, count: int) -> list[dict[str, Any]]:
    async with asyncio.timeout(LIMIT_S):
        async for _ in at.engine.watch(None, 1):
            if len(found := await told(at, type_)) >= count:
                return found
    raise AssertionError("the watch ended")


def lead(at: Live, routes: dict[str, str]) -> str:
    """From now on the tunnel's address leads to the engine, and no other does. Returns the webhook's."""
    seen = exposure(at)
    routes.clear()
    routes[seen["publicUrl"].removesuffix("/voice/webhook")] = f"http://127.0.0.1:{seen['port']}"
    return str(seen["publicUrl"])


class TheTunnel(dict[str, str]):
    """The address that holds leads to the engine, from the moment at which it does."""

    at: Live | None = None

    def get(self, origin: str, default: Any = None) -> Any:
        assert self.at is not None
        seen = exposure(self.at)
        holds = seen["ok"] and seen["publicUrl"] == f"{origin}/voice/webhook"
        return f"http://127.0.0.1:{seen['port']}" if holds else default


async def served(at: Live) -> None:
    """Somebody calls our number, by the address that is written at Twilio, and hears us."""
    far = at.far.ring_in("Sink", OUR_NUMBER, SINK)
    async with asyncio.timeout(LIMIT_S):
        async for _ in at.engine.watch(None, 1):
            call = at.engine.call(far.state.sid)
            if call is not None and "heard" in call.rungs:
                break
    assert far.codes() == []
    assert call is not None
    await at.engine.end(call.call_id, "test")


async def test_pain_d4_a_new_name_is_written_to_the_number_and_calls_come_by_it(
    tmp_path: Path, fake_ngrok: FakeNgrok
) -> None:
    routes: dict[str, str] = {}
    changes = tunnelled(fake_ngrok, update_carrier_number=True)
    async with live(tmp_path, changes=changes, settings={"routes": routes, "plain_ws": False}) as at:
        first = lead(at, routes)
        await until_exposed(at, lambda seen: at.far.numbers[OUR_NUMBER].voice_url == first)
        call, _ = await at.dial(SINK, "Hello there.")
        await at.until(call, lambda call: "heard" in call.rungs)
        await served(at)

        os.kill(exposure(at)["tunnel"]["pid"], signal.SIGUSR1)
        seen = await until_exposed(at, lambda seen: seen["publicUrl"] != first)
        assert seen["ok"] and seen["tunnel"]["changes"] == 1 and seen["tunnel"]["restarts"] == 0
        second = lead(at, routes)
        await until_told(at, "exposure.repointed", 2)
        number = at.far.numbers[OUR_NUMBER]
        assert (number.voice_url, number.status_callback) == (second, f"{second}?type=status")
        at.far.requests.clear()
        await served(at)
        other, far = await at.dial(SINK, "Hello again.")
        await at.until(other, lambda call: "heard" in call.rungs)
        sent = [value for request in at.far.requests for values in request.form.values() for value in values]
        given = {url for text in (*sent, *(made.decode() for made in far.documents)) for url in URL.findall(text)}
        stream = second.replace("https", "wss").replace("webhook", "stream")
        assert stream in given and all(url.startswith((second, stream)) for url in given)
        assert exposure(at)["webhooks"]["refused"] == 0
        found = at.engine.call(call.call_id)
        assert found is not None and found.live, "the call that was live is not touched"
        changed = await told(at, "exposure.changed")
        assert [change["publicUrl"] for change in changed] == [first, second] and changed[1]["before"] == first


async def test_an_agent_that_is_killed_in_mid_call_is_an_alert_and_is_replaced(
    tmp_path: Path, fake_ngrok: FakeNgrok
) -> None:
    routes: dict[str, str] = {}
    async with live(tmp_path, changes=tunnelled(fake_ngrok), settings={"routes": routes}) as at:
        first = lead(at, routes)
        call, _ = await at.dial(SINK, "Hello there.")
        await at.until(call, lambda call: "heard" in call.rungs)
        os.kill(exposure(at)["tunnel"]["pid"], signal.SIGKILL)
        seen = await until_exposed(at, lambda seen: not seen["ok"])
        assert "ended by signal 9" in seen["error"] and seen["hint"] and seen["tunnel"]["retryAt"]
        with pytest.raises(Refusal) as refused:
            await at.dial(SINK, "Nobody would hear of this call again.")
        assert refused.value.code == "no_public_url" and "ended by signal 9" in refused.value.error
        await until_exposed(at, lambda seen: bool(seen["ok"]))
        assert lead(at, routes) != first and exposure(at)["tunnel"]["restarts"] == 1
        other, _ = await at.dial(SINK, "Hello again.")
        await at.until(other, lambda call: "heard" in call.rungs)
        found = at.engine.call(call.call_id)
        assert found is not None and found.live
        assert [change["ok"] for change in await told(at, "exposure.changed")] == [True, False, True]
        assert at.far.numbers[OUR_NUMBER].voice_url == "", "nobody allowed us to write there"
    assert all(process_started(pid) is None for pid in fake_ngrok.pids)


async def test_a_call_whose_stream_goes_down_with_the_tunnel_goes_on_at_the_new_address(
    tmp_path: Path, fake_ngrok: FakeNgrok
) -> None:
    routes, settings = TheTunnel(), tunnelled(fake_ngrok)
    # At real pace: how long Twilio holds a call whose stream is gone is what the new tunnel has.
    far_end = {"routes": routes, "plain_ws": False}
    async with live(tmp_path, wait_speed=1, changes=settings, settings=far_end) as at:
        routes.at, first = at, exposure(at)["publicUrl"]
        call, far = await at.dial(SINK, "Hello there.")
        await at.until(call, lambda call: "heard" in call.rungs)
        os.kill(exposure(at)["tunnel"]["pid"], signal.SIGKILL)
        assert far.socket is not None
        far.socket.lose()
        await until_exposed(at, lambda seen: bool(seen["ok"]) and seen["publicUrl"] != first)
        async with asyncio.timeout(LIMIT_S):
            async for _ in at.engine.watch(None, 1):
                if "stream.resumed" in await at.types(call):
                    break
        found = at.engine.call(call.call_id)
        assert found is not None and found.live and len(far.streams) == 2
        await at.engine.speak(call.call_id, "Sorry, we were cut off.", "cli")
        assert far.streams[1].url.startswith(
            exposure(at)["publicUrl"].replace("https", "wss").removesuffix("webhook")
        )
        assert exposure(at)["webhooks"]["refused"] == 0


async def test_pain_d5_a_tunnel_that_does_not_open_refuses_calls_with_the_fix_and_is_tried_again(
    tmp_path: Path, fake_ngrok: FakeNgrok, behave: Behave
) -> None:
    behave("bad-token")
    routes: dict[str, str] = {}
    async with live(tmp_path, changes=tunnelled(fake_ngrok), settings={"routes": routes}) as at:
        seen = exposure(at)
        assert (seen["ok"], seen["publicUrl"], seen["provider"]) == (False, "", "ngrok")
        with pytest.raises(Refusal) as refused:
            await at.dial(SINK, "Hello there.")
        assert refused.value.code == "no_public_url" and "ERR_NGROK_107" in refused.value.error
        assert "your-authtoken" in refused.value.hint and at.far.calls == {}
        (failed,) = await told(at, "exposure.changed")
        assert failed["code"] == "ERR_NGROK_107" and failed["hint"] and not failed["ok"]
        behave("well")
        await until_exposed(at, lambda seen: bool(seen["ok"]))
        lead(at, routes)
        call, _ = await at.dial(SINK, "Hello there.")
        await at.until(call, lambda call: "heard" in call.rungs)
        assert TOKEN not in json.dumps(at.engine.health()) + json.dumps(await told(at, "exposure.changed"))


async def test_an_engine_that_is_stopped_while_its_tunnel_opens_does_not_wait_for_it(
    tmp_path: Path, fake_ngrok: FakeNgrok, behave: Behave, monkeypatch: pytest.MonkeyPatch
) -> None:
    behave("silent")
    monkeypatch.setattr("engine.exposure.supervisor.FIRST_SECONDS", 0.2)
    clock = asyncio.get_running_loop().time
    async with live(tmp_path, changes=tunnelled(fake_ngrok)):
        began = clock()
    assert clock() - began < ngrok.START_SECONDS / 2
    assert all(process_started(pid) is None for pid in fake_ngrok.pids)


async def test_a_number_that_can_not_be_written_is_tried_again_and_then_told(
    tmp_path: Path, fake_ngrok: FakeNgrok, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repoint, "PAUSES", (0.05, 0.05))
    changes = {**tunnelled(fake_ngrok, update_carrier_number=True), "from_number": "+15550100987"}
    async with live(tmp_path, changes=changes) as at:
        facts = await until_told(at, "exposure.repointed", 1)
        (number,) = facts[0]["numbers"]
        assert not facts[0]["ok"] and "is no number of this Twilio account" in number["error"]
        assert exposure(at)["numbers"]["failed"] == {"+15550100987": number["error"]}
        assert exposure(at)["ok"], "we are reached all the same"


# -- the address alone ---------------------------------------------------------------------------


def configured(text: str) -> Config:
    return parse_config(text.encode(), None, {}).config


class Alone:
    """An exposure without an engine."""

    def __init__(self, config: Config, folder: Path) -> None:
        self.posted: list[Draft] = []
        self.exposure = Exposure(config, self.posted.append, folder)
        self._task = asyncio.create_task(self.exposure.run(3334))

    async def __aenter__(self) -> Exposure:
        await self.exposure.settle(asyncio.Event())
        return self.exposure

    async def __aexit__(self, *_: object) -> None:
        await self.exposure.close()
        assert self._task.done()


TWILIO = (
    "provider: twilio\ntwilio: {account_sid: AC11111111111111111111111111111111, auth_token: t}\n"
    "from_number: '+15550100142'\n"
)


@pytest.mark.parametrize("where", ["http://127.0.0.1:8080", "https://192.168.1.5", "https://desk.local"])
async def test_a_tunnel_that_leads_nowhere_for_the_carrier_is_refused(tmp_path: Path, where: str) -> None:
    command = f"command: sh -c 'echo {where}; sleep 60', command_url_pattern: 'http\\S+'"
    async with Alone(configured(f"{TWILIO}tunnel: {{provider: command, {command}}}"), tmp_path) as found:
        seen = found.health()
        assert not seen["ok"] and "twilio can not reach" in seen["error"] and "public_url" in seen["hint"]
        with pytest.raises(Refusal, match="can not reach"):
            found.require()


def arrival(peer: str, host: str = "other.ngrok-free.app") -> Arrival:
    headers = {"host": host, "x-forwarded-host": host, "x-forwarded-proto": "https"}
    return Arrival("/voice/webhook?type=status", headers, peer)


@pytest.mark.parametrize(
    ("bypass", "peer", "host"),
    [
        (True, "127.0.0.1", "other.ngrok-free.app"),
        (True, "::ffff:127.0.0.1", "other.ngrok-free.app"),
        (True, "203.0.113.9", "calls.ngrok.app"),
        (False, "127.0.0.1", "calls.ngrok.app"),
    ],
)
async def test_forwarded_headers_are_believed_from_the_agent_on_this_machine_when_allowed(
    tmp_path: Path, fake_ngrok: FakeNgrok, bypass: bool, peer: str, host: str
) -> None:
    more = {"ngrok_domain": "calls.ngrok.app", "allow_ngrok_free_tier_loopback_bypass": bypass}
    config = Config().model_copy(update=tunnelled(fake_ngrok, **more))
    async with Alone(config, tmp_path) as found:
        believed = found.webhook_address(arrival(peer, "other.ngrok-free.app"))
        assert believed.url == f"https://{host}/voice/webhook?type=status"


async def test_a_webhook_that_was_sent_to_an_address_of_before_is_explained_and_not_believed(
    tmp_path: Path, fake_ngrok: FakeNgrok
) -> None:
    async with Alone(Config().model_copy(update=tunnelled(fake_ngrok)), tmp_path) as found:
        before, news = found.webhook_url(), asyncio.Event()
        found.subscribe(lambda _: news.set())
        os.kill(found.health()["tunnel"]["pid"], signal.SIGUSR1)
        async with asyncio.timeout(LIMIT_S):
            await news.wait()
        believed = found.webhook_address(Arrival("/voice/webhook?type=status", {"host": "x"}, "127.0.0.1"))
        assert believed.url == f"{found.webhook_url()}?type=status" and believed.url != f"{before}?type=status"
        assert believed.suspects[0] == f"{before}?type=status"
