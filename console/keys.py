"""The one registry of commands. Keys, the `:` line, the palette, the footer and the help are all made from it.

A command's name is what `:` understands and what `console.keys` in the configuration gives another key to.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Final, Literal

Group = Literal["calls", "floor", "sound", "view", "console", "moving"]
Needs = Literal["", "call", "live"]
"""What must be selected for the command to make sense."""

GROUPS: Final[Mapping[Group, str]] = {
    "calls": "Calls",
    "floor": "The floor: who speaks for us",
    "sound": "Sound on this machine",
    "view": "What is shown",
    "console": "The console",
    "moving": "Moving about",
}


@dataclass(frozen=True, slots=True)
class Command:
    """One thing that the operator can do."""

    name: str
    keys: tuple[str, ...]
    """As Textual names keys."""
    label: str
    """One or two words for the footer."""
    help: str
    group: Group
    arguments: str = ""
    needs: Needs = ""
    hint: int = 0
    """Place in the footer, 0 is none; where room is short the highest are left out."""
    aliases: tuple[str, ...] = ()
    typed: bool = True
    """The `:` line and the palette offer it."""

    @property
    def usage(self) -> str:
        """How it is typed."""
        return f":{self.name} {self.arguments}".rstrip()


COMMANDS: Final[tuple[Command, ...]] = (
    Command("dial", ("n",), "dial", "Place a call", "calls", "[NUMBER [MESSAGE]]", hint=1, aliases=("call", "new")),
    Command("speak", ("s",), "speak", "Say a line in the selected call", "calls", "[TEXT]", "live", 2, ("say",)),
    Command(
        "continue",
        ("c",),
        "continue",
        "Say a line and wait for the caller's answer",
        "calls",
        "[TEXT]",
        "live",
        3,
        ("ask",),
    ),
    Command("end", ("e",), "end", "Hang up the selected call (asks first)", "calls", "", "live", 4, ("hangup",)),
    Command(
        "keypad", ("d",), "keypad", "Send keys into the selected call", "calls", "[DIGITS]", "live", 9, ("dtmf",)
    ),
    Command(
        "transfer",
        ("x",),
        "transfer",
        "Put the caller through (asks first)",
        "calls",
        "[NUMBER]",
        "live",
        aliases=("forward",),
    ),
    Command("admit", ("a",), "let in", "Let in who waits, this once", "calls"),
    Command("admit-always", ("A",), "always", "Let in who waits, and that number from now on", "calls"),
    Command("reject", ("r",), "reject", "Turn away who waits", "calls"),
    Command("hold", ("h",), "hold", "Hold the agent, or hand the floor back to it", "floor", "", "live", 5),
    Command("take", ("t",), "take", "Take the floor and the microphone, or hand it back", "floor", "", "live", 8),
    Command("talk", ("space",), "talk", "Hold: the caller hears your microphone", "floor", "", "live"),
    Command("latch", ("o",), "open mic", "Keep the microphone open, or mute it again", "floor", "", "live"),
    Command("hand-back", ("b",), "hand back", "Give the floor back to the agent", "floor", "", "live"),
    Command("hint", ("i",), "hint", "Tell the agent something unheard by the caller", "floor", "[TEXT]", "live"),
    Command("listen", ("l",), "listen", "Listen to the selected call, or stop", "sound", "[HOW]", hint=10),
    Command("mute", ("M",), "mute", "Silence what is listened to, or hear it again", "sound"),
    Command("sides", ("B",), "sides", "Caller left and us right, both, one side only", "sound"),
    Command("louder", ("plus", "equals_sign"), "louder", "Ten percent louder", "sound"),
    Command("quieter", ("minus",), "quieter", "Ten percent quieter", "sound"),
    Command("volume", (), "volume", "Set the volume, 0 to 200", "sound", "[PERCENT]"),
    Command("device", (), "device", "Choose the loudspeaker, or list them", "sound", "[NAME|default]"),
    Command(
        "microphone", (), "mic", "Choose the microphone, or list them", "sound", "[NAME|default]", aliases=("mic",)
    ),
    Command("record", ("R",), "record", "Record the call, or stop for good", "calls", "", "live", aliases=("rec",)),
    Command("seen", ("exclamation_mark",), "seen", "Seen: be quiet about why a call needs you", "calls", "", "live"),
    Command("filter", ("slash",), "filter", "Show calls by number, state or words said", "view", "[WORDS]", "", 6),
    Command("open", ("enter",), "open", "Go to the transcript of the selected call", "view", "", "call"),
    Command("copy", ("y",), "copy", "Copy the number or the line", "view", "[number|line|transcript]", "call"),
    Command("copy-transcript", ("Y",), "copy all", "Copy the whole transcript", "view", "", "call"),
    Command("mask", ("m",), "mask", "Mask telephone numbers, or show them", "view"),
    Command("freeze", ("p",), "freeze", "Freeze what is shown; calls go on", "view"),
    Command("zoom", ("z",), "zoom", "Give the focused pane the whole screen, or back", "view"),
    Command("theme", ("T",), "theme", "Another theme", "view", "[NAME]"),
    Command(
        "checks", ("C",), "checks", "Is everything there? What is not, and the fix", "console", aliases=("setup",)
    ),
    Command(
        "webhooks",
        ("w",),
        "webhooks",
        "The desk: who reaches us, what came, why it was refused",
        "view",
        "[WORDS]",
        aliases=("hooks", "desk"),
    ),
    Command("log", ("L",), "log", "What was asked of the engine, and what came of it", "console"),
    Command("command", ("colon",), "command", "Type a command", "console", hint=7, typed=False),
    Command("palette", ("ctrl+p",), "palette", "Find a command", "console", typed=False),
    Command("help", ("question_mark", "f1"), "help", "Every key and command", "console", hint=11),
    Command("quit", ("q",), "quit", "Leave the console", "console", hint=12, aliases=("q", "exit")),
    Command("back", ("escape",), "back", "Back, one level", "moving", typed=False),
    Command("next-pane", ("tab",), "next pane", "Next pane", "moving", typed=False),
    Command("up-down", ("j", "k", "down", "up"), "move", "Next and previous call, or scroll", "moving", typed=False),
    Command("ends", ("g", "G", "home", "end"), "ends", "First and last; G follows the call", "moving", typed=False),
    Command("pages", ("pageup", "pagedown", "ctrl+u", "ctrl+d"), "pages", "By pages", "moving", typed=False),
)
PANE_COMMANDS: Final = frozenset({"next-pane", "up-down", "ends", "pages"})
"""Bound by the panes themselves; listed here for the help."""

_LABELS: Final = {
    "slash": "/",
    "colon": ":",
    "question_mark": "?",
    "exclamation_mark": "!",
    "enter": "Enter",
    "escape": "Esc",
    "tab": "Tab",
    "up": "↑",
    "down": "↓",
    "pageup": "PgUp",
    "pagedown": "PgDn",
    "home": "Home",
    "end": "End",
    "f1": "F1",
    "space": "Space",
    "plus": "+",
    "equals_sign": "=",
    "minus": "-",
}


def key_label(key: str) -> str:
    """A key as it is printed on a keyboard."""
    return _LABELS.get(key, key)


@dataclass(frozen=True, slots=True)
class Typed:
    """A command line that was understood."""

    command: Command
    argument: str


class Registry:
    """The commands with the keys that this operator gave them."""

    def __init__(self, commands: Sequence[Command] = COMMANDS) -> None:
        self.commands = tuple(commands)
        self._names = {word: command for command in commands for word in (command.name, *command.aliases)}

    def with_keys(self, keys: Mapping[str, str]) -> tuple[Registry, list[str]]:
        """The registry with other keys (`{"speak": "S,ctrl+s"}`), and a sentence for each entry that is wrong."""
        problems: list[str] = []
        changed: dict[str, Command] = {}
        for name, wanted in keys.items():
            command = self._names.get(name.rpartition(".")[2])
            if command is None or command.name in PANE_COMMANDS:
                problems.append(f"console.keys: no command {name!r}{_nearest(name, self.names)}")
                continue
            parts = tuple(key for key in (part.strip() for part in wanted.split(",")) if key)
            changed[command.name] = replace(command, keys=parts)
        registry = Registry([changed.get(command.name, command) for command in self.commands])
        return registry, problems + registry._clashes()

    def _clashes(self) -> list[str]:
        seen: dict[str, str] = {}
        problems: list[str] = []
        for command in self.commands:
            for key in command.keys if command.name not in PANE_COMMANDS else ():
                if key in seen:
                    problems.append(f"console.keys: {key_label(key)} is both {seen[key]} and {command.name}")
                seen.setdefault(key, command.name)
        return problems

    @property
    def names(self) -> list[str]:
        """Names that can be typed."""
        return [command.name for command in self.commands if command.typed]

    def __contains__(self, name: str) -> bool:
        return name.rpartition(".")[2] in self._names

    def get(self, name: str) -> Command:
        """A command by its name or alias; `calls.dial` is `dial`. Raises KeyError."""
        return self._names[name.rpartition(".")[2]]

    def key(self, name: str) -> str:
        """What a text tells the operator to press for a command; one without a key is typed."""
        command = self.get(name)
        return key_label(command.keys[0]) if command.keys else f":{command.name}"

    def offered(self, hidden: Container[str]) -> list[Command]:
        """The commands that the carrier has a use for."""
        return [command for command in self.commands if command.name not in hidden]

    def hints(self, hidden: Container[str] = ()) -> list[Command]:
        """The footer's commands in their order."""
        return sorted((each for each in self.offered(hidden) if each.hint), key=lambda command: command.hint)

    def parse(self, line: str) -> Typed | str:
        """A typed line as a command with its argument, or a sentence that says what is wrong with it."""
        word, _, argument = line.strip().removeprefix(":").strip().partition(" ")
        if not word:
            return "type a command: ? lists them"
        command = self._names.get(word.casefold())
        if command is None or not command.typed:
            return f"there is no command {word[:40]!r}{_nearest(word, self.names)}"
        if argument.strip() and not command.arguments:
            return f"{command.name} takes nothing after it"
        return Typed(command, argument.strip())

    def complete(self, text: str, choices: Mapping[str, Sequence[str]], hidden: Container[str] = ()) -> str | None:
        """The line that `text` probably becomes. `choices`: command -> words that may follow it."""
        word, space, argument = text.partition(" ")
        if not word:
            return None
        if not space:
            names = (name for name in self.names if name not in hidden)
            return next((name for name in names if name.startswith(word) and name != word), None)
        command = self._names.get(word)
        options = choices.get(command.name, ()) if command else ()
        return next((f"{word} {each}" for each in options if each.startswith(argument) and each != argument), None)


def _nearest(word: str, names: Iterable[str]) -> str:
    close = get_close_matches(word, list(names), 1, 0.6)
    return f", did you mean {close[0]!r}?" if close else ""
