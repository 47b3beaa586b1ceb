"""Chat completions as values: the request's messages, the response's chunks, error bodies. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from engine.speech.ports import Conversation, Said

MAX_LINES: Final = 200
"""So much of a long call is sent; older lines are left out."""
MAX_ARGUMENT_CHARS: Final = 4000
INTERRUPTED: Final = "\u2026 [interrupted]"
"""Put after a line that the caller cut off, so that the model knows what was not heard."""
_MANNERS: Final = (
    "You speak on the telephone: answer in one to three short sentences of plain spoken language, without lists,"
    " markup or emojis. What the user says comes from speech recognition and may be slightly wrong; ask when it makes"
    f' no sense. A line of yours that ends in "{INTERRUPTED}" was heard only up to there. When the conversation is'
    " over, say goodbye and call end_call."
)


def messages(system_prompt: str, conversation: Conversation) -> list[dict[str, str]]:
    """The conversation for a chat model. Callers are `user` and nothing else; our side is `assistant`."""
    found = [{"role": "system", "content": _system(system_prompt, conversation)}]
    for line in conversation.lines[-MAX_LINES:]:
        role = "user" if line.speaker == "caller" else "assistant"
        content = _content(line)
        if not content:
            continue
        if found[-1]["role"] == role:
            found[-1]["content"] += f"\n{content}"
        else:
            found.append({"role": role, "content": content})
    return found


def _system(system_prompt: str, conversation: Conversation) -> str:
    parts = [system_prompt.strip(), _MANNERS]
    if conversation.direction == "inbound":
        parts.append("The user called us.")
    else:
        parts.append("We called the user.")
        if conversation.purpose:
            parts.append(f"The call was placed to say: {conversation.purpose}")
    return "\n\n".join(part for part in parts if part)


def _content(line: Said) -> str:
    text = line.text.strip()
    if line.cut and line.speaker != "caller":
        return f"{text}{INTERRUPTED}" if text else INTERRUPTED
    return text


@dataclass(frozen=True, slots=True)
class Chunk:
    """One piece of an answer; either may be empty."""

    text: str = ""
    error: str = ""


class ChunkReader:
    """Reads the pieces of one answer, and puts its tool calls together."""

    def __init__(self) -> None:
        self.ends_call = False
        self._arguments = ""

    @property
    def farewell(self) -> str:
        """The last words that came with `end_call`, if any."""
        value = _json(self._arguments)
        farewell = value.get("farewell")
        return farewell if isinstance(farewell, str) else ""

    def read(self, data: str) -> Chunk:
        """One event of the stream, or a whole answer. Unknown shapes are empty, as they come from other servers."""
        value = _json(data)
        if "error" in value and value["error"]:
            code, message = error_text(data.encode())
            return Chunk(error=f"{code} {message}".strip())
        choices = value.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        if not isinstance(choice, dict):
            return Chunk()
        part = choice.get("delta") or choice.get("message")
        if not isinstance(part, dict):
            return Chunk()
        self._tool_calls(part.get("tool_calls"))
        content = part.get("content")
        return Chunk(text=content if isinstance(content, str) else "")

    def _tool_calls(self, calls: object) -> None:
        for call in calls if isinstance(calls, list) else ():
            function = call.get("function") if isinstance(call, dict) else None
            if not isinstance(function, dict):
                continue
            self.ends_call = self.ends_call or function.get("name") == "end_call"
            arguments = function.get("arguments")
            if self.ends_call and isinstance(arguments, str):
                self._arguments = (self._arguments + arguments)[:MAX_ARGUMENT_CHARS]


def error_text(body: bytes) -> tuple[str, str]:
    """Code and message out of an error body: OpenAI's form, those of other servers, or plain text."""
    value = _json(body.decode("utf-8", "replace"))
    error: Any = value.get("error", value)
    if isinstance(error, str):
        return "", _short(error)
    if isinstance(error, Mapping) and error:
        code = next((str(error[key]) for key in ("code", "type") if error.get(key)), "")
        message = next((error[key] for key in ("message", "detail", "error") if error.get(key)), "")
        return _short(code), _short(message if isinstance(message, str) else json.dumps(message))
    return "", _short(body.decode("utf-8", "replace"))


def _short(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text[:2000]).split())[:500]


def _json(text: str) -> Mapping[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
