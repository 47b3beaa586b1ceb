"""`python -m tests.carriers.twilio_far --port 4010 --public http://127.0.0.1:3334`: the far end, by hand.

Prints one JSON line: its address and what to put into the configuration. An engine with

    provider: twilio
    from_number: "+15550100000"
    public_url: http://127.0.0.1:3334/voice/webhook
    twilio: {account_sid: ..., auth_token: ..., api_base_url: http://127.0.0.1:4010}

can then dial the simulated people (+15550100151 and others) and be called:

    curl -d '{}' http://127.0.0.1:4010/sim/inbound
    curl -d '{"person": "Anna Miller"}' http://127.0.0.1:4010/sim/inbound
    curl http://127.0.0.1:4010/sim/report
"""

from __future__ import annotations

import sys
from functools import partial

from tests.carriers.far.command import common_settings, options_of, serve, webhook_of
from tests.carriers.twilio_far import Settings, TwilioFar


def main() -> int:
    parser = options_of("twilio_far", __doc__, 4010)
    parser.add_argument("--account-sid", default=Settings.account_sid)
    parser.add_argument("--auth-token", default="far-end-token")
    options = parser.parse_args()
    voice_url = webhook_of(options)
    settings = Settings(
        account_sid=options.account_sid,
        auth_token=options.auth_token,
        voice_url=voice_url,
        status_callback=f"{voice_url}?type=status",
        **common_settings(options),
    )
    return serve(options, partial(TwilioFar, settings), _shown)


def _shown(far: TwilioFar) -> dict[str, str]:
    settings = far.settings
    return {
        "account_sid": settings.account_sid,
        "auth_token": settings.auth_token,
        "number": settings.number,
        "voice_url": settings.voice_url,
    }


if __name__ == "__main__":
    sys.exit(main())
