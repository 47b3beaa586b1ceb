"""The tunnel of a program of the user's own: what of its output is the address, and how it ends."""

from __future__ import annotations

import asyncio
import logging
import os
import shlex
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from engine.config import ConfigError, parse_config
from engine.exposure import command as module
from engine.exposure.command import CommandTunnel
from engine.exposure.port import Address, TunnelError
from engine.exposure.process import Note
from engine.exposure.redact import HIDDEN, Redactor
from engine.store.lock import process_started
from tests.exposure.agents import LIMIT_S, LOCAL, until

SECRET = "a-secret-of-the-configuration"
STAY = "import sys, time\n{says}\nsys.stdout.flush()\nfor line in iter(lambda: time.sleep(0.05), 1): pass\n"


def script(folder: Path, body: str) -> str:
    """A command that runs a Python program."""
    path = folder / "program.py"
    path.write_text(body)
    return f"{shlex.quote(sys.executable)} -u {shlex.quote(str(path))}"


def says(*lines: str) -> str:
    """A program that prints these lines and stays."""
    return STAY.format(says="\n".join(f"print({line!r})" for line in lines))


def tunnel(folder: Path, command: str, pattern: str | None = None) -> CommandTunnel:
    return CommandTunnel(command, pattern, Note(folder / "command.pid"), [SECRET])


@asynccontextmanager
async def opened(made: CommandTunnel) -> AsyncIterator[Address]:
    try:
        async with asyncio.timeout(LIMIT_S):
            address = await made.open(LOCAL)
        yield address
    finally:
        await made.close()


async def refused(made: CommandTunnel) -> TunnelError:
    with pytest.raises(TunnelError) as caught:
        async with opened(made):
            pass
    return caught.value


CLOUDFLARED = (
    "2026-11-25T10:00:00Z INF Thank you for trying Cloudflare Tunnel. For a pre-created named tunnel see "
    "https://developers.cloudflare.com/cloudflare-one/connections/connect-apps",
    "2026-11-25T10:00:01Z INF |  Your quick Tunnel has been created! Visit it at (it may take some time):  |",
    "2026-11-25T10:00:01Z INF |  https://brave-sea-words-example.trycloudflare.com                        |",
)
LOCALHOST_RUN = (
    "To set up and manage custom domains go to https://admin.localhost.run/",
    "More details on custom domains at https://localhost.run/docs/custom-domains",
    "\x1b[1mabc123.lhr.life\x1b[0m tunneled with tls termination, https://abc123.lhr.life",
)


@pytest.mark.parametrize(
    ("lines", "base"),
    [
        (CLOUDFLARED, "https://brave-sea-words-example.trycloudflare.com"),
        (LOCALHOST_RUN, "https://abc123.lhr.life"),
        (("url: <https://x.example:8443/prefix/>.",), "https://x.example:8443/prefix"),
    ],
)
async def test_pain_d7_the_address_is_found_among_what_a_program_prints(
    tmp_path: Path, lines: tuple[str, ...], base: str
) -> None:
    async with opened(tunnel(tmp_path, script(tmp_path, says(*lines)))) as address:
        assert address == LOCAL.at(base)


async def test_a_pattern_says_how_the_address_looks(tmp_path: Path) -> None:
    command = script(tmp_path, says("see https://docs.example.com", "serving at <calls.example.com> now"))
    async with opened(tunnel(tmp_path, command, r"serving at <([^>]+)>")) as address:
        assert address == LOCAL.at("https://calls.example.com")


async def test_port_and_host_are_put_in_and_no_shell_is_involved(tmp_path: Path) -> None:
    body = "import sys\nprint('https://x.example/' + '/'.join(sys.argv[1:]))\n" + says("")
    command = f"{script(tmp_path, body)} {{host}}:{{port}} '$HOME;x' "
    async with opened(tunnel(tmp_path, command)) as address:
        assert "127.0.0.1:3334" in address.webhook_url and "$HOME;x" in address.webhook_url


async def test_keys_of_ours_are_not_in_its_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", SECRET)
    monkeypatch.setenv("TUNNEL_TOKEN", "wanted")
    body = "import os\nprint('https://x.example/', len(os.environ.get('TWILIO_AUTH_TOKEN', '')), sep='')\n"
    body = body.replace(", sep", ", '/', os.environ['TUNNEL_TOKEN'], sep") + says("")
    async with opened(tunnel(tmp_path, script(tmp_path, body))) as address:
        assert address.webhook_url == "https://x.example/0/wanted/voice/webhook"


async def test_its_output_is_in_the_log_without_secrets_and_never_on_the_screen(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO)
    lines = (f"starting with {SECRET}", "token=abcdefgh123", "https://user:pa55word@y.example", "https://x.example")
    body = "import sys\nprint('an error', file=sys.stderr)\n" + says(*lines)
    async with opened(tunnel(tmp_path, script(tmp_path, body))) as address:
        assert address.webhook_url.startswith("https://x.example/")
    assert "an error" in caplog.text and "starting with" in caplog.text
    assert not any(secret in caplog.text for secret in (SECRET, "abcdefgh123", "pa55word"))
    assert capfd.readouterr() == ("", "")


async def test_a_program_that_prints_no_address_is_ended_at_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "URL_SECONDS", 0.5)
    made = tunnel(tmp_path, script(tmp_path, says("connecting...")))
    opening = asyncio.create_task(refused(made))
    await until(lambda: made.pid is not None)
    pid = made.pid
    error = await opening
    assert "printed no URL" in str(error) and "tunnel.command_url_pattern" in error.hint
    assert pid is not None and process_started(pid) is None


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("/nowhere/at-all --port {port}", "can not be started"),
        ("'unclosed", "can not be read"),
        ("  ", "is empty"),
        (f"{sys.executable} -c \"print('no such host'); raise SystemExit(3)\"", "ended with code 3: no such host"),
    ],
)
async def test_programs_that_can_not_work_say_why(tmp_path: Path, command: str, words: str) -> None:
    error = await refused(tunnel(tmp_path, command))
    assert words in str(error) and error.hint


async def test_pain_d4_a_program_that_is_killed_is_noticed(tmp_path: Path) -> None:
    made = tunnel(tmp_path, script(tmp_path, says("https://x.example")))
    async with opened(made):
        assert made.pid is not None
        os.kill(made.pid, signal.SIGKILL)
        with pytest.raises(TunnelError, match="ended by signal 9: https://x.example"):
            async with asyncio.timeout(LIMIT_S):
                await made.watch()


async def test_a_later_address_of_the_same_service_is_a_change_and_another_link_is_not(tmp_path: Path) -> None:
    """Names that are given away for some hours change while the program runs."""
    body = says("https://a.lhr.life", "https://status.example.org/help", "https://a.lhr.life", "https://b.lhr.life")
    made = tunnel(tmp_path, script(tmp_path, body))
    async with opened(made):
        async with asyncio.timeout(LIMIT_S):
            assert await made.watch() == LOCAL.at("https://b.lhr.life")


async def test_it_ends_with_its_children_also_with_those_that_do_not_want_to(tmp_path: Path) -> None:
    body = (
        "import os, signal, subprocess, sys\n"
        "stubborn = 'import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); '\n"
        "child = subprocess.Popen([sys.executable, '-c', stubborn + 'time.sleep(600)'], stdout=subprocess.PIPE)\n"
        "child.stdout.readline()\n"
        "print(f'https://x.example/{child.pid}')\n"
    ) + says("")
    made = tunnel(tmp_path, script(tmp_path, body))
    async with opened(made) as address:
        child = int(address.webhook_url.split("/")[3])
        assert process_started(child) is not None
    assert process_started(child) is None and not (tmp_path / "command.pid").exists()


async def test_the_program_of_an_engine_that_was_killed_is_ended_first(tmp_path: Path) -> None:
    command = script(tmp_path, says("https://x.example"))
    lost = tunnel(tmp_path, command)
    await lost.open(LOCAL)
    pid = lost.pid
    async with opened(tunnel(tmp_path, command)):
        assert pid is not None and process_started(pid) is None
    await lost.close()


async def test_a_note_of_a_process_that_is_another_one_now_ends_nobody(tmp_path: Path) -> None:
    bystander = await asyncio.create_subprocess_exec("sleep", "60", start_new_session=True)
    note = Note(tmp_path / "command.pid")
    note.write(bystander.pid)
    os.utime(note.path, (1_000_000_000, 1_000_000_000))
    await note.end_leftover()
    assert process_started(bystander.pid) is not None
    bystander.kill()
    await bystander.wait()


@pytest.mark.parametrize("noise", [b"x" * 300_000 + b"\n", b"\xff\xfe\x00\x1b[31m\n", b"\n" * 1000])
async def test_noise_is_no_obstacle(tmp_path: Path, noise: bytes) -> None:
    body = f"import sys\nsys.stdout.buffer.write({noise!r})\n" + says("https://x.example")
    async with opened(tunnel(tmp_path, script(tmp_path, body))) as address:
        assert address == LOCAL.at("https://x.example")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"x {SECRET} y", f"x {HIDDEN} y"),
        ("Authorization: Bearer abc.def.ghi", f"Authorization: Bearer {HIDDEN}"),
        ('{"auth_token": "abcd1234"}', f'{{"auth_token": "{HIDDEN}"}}'),
        ("run --token abcd1234", f"run --token {HIDDEN}"),
        ("The authtoken you specified is wrong", "The authtoken you specified is wrong"),
    ],
)
def test_secrets_are_hidden(text: str, shown: str) -> None:
    assert Redactor([SECRET])(text) == shown


def test_a_pattern_that_is_none_is_refused_with_the_configuration() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(b"tunnel: {provider: command, command: x, command_url_pattern: '('}", None, {})
    assert caught.value.problems[0].key == "tunnel.command_url_pattern"
