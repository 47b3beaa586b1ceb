"""The terminal: garbage on descriptor 2, a crash, and a terminal that goes away."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from console.terminal import crash_report, redact
from tests.console.harness import bench
from tests.console.scenes import morning

REPO = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("dial +1 555 010 0142 failed", "dial [number] failed"),
        ("token sk-proj-abcDEF1234567890xyz refused", "token [secret] refused"),
        ("KeyError: 'anna'", "KeyError: 'anna'"),
    ],
)
def test_crash_words_lose_numbers_and_keys(text: str, wanted: str) -> None:
    assert redact(text) == wanted


def test_a_crash_report_shows_where_but_no_secret() -> None:
    def fail(secret: str) -> None:
        raise ValueError(f"bad token {secret}")

    try:
        fail("AC0123456789abcdef0123456789abcdef")
    except ValueError as error:
        report = crash_report(error)
    assert "in fail" in report
    assert "AC0123456789" not in report
    assert "ValueError: bad token [secret]" in report


async def test_an_error_in_a_handler_ends_the_screen_with_a_record_and_nothing_printed(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ZeroDivisionError):
        async with bench(morning().events) as made:
            made.screen.call_later(lambda: 1 / 0)
            await made.pilot.pause()
    assert isinstance(made.app.crash, ZeroDivisionError)
    assert "ZeroDivisionError" in caplog.text
    assert "Traceback" not in capsys.readouterr().err


PROGRAM = """
import logging, os, sys, threading
from console.app import run_app
from console.options import ConsoleOptions
from tests.console.scripted import ScriptedClient, Script
from tests.console.scenes import morning
out = int(sys.argv[1])
class Client(ScriptedClient):
    async def watch(self, cursor=None, last=0):
        os.write(2, b"ALSA lib pcm.c: garbage")
        os.write(out, b"up ")
        async for batch in super().watch(cursor, last):
            yield batch
logging.basicConfig(filename=sys.argv[2])
choice = run_app(Client(morning().events), ConsoleOptions(log_path=__import__("pathlib").Path(sys.argv[2])))
os.write(out, choice.value.encode())
"""


class Terminal:
    """A console in a process of its own on a terminal of its own."""

    def __init__(self, log: Path) -> None:
        reading, writing = os.pipe()
        self.answers = reading
        self.child, self.master = pty.fork()
        if self.child == 0:
            os.environ.update(TERM="xterm-256color", PYTHONPATH=str(REPO))
            os.set_inheritable(writing, True)
            os.execv(sys.executable, [sys.executable, "-c", PROGRAM, str(writing), str(log)])
        os.close(writing)

    def says(self, word: bytes) -> bytes:
        """Read what the program reports until `word` came, keeping the terminal drained."""
        import select

        heard = b""
        while word not in heard:
            ready, _, _ = select.select([self.answers, *([self.master] if self.master >= 0 else [])], [], [], 30)
            assert ready, f"nothing within 30 s after {heard!r}"
            if self.master in ready:
                self.drawn += os.read(self.master, 65536)
            if self.answers in ready:
                part = os.read(self.answers, 1000)
                assert part, f"the program ended after {heard!r}"
                heard += part
        return heard

    drawn = b""

    def close(self) -> None:
        if self.master >= 0:
            os.close(self.master)
            self.master = -1

    def gone(self) -> int:
        """The exit status, once it is gone."""
        return os.waitstatus_to_exitcode(os.waitpid(self.child, 0)[1])


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal(tmp_path / "voicecall.log")


def test_a_closed_terminal_ends_the_screen_and_is_told(terminal: Terminal, tmp_path: Path) -> None:
    terminal.says(b"up ")
    terminal.close()
    terminal.says(b"terminal-lost")
    assert terminal.gone() == 0
    assert b"garbage" not in terminal.drawn
    assert "ALSA lib pcm.c: garbage" in (tmp_path / "voicecall.log").read_text(encoding="utf-8")


def test_sigterm_asks_to_stop_the_engine(terminal: Terminal) -> None:
    terminal.says(b"up ")
    os.kill(terminal.child, signal.SIGTERM)
    terminal.says(b"stop-engine")
    assert terminal.gone() == 0
    terminal.close()


def test_no_engine_and_no_vendor_is_imported_before_the_first_paint() -> None:
    heavy = "aiohttp.web uvloop numpy twilio telnyx plivo openai elevenlabs phonenumbers moonshine_voice sounddevice"
    code = f"import sys, console.app; print([name for name in {heavy.split()!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=REPO, check=True)
    assert done.stdout.strip() == "[]"
