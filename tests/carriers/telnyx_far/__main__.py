"""`python -m tests.carriers.telnyx_far --port 4020 --public http://127.0.0.1:3334`: the far end, by hand.

Prints one JSON line: its address and what to put into the configuration. An engine with

    provider: telnyx
    from_number: "+15550100000"
    public_url: http://127.0.0.1:3334/voice/webhook
    telnyx: {api_key: ..., connection_id: ..., public_key: ..., api_base_url: http://127.0.0.1:4020}

can then dial the simulated people (+15550100151 and others) and be called:

    curl -d '{}' http://127.0.0.1:4020/sim/inbound
    curl http://127.0.0.1:4020/sim/report
"""

from __future__ import annotations

import sys
from functools import partial

from tests.carriers.far.command import common_settings, options_of, serve, webhook_of
from tests.carriers.telnyx_far import Settings, TelnyxFar


def main() -> int:
    parser = options_of("telnyx_far", __doc__, 4020)
    parser.add_argument("--codec", choices=("PCMU", "PCMA", "G722", "OPUS"), default="PCMU", help="of the legs")
    parser.add_argument("--api-version", choices=("1", "2"), default="2")
    parser.add_argument("--cost", action="store_true", help="tell what calls cost")
    options = parser.parse_args()
    settings = Settings(
        webhook_url=webhook_of(options),
        api_version=options.api_version,
        call_cost=options.cost,
        leg_codec=options.codec,
        **common_settings(options),
    )
    return serve(options, partial(TelnyxFar, settings), _shown)


def _shown(far: TelnyxFar) -> dict[str, str]:
    settings = far.settings
    return {
        "api_key": settings.api_key,
        "connection_id": settings.connection_id,
        "public_key": far.public_key,
        "number": settings.number,
        "webhook_url": settings.webhook_url,
    }


if __name__ == "__main__":
    sys.exit(main())
