"""Chat completions as values: the response's chunks, and error bodies. Pure.

Servers differ: an answer may come as deltas or whole, as text or as a list of parts, with reasoning in a field of its
own (`reasoning_content`, `reasoning`), with tool calls in the old form. Of all that only words for the caller and the
wish to hang up come out of here; other tools do not exist, whatever a model writes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from engine.speech.answers import json_object, short

MAX_ARGUMENT_CHARS: Final = 4000
END_CALL: Final = "end_call"
FAREWELL: Final = "Goodbye."
"""Said when a model hangs up without a word."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """One piece of an answer. `alive`: the model works on it, though there may be no words yet."""

    text: str = ""
    error: str = ""
    alive: bool = False


class ChunkReader:
    """Reads the pieces of one answer, and puts its tool calls together."""

    def __init__(self) -> None:
        self.garbled = 0
        """Pieces that were not JSON objects."""
        self.finish = ""
        """Why the model stopped, in the server's word."""
        self._names: dict[int, str] = {}
        self._arguments: dict[int, str] = {}

    @property
    def ends_call(self) -> bool:
        """The model called `end_call`."""
        return END_CALL in self._names.values()

    @property
    def farewell(self) -> str:
        """The last words that came with `end_call`, or a plain goodbye."""
        for index, name in self._names.items():
            farewell = json_object(self._arguments.get(index, "")).get("farewell") if name == END_CALL else None
            if isinstance(farewell, str) and farewell.strip():
                return farewell
        return FAREWELL

    def read(self, data: str) -> Chunk:
        """One event of the stream, or a whole answer. Unknown shapes are empty, as they come from other servers."""
        value = json_object(data)
        if not value:
            self.garbled += 1
        if "error" in value and value["error"]:
            code, message = error_text(data.encode())
            return Chunk(error=f"{code} {message}".strip())
        choices = value.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        if not isinstance(choice, dict):
            return Chunk()
        if isinstance(choice.get("finish_reason"), str):
            self.finish = choice["finish_reason"][:40]
        part = choice.get("delta") or choice.get("message")
        if not isinstance(part, dict):
            return Chunk()
        self._tool_calls(part)
        return Chunk(text=_text(part.get("content")) or _text(part.get("refusal")), alive=bool(part))

    def _tool_calls(self, part: Mapping[str, Any]) -> None:
        calls = part.get("tool_calls")
        for place, call in enumerate(calls[:16] if isinstance(calls, list) else ()):
            if isinstance(call, dict):
                index = call.get("index")
                self._function(index if isinstance(index, int) else place, call.get("function"))
        self._function(-1, part.get("function_call"))

    def _function(self, index: int, function: object) -> None:
        if not isinstance(function, dict) or len(self._names) > 32:
            return
        name, arguments = function.get("name"), function.get("arguments")
        if isinstance(name, str) and name:
            self._names[index] = name
        if isinstance(arguments, dict):  # some servers send them read already
            arguments = json.dumps(arguments)
        if isinstance(arguments, str):
            self._arguments[index] = (self._arguments.get(index, "") + arguments)[:MAX_ARGUMENT_CHARS]


def _text(content: object) -> str:
    """Text, or the text parts of a list of parts."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else ()
    texts = (part["text"] for part in parts if isinstance(part, dict) and part.get("type", "text") == "text")
    try:
        return "".join(text for text in texts if isinstance(text, str))
    except KeyError:
        return ""


def error_text(body: bytes) -> tuple[str, str]:
    """Code and message out of an error body: OpenAI's form, those of other servers, or plain text."""
    value = json_object(body.decode("utf-8", "replace"))
    error: Any = value.get("error", value)
    if isinstance(error, str):
        return "", short(error)
    if isinstance(error, Mapping) and error:
        code = next((str(error[key]) for key in ("code", "type") if error.get(key)), "")
        message = next((error[key] for key in ("message", "detail", "error") if error.get(key)), "")
        return short(code), short(message if isinstance(message, str) else json.dumps(message))
    return "", short(body.decode("utf-8", "replace"))
