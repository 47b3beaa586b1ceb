"""What can be typed, what is refused, and what `--help` costs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from console.cli import main
from engine import __version__
from tests.cli.conftest import Run


@pytest.mark.parametrize(
    "line",
    [
        "call",
        "call -m",
        "call -m hi --mode shout",
        "speak --message hi",
        "end",
        "dtmf --call-id x",
        "tail --since -1",
        "tail --since many",
        "latency --last 0",
        "demo --for 0",
        "demo --for nan",
        "demo --calls 0",
        "config",
        "config burn",
        "expose-me",
        "status --call x",
        "--state-dir",
    ],
)
def test_wrong_usage_exits_2_and_says_how_it_is_meant(run: Run, line: str) -> None:
    ran = run(*line.split())
    assert ran.code == 2
    assert not ran.out
    assert "usage: voicecall" in ran.err


@pytest.mark.parametrize(
    "verb",
    ["demo", "serve", "attach", "call", "start", "continue", "speak", "dtmf", "end"]
    + ["status", "tail", "latency", "setup", "smoke", "config"],
)
def test_every_verb_explains_itself(run: Run, verb: str) -> None:
    ran = run(verb, "--help")
    assert ran.code == 0
    assert "usage: voicecall" in ran.out
    assert "--state-dir" in ran.out


def test_common_options_stand_before_or_after_the_verb(run: Run) -> None:
    Path("other.yaml").write_text("serve: {port: 99}")
    before, after = run("--config", "other.yaml", "config", "show"), run("config", "show", "--config", "other.yaml")
    assert before.json == after.json
    assert before.json["values"]["serve.port"] == {"value": 99, "origin": "other.yaml:1"}


def test_version_is_the_engine_s(run: Run) -> None:
    ran = run("--version")
    assert (ran.code, ran.out.strip()) == (0, f"voicecall {__version__}")


def test_help_imports_nothing_but_the_standard_library() -> None:
    code = (
        "import sys\n"
        "from console.cli import main\n"
        "code = main(['--help'])\n"
        "heavy = ('pydantic', 'yaml', 'textual', 'rich', 'aiohttp', 'numpy', 'asyncio', 'console.verbs.runner')\n"
        "print([name for name in heavy if name in sys.modules], code, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert done.stderr.strip() == "[] 0"
    assert "usage: voicecall" in done.stdout


def test_ctrl_c_ends_quietly_with_130(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("console.verbs.config.run", interrupted)
    assert run("config", "show").code == 130


def test_a_reader_that_leaves_is_no_error() -> None:
    code = "import sys; from console.cli import main; sys.exit(main(['config', 'schema']))"
    writer = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert writer.stdout is not None and writer.stderr is not None
    writer.stdout.close()
    assert writer.stderr.read() == ""
    assert writer.wait(30) == 0
    writer.stderr.close()


def test_main_takes_the_process_arguments(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["voicecall", "--version"])
    assert main() == 0
    assert capsys.readouterr().out.startswith("voicecall ")
