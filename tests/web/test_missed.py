"""A carrier's request to a path where nothing is served is kept and explained; everybody else's leaves no trace."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from engine.web.missed import Missed, why_missed
from engine.web.record import Seen
from tests.web.rig import PATH, Front, front

STREAM = "/voice/stream"


@dataclass
class Kept:
    seen: list[Seen] = field(default_factory=list)

    def position(self) -> int:
        return 7

    def keep(self, seen: Seen) -> int | None:
        self.seen.append(seen)
        return len(self.seen)


async def ask(server: Front, method: str, path: str, headers: dict[str, str]) -> int:
    return (await server.ask(method, server.url.replace(PATH, path), b"a=1" if method == "POST" else None, headers))[
        0
    ]


@pytest.mark.parametrize(
    ("method", "path", "words"),
    [
        ("POST", "/voice/webhok", "nothing is served at /voice/webhok: served is /voice/webhook"),
        ("POST", "/", "let the proxy leave the path alone"),
        ("POST", PATH + "/", "a slash too many"),
        ("GET", STREAM, "let the proxy pass on Upgrade and Connection"),
        ("POST", STREAM, "this is POST"),
    ],
)
async def test_a_signed_request_to_another_path_is_kept_with_what_was_meant(
    method: str, path: str, words: str
) -> None:
    kept = Kept()
    async with front(missed=Missed(("x-sim-signature",), PATH, STREAM, kept)) as server:
        assert await ask(server, method, path, {"X-Sim-Signature": "abc"}) == 404
        (seen,) = kept.seen
        assert words in seen.why and (seen.status, seen.verdict, seen.position) == (404, "refused", 7)
        assert server.posted == []


async def test_a_strangers_request_leaves_no_trace() -> None:
    kept = Kept()
    async with front(missed=Missed(("x-sim-signature",), PATH, STREAM, kept)) as server:
        assert await ask(server, "POST", "/wp-login.php", {"X-Twilio-Signature": "abc"}) == 404
        assert kept.seen == []


def test_a_long_path_is_cut() -> None:
    assert len(why_missed("POST", "/" + "x" * 8000, PATH, STREAM)) < 400
