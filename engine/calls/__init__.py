"""The domain: facts about calls and the pure fold that turns them into call records. Imports nothing of ours."""

from engine.calls.apply import apply, fold
from engine.calls.attention import Need, needs
from engine.calls.call import Call, Direction, Floor, Line, Mode, Speaker
from engine.calls.clues import Around, Clues, clue, surround
from engine.calls.diagnosis import Diagnosis, diagnose
from engine.calls.events import EPHEMERAL_TYPES, EVENT_TYPES, Cursor, Data, Draft, Event
from engine.calls.ladder import Rung, first_missing, ladder
from engine.calls.latency import is_over_budget, percentile, report, summarise
from engine.calls.state import END_REASONS, State, next_state

__all__ = [
    "END_REASONS",
    "EPHEMERAL_TYPES",
    "EVENT_TYPES",
    "Around",
    "Call",
    "Clues",
    "Cursor",
    "Data",
    "Diagnosis",
    "Direction",
    "Draft",
    "Event",
    "Floor",
    "Line",
    "Mode",
    "Need",
    "Rung",
    "Speaker",
    "State",
    "apply",
    "clue",
    "diagnose",
    "first_missing",
    "fold",
    "ladder",
    "needs",
    "next_state",
    "is_over_budget",
    "percentile",
    "report",
    "summarise",
    "surround",
]
