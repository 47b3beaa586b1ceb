"""A far end that behaves like Plivo: REST with state, signed callbacks, XML, audio streams and people on the phone.

A component of its own: nothing of the engine's Plivo code is imported. What it refuses is what Plivo's pages, its
SDK's validators and reports of live calls say that Plivo refuses. Signed by Plivo's own utility.
"""

from tests.carriers.far.settings import OUR_NUMBER
from tests.carriers.plivo_far.call import FarCall
from tests.carriers.plivo_far.far import PlivoFar
from tests.carriers.plivo_far.settings import Settings

__all__ = ["OUR_NUMBER", "FarCall", "PlivoFar", "Settings"]
