"""The jitter buffer and the mix: what is late, what stands too long, and who is heard in which ear."""

from __future__ import annotations

import audioop

from hypothesis import given
from hypothesis import strategies as st

from console.sound.mixer import MAX_MS, MAX_START_MS, STANDING_MS, START_MS, Mixer, SideBuffer

LOUD = bytes((0x90, 0x10)) * 80
SAMPLES = 160


def rms(pcm: bytes) -> int:
    return audioop.rms(pcm, 2)


def ears(stereo: bytes) -> tuple[int, int]:
    return rms(audioop.tomono(stereo, 2, 1, 0)), rms(audioop.tomono(stereo, 2, 0, 1))


def test_a_frame_sounds_once_it_has_waited_and_silence_follows() -> None:
    side = SideBuffer("caller")
    side.push(LOUD, 1.0)
    assert rms(side.pull(SAMPLES, 1.0 + START_MS / 2000)) == 0
    assert rms(side.pull(SAMPLES, 1.0 + START_MS / 1000)) > 0
    assert rms(side.pull(SAMPLES, 1.1)) == 0 and side.counts.under_runs == 1


def test_what_comes_late_again_and_again_is_waited_for_longer() -> None:
    side, now = SideBuffer("caller"), 0.0
    for _ in range(20):
        side.push(LOUD, now)
        now += MAX_START_MS / 1000 + 0.001
        assert rms(side.pull(SAMPLES, now)) > 0
        assert rms(side.pull(SAMPLES, now + 0.01)) == 0
        now += 0.02
    side.push(LOUD, now)
    assert rms(side.pull(SAMPLES, now + START_MS / 1000)) == 0


def test_what_stands_longer_than_it_needs_is_left_out() -> None:
    side = SideBuffer("caller")
    now = 0.0
    for _ in range(20):
        side.push(LOUD, now)
    for _ in range(500):
        now += 0.02
        side.push(LOUD, now)
        side.pull(SAMPLES, now)
    assert side.waiting_ms <= STANDING_MS["caller"] + 20 and side.counts.trimmed_ms > 0
    assert side.counts.under_runs == 0


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 400)), max_size=200))
def test_a_buffer_gives_what_is_asked_for_and_stays_small(steps: list[tuple[bool, int]]) -> None:
    side, now = SideBuffer("agent"), 0.0
    for comes, size in steps:
        now += 0.01
        if comes:
            side.push(bytes(size), now)
        else:
            assert len(side.pull(size, now)) == 2 * size
        assert 0 <= side.waiting_ms <= MAX_MS


def test_each_layout_gives_each_ear_its_side() -> None:
    heard = {}
    for layout in ("split", "mixed", "caller", "ours"):
        mixer = Mixer()
        mixer.layout = layout
        mixer.push("caller", LOUD, 0.0)
        left, right = ears(mixer.mix(SAMPLES, 1.0))
        heard[layout] = (left > 0, right > 0)
    assert heard == {"split": (True, False), "mixed": (True, True), "caller": (True, True), "ours": (False, False)}


def test_volume_mute_and_ones_own_voice() -> None:
    loudness = []
    for volume, muted in ((100, False), (50, False), (100, True)):
        mixer = Mixer()
        mixer.volume, mixer.muted = volume, muted
        mixer.push("caller", LOUD, 0.0)
        loudness.append(ears(mixer.mix(SAMPLES, 1.0))[0])
    assert abs(loudness[1] - loudness[0] / 2) < 3 and loudness[2] == 0
    mixer = Mixer()
    mixer.without_ours = True
    mixer.push("agent", LOUD, 0.0)
    assert ears(mixer.mix(SAMPLES, 1.0)) == (0, 0)


def test_another_call_begins_in_silence() -> None:
    mixer = Mixer()
    mixer.push("caller", LOUD, 0.0)
    mixer.clear()
    assert ears(mixer.mix(SAMPLES, 1.0)) == (0, 0)
