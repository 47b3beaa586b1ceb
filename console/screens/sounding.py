"""Sound and the floor on the main screen: listening follows the selection, the microphone stays where it was taken.

Who takes the floor of a second call leaves the first one on hold, because nobody can speak in two.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from console.acts import Outcome
from console.screens.ask import GONE, Ask, Choice
from console.sound.devices import NoSound
from console.sound.mixer import LAYOUTS, Layout
from console.who import person_of
from console.widgets.sound import SoundBar, SoundFacts
from console.words import number_text
from engine.client import Call, Floor

if TYPE_CHECKING:
    from console.screens.controls import Controls
    from console.screens.main import MainScreen

OFF: Final = "off"


class Sounding:
    """What the keys of sound and floor do. One for each main screen."""

    def __init__(self, screen: MainScreen) -> None:
        self._screen = screen
        self.listening = False
        """The operator wants to hear the selected call."""
        self._told = ""
        """The last trouble that a notice told of."""

    # -- listening ----------------------------------------------------------------------------

    def listen(self, controls: Controls, argument: str) -> None:
        """Listen to what is selected, or stop; or listen in another way."""
        if argument and argument != OFF and argument not in LAYOUTS:
            controls.warn(f"listen how? {', '.join(LAYOUTS)} or {OFF}")
            return
        self.listening = argument != OFF and (bool(argument) or not self.listening)
        self.follow()
        if argument in LAYOUTS:
            layout: Layout = next(each for each in LAYOUTS if each == argument)
            self._screen.monitor.set_layout(layout)

    def follow(self) -> None:
        """Listen to the call that is selected now."""
        call = self._screen.call
        audible = self.listening and call is not None and call.live and call.media == "stream"
        self._screen.monitor.listen(call.call_id if audible and call is not None else "")

    def sides(self, argument: str) -> None:
        """The next way to spread the sides."""
        self._screen.monitor.set_layout()

    def volume(self, controls: Controls, argument: str, steps: int) -> None:
        """Louder, quieter, or a percentage."""
        if not argument:
            self._screen.monitor.louder(steps)
        elif argument.rstrip(" %").isdecimal() and len(argument) < 5:
            self._screen.monitor.set_volume(int(argument.rstrip(" %")))
        else:
            controls.warn("the volume is a number from 0 to 200")

    def device(self, controls: Controls, argument: str, *, microphone: bool = False) -> None:
        """Choose a device by a part of its name; without one, say which there are."""
        monitor = self._screen.monitor
        if argument:
            chosen = "" if argument == "default" else argument
            monitor.set_devices(None if microphone else chosen, chosen if microphone else None)
            return

        def tell() -> None:
            try:
                outputs, inputs = monitor.devices()
            except NoSound as error:
                self._screen.app.call_from_thread(controls.warn, f"{error.error}: {error.hint}")
                return
            names = [
                f"{each.name}{' (default)' if each.is_default else ''}"
                for each in (inputs if microphone else outputs)
            ]
            what = "microphones" if microphone else "loudspeakers"
            self._screen.app.call_from_thread(controls.tell, f"{what}: {', '.join(names) or 'none'}")

        self._screen.run_worker(tell, thread=True, group="sound", exit_on_error=False)

    # -- the floor ----------------------------------------------------------------------------

    def take(self, controls: Controls) -> None:
        """Have the floor of the selected call and the microphone for it; again hands back."""
        call = self._screen.call
        if call is None:
            return
        if call.floor == "operator" and self._is_mine(call):
            self.hand_back(controls)
        else:
            self._give(controls, call, "operator")

    def hold(self, controls: Controls) -> None:
        """Have the agent be silent and the caller wait; again hands back."""
        call = self._screen.call
        if call is not None:
            self._give(controls, call, "agent" if call.floor == "held" else "held")

    def hand_back(self, controls: Controls) -> None:
        """The agent goes on."""
        call = self._screen.call
        if call is None:
            return
        if call.floor == "agent":
            controls.warn("the agent has the floor already")
        else:
            self._give(controls, call, "agent")

    def _give(self, controls: Controls, call: Call, holder: Floor, *, take_over: bool = False) -> None:
        screen = self._screen
        if holder != "operator":
            self._put_away(call.call_id)

        async def work() -> None:
            outcome = await screen.acts.floor(call.call_id, holder, take_over=take_over)
            if outcome.ok:
                self._given(controls, call, holder)
            elif outcome.code == "floor_taken" and not take_over:
                self._ask_to_take_over(controls, call, holder, outcome)
            else:
                controls.refused("floor", outcome)

        screen.run_worker(work(), group="acts", exit_on_error=False)

    def _given(self, controls: Controls, call: Call, holder: Floor) -> None:
        key = self._screen.registry.key
        if holder == "agent":
            controls.tell("the agent has the floor again")
        elif holder == "held":
            controls.tell("the agent is held: the caller waits")
        elif call.media == "stream" and call.mode == "conversation":
            self._leave_other(controls, call)
            self._screen.monitor.take(call.call_id)
            controls.tell(f"you have the floor: hold {key('talk')} to talk, {key('latch')} keeps the microphone open")
        else:
            controls.tell(f"you have the floor: the agent is silent, {key('speak')} speaks")

    def _leave_other(self, controls: Controls, call: Call) -> None:
        """The microphone goes to another call: its caller must not be left with a silent agent and nobody else."""
        other = self._screen.board.calls.get(self._screen.monitor.state.talking.call_id)
        if other is not None and other.live and other.call_id != call.call_id and other.floor == "operator":
            number = number_text(other.peer, self._screen.masked)
            controls.perform(
                "floor", self._screen.acts.floor(other.call_id, "held"), lambda _: f"{number} is on hold meanwhile"
            )

    def _ask_to_take_over(self, controls: Controls, call: Call, holder: Floor, outcome: Outcome) -> None:
        choices = (Choice("n", "Leave it", "leave", safe=True), Choice("y", "Take over", "take", danger=True))

        def chosen(answer: str | None) -> None:
            if answer == GONE:
                controls.warn("the call is over already")
            elif answer == "take":
                self._give(controls, call, holder, take_over=True)

        screen = self._screen
        words = [f"{outcome.error}.", "Taking over cuts their microphone off."]
        pause, live = screen.options.typing_pause, partial(screen.is_live, call.call_id)
        screen.app.push_screen(Ask("Take the floor over?", words, choices, pause=pause, matters=live), chosen)

    def _is_mine(self, call: Call) -> bool:
        return not self._screen.options.me or call.floor_by == self._screen.options.me

    # -- the microphone -----------------------------------------------------------------------

    def talk(self, controls: Controls) -> None:
        """The key to talk is down, or still is."""
        if self._may_talk(controls):
            self._screen.monitor.press()

    def latch(self, controls: Controls) -> None:
        """Keep the microphone open, or mute it again."""
        mic = self._screen.monitor.state.talking
        if mic.state == "live" or self._may_talk(controls):  # muting is never refused
            self._screen.monitor.latch()

    def _may_talk(self, controls: Controls) -> bool:
        """Nobody speaks into another call than the one that they look at."""
        call, mic = self._screen.call, self._screen.monitor.state.talking
        if mic.state == "off":
            controls.warn(f"take the floor first ({self._screen.registry.key('take')})")
        elif call is None or call.call_id != mic.call_id:
            other = self._screen.board.calls.get(mic.call_id)
            number = number_text(other.peer, self._screen.masked) if other else "another call"
            controls.warn(f"your microphone is at {number}: select that call")
        else:
            return True
        return False

    def _put_away(self, call_id: str) -> None:
        if self._screen.monitor.state.talking.call_id == call_id:
            self._screen.monitor.take("")

    # -- what is shown ------------------------------------------------------------------------

    @property
    def live_at(self) -> str:
        """The number that hears this machine's microphone now, if one does."""
        mic = self._screen.monitor.state.talking
        return self._number(mic.call_id) if mic.state == "live" else ""

    def paint(self) -> None:
        """Draw the line of sound, and tell of new trouble once."""
        sound = self._screen.monitor.state
        trouble = sound.talking.trouble
        if trouble and trouble != self._told:
            self._screen.notify(trouble, severity="warning", timeout=8, markup=False)
        self._told = trouble
        heard = sound.hearing.call_id if self._screen.is_live(sound.hearing.call_id) else ""
        call = self._screen.call
        ours = call is not None and call.live and call.floor == "operator" and self._is_mine(call)
        facts = SoundFacts(sound, self.listening, self._number(sound.talking.call_id), self._number(heard), ours)
        self._screen.query_one(SoundBar).show(facts)

    def _number(self, call_id: str) -> str:
        call = self._screen.board.calls.get(call_id)
        return number_text(call.peer, self._screen.masked) if call is not None else ""


def floor_holder(call: Call, me: str) -> str:
    """Who drives the call, for the line above the transcript."""
    if call.floor == "agent":
        return ""
    return "you" if me and call.floor_by == me else person_of(call.floor_by)
