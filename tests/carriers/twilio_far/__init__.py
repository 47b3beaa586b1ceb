"""A far end that behaves like Twilio, for tests and by hand: REST, signed webhooks, TwiML, media streams, people.

Wire facts are Twilio's documentation and its OpenAPI description; nothing of `engine.carriers` is imported here, so
that the two only agree through what goes over the wire. People, voices and clocks are the simulated carrier's.
"""

from tests.carriers.far.settings import OUR_NUMBER
from tests.carriers.twilio_far.call import FarCall
from tests.carriers.twilio_far.far import TwilioFar
from tests.carriers.twilio_far.settings import Settings, WebhookFaults

__all__ = ["OUR_NUMBER", "FarCall", "Settings", "TwilioFar", "WebhookFaults"]
