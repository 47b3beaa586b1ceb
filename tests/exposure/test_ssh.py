"""A real tunnel: `ssh -R` to a real sshd on this machine, as a `command` tunnel, with bytes through it."""

from __future__ import annotations

import asyncio
import getpass
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from engine.exposure.command import CommandTunnel
from engine.exposure.port import Local, TunnelError
from engine.exposure.process import Note
from engine.exposure.supervisor import State, Supervisor
from tests.exposure.agents import LIMIT_S

SSHD = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")
SSH, KEYGEN = shutil.which("ssh"), shutil.which("ssh-keygen")
pytestmark = pytest.mark.skipif(None in (SSHD, SSH, KEYGEN), reason="needs openssh-server and openssh-client")


@dataclass(frozen=True)
class Shore:
    """The far end of the tunnel: an sshd of our own."""

    port: int
    remote_port: int
    folder: Path

    @property
    def command(self) -> str:
        """Opens the tunnel and prints the address, as the user's own script would."""
        options = (
            f"-p {self.port} -i {self.folder}/user -o StrictHostKeyChecking=no -o BatchMode=yes "
            f"-o UserKnownHostsFile={self.folder}/known -o ExitOnForwardFailure=yes"
        )
        return f"{SSH} {options} -R 127.0.0.1:{self.remote_port}:{{host}}:{{port}} {getpass.getuser()}@127.0.0.1"

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.remote_port}"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def make_key(path: Path) -> None:
    assert KEYGEN is not None
    subprocess.run([KEYGEN, "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True, timeout=30)


@pytest.fixture
def shore(tmp_path: Path) -> Iterator[Shore]:
    """An sshd that takes one key and, for it, prints the tunnel's address and stays."""
    assert SSHD is not None
    folder = tmp_path / "shore"
    folder.mkdir(mode=0o700)
    port, remote = free_port(), free_port()
    for name in ("host", "user"):
        make_key(folder / name)
    stay = "while sleep 0.2; do kill -0 $PPID || exit; done"
    says = f"echo https login at https://www.example.org; echo http://127.0.0.1:{remote}; {stay}"
    public = (folder / "user.pub").read_text()
    (folder / "keys").write_text(f'command="{says}" {public}')
    (folder / "keys").chmod(0o600)
    (folder / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/keys\n"
        f"PidFile none\nUsePAM no\nStrictModes no\nPasswordAuthentication no\nAllowTcpForwarding yes\n"
        "PermitRootLogin yes\n"
    )
    Path("/run/sshd").mkdir(exist_ok=True) if os.getuid() == 0 else None
    server = subprocess.Popen([SSHD, "-D", "-e", "-f", str(folder / "sshd_config")], stderr=subprocess.PIPE)
    assert server.stderr is not None
    for line in server.stderr:
        if b"Server listening" in line:
            break
    else:
        pytest.fail("sshd did not start")
    try:
        yield Shore(port, remote, folder)
    finally:
        server.terminate()
        server.wait(10)
        server.stderr.close()


async def serve(port: int) -> web.AppRunner:
    """What the tunnel leads to: both paths, the stream with an upgrade."""

    async def webhook(request: web.Request) -> web.Response:
        return web.Response(text=f"{request.path_qs} {await request.text()}")

    async def stream(request: web.Request) -> web.WebSocketResponse:
        socket_ = web.WebSocketResponse()
        await socket_.prepare(request)
        await socket_.send_str(await socket_.receive_str())
        return socket_

    application = web.Application()
    application.router.add_post("/voice/webhook", webhook)
    application.router.add_get("/voice/stream", stream)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    return runner


async def through(webhook_url: str, stream_url: str) -> tuple[str, str]:
    async with asyncio.timeout(LIMIT_S), aiohttp.ClientSession() as http:
        async with http.post(f"{webhook_url}?a=1", data="hello") as reply:
            said = await reply.text()
        async with http.ws_connect(stream_url) as stream:
            await stream.send_str("frame")
            return said, await stream.receive_str()


async def test_both_paths_go_through_and_a_killed_ssh_is_replaced(shore: Shore, tmp_path: Path) -> None:
    port = free_port()
    runner = await serve(port)
    local = Local("127.0.0.1", port, "/voice/webhook", "/voice/stream")
    made = CommandTunnel(shore.command, r"http://127\.0\.0\.1:\d+", Note(tmp_path / "note"))
    states: asyncio.Queue[State] = asyncio.Queue()
    supervisor = Supervisor(made, states.put_nowait)
    running = asyncio.create_task(supervisor.run(local))
    try:
        async with asyncio.timeout(3 * LIMIT_S):
            first = await states.get()
            assert first.address == local.at(shore.base), first.error
            assert await through(first.address.webhook_url, first.address.stream_url) == (
                "/voice/webhook?a=1 hello",
                "frame",
            )
            assert made.pid is not None
            os.kill(made.pid, signal.SIGKILL)
            lost = await states.get()
            assert lost.address is None and "ended by signal 9" in lost.error
            while (again := await states.get()).address is None:
                pass  # the far port may be taken for as long as sshd has not noticed
            assert await through(again.address.webhook_url, again.address.stream_url)
    finally:
        await supervisor.close()
        await runner.cleanup()
    assert running.done()
    with pytest.raises(aiohttp.ClientError):
        await through(first.address.webhook_url, first.address.stream_url)


async def test_a_key_that_is_refused_is_told_in_sshs_words(shore: Shore, tmp_path: Path) -> None:
    (shore.folder / "keys").write_text("")
    made = CommandTunnel(shore.command, r"http://127\.0\.0\.1:\d+", Note(tmp_path / "note"))
    with pytest.raises(TunnelError, match="Permission denied"):
        async with asyncio.timeout(LIMIT_S):
            await made.open(Local("127.0.0.1", 1, "/a", "/b"))
    await made.close()
