"""The curl command of a request: a shell makes the very words of it, and curl sends the very bytes."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from engine.web.curl import curl

LATIN = st.characters(min_codepoint=1, max_codepoint=255)
PROBE = '#!/bin/sh\nfor word in "$@"; do printf \'%s\\0\' "$word"; done >"$OUT.argv"\ncat >"$OUT.stdin"\n'


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a `curl` that writes down what it was given."""
    folder = tmp_path_factory.mktemp("bin")
    program = folder / "curl"
    program.write_text(PROBE)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return folder


def given_to_curl(folder: Path, command: str) -> tuple[list[str], bytes]:
    """What a shell gives to curl: words and standard input. Nothing else may have been run or written."""
    out = folder / "out"
    env = {"PATH": f"{folder}:{os.defpath}", "OUT": str(out), "LC_ALL": "C.UTF-8"}
    said = subprocess.run(
        ["sh", "-c", command], env=env, cwd=folder, capture_output=True, stdin=subprocess.DEVNULL, timeout=20
    )
    assert (said.returncode, said.stdout, said.stderr) == (0, b"", b"")
    words = Path(f"{out}.argv").read_bytes().decode("utf-8", "surrogateescape").split("\0")
    assert sorted(each.name for each in folder.iterdir()) == ["curl", "out.argv", "out.stdin"]
    return words[:-1], Path(f"{out}.stdin").read_bytes()


def after(words: Sequence[str], option: str) -> list[str]:
    return [words[index + 1] for index, word in enumerate(words) if word == option]


def body_of(words: Sequence[str], stdin: bytes) -> bytes:
    if "--data-binary" in words:
        assert after(words, "--data-binary") == ["@-"]
        return stdin
    return after(words, "--data-raw")[0].encode()


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    target=st.text(LATIN, max_size=40),
    value=st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    body=st.binary(max_size=200),
)
@example(target="?x=$(touch owned)`touch owned`';touch owned;'", value="$(touch owned)", body=b"'; touch owned; '")
@example(target="/a/../b//./[1-3]{a,b}", value="", body=b"@/etc/passwd")
@example(target="", value="a\r\nX-Evil: 1", body=b"\x00\x01%s%d\\n-e\xff")
@example(target="", value="-H x", body=b"--next")
@example(target="\n\r\x1b[2J", value="\x1b]0;x\x07", body=b"\n# comment\n")
def test_a_shell_gives_curl_the_same_words_whatever_a_request_holds(
    shell: Path, target: str, value: str, body: bytes
) -> None:
    command = curl("POST", f"http://127.0.0.1:3334/{target}", [("X-Thing", value)], body, ["Cookie", "$(evil)"])
    words, stdin = given_to_curl(shell, command)
    assert body_of(words, stdin) == body
    (url,) = after(words, "--url")
    assert url.startswith("http://127.0.0.1:3334/") and url.isascii() and url.isprintable()
    assert "$(evil)" not in command
    headers = after(words, "--header")
    if value.isprintable() and value.strip():
        assert f"X-Thing: {value}" in headers
    assert not any("\n" in header or "\r" in header or "\x1b" in header for header in headers)
    assert "owned" not in os.listdir(shell)


def test_an_odd_method_or_header_name_is_no_option_of_curl() -> None:
    command = curl("POST -o /etc/x", "http://x/", [("@/etc/passwd", "1"), ("X: y\n", "1")], b"")
    assert "passwd" not in command and "/etc/x" not in command


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize(
    "body", [b"", b"a=1&b=%2B", b"@file", b"'quoted' \"twice\"", bytes(range(256)), b"\n", "ünï".encode()], ids=repr
)
async def test_curl_itself_sends_the_same_bytes(body: bytes) -> None:
    got: list[bytes] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if b"content-length" in line)
        got.extend([head, await reader.readexactly(length)])
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    headers = [("Host", "calls.example.com"), ("X-Empty", ""), ("X-Twilio-Signature", "abc+/=")]
    target = "/voice/../webhook?a=[1-3]&b={x,y}&c=%27"
    command = curl("POST", f"http://127.0.0.1:{port}{target}", headers, body)
    async with server:
        said = await asyncio.to_thread(subprocess.run, ["sh", "-c", command], capture_output=True, timeout=20)
    assert said.returncode == 0, said.stderr
    head, sent = got
    assert sent == body
    lines = head.decode().split("\r\n")
    assert lines[0] == f"POST {target} HTTP/1.1"
    assert {"Host: calls.example.com", "X-Empty:", "X-Twilio-Signature: abc+/="} <= set(lines)
    names = {line.partition(":")[0].lower() for line in lines[1:] if line}
    assert names == {"host", "x-empty", "x-twilio-signature", "content-length"}
