"""What Twilio checks in a request that makes or changes a call, with the codes it answers with.

Names and types are its OpenAPI description (tests/fixtures/twilio_call_api.json); lengths and combinations are its
documentation of the call resource.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

TWIML_LIMIT: Final = 4000
EVENTS: Final = frozenset({"initiated", "ringing", "answered", "completed"})
_FIXTURE: Final = Path(__file__).parents[2] / "fixtures" / "twilio_call_api.json"
_E164: Final = re.compile(r"\+[1-9][0-9]{6,14}")
_MAGIC: Final = {"+15005550001": 21211, "+15005550002": 21214, "+15005550003": 21215, "+15005550004": 21216}
"""Twilio's test numbers, and what dialling them is refused with."""
_REPEATED: Final = frozenset({"StatusCallbackEvent", "RecordingStatusCallbackEvent"})
Form = Mapping[str, list[str]]


class Refusal(Exception):
    """An error in Twilio's shape."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code

    def to_json(self) -> dict[str, Any]:
        link = f"https://www.twilio.com/docs/errors/{self.code}"
        return {"code": self.code, "message": str(self), "more_info": link, "status": self.status}


def api() -> dict[str, Any]:
    """The call resource as the OpenAPI description has it."""
    value: dict[str, Any] = json.loads(_FIXTURE.read_text())
    return value


@dataclass(frozen=True)
class Rules:
    """What an account may do."""

    numbers: Collection[str]
    """Its own numbers, and those verified for it."""
    forbidden_prefixes: Collection[str] = ()
    """Countries that its geo permissions leave out."""


def check_create(form: Form, rules: Rules) -> Iterator[str]:
    """Raises Refusal; yields what Twilio would silently ignore, which no caller means."""
    _check_types(form, api()["create"])
    _check_numbers(form, rules)
    _check_addresses(form)
    ways = [name for name in ("Url", "Twiml", "ApplicationSid") if one(form, name)]
    if not ways:
        raise Refusal(400, 21205, "Url parameter is required.")
    if len(ways) > 1:
        yield f"{' and '.join(ways)} together: only one of them counts"
    _check_twiml(form)
    if not 1 <= int(one(form, "Timeout") or 60) <= 600:
        raise Refusal(400, 21208, "Timeout must be between 1 and 600 seconds")
    if int(one(form, "TimeLimit") or 1) < 1:
        raise Refusal(400, 20001, "TimeLimit must be positive")
    if unknown := set(form.get("StatusCallbackEvent", ())) - EVENTS:
        yield f"StatusCallbackEvent {sorted(unknown)}: there is no such event"
    if one(form, "MachineDetection") not in ("", "Enable", "DetectMessageEnd"):
        raise Refusal(400, 20001, "MachineDetection is Enable or DetectMessageEnd")
    if one(form, "AsyncAmd") not in ("", "true", "false"):
        raise Refusal(400, 20001, "AsyncAmd is true or false")
    digits = one(form, "SendDigits")
    if digits and re.fullmatch(r"[0-9A-D#*wW]{1,32}", digits) is None:
        raise Refusal(400, 21206, "SendDigits are at most 32 of 0-9 A-D # * w W")
    if digits and one(form, "MachineDetection"):
        yield "SendDigits with MachineDetection: the machine detection is ignored"
    if one(form, "AsyncAmd") == "true" and not one(form, "AsyncAmdStatusCallback"):
        yield "AsyncAmd without AsyncAmdStatusCallback: nobody learns the result"
    if one(form, "StatusCallback") and not form.get("StatusCallbackEvent"):
        yield "StatusCallback without StatusCallbackEvent: only `completed` is reported"


def check_update(form: Form) -> None:
    """Raises Refusal."""
    _check_types(form, api()["update"])
    _check_addresses(form)
    ways = [name for name in ("Url", "Twiml", "Status") if one(form, name)]
    if "Url" in ways and "Twiml" in ways:
        raise Refusal(400, 20001, "Url and Twiml are mutually exclusive")
    if not ways:
        raise Refusal(400, 20001, "nothing to update")
    _check_twiml(form)


def one(form: Form, name: str) -> str:
    return form.get(name, [""])[0]


def _check_types(form: Form, known: Mapping[str, Mapping[str, Any]]) -> None:
    for name, values in form.items():
        if name not in known:
            raise Refusal(400, 20001, f"Unknown parameter {name}")
        if len(values) > 1 and name not in _REPEATED:
            raise Refusal(400, 20001, f"{name} is given {len(values)} times")
        for value in values:
            _check_type(name, value, known[name])


def _check_type(name: str, value: str, rule: Mapping[str, Any]) -> None:
    kind = rule.get("type")
    wrong = (
        (kind == "integer" and re.fullmatch(r"-?[0-9]{1,9}", value) is None)
        or (kind == "boolean" and value not in ("true", "false"))
        or ("enum" in rule and value not in rule["enum"])
        or ("pattern" in rule and re.search(rule["pattern"], value) is None)
    )
    if wrong:
        raise Refusal(400, 21209 if name.endswith("Method") else 20001, f"Invalid value for {name}: {value[:60]}")


def _check_numbers(form: Form, rules: Rules) -> None:
    to, from_ = one(form, "To"), one(form, "From")
    if not to:
        raise Refusal(400, 21201, "No 'To' number is specified")
    if not from_:
        raise Refusal(400, 21213, "No 'From' number is specified")
    if _E164.fullmatch(to) is None:
        raise Refusal(400, 21211, f"The phone number you are attempting to call, {to}, is not valid.")
    if _E164.fullmatch(from_) is None:
        raise Refusal(400, 21212, f"The source phone number provided, {from_}, is not valid.")
    if from_ not in rules.numbers:
        raise Refusal(400, 21210, f"The source phone number provided, {from_}, is not yet verified for your account.")
    if to in _MAGIC:
        raise Refusal(400, _MAGIC[to], f"The phone number {to} is refused")
    if to.startswith(tuple(rules.forbidden_prefixes)):
        raise Refusal(400, 21215, f"Account not authorized to call {to}: geo permissions.")


def _check_addresses(form: Form) -> None:
    for name in ("Url", "FallbackUrl", "StatusCallback", "AsyncAmdStatusCallback"):
        url = one(form, name)
        if not url:
            continue
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Refusal(400, 21205, f"{name} is not a valid URL: {url[:80]}")
        if "_" in parts.hostname:
            raise Refusal(400, 21205, f"{name} is not a valid URL: underscores are not allowed in a host name")


def _check_twiml(form: Form) -> None:
    if len(one(form, "Twiml")) > TWIML_LIMIT:
        raise Refusal(400, 20001, f"Twiml must be at most {TWIML_LIMIT} characters long")
