"""How the simulated carrier signs what it sends: HMAC-SHA256 over time, method, exact URL and body."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time


def signature(secret: str, timestamp: int, method: str, url: str, body: bytes) -> str:
    """Base64 of the HMAC. `timestamp` in epoch seconds; `url` exactly as it is requested."""
    message = f"{timestamp}\n{method}\n{url}\n".encode() + body
    return base64.b64encode(hmac.new(secret.encode(), message, hashlib.sha256).digest()).decode()


def signed_headers(secret: str, method: str, url: str, body: bytes = b"", at: float | None = None) -> dict[str, str]:
    """The two headers of a request that is sent at `at` (epoch seconds, default now)."""
    timestamp = int(time.time() if at is None else at)
    return {
        "X-Sim-Timestamp": str(timestamp),
        "X-Sim-Signature": signature(secret, timestamp, method, url, body),
    }
