"""Which audio a recogniser may be given. Apart from `samples` so that the engine's process can ask without numpy."""

from __future__ import annotations

from engine.media.audio import AudioFormat, UnsupportedAudio


def check_format(format: AudioFormat) -> None:  # noqa: A002
    """Raises UnsupportedAudio for anything but mono G.711 at 8 kHz and mono pcm16 at 8 or 16 kHz."""
    known = format.rate == 8_000 or (format.rate, format.encoding) == (16_000, "pcm16")
    if format.channels != 1 or not known:
        raise UnsupportedAudio(f"{format.encoding} at {format.rate} Hz with {format.channels} channel(s)")
