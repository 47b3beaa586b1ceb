"""`voicecall` and its verbs: what can be typed. What a verb does lives in `console.verbs`, imported when called.

Nothing but the standard library is imported here, so that `voicecall --help` answers at once.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

USAGE: Final = 2
INTERRUPTED: Final = 130
_EPILOG: Final = """\
exit codes: 0 done, 1 refused or failed, 2 wrong usage or invalid configuration, 3 no engine reachable, 4 timed out.
Output is JSON with --json or when it does not go to a terminal. `voicecall VERB --help` tells more about a verb.
"""

Parser = argparse.ArgumentParser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line; returns the exit code."""
    try:
        args = _parser().parse_args(argv)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else USAGE
    from console.verbs.runner import OutputClosed, run

    try:
        return run(args)
    except KeyboardInterrupt:
        return INTERRUPTED
    except OutputClosed:
        # Whoever read our output has seen enough. What is still buffered must not fail at exit either.
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - it stays open until the process ends
        return 0


class _Verb(NamedTuple):
    name: str
    words: str
    options: Callable[[Parser], None]
    module: str
    aliases: tuple[str, ...] = ()


def _parser() -> Parser:
    parser = Parser(
        prog="voicecall",
        description="Phone calls that software makes and answers. Without a verb: the console.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version, help="print the version and leave")
    parser.set_defaults(verb="console", module="console.verbs.screen", config=None, state_dir=None, json=False)
    _common(parser)
    verbs = parser.add_subparsers(title="verbs", metavar="VERB")
    for verb in _VERBS:
        sub = verbs.add_parser(
            verb.name, help=verb.words, description=verb.words, aliases=verb.aliases, allow_abbrev=False
        )
        sub.set_defaults(verb=verb.name, module=verb.module)
        _common(sub)
        verb.options(sub)
    return parser


def _common(parser: Parser) -> None:
    """Options that may stand before or after the verb: a parser sets only those that it was given."""
    unset: Any = argparse.SUPPRESS
    group = parser.add_argument_group("common options")
    group.add_argument("--config", metavar="FILE", type=Path, default=unset, help="configuration file")
    group.add_argument("--state-dir", metavar="DIR", type=Path, default=unset, help="folder of the engine's state")
    group.add_argument("--json", action="store_true", default=unset, help="JSON output, also on a terminal")


class _Version(argparse.Action):
    def __init__(self, option_strings: Sequence[str], dest: str, **options: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, default=argparse.SUPPRESS, help=options.get("help"))

    def __call__(self, parser: Parser, *_: Any) -> None:
        from engine import __version__

        print(f"voicecall {__version__}")
        parser.exit()


def _number(minimum: int, maximum: int = 1 << 31) -> Callable[[str], int]:
    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
        if not minimum <= value <= maximum:
            raise argparse.ArgumentTypeError(f"{value} is not between {minimum} and {maximum}")
        return value

    return read


def _path(text: str) -> str:
    if not text.startswith("/") or text != "/" + text.strip("/") or any(char in text for char in "?# \t"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a path such as /voice/webhook")
    return text


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return value


def _call_id(parser: Parser, *, required: bool = True) -> None:
    parser.add_argument("--call-id", metavar="ID", required=required, help="the call: our id or the carrier's")


def _message(parser: Parser, words: str, *, required: bool = True) -> None:
    parser.add_argument("-m", "--message", metavar="TEXT", required=required, help=words)


def _mode(parser: Parser) -> None:
    parser.add_argument(
        "--mode",
        choices=("notify", "conversation"),
        help="say it and hang up, or talk; default: as configured",
    )


def _to(parser: Parser) -> None:
    parser.add_argument("-t", "--to", metavar="E164", help="number to dial, +15550100142; default: to_number")


def _no_options(parser: Parser) -> None:
    """A verb that takes nothing but the common options."""


def _demo(parser: Parser) -> None:
    parser.add_argument("--calls", metavar="N", type=_number(1, 1000), help="simulated calls at the same time")
    parser.add_argument("--seed", metavar="N", type=_number(0), help="the same seed gives the same people")
    parser.add_argument("--for", dest="seconds", metavar="SECONDS", type=_seconds, help="end after so long")
    parser.add_argument("--headless", action="store_true", help="no screen; a JSON summary at the end")


def _attach(parser: Parser) -> None:
    parser.add_argument("target", metavar="TARGET", nargs="?", help="state folder, socket path or URL of an engine")
    parser.add_argument("--token-file", metavar="FILE", type=Path, help="file with the token of a TCP control door")


def _phone(parser: Parser) -> None:
    parser.add_argument("-t", "--to", metavar="E164", help="number of the engine to call; default: the one it has")
    parser.add_argument("--number", metavar="E164", help="your own number; default: +15550100190")
    parser.add_argument("--wait", action="store_true", help="be called at your number, instead of calling")


def _call(parser: Parser) -> None:
    _message(parser, "what is said when the call is answered")
    _to(parser)
    _mode(parser)
    parser.add_argument("--dtmf-sequence", metavar="D", help="keys to press after the answer, w waits half a second")


def _continue(parser: Parser) -> None:
    _call_id(parser)
    _message(parser, "what to say before listening")


def _speak(parser: Parser) -> None:
    _call_id(parser)
    _message(parser, "what to say")


def _dtmf(parser: Parser) -> None:
    _call_id(parser)
    parser.add_argument("--digits", metavar="D", required=True, help="keys: 0-9 * # A-D, w waits half a second")


def _transfer(parser: Parser) -> None:
    _call_id(parser)
    parser.add_argument("-t", "--to", metavar="E164", required=True, help="whom to connect the caller with, +1555…")


def _admit(parser: Parser) -> None:
    _call_id(parser, required=False)
    verdict = parser.add_mutually_exclusive_group(required=True)
    for word, help_ in (
        ("once", "let the caller in"),
        ("always", "let the caller in, and this number from now on"),
        ("no", "turn the caller away"),
    ):
        verdict.add_argument(f"--{word}", dest="verdict", action="store_const", const=word, help=help_)
    verdict.add_argument("--list", action="store_true", help="show the numbers that were let in always")
    verdict.add_argument("--forget", metavar="NUMBER", help="no longer let this number in always")


def _status(parser: Parser) -> None:
    _call_id(parser, required=False)


def _tail(parser: Parser) -> None:
    parser.add_argument(
        "--since",
        metavar="N",
        type=_number(0, 1_000_000),
        default=25,
        help="begin with the last N events (default 25)",
    )
    _call_id(parser, required=False)
    parser.add_argument("--no-follow", action="store_true", help="print what is stored and leave")


def _latency(parser: Parser) -> None:
    parser.add_argument(
        "--last", metavar="N", type=_number(1, 10_000), default=200, help="turns to look at (default 200)"
    )


def _expose(parser: Parser) -> None:
    parser.add_argument(
        "--mode",
        choices=("funnel", "serve", "ngrok", "off"),
        required=True,
        help="funnel: tailscale, open to the internet; serve: tailscale, your tailnet only; ngrok: until stopped; "
        "off: take tailscale's routes away",
    )
    parser.add_argument("--path", metavar="P", type=_path, help="public path of the webhook (default: serve.path)")
    parser.add_argument(
        "--port", metavar="N", type=_number(1, 65535), help="port of our server (default: the engine's)"
    )
    parser.add_argument("--serve-path", metavar="P", type=_path, help="path of the webhook at our server")
    parser.add_argument(
        "--https-port", metavar="N", type=_number(1, 65535), help="public port of tailscale's routes (default 443)"
    )
    parser.add_argument("--install", action="store_true", help="with ngrok: fetch its agent first")


def _webhooks(parser: Parser) -> None:
    _call_id(parser, required=False)
    one = parser.add_mutually_exclusive_group()
    one.add_argument("--id", metavar="N", type=_number(1), help="all about one: headers, body, what was signed")
    one.add_argument("--replay", metavar="N", type=_number(1), help="let one come again, to a copy of its call")
    one.add_argument("--curl", metavar="N", type=_number(1), help="one as a curl command")
    parser.add_argument("--last", metavar="N", type=_number(1, 1000), default=25, help="how many (default 25)")
    parser.add_argument("--before", metavar="N", type=_number(1), help="older ones than this")
    parser.add_argument("--verdict", choices=("ok", "refused", "replay"), help="only those judged so")
    parser.add_argument("--query", metavar="WORDS", help="only those with these words")
    parser.add_argument("--live", action="store_true", help="with --replay: into the engine; asks first")
    parser.add_argument("--yes", action="store_true", help="with --live: do not ask")
    parser.add_argument("--with-secrets", action="store_true", help="with --id, --curl: nothing masked")


def _setup(parser: Parser) -> None:
    parser.add_argument("--online", action="store_true", help="also ask the carrier, and look from outside")
    parser.add_argument("--fix", action="store_true", help="with --online: have our numbers report to us; asks first")
    parser.add_argument("--yes", action="store_true", help="with --fix: write without asking")


def _smoke(parser: Parser) -> None:
    _to(parser)
    _message(parser, "what is said when the call is answered", required=False)
    _mode(parser)
    parser.add_argument("--yes", action="store_true", help="really place the call; needs --to")


def _doctor(parser: Parser) -> None:
    parser.add_argument("call_id", metavar="CALL_ID", nargs="?", help="our id or the carrier's; none: the last call")


def _config(parser: Parser) -> None:
    parser.add_argument(
        "what",
        choices=("check", "show", "schema"),
        help="check: is it valid? show: values in force and where each came from; schema: JSON Schema",
    )


_SCREEN: Final = "console.verbs.screen"
_ACT: Final = "console.verbs.act"
_VERBS: Final = (
    _Verb("demo", "simulated people, offline speech: nothing to configure", _demo, _SCREEN),
    _Verb("serve", "run the engine without a screen until it is stopped", _no_options, _SCREEN),
    _Verb("attach", "console on a running engine", _attach, _SCREEN),
    _Verb("phone", "be the caller yourself, on the simulated carrier", _phone, "console.verbs.phone"),
    _Verb("call", "place a call", _call, _ACT, ("start",)),
    _Verb("continue", "say something and wait for the answer", _continue, _ACT),
    _Verb("speak", "say something", _speak, _ACT),
    _Verb("dtmf", "press keys", _dtmf, _ACT),
    _Verb("transfer", "connect the caller with another number", _transfer, _ACT),
    _Verb("admit", "let a caller in who waits, or not", _admit, _ACT),
    _Verb("end", "hang up", _call_id, _ACT),
    _Verb("status", "one call, or the calls of the engine", _status, "console.verbs.status"),
    _Verb("tail", "events as they happen", _tail, "console.verbs.tail"),
    _Verb("latency", "how fast the turns were, stage by stage", _latency, "console.verbs.latency"),
    _Verb("expose", "have this machine reached from outside, or no more", _expose, "console.verbs.expose"),
    _Verb("webhooks", "requests of the carrier, and why they were refused", _webhooks, "console.verbs.webhooks"),
    _Verb("setup", "check whether everything is there", _setup, "console.verbs.setup"),
    _Verb("smoke", "check, then show or (with --to and --yes) place a test call", _smoke, "console.verbs.setup"),
    _Verb("doctor", "where a call got stuck, why, and what mends it", _doctor, "console.verbs.doctor"),
    _Verb("config", "check or show the configuration", _config, "console.verbs.config"),
)


if __name__ == "__main__":
    sys.exit(main())
