"""webhooks: from the running engine, else from the stored log; what replays needs an engine, and to be agreed to."""

from __future__ import annotations

import asyncio
import io
import subprocess
from pathlib import Path

import pytest

from engine.carriers.base import Verdict
from engine.config import parse_config
from engine.store import DATABASE_NAME, EventLog
from engine.web.ledger import Ledger
from engine.web.record import Head, Seen
from tests.cli.conftest import Run
from tests.cli.running import Running

URL = "https://calls.example.com/voice/webhook"
HOSTILE = "x\x1b]0;owned\x07\u202e[/red]"


@pytest.fixture
def stored(home: Path) -> None:
    """A log with a refused and a verified request, and no engine."""
    headers = [("X-Twilio-Signature", "c2lnbmF0dXJlLi4uLi4uLg=="), ("Authorization", "Basic YTpi")]
    head = Head(
        "POST", "/voice/webhook?token=abcdef", [*headers, ("X-Note", HOSTILE.encode().decode("latin-1"))], "10.0.0.1"
    )
    refused = Verdict(False, "", form=f"{URL}/x", tried=(URL, f"{URL}/x"), signed=f"{URL}CallSidCA1")
    signatures = ("x-twilio-signature",)
    requests = [
        Seen(
            head,
            1_790_000_000_000,
            4,
            "refused",
            "the signature fits another",
            401,
            "refused with 401",
            body=b"a=1",
            judged=refused,
            signatures=signatures,
            answer=b"no\n",
            answer_type="text/plain",
        ),
        Seen(
            head,
            1_790_000_001_000,
            7,
            "ok",
            "ok",
            200,
            f"document: {HOSTILE}",
            body=b"a=2",
            type="voice ringing",
            call_id="c-1",
            signatures=signatures,
            judged=Verdict(True, "ok", "k", URL, (URL,), URL),
        ),
    ]

    async def write() -> None:
        async with await EventLog.open(home / "state" / DATABASE_NAME) as log:
            ledger = Ledger(parse_config(b"", None, {}).config, log, lambda: "")
            await ledger.open()
            for one in requests:
                ledger.keep(one)
            await ledger.flush()

    (home / "state").mkdir()
    asyncio.run(write())


@pytest.mark.usefixtures("stored")
class TestWithoutAnEngine:
    def test_the_stored_ones_are_listed_newest_first(self, run: Run) -> None:
        ran = run("webhooks")
        assert [(one["id"], one["verdict"]) for one in ran.json["webhooks"]] == [(2, "ok"), (1, "refused")]
        assert "no engine runs" in ran.err

    @pytest.mark.parametrize(
        ("line", "ids"),
        [
            ("--verdict refused", [1]),
            ("--call-id c-1", [2]),
            ("--last 1", [2]),
            ("--before 2", [1]),
            ("--query RINGING", [2]),
        ],
    )
    def test_they_are_filtered(self, run: Run, line: str, ids: list[int]) -> None:
        assert [one["id"] for one in run("webhooks", *line.split()).json["webhooks"]] == ids

    @pytest.mark.usefixtures("terminal")
    def test_i11_what_people_read_can_not_steer_their_terminal(self, run: Run) -> None:
        listed, whole = run("webhooks").out, run("webhooks", "--id", "2").out
        for text in (listed, whole):
            assert "\x1b" not in text and "\u202e" not in text and "\x07" not in text
        assert "voice ringing" in listed and "refused" in listed
        assert "X-Twilio-Signature: c2lnbm… (24 characters)" in whole and "token=…" in whole

    @pytest.mark.usefixtures("terminal")
    def test_e2_a_refused_one_says_which_forms_were_tried_and_which_fits(self, run: Run) -> None:
        said = run("webhooks", "--id", "1").out
        assert f"✗      {URL}\n" in said and f"✓ fits {URL}/x\n" in said
        assert "signed     https://calls.example.com/voice/webhookCallSidCA1" in said and "Authorization: …" in said

    def test_a_curl_command_is_for_a_shell_and_masked_unless_asked(self, run: Run) -> None:
        masked, whole = run("webhooks", "--curl", "2"), run("webhooks", "--curl", "2", "--with-secrets")
        assert masked.out.startswith("curl ") and "abcdef" not in masked.out
        assert "token=abcdef" in whole.out and "c2lnbmF0dXJlLi4uLi4uLg==" in whole.out and "YTpi" not in whole.out
        assert subprocess.run(["sh", "-n", "-c", whole.out], capture_output=True).returncode == 0
        assert run("webhooks", "--curl", "2", "--json").json == {"curl": masked.out.rstrip("\n")}

    def test_one_that_is_not_there_is_refused_with_a_slug(self, run: Run) -> None:
        ran = run("webhooks", "--id", "99")
        assert (ran.code, ran.json["code"]) == (1, "webhook_not_found")

    def test_a_replay_needs_an_engine(self, run: Run) -> None:
        ran = run("webhooks", "--replay", "2")
        assert (ran.code, ran.json["code"]) == (3, "no_engine")


def test_without_a_log_there_are_none(run: Run) -> None:
    assert run("webhooks").json == {"webhooks": []}


@pytest.mark.parametrize(
    "line", ["--live", "--yes", "--replay 1 --yes", "--with-secrets", "--replay 1 --with-secrets"]
)
def test_options_that_mean_nothing_are_wrong_usage(run: Run, line: str) -> None:
    ran = run("webhooks", *line.split())
    assert (ran.code, ran.json["code"]) == (2, "invalid_params")


@pytest.mark.parametrize("line", ["--id 0", "--id x", "--id 1 --curl 1", "--verdict skip", "--last 0", "--replay -1"])
def test_wrong_words_are_wrong_usage(run: Run, line: str) -> None:
    assert run("webhooks", *line.split()).code == 2


class TestWithAnEngine:
    def test_it_is_asked(self, run: Run, engine: Running) -> None:
        line = "--call-id c-1 --verdict refused --last 5 --before 9"
        assert run("webhooks", *line.split(), "--query", "a b").json == {"webhooks": [{"id": 7, "verdict": "ok"}]}
        (wanted,) = engine.engine.wanted
        assert (wanted.call_id, wanted.verdict, wanted.last, wanted.before) == ("c-1", "refused", 5, 9)
        assert wanted.query == "a b"

    def test_a_replay_goes_to_the_sandbox_unless_live_is_asked_for_and_agreed_to(
        self, run: Run, engine: Running, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert run("webhooks", "--replay", "7").json["into"] == "sandbox"
        refused = run("webhooks", "--replay", "7", "--live")
        assert (refused.code, refused.json["success"]) == (1, False)
        assert run("webhooks", "--replay", "7", "--live", "--yes").json["into"] == "live"
        assert engine.engine.acts == [("replay sandbox", "cli"), ("replay live", "cli")]

    @pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 1), ("\n", 1), ("", 1)])
    def test_live_asks_the_person_at_the_terminal(
        self, run: Run, engine: Running, monkeypatch: pytest.MonkeyPatch, answer: str, code: int
    ) -> None:
        typed = io.StringIO(answer)
        monkeypatch.setattr(typed, "isatty", lambda: True)
        monkeypatch.setattr("sys.stdin", typed)
        ran = run("webhooks", "--replay", "7", "--live")
        assert ran.code == code and "Really? y/N" in ran.err
        assert engine.engine.acts == ([("replay live", "cli")] if code == 0 else [])

    def test_what_is_not_there_is_refused_with_a_slug(self, run: Run, engine: Running) -> None:
        assert run("webhooks", "--id", "8").json["code"] == "webhook_not_found"
