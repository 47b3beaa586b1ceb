"""`Call = reduce(apply, events)`: the pure fold from the log to call records.

`apply` has no clock and no I/O. It trusts neither order nor completeness of carrier facts: terminal is sticky,
states move forward only, the first end wins, and data of an unexpected shape is ignored rather than raised.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final, cast

from engine.calls.call import Call, Floor, Line, Media, Queued, RecordingFile, Speaker
from engine.calls.events import Data, Event
from engine.calls.signs import sign
from engine.calls.state import State, end_reason, next_state

MAX_LINES: Final = 2000
"""Transcript lines kept in the record of one call; the log keeps them all."""
MAX_TURNS: Final = 500
MAX_PRESSED: Final = 200
MAX_RECORDINGS: Final = 100
MAX_APART_MS: Final = 60_000
"""A recording is written down at most this long after its first sample."""
UNWRITTEN: Final = "(spoke, not written down)"
"""Stands for a person's words that no recogniser understood."""
_Step = Callable[[Call, Event], Call]


def apply(call: Call | None, event: Event) -> Call | None:
    """The call after `event`. None stays None until `call.initiated`."""
    if event.type == "call.initiated":
        return call if call is not None else _initiated(event)
    if call is None or event.call_id != call.call_id:
        return call
    if call.state.terminal and event.type not in _AFTER_END:
        return call
    step = _STEPS.get(event.type)
    signs = sign(call.signs, event) if call.live else call.signs
    if step is None:
        return call if signs is call.signs else replace(call, signs=signs)
    return replace(step(call, event), last_at=max(call.last_at, event.at), signs=signs)


def fold(events: Iterable[Event]) -> dict[str, Call]:
    """All calls that `events` tell of, in the order in which they began."""
    calls: dict[str, Call] = {}
    for event in events:
        if event.call_id is None:
            continue
        call = apply(calls.get(event.call_id), event)
        if call is not None:
            calls[event.call_id] = call
    return calls


def _text(data: Data, key: str) -> str:
    value = data.get(key)
    return value if isinstance(value, str) else ""


def _initiated(event: Event) -> Call | None:
    if event.call_id is None:
        return None
    data = event.data
    return Call(
        call_id=event.call_id,
        provider=_text(data, "provider"),
        direction="inbound" if data.get("direction") == "inbound" else "outbound",
        mode="notify" if data.get("mode") == "notify" else "conversation",
        from_number=_text(data, "from"),
        to_number=_text(data, "to"),
        message=_text(data, "message"),
        media=_media(data),
        started_at=event.at,
        last_at=event.at,
    )


def _media(data: Data) -> Media:
    value = _text(data, "media")
    return cast(Media, value) if value in ("native", "inline") else "stream"


def _rung(call: Call, name: str, at: int) -> Call:
    return call if name in call.rungs else replace(call, rungs={**call.rungs, name: at})


def _move(call: Call, wanted: State) -> Call:
    state = next_state(call.state, wanted)
    return call if state is call.state else replace(call, state=state)


def _dialing(call: Call, event: Event) -> Call:
    return _rung(call, "dialled", event.at)


def _accepted(call: Call, event: Event) -> Call:
    carrier_id = _text(event.data, "providerCallId")
    if not carrier_id:
        return call
    guessed = event.data.get("guessed") is True
    return _rung(replace(call, provider_call_id=carrier_id, guessed=guessed), "accepted", event.at)


def _disowned(call: Call, event: Event) -> Call:
    """The carrier's call turned out to be another's."""
    return replace(call, provider_call_id=None, guessed=False)


def _renamed(call: Call, event: Event) -> Call:
    carrier_id = _text(event.data, "providerCallId")
    return replace(call, provider_call_id=carrier_id) if carrier_id else call


def _voice(call: Call, event: Event) -> Call:
    return replace(call, media=_media(event.data))


def _ringing(call: Call, event: Event) -> Call:
    return _rung(_move(call, State.RINGING), "ringing", event.at)


def _answered(call: Call, event: Event) -> Call:
    call = _rung(_move(call, State.ANSWERED), "answered", event.at)
    return call if call.answered_at is not None else replace(call, answered_at=event.at)


def _active(call: Call, event: Event) -> Call:
    return _move(_answered(call, event), State.ACTIVE)


def _waiting(call: Call, event: Event) -> Call:
    return _rung(replace(call, waiting=True), "waiting", event.at)


def _admitted(call: Call, event: Event) -> Call:
    call = replace(call, waiting=False)
    return call if event.data.get("verdict") == "no" else _rung(call, "admitted", event.at)


def _machine(call: Call, event: Event) -> Call:
    return replace(call, answered_by=_text(event.data, "answeredBy").removesuffix("_end"))


def _transferred(call: Call, event: Event) -> Call:
    return replace(call, transferred_to=_text(event.data, "to"))


def _returned(call: Call, event: Event) -> Call:
    return replace(call, transferred_to="")


def _ended(call: Call, event: Event) -> Call:
    reason = end_reason(event.data.get("reason"))
    lines = tuple(replace(line, playing=False) if line.playing else line for line in call.transcript)
    return replace(
        call,
        state=reason,
        end_reason=reason,
        ended_at=event.at,
        ended_by=_text(event.data, "by"),
        ended_why=_text(event.data, "detail"),
        transcript=lines,
        queued={},
        waiting=False,
        recording="",
        microphone="",
    )


def _error(call: Call, event: Event) -> Call:
    return replace(call, error=dict(event.data))


def _webhook(call: Call, event: Event) -> Call:
    if event.data.get("verdict") != "ok":
        return call
    call = _rung(call, "signed", event.at)
    return _rung(call, "document", event.at) if _text(event.data, "effect").startswith("document") else call


def _stream_opened(call: Call, event: Event) -> Call:
    return _rung(call, "socket", event.at)


def _stream_started(call: Call, event: Event) -> Call:
    return _active(_rung(call, "start", event.at), event)


def _first_frame(call: Call, event: Event) -> Call:
    return _rung(call, "caller", event.at)


def _speech_ready(call: Call, event: Event) -> Call:
    return replace(_rung(call, "stt", event.at), deaf=False)


def _speech_failed(call: Call, event: Event) -> Call:
    return replace(call, deaf=True)


def _speech_started(call: Call, event: Event) -> Call:
    return call if _is_playing(call) else _move(call, State.LISTENING)


def _speech_final(call: Call, event: Event) -> Call:
    text = _text(event.data, "text")
    if not text.strip():
        return call
    began = event.data.get("startedAt")
    at = began if isinstance(began, int) and call.started_at <= began <= event.at else event.at
    call = _add_line(_rung(replace(call, deaf=False), "understood", event.at), Line(at, "caller", text))
    return call if _is_playing(call) else _move(call, State.LISTENING)


def _say_queued(call: Call, event: Event) -> Call:
    say_id = _text(event.data, "sayId")
    if not say_id or say_id in call.queued or _find_line(call, say_id) is not None:
        return call
    if event.data.get("kind") == "keys":
        return call  # tones are no words: they wait among the lines, and `dtmf.sent` tells of them
    speaker: Speaker = "operator" if event.data.get("speaker") == "operator" else "agent"
    line = Queued(speaker, _text(event.data, "text"), _text(event.data, "kind"))
    return replace(call, queued={**call.queued, say_id: line})


def _say_worded(call: Call, event: Event) -> Call:
    """A model that speaks by itself tells its words while it speaks, or after."""
    say_id, text = _text(event.data, "sayId"), _text(event.data, "text")
    waiting = call.queued.get(say_id)
    if waiting is not None:
        return replace(call, queued={**call.queued, say_id: replace(waiting, text=text)})
    index = _find_line(call, say_id)
    if index is None or call.transcript[index].cut:
        return call
    lines = list(call.transcript)
    lines[index] = replace(lines[index], text=text)
    return replace(call, transcript=tuple(lines))


def _say_started(call: Call, event: Event) -> Call:
    say_id = _text(event.data, "sayId")
    line = call.queued.get(say_id)
    if line is None:
        return call
    call = _without_queued(_rung(call, "voice", event.at), say_id)
    call = _add_line(call, Line(event.at, line.speaker, line.text, say_id=say_id, playing=True))
    return _move(call, State.SPEAKING)


def _say_heard(call: Call, event: Event) -> Call:
    if _find_line(call, _text(event.data, "sayId")) is None:
        return call
    call = _rung(call, "heard", event.at)
    return _close_line(call, event, lambda line: replace(line, playing=False))


def _say_cut(call: Call, event: Event) -> Call:
    heard = _text(event.data, "heardText")

    def cut(line: Line) -> Line:
        rest = line.text[len(heard) :] if line.text.startswith(heard) else ""
        return replace(line, text=heard, unheard=rest.strip(), cut=True, playing=False)

    return _close_line(call, event, cut)


def _say_dropped(call: Call, event: Event) -> Call:
    call = _without_queued(call, _text(event.data, "sayId"))
    return _close_line(call, event, lambda line: replace(line, text="", unheard=line.text, cut=True, playing=False))


def _turn(call: Call, event: Event) -> Call:
    stages = event.data.get("stages")
    if not isinstance(stages, dict):
        return call
    clean = {
        str(name): int(ms)
        for name, ms in stages.items()
        if isinstance(ms, int | float) and not isinstance(ms, bool) and ms == ms and abs(ms) < 1e12
    }
    return replace(_rung(call, "reply", event.at), turns=(*call.turns, clean)[-MAX_TURNS:])


def _dtmf(call: Call, event: Event) -> Call:
    digits = _text(event.data, "digits")
    return replace(call, dtmf=(call.dtmf + digits)[-500:], pressed=(*call.pressed, (event.at, digits))[-MAX_PRESSED:])


def _floor(call: Call, event: Event) -> Call:
    holder = event.data.get("holder")
    if holder not in ("agent", "operator", "held"):
        return call
    return replace(call, floor=cast(Floor, holder), floor_by=_text(event.data, "by"))


def _microphone(call: Call, event: Event) -> Call:
    live = event.data.get("live") is True
    return replace(call, microphone=(_text(event.data, "by") or "operator") if live else "")


def _operator_said(call: Call, event: Event) -> Call:
    began = event.data.get("startedAt")
    at = began if isinstance(began, int) and call.started_at <= began <= event.at else event.at
    text = _text(event.data, "text").strip()
    return _add_line(call, Line(at, "operator", text or _unwritten(event.data.get("ms"))))


def _unwritten(ms: object) -> str:
    return f"(spoke for {max(1, round(ms / 1000))} s, not written down)" if isinstance(ms, int) else UNWRITTEN


def _hint(call: Call, event: Event) -> Call:
    text = _text(event.data, "text").strip()
    return _add_line(call, Line(event.at, "operator", text, hint=True)) if text else call


def _recording_announced(call: Call, event: Event) -> Call:
    return call if call.recording == "on" else replace(call, recording="asked")


def _recording_started(call: Call, event: Event) -> Call:
    began, index = event.data.get("startedAt"), event.data.get("index")
    at = began if isinstance(began, int) and abs(began - event.at) < MAX_APART_MS else event.at
    number = index if isinstance(index, int) else len(call.recordings) + 1
    file = RecordingFile(number, _text(event.data, "file"), at)
    return replace(call, recording="on", recordings=(*call.recordings, file)[-MAX_RECORDINGS:])


def _recording_stopped(call: Call, event: Event) -> Call:
    ms, lost = event.data.get("ms"), event.data.get("lostMs")
    done = tuple(
        replace(each, ms=ms if isinstance(ms, int) else None, lost_ms=lost if isinstance(lost, int) else 0)
        if each.index == event.data.get("index")
        else each
        for each in call.recordings
    )
    return replace(call, recording="off" if call.live else "", recordings=done)


def _recording_refused(call: Call, event: Event) -> Call:
    return replace(call, recording="off")


def _is_playing(call: Call) -> bool:
    return any(line.playing for line in call.transcript[-8:])


def _add_line(call: Call, line: Line) -> Call:
    return replace(call, transcript=(*call.transcript, line)[-MAX_LINES:])


def _without_queued(call: Call, say_id: str) -> Call:
    if say_id not in call.queued:
        return call
    return replace(call, queued={key: line for key, line in call.queued.items() if key != say_id})


def _find_line(call: Call, say_id: str) -> int | None:
    for index in range(len(call.transcript) - 1, -1, -1):
        if call.transcript[index].say_id == say_id:
            return index
    return None


def _close_line(call: Call, event: Event, change: Callable[[Line], Line]) -> Call:
    index = _find_line(call, _text(event.data, "sayId"))
    if index is None or not call.transcript[index].playing:
        return call
    lines = list(call.transcript)
    lines[index] = change(lines[index])
    call = replace(call, transcript=tuple(lines))
    return call if _is_playing(call) else _move(call, State.LISTENING)


_STEPS: Final[dict[str, _Step]] = {
    "call.dialing": _dialing,
    "call.accepted": _accepted,
    "call.renamed": _renamed,
    "call.disowned": _disowned,
    "call.voice": _voice,
    "call.ringing": _ringing,
    "call.answered": _answered,
    "call.active": _active,
    "call.waiting": _waiting,
    "call.admitted": _admitted,
    "call.machine": _machine,
    "call.transferred": _transferred,
    "call.returned": _returned,
    "call.ended": _ended,
    "call.error": _error,
    "webhook.received": _webhook,
    "stream.opened": _stream_opened,
    "stream.started": _stream_started,
    "stream.first_frame": _first_frame,
    "speech.ready": _speech_ready,
    "speech.started": _speech_started,
    "speech.final": _speech_final,
    "speech.failed": _speech_failed,
    "say.queued": _say_queued,
    "say.worded": _say_worded,
    "say.started": _say_started,
    "say.heard": _say_heard,
    "say.cut": _say_cut,
    "say.skipped": _say_dropped,
    "say.failed": _say_dropped,
    "turn.completed": _turn,
    "dtmf.received": _dtmf,
    "recording.announced": _recording_announced,
    "recording.started": _recording_started,
    "recording.stopped": _recording_stopped,
    "recording.refused": _recording_refused,
    "floor.changed": _floor,
    "microphone.changed": _microphone,
    "operator.said": _operator_said,
    "operator.hint": _hint,
}

_AFTER_END: Final[frozenset[str]] = frozenset(
    {"call.accepted", "call.renamed", "call.disowned", "call.error", "turn.completed", "recording.stopped"}
)
"""Facts that still belong in the record of a call that is over: they can not move its state."""
