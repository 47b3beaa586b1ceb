from __future__ import annotations

from engine.simulator.faults import FaultPlan, StreamFate, WebhookFate
from engine.simulator.setup import Faults

EVERYTHING = Faults(duplicate=1, reorder=1, drop=1, delay=1, forge=1, malformed=1, stall=1, lose_stream=1)


def test_without_faults_nothing_happens() -> None:
    plan = FaultPlan(1, 1)
    for _ in range(50):
        assert plan.webhook(Faults(), wants_document=False) == WebhookFate()
        assert plan.stream(Faults()) == StreamFate()
        assert plan.garbage(Faults()) is None


def test_a_question_is_never_dropped_or_held_back() -> None:
    fate = FaultPlan(1, 1).webhook(EVERYTHING, wants_document=True)
    assert not fate.drop and not fate.hold
    assert fate.duplicate and fate.forge and fate.delay_s > 0


def test_the_seed_and_the_calls_number_decide() -> None:
    half = Faults(duplicate=0.5, drop=0.5)

    def fates(seed: int, number: int) -> list[WebhookFate]:
        plan = FaultPlan(seed, number)
        return [plan.webhook(half, wants_document=False) for _ in range(20)]

    assert fates(1, 1) == fates(1, 1)
    assert fates(1, 1) != fates(1, 2)
    assert fates(1, 1) != fates(2, 1)


def test_switching_one_fault_on_does_not_move_another() -> None:
    one, both = FaultPlan(1, 1), FaultPlan(1, 1)
    drops = [one.webhook(Faults(drop=0.5), wants_document=False).drop for _ in range(30)]
    assert drops == [both.webhook(Faults(drop=0.5, forge=1), wants_document=False).drop for _ in range(30)]
