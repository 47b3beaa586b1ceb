"""Recordings are readable files at every moment, hold each sample where it belongs, and are nobody else's."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest

from engine.media import wav
from engine.media.g711 import mulaw_to_pcm16
from engine.media.wav import WavWriter

LOUD = bytes(range(160))


def both(path: Path) -> tuple[list[int], list[int]]:
    """The channels, as the standard library reads them."""
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (2, 2, 8000)
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2)
    return samples[:, 0].tolist(), samples[:, 1].tolist()


def pcm(mulaw: bytes) -> list[int]:
    return [int(sample) for sample in np.frombuffer(mulaw_to_pcm16(mulaw), np.int16)]


def test_pieces_stand_where_they_belong_in_whatever_order_they_come(tmp_path: Path) -> None:
    writer = WavWriter(tmp_path / "a.wav")
    writer.put([(320, 1, LOUD)])
    writer.put([(0, 0, LOUD), (160, 1, LOUD), (160, 0, LOUD)])
    writer.close(640)
    left, right = both(tmp_path / "a.wav")
    silent = [0] * 160
    assert left == pcm(LOUD) + pcm(LOUD) + silent + silent
    assert right == silent + pcm(LOUD) + pcm(LOUD) + silent


def test_what_was_cleared_is_silent_whether_it_was_written_already_or_not(tmp_path: Path) -> None:
    writer = WavWriter(tmp_path / "a.wav")
    writer.put([(0, 1, LOUD), (160, 1, LOUD), (0, 0, LOUD), (160, 0, LOUD)])
    writer.put([(200, 1, None), (240, 1, LOUD)])
    writer.close(480)
    left, right = both(tmp_path / "a.wav")
    assert left == pcm(LOUD * 2) + [0] * 160
    assert right == pcm(LOUD) + pcm(LOUD)[:40] + [0] * 40 + pcm(LOUD) + [0] * 80


def test_a_file_ends_where_it_is_told_to(tmp_path: Path) -> None:
    writer = WavWriter(tmp_path / "a.wav")
    writer.put([(0, 0, LOUD * 4)])
    writer.close(200)
    assert len(both(tmp_path / "a.wav")[0]) == 200
    assert (tmp_path / "a.wav").stat().st_size == wav.HEADER + 200 * wav.FRAME


def test_a_file_is_for_its_owner_and_never_written_over(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        WavWriter(tmp_path / "a.wav").close(0)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.wav").stat().st_mode) == 0o600
    with pytest.raises(FileExistsError):
        WavWriter(tmp_path / "a.wav")
    (tmp_path / "b.wav").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError):
        WavWriter(tmp_path / "b.wav")


def test_a_writer_that_is_killed_leaves_all_that_it_wrote(tmp_path: Path) -> None:
    path = tmp_path / "killed.wav"
    program = (
        "import sys, time; from pathlib import Path; from engine.media.wav import WavWriter\n"
        f"writer = WavWriter(Path({str(path)!r}))\n"
        "for index in range(50): writer.put([(index * 160, 0, bytes(range(160)))])\n"
        "print('written', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None and child.stdout.readline() == b"written\n"
        child.send_signal(signal.SIGKILL)
    left, right = both(path)
    assert left == pcm(LOUD) * 50 and not any(right)
    assert wav.length_ms(path) == 1000


def test_a_stretch_is_read_and_strange_files_are_not(tmp_path: Path) -> None:
    writer = WavWriter(tmp_path / "a.wav")
    writer.put([(0, 0, LOUD * 10)])
    part = wav.read(tmp_path / "a.wav", 20, 40)  # while it is being written
    assert part[:, 0].tolist() == pcm(LOUD * 2)
    assert len(wav.read(tmp_path / "a.wav", 190, 40)) == 80
    assert len(wav.read(tmp_path / "a.wav", 5000, 40)) == 0
    (tmp_path / "no.wav").write_bytes(b"RIFF" + bytes(100))
    with pytest.raises(ValueError):
        wav.read(tmp_path / "no.wav", 0, 20)
