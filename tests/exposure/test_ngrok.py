"""The ngrok tunnel, with pyngrok and an agent that behaves as ngrok's: a program of its own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import stat
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from engine.exposure import ngrok
from engine.exposure.ngrok import NgrokTunnel
from engine.exposure.ngrok_errors import explain, to_error
from engine.exposure.ngrok_files import read_version
from engine.exposure.port import Address, TunnelError
from engine.store.lock import process_started
from tests.exposure.agents import LIMIT_S, LOCAL, TOKEN, Behave, FakeNgrok, until


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ngrok, "ALIVE_SECONDS", 0.05)
    monkeypatch.setattr(ngrok, "LOOK_SECONDS", 0.1)


def tunnel(folder: Path, fake: FakeNgrok, **more: Any) -> NgrokTunnel:
    return NgrokTunnel(folder / "ngrok", TOKEN, program=str(fake.program), **more)


@asynccontextmanager
async def opened(made: NgrokTunnel) -> AsyncIterator[Address]:
    try:
        async with asyncio.timeout(LIMIT_S):
            address = await made.open(LOCAL)
        yield address
    finally:
        await made.close()


async def refused(made: NgrokTunnel) -> TunnelError:
    with pytest.raises(TunnelError) as caught:
        async with opened(made):
            pass
    return caught.value


def command_line(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()


def process_list() -> str:
    return subprocess.run(["ps", "axww", "-o", "args"], capture_output=True, text=True, check=True).stdout


def files_in(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file()]


async def test_every_path_is_reached_by_the_name_that_the_agent_got(tmp_path: Path, fake_ngrok: FakeNgrok) -> None:
    async with opened(tunnel(tmp_path, fake_ngrok)) as address:
        base = address.webhook_url.removesuffix("/voice/webhook")
        assert base.startswith("https://") and base.endswith(".ngrok-free.app")
        assert address.stream_url == f"wss{base.removeprefix('https')}/voice/stream"
    (post,) = fake_ngrok.posts
    assert post["post"] == "/api/endpoints"
    assert post["body"] == {"name": "voicecall", "upstream": {"url": "http://127.0.0.1:3334"}}


async def test_pain_d3_the_token_is_in_a_file_of_our_own_and_nowhere_else(
    tmp_path: Path,
    fake_ngrok: FakeNgrok,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", "no business of ngrok's")
    made = tunnel(tmp_path, fake_ngrok)
    async with opened(made):
        settings = tmp_path / "ngrok" / "ngrok.yml"
        assert stat.S_IMODE(settings.stat().st_mode) == 0o600 and TOKEN in settings.read_text()
        assert stat.S_IMODE(settings.parent.stat().st_mode) == 0o700
        assert made.pid is not None and TOKEN not in command_line(made.pid)
        assert TOKEN not in process_list()
    assert not settings.exists()
    assert fake_ngrok.starts[0]["secret"] is None
    assert files_in(tmp_path / "home") == []
    assert TOKEN not in caplog.text
    assert capfd.readouterr() == ("", "")


async def test_the_agents_lines_are_in_the_log(
    tmp_path: Path, fake_ngrok: FakeNgrok, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with opened(tunnel(tmp_path, fake_ngrok)):
        pass
    assert "tunnel session started" in caplog.text and "a line for the terminal" in caplog.text


@pytest.mark.parametrize("version", ["3.5.0", "2.3.41"])
async def test_agents_that_know_no_endpoints_are_asked_for_a_tunnel(
    tmp_path: Path, fake_ngrok: FakeNgrok, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    monkeypatch.setenv("FAKE_NGROK_VERSION", version)
    async with opened(tunnel(tmp_path, fake_ngrok, domain="calls.ngrok.app")) as address:
        assert address.webhook_url == "https://calls.ngrok.app/voice/webhook"
    (post,) = fake_ngrok.posts
    named = (
        {"bind_tls": True, "hostname": "calls.ngrok.app"}
        if version < "3"
        else {"schemes": ["https"], "domain": "calls.ngrok.app"}
    )
    assert post["post"] == "/api/tunnels"
    assert post["body"] == {"name": "voicecall", "addr": "http://127.0.0.1:3334", "proto": "http", **named}
    assert ("version" in fake_ngrok.starts[0]["settings"]) is (version >= "3")


async def test_an_agent_that_should_know_endpoints_and_does_not_is_asked_for_a_tunnel(
    tmp_path: Path, fake_ngrok: FakeNgrok, behave: Behave, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ngrok, "API_SECONDS", -4.5)
    behave("no-endpoints")
    async with opened(tunnel(tmp_path, fake_ngrok)):
        assert [post["post"] for post in fake_ngrok.posts] == ["/api/tunnels"]
        assert [process_started(pid) is not None for pid in fake_ngrok.pids] == [False, True]


async def test_a_domain_of_the_account_is_asked_for_and_nothing_is_said_of_names_that_change(
    tmp_path: Path, fake_ngrok: FakeNgrok
) -> None:
    async with opened(tunnel(tmp_path, fake_ngrok, domain="calls.example.com")) as address:
        assert address == Address("https://calls.example.com/voice/webhook", "wss://calls.example.com/voice/stream")
    assert fake_ngrok.posts[0]["body"]["url"] == "https://calls.example.com"


async def test_pain_d6_a_free_name_is_explained(tmp_path: Path, fake_ngrok: FakeNgrok) -> None:
    async with opened(tunnel(tmp_path, fake_ngrok)) as address:
        assert "warning page" in address.note and "tunnel.ngrok_domain" in address.note
    async with opened(tunnel(tmp_path, fake_ngrok, domain="mine.ngrok-free.app")) as address:
        assert "warning page" in address.note and "tunnel.ngrok_domain" not in address.note


@pytest.mark.parametrize(
    ("how", "code", "words", "fix"),
    [
        ("bad-token", "ERR_NGROK_107", "not valid", "your-authtoken"),
        ("no-token-at-all", "ERR_NGROK_105", "form", "your-authtoken"),
        ("too-many", "ERR_NGROK_108", "another ngrok agent", "stop the other agent"),
        ("taken", "ERR_NGROK_334", "online already", "stop the other agent"),
        ("new-code", "ERR_NGROK_99999", "nobody has heard of", "docs/errors/err_ngrok_99999"),
    ],
)
async def test_ngroks_refusals_say_what_fixes_them(
    tmp_path: Path,
    fake_ngrok: FakeNgrok,
    behave: Behave,
    caplog: pytest.LogCaptureFixture,
    how: str,
    code: str,
    words: str,
    fix: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    behave(how)
    error = await refused(tunnel(tmp_path, fake_ngrok))
    assert error.code == code and words in str(error) and fix in error.hint
    assert TOKEN not in f"{error} {error.hint} {caplog.text}"
    assert [process_started(pid) for pid in fake_ngrok.pids] == [None]


async def test_an_agent_that_says_nothing_is_killed_at_the_limit(
    tmp_path: Path, fake_ngrok: FakeNgrok, behave: Behave, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ngrok, "START_SECONDS", 1.5)
    behave("silent")
    error = await refused(tunnel(tmp_path, fake_ngrok))
    assert "said nothing" in str(error) and "ngrok diagnose" in error.hint
    assert len(fake_ngrok.pids) == 1 and process_started(fake_ngrok.pids[0]) is None


async def test_a_start_that_is_given_up_leaves_no_agent(
    tmp_path: Path, fake_ngrok: FakeNgrok, behave: Behave
) -> None:
    behave("silent")
    made = tunnel(tmp_path, fake_ngrok)
    opening = asyncio.create_task(made.open(LOCAL))
    await until(lambda: bool(fake_ngrok.pids))
    opening.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await opening
    await made.close()
    assert process_started(fake_ngrok.pids[0]) is None


async def test_pain_d4_an_agent_that_is_killed_is_noticed(tmp_path: Path, fake_ngrok: FakeNgrok) -> None:
    made = tunnel(tmp_path, fake_ngrok)
    async with opened(made):
        assert made.pid is not None
        os.kill(made.pid, signal.SIGKILL)
        with pytest.raises(TunnelError, match="ended by signal 9"):
            async with asyncio.timeout(LIMIT_S):
                await made.watch()


async def test_a_name_that_changes_is_noticed(tmp_path: Path, fake_ngrok: FakeNgrok) -> None:
    made = tunnel(tmp_path, fake_ngrok)
    async with opened(made) as address:
        assert made.pid is not None
        os.kill(made.pid, signal.SIGUSR1)
        async with asyncio.timeout(LIMIT_S):
            other = await made.watch()
        assert other.webhook_url != address.webhook_url and other.webhook_url.endswith(
            ".ngrok-free.app/voice/webhook"
        )


async def test_a_lost_connection_is_noticed_with_its_reason(
    tmp_path: Path, fake_ngrok: FakeNgrok, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ngrok, "LOST_SECONDS", 0.2)
    made = tunnel(tmp_path, fake_ngrok)
    async with opened(made):
        assert made.pid is not None
        os.kill(made.pid, signal.SIGUSR2)
        with pytest.raises(TunnelError, match="another ngrok agent") as caught:
            async with asyncio.timeout(LIMIT_S):
                await made.watch()
        assert caught.value.code == "ERR_NGROK_108"


async def test_an_endpoint_that_ngrok_closed_is_noticed(tmp_path: Path, fake_ngrok: FakeNgrok) -> None:
    from pyngrok import ngrok as api

    made = tunnel(tmp_path, fake_ngrok)
    async with opened(made):
        endpoint = made._endpoint
        await asyncio.to_thread(api.api_request, f"{endpoint.api_url}{endpoint.uri}", "DELETE")
        with pytest.raises(TunnelError, match="closed our endpoint"):
            async with asyncio.timeout(LIMIT_S):
                await made.watch()


async def test_without_an_agent_nothing_is_downloaded(
    tmp_path: Path, fake_ngrok: FakeNgrok, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    missing = await refused(NgrokTunnel(tmp_path / "ngrok", TOKEN))
    assert "not installed" in str(missing) and "--install" in missing.hint and "tunnel.ngrok_path" in missing.hint
    elsewhere = await refused(NgrokTunnel(tmp_path / "ngrok", TOKEN, program=str(tmp_path / "nothing")))
    assert "is not a program" in str(elsewhere)
    assert files_in(tmp_path) == ["ngrok"]


async def test_the_token_of_the_users_own_file_is_read_and_the_file_left_alone(
    tmp_path: Path, fake_ngrok: FakeNgrok
) -> None:
    own = tmp_path / "home" / ".config" / "ngrok" / "ngrok.yml"
    own.parent.mkdir(parents=True)
    own.write_text(f"version: '3'\nagent:\n  authtoken: {TOKEN}\n")
    before = own.stat()
    async with opened(NgrokTunnel(tmp_path / "ngrok", program=str(fake_ngrok.program))):
        assert TOKEN in fake_ngrok.starts[0]["settings"]
    assert (own.stat().st_mtime_ns, own.read_text().count(TOKEN)) == (before.st_mtime_ns, 1)


async def test_without_any_token_the_reason_is_told(tmp_path: Path, fake_ngrok: FakeNgrok) -> None:
    error = await refused(NgrokTunnel(tmp_path / "ngrok", program=str(fake_ngrok.program)))
    assert "tunnel.ngrok_auth_token is not set" in str(error) and "NGROK_AUTHTOKEN" in error.hint
    assert fake_ngrok.starts == []


async def test_the_agent_of_an_engine_that_was_killed_is_ended_first(tmp_path: Path, fake_ngrok: FakeNgrok) -> None:
    """It would hold the account's only session, and the name."""
    lost = tunnel(tmp_path, fake_ngrok)
    await lost.open(LOCAL)
    async with opened(tunnel(tmp_path, fake_ngrok)):
        first, second = fake_ngrok.pids
        assert process_started(first) is None and process_started(second) is not None
    await lost.close()


async def test_two_engines_have_an_agent_each(tmp_path: Path, fake_ngrok: FakeNgrok) -> None:
    one, other = (NgrokTunnel(tmp_path / name, TOKEN, program=str(fake_ngrok.program)) for name in ("one", "other"))
    async with opened(one), opened(other):
        assert one.pid != other.pid
        await one.close()
        assert other.pid is not None and process_started(other.pid) is not None


def test_codes_and_versions_are_read() -> None:
    assert explain("ERR_NGROK_3200")[0] and explain("ERR_NGROK_3200 ") == ("", "")
    assert read_version("ngrok version 3.30.0-rc1") == (3, 30) and read_version("hello") == (0, 0)
    assert "servers can not be reached" in str(to_error("dial tcp: lookup connect.ngrok-agent.com: no such host"))
    assert str(to_error("")) == "ngrok refuses and does not say why"
