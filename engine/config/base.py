"""What every configuration section is made of: the strict base model and the value types with their own rules."""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Annotated, Any, ClassVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, WithJsonSchema

E164_PATTERN = r"^\+[1-9][0-9]{1,14}$"
_E164 = re.compile(E164_PATTERN)
_LOOPBACK_NAMES = frozenset({"localhost", "::1", "[::1]"})


class Section(BaseModel):
    """A mapping in the file. Unknown keys are errors; values are read-only once loaded."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, validate_default=True)

    moved: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """Other spellings that are accepted here -> where in this section the value lives."""
    ignored: ClassVar[Mapping[str, str]] = {}
    """Keys of OpenClaw's plugin that are tolerated with a note -> why they do nothing here."""
    retired: ClassVar[Mapping[str, str]] = {}
    """Keys that are refused with advice -> the advice."""


def is_phone_number(number: str) -> bool:
    """Whether a text is a number in E.164 form."""
    return _E164.fullmatch(number) is not None


def _check_e164(number: str) -> str:
    if not is_phone_number(number):
        raise ValueError(
            "not a phone number in E.164 form: a plus sign, the country code and the number, digits only"
        )
    return number


def _check_http_path(path: str) -> str:
    if not path.startswith("/") or path != "/" + path.strip("/") or not re.fullmatch(r"[\w./~%-]+", path):
        raise ValueError("must be a URL path such as /voice/webhook: a leading slash, none at the end, no query")
    return path


def _check_web_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        # The parser's own words may quote a password.
        raise ValueError("not a URL: its host or port can not be read") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.fragment or "@" in parts.netloc:
        raise ValueError("must be a URL such as https://calls.example.com/voice/webhook")
    return url


def _check_ip(address: str) -> str:
    try:
        return str(ip_address(address))
    except ValueError:
        raise ValueError("not an IP address") from None


def _check_pattern(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None
    return pattern


def is_loopback(host: str) -> bool:
    """Whether a bind address can be reached from this machine only."""
    return host in _LOOPBACK_NAMES or re.fullmatch(r"127(\.[0-9]{1,3}){3}", host) is not None


def reveal(secret: SecretStr | None) -> str:
    """The text of a secret, empty when it is not set. For the vendor only: never log or show it."""
    return secret.get_secret_value() if secret is not None else ""


_SECRET_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"type": "string", "format": "password", "writeOnly": True},
        {
            "type": "object",
            "properties": {"file": {"type": "string"}},
            "required": ["file"],
            "additionalProperties": False,
        },
    ]
}

PhoneNumber = Annotated[str, AfterValidator(_check_e164), Field(json_schema_extra={"pattern": E164_PATTERN})]
HttpPath = Annotated[str, AfterValidator(_check_http_path)]
WebUrl = Annotated[str, AfterValidator(_check_web_url)]
IpAddress = Annotated[str, AfterValidator(_check_ip)]
Pattern = Annotated[str, AfterValidator(_check_pattern)]
Secret = Annotated[SecretStr, WithJsonSchema(_SECRET_SCHEMA)]
Port = Annotated[int, Field(ge=0, le=65535)]
_MOST = 2**31 - 1
"""What every part that a number is handed on to can hold."""
Positive = Annotated[int, Field(gt=0, le=_MOST)]
NotNegative = Annotated[int, Field(ge=0, le=_MOST)]
