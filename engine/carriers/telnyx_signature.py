"""Telnyx's webhook signature: Ed25519 over `timestamp|body`, checked with the account's public key. Pure.

Wire facts: developers.telnyx.com, "Receiving webhooks", and telnyx-python's webhook_verification. The headers are
`telnyx-signature-ed25519` (base64 of 64 bytes) and `telnyx-timestamp` (Unix seconds); the URL is not signed. The
SDK's `unwrap` is not used: it turns into a coroutine once a part of the SDK is imported, and what is not awaited
raises nothing.
"""

from __future__ import annotations

import binascii
import hashlib
import re
from typing import Any, Final

import orjson
from nacl.exceptions import CryptoError
from nacl.signing import VerifyKey

from engine.carriers.base import Verdict, WebhookRequest

SIGNATURE: Final = "telnyx-signature-ed25519"
TIMESTAMP: Final = "telnyx-timestamp"
TOLERANCE_S: Final = 300
"""How far the timestamp may be from our clock, in either direction."""
_DER: Final = bytes.fromhex("302a300506032b6570032100")
"""What stands before the 32 bytes of a key in DER form (RFC 8410, SubjectPublicKeyInfo)."""
_PEM: Final = re.compile(r"-----(BEGIN|END)[^-]*-----")
_LIMIT: Final = 512
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{16,128}")


def read_key(text: str) -> VerifyKey:
    """The account's public key: 32 bytes or DER, in base64 or base64url, in one line or as PEM. Raises ValueError."""
    raw = _base64("".join(_PEM.sub("", text).split()))
    if raw is None:
        raise ValueError("it is not base64")
    if len(raw) == len(_DER) + 32 and raw.startswith(_DER):
        raw = raw[len(_DER) :]
    if len(raw) != 32:
        raise ValueError(f"it holds {len(raw)} bytes, and an Ed25519 key has 32")
    return VerifyKey(raw)


def verify(request: WebhookRequest, key: VerifyKey | None, now_ms: int) -> Verdict:
    """Whether a webhook is from this account. Without a key nothing is."""
    if key is None:
        return Verdict(False, "telnyx.public_key is not set: nothing can be verified")
    given, timestamp = request.headers.get(SIGNATURE, ""), request.headers.get(TIMESTAMP, "")
    if not given or not timestamp:
        return Verdict(False, f"no {TIMESTAMP if given else SIGNATURE} header")
    if len(timestamp) > 12 or not (timestamp.isascii() and timestamp.isdecimal()):
        return Verdict(False, f"{TIMESTAMP} is not a number of seconds")
    signature = _base64(given) if len(given) <= _LIMIT else None
    if signature is None or len(signature) != 64:
        return Verdict(False, f"{SIGNATURE} is not the base64 of 64 bytes")
    message = timestamp.encode() + b"|" + request.body
    signed = message.decode("utf-8", "replace")
    try:
        key.verify(message, signature)
    except CryptoError:
        why = (
            "the signature does not fit: is telnyx.public_key the one of this account, or does a proxy change bodies?"
        )
        return Verdict(False, why, signed=signed)
    late = round(now_ms / 1000) - int(timestamp)
    if abs(late) > TOLERANCE_S:
        way = f"{late} s old" if late > 0 else f"{-late} s ahead"
        why = f"signed by Telnyx, but {way}: a replay, or this machine's clock is wrong"
        return Verdict(False, why, signed=signed)
    return Verdict(True, "the signature fits", replay_key=_replay_key(request.body, message), signed=signed)


def verify_upgrade(request: WebhookRequest) -> Verdict:
    """Telnyx does not sign the upgrade of a media socket. The one-time token at the end of its path is checked when
    the stream starts; what can be seen without it is refused before that: a path without a token, and a bearer token
    that is another one (`stream_auth_token` is the token of the path)."""
    path = request.url.partition("?")[0]
    token = path.rpartition("/")[2]
    if _TOKEN.fullmatch(token) is None:
        return Verdict(False, "the media socket's path ends in no stream token")
    scheme, _, presented = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and presented.strip() != token:
        return Verdict(False, "the media socket's bearer token is not that of its path")
    return Verdict(True, "Telnyx signs no upgrades: the stream token decides")


def _replay_key(body: bytes, message: bytes) -> str:
    """The event's own id: a delivery that is tried again is signed anew."""
    try:
        value: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        value = None
    event: Any = value.get("data", value) if isinstance(value, dict) else None
    found = event.get("id") if isinstance(event, dict) else None
    if isinstance(found, str) and found:
        message = f"{event.get('event_type')}|{found}".encode("utf-8", "replace")
    return hashlib.sha256(message).hexdigest()


def _base64(text: str) -> bytes | None:
    """Either alphabet, with or without padding; None for anything else."""
    plain = text.strip().translate(str.maketrans("-_", "+/")).rstrip("=")
    try:
        return binascii.a2b_base64(plain + "=" * (-len(plain) % 4), strict_mode=True)
    except (binascii.Error, ValueError):
        return None
