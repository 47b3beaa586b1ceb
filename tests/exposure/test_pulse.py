"""One look that fails is no alert; what lasts is one; and the log holds only what changed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from engine.calls import Draft
from engine.exposure.outside import Outside, Target
from engine.exposure.probe import Ours, Report, Step
from engine.exposure.pulse import Heartbeat, Manners, Pulse
from tests.virtual_time import virtual_time

URL = "https://calls.example.com/voice/webhook"
TARGET = Target(URL, None, Ours(3334, "/voice/webhook", "/voice/stream"))


def look(cause: str = "", url: str = URL) -> Report:
    step = Step("tls", not cause, cause or "TLSv1.3", "renew it" if cause else "", cause, 4.0)
    return Report(url, 1, [step])


def pulse(*causes: str, manners: Manners | None = None) -> tuple[Pulse, list[bool]]:
    made = Pulse(manners or Manners())
    return made, [made.take(look(cause)) for cause in causes]


def state(made: Pulse) -> str:
    told = made.to_json()
    assert told is not None
    return str(told["state"])


def test_the_first_good_look_is_the_verdict_and_one_bad_one_later_changes_nothing() -> None:
    made, changed = pulse("", "", "expired", "")
    assert changed == [True, False, False, False] and made.ok is True and state(made) == "ok"


def test_two_of_three_bad_looks_are_an_alert_and_two_good_ones_end_it() -> None:
    made, changed = pulse("", "expired")
    assert (changed, state(made)) == ([True, False], "failing")
    assert made.take(look("expired")) and state(made) == "dead"
    assert not made.take(look()) and state(made) == "dead"
    assert made.take(look()) and state(made) == "ok"


def test_a_first_look_that_fails_is_not_yet_a_verdict() -> None:
    made, changed = pulse("expired")
    assert changed == [False] and made.ok is None and state(made) == "failing"
    assert made.take(look("expired")) and made.ok is False


def test_another_cause_while_it_is_dead_is_a_change() -> None:
    made, changed = pulse("expired", "expired", "expired", "refused", "refused")
    assert changed == [False, True, False, True, False]


def test_another_address_begins_anew() -> None:
    made, _ = pulse("expired", "expired")
    assert made.take(look(url="https://other.example.com/")) and made.ok is True


@given(st.lists(st.sampled_from(["", "expired", "refused"]), max_size=40), st.integers(1, 4), st.integers(1, 6))
def test_it_is_never_dead_by_one_look_nor_alive_after_bad_ones(causes: Sequence[str], failures: int, of: int) -> None:
    of = max(of, failures)
    made, _ = pulse(*causes, manners=Manners(60, failures, of))
    last = list(causes)[-of:]
    if made.ok is True:
        assert sum(bool(cause) for cause in last) < failures or not last[-1]
    if made.ok is False:
        assert sum(bool(cause) for cause in causes) >= failures


class Scripted(Outside):
    """Sees what a list says, then for ever the last of it."""

    def __init__(self, causes: Sequence[str]) -> None:
        self.causes = list(causes)
        self.times: list[float] = []

    async def look(self, target: Target) -> Report:
        self.times.append(asyncio.get_running_loop().time())
        cause = self.causes.pop(0) if len(self.causes) > 1 else self.causes[0]
        if cause == "hangs":
            await asyncio.sleep(10_000)
        if cause == "breaks":
            raise RuntimeError("nobody thought of this")
        return look(cause, target.webhook_url)


def run(causes: Sequence[str], seconds: float, manners: Manners | None = None) -> tuple[Scripted, list[Draft]]:
    """What was seen and told within so many virtual seconds."""
    eye, told = Scripted(causes), list[Draft]()

    @virtual_time
    async def work() -> None:
        heart = Heartbeat(eye, lambda: TARGET, manners or Manners(), told.append)
        try:
            async with asyncio.timeout(seconds):
                await heart.run()
        except TimeoutError:
            pass

    work()
    return eye, told


def test_it_looks_once_a_minute_and_says_so_once() -> None:
    eye, told = run([""], 190)
    assert [round(at - eye.times[0]) for at in eye.times] == [0, 60, 120, 180]
    assert [draft.type for draft in told] == ["exposure.probed"] and told[0].data["ok"] is True


def test_a_doubt_is_settled_within_seconds_and_told_with_cause_and_fix() -> None:
    eye, told = run(["", "expired"], 70)
    assert [round(at - eye.times[0]) for at in eye.times] == [0, 60, 63]
    assert [draft.data["ok"] for draft in told] == [True, False]
    assert (told[1].data["cause"], told[1].data["fix"], told[1].data["step"]) == ("tls/expired", "renew it", "tls")


def test_a_look_that_never_ends_does_not_end_the_looking() -> None:
    eye, told = run(["hangs", ""], 60)
    assert len(eye.times) == 2 and told[0].data["ok"] is True


def test_what_nobody_foresaw_ends_neither_the_looking_nor_the_engine() -> None:
    eye, told = run(["breaks", ""], 60)
    assert len(eye.times) == 2 and told[0].data["ok"] is True


def test_with_no_pause_set_nothing_is_looked_at_by_itself() -> None:
    eye, told = run([""], 1000, Manners(every_seconds=0))
    assert (eye.times, told) == ([], [])
