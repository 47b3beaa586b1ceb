"""voicecall expose: what is printed, what is set, and what is left alone, with and without an engine."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from engine.client import SocketClient
from engine.exposure import by_hand, tailscale
from engine.store.lock import process_started
from tests.cli.conftest import Run
from tests.engine.processes import Desk
from tests.exposure.agents import LIMIT_S, TOKEN, FakeNgrok, fake_ngrok, until
from tests.exposure.tailnet import NAME, Tailnet, tailnet

__all__ = ["fake_ngrok", "tailnet"]

OURS = {
    "/voice/webhook": "http://127.0.0.1:3334/voice/webhook",
    "/voice/stream": "http://127.0.0.1:3334/voice/stream",
}


def test_funnel_exposes_every_path_and_says_where(run: Run, tailnet: Tailnet) -> None:
    ran = run("expose", "--mode", "funnel")
    assert ran.code == 0 and tailnet.routes == {"443": OURS} and tailnet.state["funnels"] == ["443"]
    hint = ran.json["hint"]
    assert {key: value for key, value in ran.json.items() if key != "hint"} == {
        "ok": True,
        "mode": "funnel",
        "publicUrl": f"https://{NAME}/voice/webhook",
        "streamUrl": f"wss://{NAME}/voice/stream",
        "localUrl": "http://127.0.0.1:3334/voice/webhook",
        "path": "/voice/webhook",
        "streamPaths": ["/voice/stream"],
    }
    assert f"set public_url: https://{NAME}/voice/webhook" in hint["note"]


def test_paths_and_ports_as_asked(run: Run, tailnet: Tailnet) -> None:
    line = ("--path", "/hooks/phone", "--port", "4000", "--https-port", "8443", "--serve-path", "/in")
    ran = run("expose", "--mode", "serve", *line)
    assert ran.json["publicUrl"] == f"https://{NAME}:8443/hooks/phone" and "tailnet only" in ran.json["hint"]["note"]
    assert (ran.json["path"], ran.json["localUrl"]) == ("/hooks/phone", "http://127.0.0.1:4000/in")
    assert tailnet.routes["8443"] == {
        "/hooks/phone": "http://127.0.0.1:4000/in",
        "/voice/stream": "http://127.0.0.1:4000/voice/stream",
    }


def test_off_takes_them_away_and_again_is_harmless(run: Run, tailnet: Tailnet) -> None:
    run("expose", "--mode", "funnel")
    ran = run("expose", "--mode", "off")
    assert (ran.code, ran.json["mode"], sorted(ran.json["removed"])) == (0, "off", sorted(OURS))
    assert tailnet.routes == {}
    assert run("expose", "--mode", "off").json["removed"] == []


def test_off_without_tailscale_has_nothing_to_do(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    ran = run("expose", "--mode", "off")
    assert (ran.code, ran.json["ok"], ran.json["removed"]) == (0, True, [])


def test_a_refusal_has_the_fix_and_the_page_to_enable_it(
    run: Run, tailnet: Tailnet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tailscale, "CHANGE_SECONDS", 1.0)
    tailnet.set(trouble="not-enabled")
    ran = run("expose", "--mode", "funnel")
    assert (ran.code, ran.json["ok"], ran.json["success"]) == (1, False, False)
    assert (ran.json["code"], ran.json["mode"]) == ("funnel_not_enabled", "funnel")
    assert ran.json["enableUrl"] == "https://login.tailscale.com/f/funnel?node=nABC123"
    assert ran.json["error"] in ran.err and ran.json["hint"]


def test_another_service_on_443_gets_8443_proposed_and_that_works(run: Run, tailnet: Tailnet) -> None:
    tailnet.set(routes={"443": {"/": "http://127.0.0.1:80"}})
    ran = run("expose", "--mode", "funnel")
    assert ran.code == 1 and "--https-port 8443" in ran.json["hint"]
    assert run("expose", "--mode", "funnel", "--https-port", "8443").code == 0
    assert tailnet.routes == {"443": {"/": "http://127.0.0.1:80"}, "8443": OURS}


@pytest.mark.parametrize(
    "line",
    [
        (),
        ("--mode", "cloudflare"),
        ("--mode", "funnel", "--path", "no-slash"),
        ("--mode", "funnel", "--port", "0"),
        ("--mode", "funnel", "--install"),
        ("--mode", "ngrok", "--https-port", "8443"),
    ],
)
def test_wrong_usage_changes_nothing(run: Run, tailnet: Tailnet, line: tuple[str, ...]) -> None:
    assert run("expose", *line).code == 2
    assert tailnet.state["asked"] == []


def test_a_port_of_ones_choice_is_needed_where_the_engine_takes_any(run: Run, home: Path, tailnet: Tailnet) -> None:
    (home / "config.yaml").write_text("serve: {port: 0}\n")
    ran = run("expose", "--mode", "funnel")
    assert ran.code == 1 and "--port" in ran.json["hint"] and tailnet.routes == {}


@pytest.mark.usefixtures("terminal")
def test_people_read_lines(run: Run, tailnet: Tailnet) -> None:
    ran = run("expose", "--mode", "funnel")
    assert f"webhook  https://{NAME}/voice/webhook -> http://127.0.0.1:3334/voice/webhook" in ran.out


def test_ngrok_that_is_not_there_is_not_downloaded_unasked(
    run: Run, fake_ngrok: FakeNgrok, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    ran = run("expose", "--mode", "ngrok")
    assert ran.code == 1 and "--install" in ran.json["hint"]


def test_a_download_that_fails_says_what_else_can_be_done(
    run: Run, fake_ngrok: FakeNgrok, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody listens at the address that it would come from."""
    from pyngrok import installer

    monkeypatch.setattr(installer, "PLATFORMS", dict.fromkeys(installer.PLATFORMS, "http://127.0.0.1:9/ngrok.tgz"))
    ran = run("expose", "--mode", "ngrok", "--install")
    assert (ran.code, ran.json["code"]) == (1, "install_failed") and "tunnel.ngrok_path" in ran.json["hint"]
    assert json.loads(ran.out)["ok"] is False


async def spawn(folder: Path, *line: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "console.cli",
        *("--config", str(folder / "config.yaml"), "--state-dir", str(folder / "state"), "--json"),
        *line,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def next_line(process: asyncio.subprocess.Process) -> Any:
    assert process.stdout is not None
    async with asyncio.timeout(LIMIT_S):
        return json.loads(await process.stdout.readline())


async def test_ngrok_stays_open_until_the_command_is_stopped_and_follows_its_agent(
    tmp_path: Path, fake_ngrok: FakeNgrok
) -> None:
    (tmp_path / "config.yaml").write_text(f"tunnel: {{ngrok_path: {fake_ngrok.program}}}\n")
    process = await spawn(tmp_path, "expose", "--mode", "ngrok")
    first = await next_line(process)
    assert first["ok"] and first["mode"] == "ngrok" and first["publicUrl"].endswith(".ngrok-free.app/voice/webhook")
    assert TOKEN not in json.dumps(first) and "until this command is stopped" in first["hint"]["note"]

    twice = await spawn(tmp_path, "expose", "--mode", "ngrok")
    refused = await next_line(twice)
    assert not refused["ok"] and "another `voicecall expose --mode ngrok`" in refused["error"]
    await twice.wait()

    (pid,) = fake_ngrok.pids
    by_hand_note = (tmp_path / "state" / "tunnel" / by_hand.BY_HAND / "agent.pid").read_text()
    assert int(by_hand_note) == pid
    os.kill(pid, signal.SIGKILL)
    lost, again = await next_line(process), await next_line(process)
    assert not lost["ok"] and "ended by signal 9" in lost["error"] and again["ok"]
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(LIMIT_S):
        _, err = await process.communicate()
    assert (process.returncode, err) == (0, b"")
    assert all(process_started(pid) is None for pid in fake_ngrok.pids)


async def test_a_token_that_is_refused_ends_the_command(
    tmp_path: Path, fake_ngrok: FakeNgrok, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_NGROK", "bad-token")
    (tmp_path / "config.yaml").write_text(f"tunnel: {{ngrok_path: {fake_ngrok.program}}}\n")
    process = await spawn(tmp_path, "expose", "--mode", "ngrok")
    refused = await next_line(process)
    assert (refused["code"], refused["ok"]) == ("ERR_NGROK_107", False) and "your-authtoken" in refused["hint"]
    assert await process.wait() == 1


# -- beside an engine ------------------------------------------------------------------------------


def desk(folder: Path, tunnel: dict[str, Any]) -> Desk:
    """A state folder whose engine is on the simulated carrier, reached by a tunnel."""
    made = Desk(folder, 0)
    config = {"serve": {"port": 0}, "tunnel": tunnel, "streaming": {"enabled": False}}
    (folder / "config.yaml").write_text(json.dumps(config))
    return made


def command(folder: Path, url: str) -> str:
    """A tunnel program of the user's own."""
    path = folder / "tunnel.sh"
    path.write_text(f"#!/bin/sh\necho {url}\necho a word for the screen >&2\nexec sleep 600\n")
    path.chmod(0o755)
    return str(path)


@asynccontextmanager
async def serving(at: Desk) -> AsyncIterator[asyncio.subprocess.Process]:
    """An engine that is stopped in good order, and with it its simulator and its tunnel."""
    async with at.serve() as process:
        yield process
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(LIMIT_S):
                assert await process.wait() == 0


async def health(at: Desk) -> Any:
    async with await SocketClient.connect(at.state) as client:
        return (await client.health())["exposure"]


async def test_an_engine_that_has_a_tunnel_of_that_kind_already_is_asked(
    tmp_path: Path, fake_ngrok: FakeNgrok
) -> None:
    at = desk(tmp_path, {"provider": "ngrok", "ngrok_path": str(fake_ngrok.program)})
    async with serving(at):
        ran = await at.run("expose", "--mode", "ngrok", "--json")
        assert ran.code == 0 and ran.json["publicUrl"] == (await health(at))["publicUrl"]
        assert len(fake_ngrok.pids) == 1 and "the running engine" in ran.json["hint"]["note"]


async def test_funnel_leads_to_the_port_of_the_running_engine(tmp_path: Path, tailnet: Tailnet) -> None:
    at = desk(tmp_path, {})
    async with serving(at):
        port = (await health(at))["port"]
        ran = await at.run("expose", "--mode", "funnel", "--json")
        assert ran.json["localUrl"] == f"http://127.0.0.1:{port}/voice/webhook"
        off = await at.run("expose", "--mode", "off", "--json")
        assert sorted(off.json["removed"]) == sorted(OURS) and tailnet.routes == {}


async def test_routes_that_the_engine_keeps_are_not_taken_from_it(tmp_path: Path, tailnet: Tailnet) -> None:
    at = desk(tmp_path, {"provider": "tailscale-funnel"})
    async with serving(at) as process:
        assert set(tailnet.routes["443"]) == set(OURS)
        ran = await at.run("expose", "--mode", "off", "--json")
        assert (ran.code, ran.json["code"]) == (1, "engine_runs") and set(tailnet.routes["443"]) == set(OURS)
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(LIMIT_S):
            assert await process.wait() == 0
    assert tailnet.routes == {}


async def test_a_tunnels_program_ends_with_the_engine_and_writes_to_its_log_only(tmp_path: Path) -> None:
    at = desk(tmp_path, {"provider": "command", "command": command(tmp_path, "https://calls.example.com")})
    async with serving(at) as process:
        seen = await health(at)
        assert (seen["ok"], seen["publicUrl"]) == (True, "https://calls.example.com/voice/webhook")
        pid = seen["tunnel"]["pid"]
        process.send_signal(signal.SIGTERM)
        assert process.stderr is not None
        async with asyncio.timeout(LIMIT_S):
            rest = await process.stderr.read()
            assert await process.wait() == 0
    assert process_started(pid) is None and b"word for the screen" not in rest
    assert "a word for the screen" in (at.state / "voicecall.log").read_text()


async def test_a_tunnels_program_that_a_killed_engine_left_is_ended_by_the_next(tmp_path: Path) -> None:
    at = desk(tmp_path, {"provider": "command", "command": command(tmp_path, "https://calls.example.com")})
    async with serving(at) as process:
        pid = (await health(at))["tunnel"]["pid"]
        process.kill()
        await process.wait()
    assert process_started(pid) is not None
    async with serving(at):
        await until(lambda: process_started(pid) is None)
        assert (await health(at))["tunnel"]["pid"] != pid


async def test_a_private_address_is_refused_at_the_start_with_its_key(tmp_path: Path) -> None:
    at = desk(tmp_path, {})
    account = {"account_sid": f"AC{'1' * 32}", "auth_token": "t"}
    config = {"provider": "twilio", "twilio": account, "from_number": "+15550100142"}
    url = {"public_url": "http://192.168.1.5:3334/voice/webhook"}
    (tmp_path / "config.yaml").write_text(json.dumps({**config, **url}))
    ran = await at.run("serve", "--json")
    assert (ran.code, ran.json["code"]) == (2, "invalid_config")
    (problem,) = ran.json["problems"]
    assert problem["key"] == "public_url" and "192.168.1.5" in problem["message"] and "ngrok" in problem["hint"]


async def test_an_engine_whose_tunnel_does_not_open_says_so_and_serves(tmp_path: Path) -> None:
    at = desk(tmp_path, {"provider": "command", "command": "/nowhere/cloudflared"})
    async with serving(at):
        seen = await health(at)
        assert not seen["ok"] and "/nowhere/cloudflared can not be started" in seen["error"]
        ran = await at.run("call", "-t", "+15550100151", "-m", "Hello.", "--json")
        assert (ran.code, ran.json["code"]) == (1, "no_public_url") and ran.json["hint"]
