"""What each method of the control door takes. Names on the wire are camelCase; nothing is guessed or converted."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from engine.api import ReplayInto
from engine.calls import Cursor, Floor, Mode
from engine.calls.policy import Decision

MAX_WAIT_MS: Final = 45_000
"""The longest that `voicecall.events` waits: clients of agent tools give up after a minute."""
MAX_EVENTS: Final = 5000
MAX_RECORDED_MS: Final = 5000
"""The longest stretch of a recording in one answer: 213 KB as Base64."""


def _cursor(text: str) -> str:
    Cursor.parse(text)
    return text


CallId = Annotated[str, Field(min_length=1, max_length=200)]
Message = Annotated[str, Field(max_length=20_000)]
CursorText = Annotated[str, Field(max_length=200), AfterValidator(_cursor)]


class Params(BaseModel):
    """No parameters, and the rules for all others."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, alias_generator=to_camel)


class Initiate(Params):
    to: str | None = Field(default=None, max_length=100)
    message: Message
    mode: Mode | None = None
    dtmf_sequence: str = Field(default="", max_length=100)


class Start(Params):
    to: str = Field(max_length=100)
    message: Message = ""
    mode: Mode | None = None
    dtmf_sequence: str = Field(default="", max_length=100)


class Say(Params):
    call_id: CallId
    message: Message


class Operation(Params):
    operation_id: str = Field(min_length=1, max_length=100)


class Dtmf(Params):
    call_id: CallId
    digits: str = Field(max_length=200)


class Transfer(Params):
    call_id: CallId
    to: str = Field(max_length=100)


class OneCall(Params):
    call_id: CallId


class Status(Params):
    call_id: CallId | None = None


class Events(Params):
    cursor: CursorText | None = None
    call_id: CallId | None = None
    wait_ms: int = Field(default=0, ge=0, le=MAX_WAIT_MS)
    limit: int = Field(default=500, ge=1, le=MAX_EVENTS)


class History(Params):
    last: int = Field(default=50, ge=1, le=1000)
    query: str = Field(default="", max_length=500)


class SetFloor(Params):
    call_id: CallId
    holder: Floor
    take_over: bool = False


class Admit(Params):
    call_id: CallId
    verdict: Decision


class Forget(Params):
    number: str = Field(min_length=1, max_length=100)


class Checks(Params):
    online: bool = False


WebhookId = Annotated[int, Field(ge=1, lt=2**63)]


class Webhooks(Params):
    last: int = Field(default=50, ge=1, le=1000)
    call_id: CallId | None = None
    verdict: Literal["ok", "refused", "replay"] | None = None
    query: str = Field(default="", max_length=500)
    before: WebhookId | None = None
    after: Annotated[int, Field(ge=0, lt=2**63)] | None = None


class Webhook(Params):
    id: WebhookId
    with_secrets: bool = False


class Replay(Params):
    id: WebhookId
    into: ReplayInto = "sandbox"


class Record(Params):
    call_id: CallId
    on: bool = True


class ReadRecording(Params):
    call_id: CallId
    index: int = Field(default=0, ge=0, le=1000)
    from_ms: int = Field(default=0, ge=0, le=200_000_000)
    ms: int = Field(default=MAX_RECORDED_MS, ge=1, le=MAX_RECORDED_MS)


class Latency(Params):
    last: int = Field(default=200, ge=1, le=10_000)


class Backlog(Params):
    calls: int = Field(default=50, ge=0, le=500)
