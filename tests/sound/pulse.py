"""A sound server whose loudspeaker and microphone are files: what the operator hears is captured, and
what they say is played into their microphone. PulseAudio without a sound card, without D-Bus, as any user.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

TOOLS: Final = ("pulseaudio", "pactl", "parec", "pacat")
START_SECONDS: Final = 10.0
EVEN_SECONDS: Final = 0.5


def missing() -> str:
    """Why there is no sound to test with; empty: there is."""
    absent = [tool for tool in TOOLS if shutil.which(tool) is None]
    if absent:
        return f"apt install pulseaudio pulseaudio-utils ({', '.join(absent)} not found)"
    try:
        import sounddevice  # noqa: F401
    except OSError:
        return "apt install libportaudio2 libasound2-plugins"
    return ""


@dataclass
class Pulse:
    """A running server."""

    folder: Path
    process: subprocess.Popen[bytes]
    keepers: list[subprocess.Popen[bytes]]
    """Clients who want little latency all the time: a sink without them works in steps of two seconds, and goes on so
    for two seconds after somebody wants less. Real devices do not."""

    @property
    def environment(self) -> dict[str, str]:
        """What its clients need."""
        return {
            **os.environ,
            "XDG_RUNTIME_DIR": str(self.folder),
            "PULSE_SERVER": f"unix:{self.folder}/pulse/native",
            "PULSE_COOKIE": str(self.folder / "cookie"),
            "HOME": str(self.folder),
        }

    def run(self, *command: str) -> str:
        """A tool of the server; what it printed."""
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=True, timeout=10)
        return done.stdout

    @contextmanager
    def heard(self, path: Path, sink: str = "speaker", rate: int = 8000) -> Iterator[None]:
        """Write everything that the loudspeaker plays meanwhile to `path`: 16-bit stereo."""
        with path.open("wb") as file:
            recorder = subprocess.Popen(
                [
                    "parec",
                    "-d",
                    f"{sink}.monitor",
                    "--format=s16le",
                    f"--rate={rate}",
                    "--channels=2",
                    "--latency-msec=10",
                ],
                stdout=file,
                env=self.environment,
            )
            try:
                self.until(lambda: "parec" in self.run("pactl", "list", "source-outputs"))
                yield
            finally:
                recorder.terminate()
                recorder.wait(5)

    def say(self, pcm: bytes, rate: int = 16000) -> subprocess.Popen[bytes]:
        """Say something into the microphone: 16-bit mono."""
        player = subprocess.Popen(
            ["pacat", "-p", "-d", "micpipe", "--format=s16le", f"--rate={rate}", "--channels=1", "--latency-msec=20"],
            stdin=subprocess.PIPE,
            env=self.environment,
        )
        assert player.stdin is not None
        player.stdin.write(pcm)
        player.stdin.close()
        return player

    def until(self, what: object) -> None:
        """Wait for the server, which tells nobody anything by itself."""
        assert callable(what)
        end = time.monotonic() + START_SECONDS
        while not what():
            if time.monotonic() > end:
                raise TimeoutError("the sound server did not do it")
            time.sleep(0.02)

    def keep_quick(self) -> None:
        """Have every device work in small steps, and wait until they do."""
        for device in ("speaker.monitor", "micpipe.monitor"):
            command = ["parec", "-d", device, "--format=s16le", "--rate=8000", "--channels=1", "--latency-msec=10"]
            keeper = subprocess.Popen(command, stdout=subprocess.PIPE, env=self.environment)
            self.keepers.append(keeper)
            assert keeper.stdout is not None
            began = last = time.monotonic()
            while time.monotonic() - began < START_SECONDS:  # until it came evenly for a while
                keeper.stdout.read(160)
                now = time.monotonic()
                began_again, last = now - last > 0.1, now
                if began_again:
                    began = now
                if now - began > EVEN_SECONDS:
                    break
            threading.Thread(target=_drain, args=(keeper,), daemon=True).start()

    def die(self) -> None:
        """As a crash would have it."""
        for keeper in self.keepers:
            keeper.kill()
            keeper.wait(5)
        self.keepers.clear()
        self.process.kill()
        self.process.wait(5)


def start(folder: Path) -> Pulse:
    """A server in `folder`, which has to be empty or a dead server's."""
    (folder / "pulse").mkdir(mode=0o700, exist_ok=True)
    for left in (folder / "pulse").iterdir():
        left.unlink()
    command = [
        "pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--disallow-exit",
        "-L", f"module-native-protocol-unix auth-anonymous=1 socket={folder}/pulse/native",
        "-L", "module-null-sink sink_name=speaker rate=48000 channels=2 format=s16le",
        "-L", "module-null-sink sink_name=micpipe rate=48000 channels=1 format=s16le",
        "-L", "module-remap-source source_name=mic master=micpipe.monitor",
    ]  # fmt: skip
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(folder), "HOME": str(folder)}
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=(folder / "log").open("wb")
    )
    pulse = Pulse(folder, process, [])

    def answers() -> bool:
        info = subprocess.run(["pactl", "info"], env=pulse.environment, capture_output=True, timeout=10)
        return info.returncode == 0

    pulse.until(answers)
    pulse.run("pactl", "set-default-sink", "speaker")
    pulse.run("pactl", "set-default-source", "mic")
    pulse.keep_quick()
    return pulse


def _drain(keeper: subprocess.Popen[bytes]) -> None:
    assert keeper.stdout is not None
    while keeper.stdout.read(4096):
        pass


@contextmanager
def pulse_server() -> Iterator[Pulse]:
    """One for as long as the context lasts; this process's own sound goes there too."""
    folder = Path(tempfile.mkdtemp(prefix="pulse"))
    folder.chmod(0o700)
    pulse = start(folder)
    before = dict(os.environ)
    os.environ.update({key: pulse.environment[key] for key in ("XDG_RUNTIME_DIR", "PULSE_SERVER", "PULSE_COOKIE")})
    try:
        yield pulse
    finally:
        os.environ.clear()
        os.environ.update(before)
        pulse.die()
        shutil.rmtree(folder, ignore_errors=True)
