"""One realtime session without I/O: server events and our wishes in, events to send and notices out.

The wire is OpenAI's GA protocol (platform.openai.com/docs/api-reference/realtime-server-events). The service runs one
response at a time, so what is asked for while one runs waits. It never answers by itself: a response that nobody
asked for is cancelled and not heard.
"""

from __future__ import annotations

import itertools
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal, cast

from engine.media.audio import PHONE
from engine.speech.realtime.callers import CallerItems
from engine.speech.realtime.notices import (
    Action,
    CallerBegan,
    CallerStopped,
    LineAudio,
    LineBegan,
    LineOver,
    LineText,
    Ready,
    ResponseBegan,
    ResponseOver,
    Send,
    ToolCall,
    Trouble,
)
from engine.speech.realtime.problems import Problem, from_error
from engine.speech.realtime.responses import Ask, LineItem, Running, map_of, text_of
from engine.speech.realtime.setup import SessionSettings, session_update, wrong_format

HELD_FRAMES: Final = 500
"""Caller audio kept until the session is ready: 10 s in frames of 20 ms; the oldest goes first."""
MAX_ASKS: Final = 8
MAX_TEXT: Final = 8000
"""Characters of one line of the model that are kept."""
_KEY: Final = "key"
_Status = Literal["completed", "cancelled", "failed", "incomplete"]
Role = Literal["user", "assistant", "system"]


class RealtimeCore:
    """The state of one session. Every method returns what follows, in order."""

    def __init__(self, settings: SessionSettings) -> None:
        self._settings = settings
        self._ids = itertools.count(1)
        self._sent: dict[str, str] = {}
        """Our event ids -> what they were for, so that an error finds its cause."""
        self._held: deque[bytes] = deque(maxlen=HELD_FRAMES)
        self._asks: deque[Ask] = deque()
        self._running: Running | None = None
        self._strange = False
        """The service runs a response that is none of ours: nothing can be asked for until it is over."""
        self._items: dict[str, LineItem] = {}
        self._names: dict[str, str] = {}
        """Item -> name of the tool that it calls."""
        self._callers = CallerItems()
        self._appended = 0
        self.ready = False

    @property
    def heard_ms(self) -> int:
        """Caller audio that this session got."""
        return self._appended * 1000 // PHONE.bytes_per_second

    @property
    def busy(self) -> bool:
        """A response runs or waits."""
        return self._running is not None or bool(self._asks)

    # -- our wishes ---------------------------------------------------------------------------

    def open(self) -> list[Action]:
        """The socket is up."""
        return [self._send("session", session_update(self._settings))]

    def hear(self, frame: bytes) -> Sequence[Action]:
        """The caller's audio, mu-law."""
        if not self.ready:
            self._held.append(frame)
            return ()
        return (self._append(frame),)

    def commit(self) -> Sequence[Action]:
        """What was heard so far is a turn, whatever the service thinks of it."""
        return (self._send("commit", {"type": "input_audio_buffer.commit"}),) if self.ready else ()

    def respond(self, ask: Ask) -> list[Action]:
        """Have the model speak, once what runs is over."""
        if len(self._asks) >= MAX_ASKS:
            busy = Problem("busy", f"{MAX_ASKS} responses wait already", lost=False)
            return [ResponseOver(ask.key, "failed", busy)]
        self._asks.append(ask)
        return self._next()

    def withdraw(self, key: str) -> list[Action]:
        """Nobody wants this response any more. Not known, or over: nothing happens."""
        for ask in self._asks:
            if ask.key == key:
                self._asks.remove(ask)
                return [ResponseOver(key, "cancelled")]
        running = self._running
        if running is None or running.ask.key != key or running.cancelled:
            return []
        running.cancelled = True
        for item in running.items:
            self._items[item].dead = True
        cancel = {"type": "response.cancel"} | ({"response_id": running.id} if running.id else {})
        return [self._send("cancel", cancel)]

    def cut(self, item_id: str, played_ms: int) -> list[Action]:
        """The caller heard `played_ms` of this line and will not hear more: the model must not believe otherwise."""
        item = self._items.get(item_id)
        if item is None:
            return []
        actions = self.withdraw(item.key)
        item.dead = True
        if not item.ms or (item.over and played_ms >= item.ms):
            return actions
        # A position beyond the audio is an error there; what we got is at most what there is.
        end = {"item_id": item_id, "content_index": 0, "audio_end_ms": max(0, min(played_ms, item.ms))}
        return [*actions, self._send("truncate", {"type": "conversation.item.truncate", **end})]

    def tell(self, role: Role, text: str) -> list[Action]:
        """Put a line into the conversation that the model neither heard nor said itself."""
        if not self.ready or not text:
            return []
        kind = "output_text" if role == "assistant" else "input_text"
        item = {"type": "message", "role": role, "content": [{"type": kind, "text": text[:MAX_TEXT]}]}
        return [self._send("tell", {"type": "conversation.item.create", "item": item})]

    def answer_tool(self, call_id: str, output: str) -> list[Action]:
        """What became of a tool that the model called."""
        item = {"type": "function_call_output", "call_id": call_id, "output": output}
        return [self._send("tool", {"type": "conversation.item.create", "item": item})]

    def give_up_text(self, item_id: str) -> list[Action]:
        """Nobody waits any longer for the words of a turn; those after it are told."""
        return list(self._callers.failed(item_id, "its text did not come in time"))

    # -- the service --------------------------------------------------------------------------

    def receive(self, event: Mapping[str, Any]) -> list[Action]:
        """One event of the service. Events of an unknown type, or an unexpected shape, say nothing."""
        handle = _HANDLERS.get(text_of(event, "type"))
        return list(handle(self, event)) if handle is not None else []

    def _created(self, event: Mapping[str, Any]) -> Iterator[Action]:
        if text_of(map_of(event, "session"), "type") not in ("realtime", ""):
            kind = text_of(map_of(event, "session"), "type")
            yield Trouble(Problem("wrong_session", f"the service opened a {kind} session", final=True))

    def _updated(self, event: Mapping[str, Any]) -> Iterator[Action]:
        session = map_of(event, "session")
        if why := wrong_format(session):
            yield Trouble(from_error({"code": "wrong_format", "message": why}))
            return
        if self.ready:
            return
        self.ready = True
        expires = session.get("expires_at")
        yield Ready(float(expires) if isinstance(expires, int | float) and expires > 0 else None)
        held, self._held = self._held, deque(maxlen=HELD_FRAMES)
        yield from (self._append(frame) for frame in held)
        yield from self._next()

    def _failed(self, event: Mapping[str, Any]) -> Iterator[Action]:
        error = map_of(event, "error")
        problem = from_error(error)
        cause = self._sent.pop(text_of(error, "event_id"), "")
        if cause in ("cancel", "commit"):
            return  # it was over already, or there was nothing to commit: that is what was wanted
        if cause == "session" or not self.ready:
            yield Trouble(Problem(problem.code, problem.message, problem.hint, problem.final))
        elif cause == "respond" and self._running is not None and not self._running.id:
            yield from self._refused(self._running.ask, problem)
        else:
            yield Trouble(problem)

    def _refused(self, ask: Ask, problem: Problem) -> Iterator[Action]:
        """A response was not begun. Where another one runs, it waits for that."""
        cancelled = self._running is not None and self._running.cancelled
        self._running = None
        if "active_response" in problem.code and not cancelled:
            self._strange = True
            self._asks.appendleft(ask)
            return
        yield ResponseOver(ask.key, "failed", problem)
        if problem.lost:
            yield Trouble(problem)
        yield from self._next()

    def _speech_started(self, event: Mapping[str, Any]) -> Iterator[Action]:
        start = event.get("audio_start_ms")
        yield CallerBegan(text_of(event, "item_id"), start if isinstance(start, int) else self.heard_ms)

    def _speech_stopped(self, event: Mapping[str, Any]) -> Iterator[Action]:
        end = event.get("audio_end_ms")
        yield CallerStopped(text_of(event, "item_id"), end if isinstance(end, int) else self.heard_ms)

    def _committed(self, event: Mapping[str, Any]) -> Iterator[Action]:
        yield from self._callers.committed(text_of(event, "item_id"))

    def _caller_delta(self, event: Mapping[str, Any]) -> Iterator[Action]:
        yield from self._callers.delta(text_of(event, "item_id"), text_of(event, "delta"))

    def _caller_text(self, event: Mapping[str, Any]) -> Iterator[Action]:
        yield from self._callers.completed(text_of(event, "item_id"), text_of(event, "transcript"))

    def _caller_text_failed(self, event: Mapping[str, Any]) -> Iterator[Action]:
        yield from self._callers.failed(text_of(event, "item_id"), from_error(event.get("error")).message)

    def _response_created(self, event: Mapping[str, Any]) -> Iterator[Action]:
        response = map_of(event, "response")
        running, id_ = self._running, text_of(response, "id")
        key = text_of(map_of(response, "metadata"), _KEY)
        if running is None or running.id or (key and key != running.ask.key):
            self._strange = True
            yield self._send("cancel", {"type": "response.cancel", "response_id": id_})
            return
        running.id = id_
        if running.cancelled:
            yield self._send("cancel", {"type": "response.cancel", "response_id": id_})
        yield ResponseBegan(running.ask.key)

    def _item_added(self, event: Mapping[str, Any]) -> Iterator[Action]:
        item = map_of(event, "item")
        if text_of(item, "type") == "message":
            yield from self._line(event, text_of(item, "id"))
        elif text_of(item, "type") == "function_call":
            self._names[text_of(item, "id")] = text_of(item, "name")

    def _audio(self, event: Mapping[str, Any]) -> Iterator[Action]:
        yield from self._line(event, text_of(event, "item_id"))
        item = self._items.get(text_of(event, "item_id"))
        if item is None or item.dead or item.over:
            return
        try:
            audio = b64decode(text_of(event, "delta"), validate=True)
        except Base64Error:
            yield Trouble(Problem("bad_audio", "audio of the service can not be read", lost=False))
            return
        item.audio_bytes += len(audio)
        if audio:
            yield LineAudio(text_of(event, "item_id"), audio)

    def _line_delta(self, event: Mapping[str, Any]) -> Iterator[Action]:
        yield from self._line(event, text_of(event, "item_id"))
        item = self._items.get(text_of(event, "item_id"))
        if item is not None and not item.dead and not item.over:
            item.text = (item.text + text_of(event, "delta"))[:MAX_TEXT]
            yield LineText(text_of(event, "item_id"), item.text)

    def _line_text(self, event: Mapping[str, Any]) -> Iterator[Action]:
        item = self._items.get(text_of(event, "item_id"))
        if item is not None and not item.dead and not item.over:
            item.text = text_of(event, "transcript")[:MAX_TEXT] or item.text
            yield LineText(text_of(event, "item_id"), item.text)

    def _item_done(self, event: Mapping[str, Any]) -> Iterator[Action]:
        item = map_of(event, "item")
        if text_of(item, "type") == "function_call":
            yield from self._called(
                text_of(item, "call_id"), text_of(item, "name"), text_of(item, "arguments"), event
            )
        else:
            yield from self._close(text_of(item, "id"))

    def _tool_call(self, event: Mapping[str, Any]) -> Iterator[Action]:
        name = text_of(event, "name") or self._names.get(text_of(event, "item_id"), "")
        yield from self._called(text_of(event, "call_id"), name, text_of(event, "arguments"), event)

    def _response_done(self, event: Mapping[str, Any]) -> Iterator[Action]:
        response = map_of(event, "response")
        running = self._running
        if running is None or (running.id and text_of(response, "id") != running.id):
            self._strange = False
            yield from self._next()
            return
        self._running = None
        for item in running.items:
            yield from self._close(item)
        status = text_of(response, "status")
        details = map_of(response, "status_details")
        problem = from_error(details.get("error")) if status == "failed" else None
        known = cast(_Status, status if status in ("completed", "cancelled", "failed", "incomplete") else "failed")
        yield ResponseOver(running.ask.key, known, problem, text_of(details, "reason"))
        if problem is not None and problem.lost:
            yield Trouble(problem)
            return
        yield from self._next()

    # -- parts --------------------------------------------------------------------------------

    def _line(self, event: Mapping[str, Any], item_id: str) -> Iterator[Action]:
        """Know a line from the first that is told of it."""
        running = self._running
        ours = running is not None and running.id and text_of(event, "response_id") == running.id
        if not item_id or item_id in self._items or running is None or not ours:
            return
        while len(self._items) >= 64:
            del self._items[next(iter(self._items))]
        self._items[item_id] = LineItem(running.ask.key, dead=running.cancelled)
        running.items.append(item_id)
        if not running.cancelled:
            yield LineBegan(running.ask.key, item_id)

    def _close(self, item_id: str) -> Iterator[Action]:
        item = self._items.get(item_id)
        if item is None or item.over:
            return
        item.over = True
        if not item.dead:
            yield LineOver(item_id, item.text, item.ms)

    def _called(self, call_id: str, name: str, arguments: str, event: Mapping[str, Any]) -> Iterator[Action]:
        """A tool call, told once although the service tells it twice."""
        running = self._running
        if running is None or running.cancelled or not call_id or call_id in running.calls:
            return
        if text_of(event, "response_id") != running.id:
            return
        running.calls.add(call_id)
        yield ToolCall(running.ask.key, call_id, name, arguments[:MAX_TEXT])

    def _next(self) -> list[Action]:
        """Ask for what waits, when nothing runs."""
        if not self.ready or self._running is not None or self._strange or not self._asks:
            return []
        ask = self._asks.popleft()
        self._running = Running(ask)
        response: dict[str, Any] = {"metadata": {_KEY: ask.key}}
        if ask.instructions:
            response["instructions"] = ask.instructions
        if not ask.tools:
            response["tool_choice"] = "none"
        return [self._send("respond", {"type": "response.create", "response": response})]

    def _append(self, frame: bytes) -> Send:
        self._appended += len(frame)
        return Send({"type": "input_audio_buffer.append", "audio": b64encode(frame).decode()})

    def _send(self, cause: str, event: dict[str, Any]) -> Send:
        event_id = f"{cause}-{next(self._ids)}"
        while len(self._sent) >= 256:
            del self._sent[next(iter(self._sent))]
        self._sent[event_id] = cause
        return Send({"event_id": event_id, **event})


_CALLER: Final = "conversation.item.input_audio_transcription"
_HANDLERS: Final = {
    "session.created": RealtimeCore._created,
    "session.updated": RealtimeCore._updated,
    "error": RealtimeCore._failed,
    "input_audio_buffer.speech_started": RealtimeCore._speech_started,
    "input_audio_buffer.speech_stopped": RealtimeCore._speech_stopped,
    "input_audio_buffer.committed": RealtimeCore._committed,
    f"{_CALLER}.delta": RealtimeCore._caller_delta,
    f"{_CALLER}.completed": RealtimeCore._caller_text,
    f"{_CALLER}.failed": RealtimeCore._caller_text_failed,
    "response.created": RealtimeCore._response_created,
    "response.output_item.added": RealtimeCore._item_added,
    "response.output_audio.delta": RealtimeCore._audio,
    "response.output_audio_transcript.delta": RealtimeCore._line_delta,
    "response.output_audio_transcript.done": RealtimeCore._line_text,
    "response.output_item.done": RealtimeCore._item_done,
    "response.function_call_arguments.done": RealtimeCore._tool_call,
    "response.done": RealtimeCore._response_done,
}
