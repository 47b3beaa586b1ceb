"""A far end that behaves like Telnyx, for tests and by hand: REST, signed webhooks, media streams, people.

Wire facts are Telnyx's documentation and its OpenAPI description; nothing of `engine.carriers` is imported here, so
that the two only agree through what goes over the wire. People, voices and clocks are the simulated carrier's.
"""

from tests.carriers.far.settings import OUR_NUMBER
from tests.carriers.telnyx_far.call import FarCall
from tests.carriers.telnyx_far.far import TelnyxFar
from tests.carriers.telnyx_far.settings import Settings, WebhookFaults

__all__ = ["OUR_NUMBER", "FarCall", "Settings", "TelnyxFar", "WebhookFaults"]
