"""The environment variables that stand in for unset values of the chosen vendors, and of no others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

CARRIERS: Final[Mapping[str, Mapping[str, str]]] = {
    "twilio": {
        "twilio.account_sid": "TWILIO_ACCOUNT_SID",
        "twilio.auth_token": "TWILIO_AUTH_TOKEN",
        "from_number": "TWILIO_FROM_NUMBER",
    },
    "telnyx": {
        "telnyx.api_key": "TELNYX_API_KEY",
        "telnyx.connection_id": "TELNYX_CONNECTION_ID",
        "telnyx.public_key": "TELNYX_PUBLIC_KEY",
    },
    "plivo": {"plivo.auth_id": "PLIVO_AUTH_ID", "plivo.auth_token": "PLIVO_AUTH_TOKEN"},
}
"""`provider` -> dotted key -> variable."""
NGROK: Final[Mapping[str, str]] = {
    "tunnel.ngrok_auth_token": "NGROK_AUTHTOKEN",
    "tunnel.ngrok_domain": "NGROK_DOMAIN",
}
API_KEYS: Final[Mapping[str, str]] = {"openai": "OPENAI_API_KEY", "elevenlabs": "ELEVENLABS_API_KEY"}
"""Speech vendor or brain -> variable of its `api_key`."""
