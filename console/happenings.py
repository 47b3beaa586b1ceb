"""What each event means for the board beyond the fold: notes in transcripts, webhooks and streams."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from console.facts import Act, Exposure, Levels, Partial, Unsaid, Waiting
from console.text import clean
from console.words import by_text, ended_text
from engine.client import Event

if TYPE_CHECKING:
    from console.board import Board


def _text(data: Mapping[str, Any], key: str) -> str:
    value = data.get(key)
    return value if isinstance(value, str) else ""


def _number(data: Mapping[str, Any], key: str, default: float) -> float:
    value = data.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        return default
    return float(value)


def _by(event: Event) -> str:
    return by_text(_text(event.data, "by"))


def keep_unsaid(board: Board, event: Event) -> None:
    """Keep a line of the operator that will not be spoken: call before the fold, which forgets lines that waited."""
    call = board.calls.get(event.call_id or "")
    if call is None or not call.live:
        return
    if event.type == "call.ended":
        waiting, why = list(call.queued.values()), "the call ended"
    elif event.type in ("say.skipped", "say.failed"):
        line = call.queued.get(_text(event.data, "sayId"))
        waiting = [line] if line is not None else []
        why = clean(_text(event.data, "why") or _text(event.data, "error"), 200) or "unknown why"
    else:
        return
    for line in waiting:
        if line.speaker == "operator":
            board.add_note(call.call_id, Unsaid(event.at, line.text, why))


def _on_level(board: Board, event: Event) -> None:
    call = board.calls.get(event.call_id or "")
    if call is None or not call.live:
        return
    before = board.levels.get(call.call_id, Levels())
    data = event.data
    marks = (_number(data, name, -90) if name in data else None for name in ("floor", "threshold"))
    board.levels[call.call_id] = before.push(_number(data, "caller", -90), _number(data, "agent", -90), *marks)


def _on_partial(board: Board, event: Event) -> None:
    call = board.calls.get(event.call_id or "")
    if call is None or not call.live:
        return
    text = clean(_text(event.data, "text"))
    if text:
        board.partials[call.call_id] = Partial(board.began.setdefault(call.call_id, event.at), text)
    else:
        _on_final(board, event)


def _on_speech(board: Board, event: Event) -> None:
    call = board.calls.get(event.call_id or "")
    if call is not None and call.live and call.call_id not in board.partials:
        board.began[call.call_id] = event.at


def _on_final(board: Board, event: Event) -> None:
    board.partials.pop(event.call_id or "", None)
    board.began.pop(event.call_id or "", None)


def _on_ended(board: Board, event: Event) -> None:
    key = event.call_id or ""
    board.partials.pop(key, None)
    board.began.pop(key, None)
    board.levels.pop(key, None)
    board.lost.pop(key, None)
    board.waiting.pop(key, None)
    call = board.calls.get(key)
    if call is None or call.ended_at != event.at:
        return  # it was over before
    text = ended_text(call.state, call.ended_by, _text(event.data, "detail"))
    if not any(note.at == event.at and note.text == text for note in board.notes.get(key, ())):
        board.note(event, text)


def _on_error(board: Board, event: Event) -> None:
    hint = _text(event.data, "hint")
    said = _text(event.data, "message") or _text(event.data, "code")
    board.note(event, f"error: {said}{'. ' + hint if hint else ''}", bad=True)


def _on_answered(board: Board, event: Event) -> None:
    call = board.calls.get(event.call_id or "")
    if call is not None and call.answered_at == event.at:
        board.note(event, "answered")


def _on_waiting(board: Board, event: Event) -> None:
    call = board.calls.get(event.call_id or "")
    if call is None or not call.waiting:
        return
    board.waiting[call.call_id] = Waiting(
        since=call.rungs.get("waiting", event.at),
        seconds=round(min(3600, max(0, _number(event.data, "seconds", 30)))),
        attestation=clean(_text(event.data, "attestation"), 64),
        earlier=round(min(9999, max(0, _number(event.data, "earlier", 0)))),
    )
    board.note(event, "waits to be let in")


def _on_admitted(board: Board, event: Event) -> None:
    board.waiting.pop(event.call_id or "", None)
    verdict = _text(event.data, "verdict")
    if verdict in ("once", "always"):
        board.note(event, f"let in {verdict}{_by(event)}")


def _on_floor(board: Board, event: Event) -> None:
    why = clean(_text(event.data, "why"), 120)
    board.note(event, f"floor: {clean(_text(event.data, 'holder'), 20)}{_by(event)}{f' ({why})' if why else ''}")


def _on_microphone(board: Board, event: Event) -> None:
    """Each press of a key would be a line; only what nobody meant is one."""
    if why := clean(_text(event.data, "why"), 120):
        board.note(event, f"microphone off{_by(event)}: {why}", bad=True)


def _on_keys_in(board: Board, event: Event) -> None:
    board.note(event, f"caller pressed {_text(event.data, 'digits')}")


def _on_keys_out(board: Board, event: Event) -> None:
    board.note(event, f"keys sent: {_text(event.data, 'digits')}{_by(event)}")


def _on_machine(board: Board, event: Event) -> None:
    who = clean(_text(event.data, "answeredBy"), 20).replace("machine_end", "machine, greeting over")
    action = clean(_text(event.data, "action"), 20).replace("_", " ")
    board.note(event, f"answered by: {who or 'unknown'}{'' if action in ('', 'continue') else f' ({action})'}")


def _on_transferred(board: Board, event: Event) -> None:
    to = clean(_text(event.data, "to"), 32)
    board.note(event, f"the caller was put through{f' to {to}' if to else ''}{_by(event)}")


def _on_returned(board: Board, event: Event) -> None:
    board.note(event, f"the caller is back: {clean(_text(event.data, 'why'), 80) or 'not reached'}")


def _on_webhook(board: Board, event: Event) -> None:
    data, counts = event.data, board.webhooks
    verdict = _text(data, "verdict")
    board.webhooks = replace(
        counts,
        ok=counts.ok + (verdict == "ok"),
        replays=counts.replays + (verdict == "replay"),
        refused=counts.refused + (verdict not in ("ok", "replay")),
        last_at=event.at,
        last_type=clean(_text(data, "type"), 40),
        last_verdict=clean(verdict, 20),
        last_why=clean(_text(data, "why"), 200),
        last_ms=_number(data, "ms", -1) if "ms" in data else None,
        last_effect=clean(_text(data, "effect"), 40),
    )


def _on_stream_opened(board: Board, event: Event) -> None:
    board.streams = replace(board.streams, opened=board.streams.opened + 1, last="opened", last_why="")


def _on_stream_started(board: Board, event: Event) -> None:
    board.streams = replace(board.streams, started=board.streams.started + 1, last="started", last_why="")
    board.lost.pop(event.call_id or "", None)


def _on_stream_lost(board: Board, event: Event) -> None:
    call = board.calls.get(event.call_id or "")
    if call is None or not call.live:
        return
    why = clean(_text(event.data, "why"), 200)
    board.streams = replace(board.streams, lost=board.streams.lost + 1, last="lost", last_why=why)
    board.lost[call.call_id] = why
    board.note(event, f"stream lost{': ' + why if why else ''}", bad=True)


def _on_stream_resumed(board: Board, event: Event) -> None:
    board.streams = replace(board.streams, last="resumed", last_why="")
    board.lost.pop(event.call_id or "", None)
    board.note(event, "stream resumed")


def _on_speech_failed(board: Board, event: Event) -> None:
    hint = _text(event.data, "hint")
    board.note(event, f"recognition failed: {_text(event.data, 'error')}{'. ' + hint if hint else ''}", bad=True)


def _on_reply_failed(board: Board, event: Event) -> None:
    board.note(event, f"reply failed: {_text(event.data, 'error')}", bad=True)


def _on_say_failed(board: Board, event: Event) -> None:
    notes = board.notes.get(event.call_id or "", ())
    if notes and isinstance(notes[-1], Unsaid) and notes[-1].at == event.at:
        return  # the operator's own line says it already
    board.note(event, f"line not spoken: {_text(event.data, 'error')}", bad=True)


def _on_fallback(board: Board, event: Event) -> None:
    """Another voice speaks: the operator should know why, and that it is heard."""
    failed, to = clean(_text(event.data, "engine"), 60), clean(_text(event.data, "to"), 60)
    hint = _text(event.data, "hint")
    why = f"{_text(event.data, 'error')}{'. ' + hint if hint else ''}"
    board.note(event, f"{to or 'another voice'} speaks instead of {failed}: {why}", bad=True)


def _on_say_cut(board: Board, event: Event) -> None:
    """A caller who interrupts is no trouble; a voice that broke off is."""
    if why := _text(event.data, "error"):
        board.note(event, f"the voice broke off: {why}", bad=True)


def _on_exposure(board: Board, event: Event) -> None:
    data, before = event.data, board.exposure
    ok = data.get("ok")
    board.exposure = Exposure(
        provider=clean(_text(data, "provider"), 30) or before.provider,
        public_url=clean(_text(data, "publicUrl"), 200) or before.public_url,
        ok=ok if isinstance(ok, bool) else before.ok,
        ms=_number(data, "ms", -1) if "ms" in data else before.ms,
        error=clean(_text(data, "error"), 200) if ok is not True else "",
        fix=clean(_text(data, "fix") or _text(data, "hint"), 200) if ok is not True else "",
        looked=before.looked or event.type == "exposure.probed",
    )


def _on_engine_started(board: Board, event: Event) -> None:
    board.provider = clean(_text(event.data, "provider"), 20)
    board.engine_stopped = ""


def _on_engine_stopped(board: Board, event: Event) -> None:
    board.engine_stopped = clean(_text(event.data, "why"), 80) or "stopped"


def _on_operator(board: Board, event: Event) -> None:
    by = clean(_text(event.data, "by"), 40)
    if by == "console":
        return  # what this console did is in its own log already, with the outcome
    call = board.calls.get(event.call_id or "")
    what = clean(_text(event.data, "action"), 60) + (f" {call.peer}" if call else "")
    board.acts.append(Act(event.at, by or "unknown", what))


HANDLERS: Final[Mapping[str, Callable[[Board, Event], None]]] = {
    "audio.level": _on_level,
    "call.admitted": _on_admitted,
    "call.answered": _on_answered,
    "call.ended": _on_ended,
    "call.error": _on_error,
    "call.machine": _on_machine,
    "call.returned": _on_returned,
    "call.transferred": _on_transferred,
    "call.waiting": _on_waiting,
    "dtmf.received": _on_keys_in,
    "dtmf.sent": _on_keys_out,
    "engine.started": _on_engine_started,
    "engine.stopped": _on_engine_stopped,
    "exposure.changed": _on_exposure,
    "exposure.probed": _on_exposure,
    "floor.changed": _on_floor,
    "microphone.changed": _on_microphone,
    "operator.acted": _on_operator,
    "reply.failed": _on_reply_failed,
    "say.cut": _on_say_cut,
    "say.failed": _on_say_failed,
    "say.fallback": _on_fallback,
    "speech.failed": _on_speech_failed,
    "speech.final": _on_final,
    "speech.partial": _on_partial,
    "speech.started": _on_speech,
    "stream.lost": _on_stream_lost,
    "stream.opened": _on_stream_opened,
    "stream.resumed": _on_stream_resumed,
    "stream.started": _on_stream_started,
    "webhook.received": _on_webhook,
}
