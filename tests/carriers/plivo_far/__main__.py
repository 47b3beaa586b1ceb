"""`python -m tests.carriers.plivo_far --port 4011 --public http://127.0.0.1:3334`: the far end, by hand.

Prints one JSON line: its address and what to put into the configuration. An engine with

    provider: plivo
    from_number: "+15550100000"
    public_url: http://127.0.0.1:3334/voice/webhook
    plivo: {auth_id: ..., auth_token: ..., api_base_url: http://127.0.0.1:4011}

can then dial the simulated people (+15550100151 and others) and be called:

    curl -d '{}' http://127.0.0.1:4011/sim/inbound
    curl -d '{"person": "Anna Miller"}' http://127.0.0.1:4011/sim/inbound
    curl http://127.0.0.1:4011/sim/report
"""

from __future__ import annotations

import sys
from functools import partial

from tests.carriers.far.command import common_settings, options_of, serve, webhook_of
from tests.carriers.plivo_far import PlivoFar, Settings


def main() -> int:
    parser = options_of("plivo_far", __doc__, 4011)
    parser.add_argument("--auth-id", default=Settings.auth_id)
    parser.add_argument("--auth-token", default="far-end-token")
    parser.add_argument("--get", action="store_true", help="the application asks by GET")
    options = parser.parse_args()
    answer_url = webhook_of(options)
    settings = Settings(
        auth_id=options.auth_id,
        auth_token=options.auth_token,
        answer_url=answer_url,
        hangup_url=f"{answer_url}?type=status",
        method="GET" if options.get else "POST",
        **common_settings(options),
    )
    return serve(options, partial(PlivoFar, settings), _shown)


def _shown(far: PlivoFar) -> dict[str, str]:
    settings = far.settings
    return {
        "auth_id": settings.auth_id,
        "auth_token": settings.auth_token,
        "number": settings.number,
        "answer_url": settings.answer_url,
    }


if __name__ == "__main__":
    sys.exit(main())
