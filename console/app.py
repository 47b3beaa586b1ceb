"""The console's application: wiring, and nothing else.

`run_app` runs it once and says how it was left. The engine is somebody else's: whatever happens here, calls go on.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import sys
import time
from typing import ClassVar, Final

from textual.app import App
from textual.binding import Binding

from console.acts import Acts
from console.board import Board
from console.feed import Feed
from console.keys import Registry
from console.monitor import Monitor
from console.notices import Notice, Notices, Severity
from console.options import ConsoleOptions, ExitChoice
from console.palette import Commands
from console.screens.bottom import paint_notice
from console.screens.main import MainScreen
from console.terminal import crash_report, private_terminal, terminal_is_gone
from console.theming import DEFAULT_THEME, VARIABLES, load_themes, shipped_folders
from console.widgets.sound import keep_mic_line
from console.widgets.unverified import keep_warning
from engine.client import EngineClient

log = logging.getLogger(__name__)

SWITCH_SECONDS: Final = 0.0005
"""How long this thread may hold the interpreter while the engine's thread has a frame to send."""
TWICE_SECONDS: Final = 2.0
TERMINAL_CHECK_SECONDS: Final = 5.0
WARNING_SECONDS: Final = 0.25
"""How long a screen may be without the warning that nothing is verified."""


class ConsoleApp(App[ExitChoice]):
    """One console on one engine."""

    CSS_PATH: ClassVar = ["ink.tcss", "screens/main.tcss"]
    TITLE = "voicecall"
    COMMANDS: ClassVar = {Commands}
    ENABLE_COMMAND_PALETTE = True
    PAUSE_GC_ON_SCROLL = True
    BINDINGS: ClassVar = [Binding("ctrl+q", "leave", "Leave the console", show=False, priority=True)]

    def __init__(self, client: EngineClient, options: ConsoleOptions) -> None:
        super().__init__()
        self.options = options
        self.crash: BaseException | None = None
        self.board = Board()
        self.feed = Feed(client, self.board)
        self.acts = Acts(client, self.board, options.clock)
        self.registry, self._problems = Registry().with_keys(options.keys)
        self.notices = Notices()
        self.monitor = Monitor(client, options.sound, options.loudspeaker, options.microphone)
        self._interrupted_at = -TWICE_SECONDS
        self._load_themes()

    def _load_themes(self) -> None:
        found = load_themes([*shipped_folders(), *self.options.theme_folders])
        self.themes = tuple(sorted(found.themes))
        for theme in found.themes.values():
            self.register_theme(theme)
        if found.problems:
            self._problems.append(f"themes left out: {'; '.join(found.problems)}")
        wanted = self.options.theme_name
        if wanted not in self.themes:
            self._problems.append(f"there is no theme {wanted!r}: {DEFAULT_THEME} is used")
            wanted = DEFAULT_THEME
        if wanted in self.themes:
            self.theme = wanted

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return dict(VARIABLES)

    def get_default_screen(self) -> MainScreen:
        return MainScreen(
            self.registry, self.board, self.feed, self.acts, self.options, self.themes, self.notices, self.monitor
        )

    def notify(
        self,
        message: str,
        *,
        title: str = "",
        severity: Severity = "information",
        timeout: float | None = None,
        markup: bool = True,
    ) -> None:
        """Put a notice up: in the bottom lines of the main screen, and over the bottom of a dialog that is open.

        `markup` is what Textual's own callers give; here no text is ever read as markup.
        """
        seconds = self.NOTIFICATION_TIMEOUT if timeout is None else timeout
        text = f"{title}: {message}" if title else message
        self.notices.add(Notice(text, severity, time.monotonic() + seconds))
        if not isinstance(self.screen, MainScreen):
            super().notify(message, title=title, severity=severity, timeout=seconds, markup=False)
        elif self.screen.is_mounted:
            paint_notice(self.screen)

    def on_mount(self) -> None:
        self.set_keymap({name: ",".join(self.registry.get(name).keys) for name in self._rebound()})
        self.run_worker(self.feed.run(), group="feed", exit_on_error=False)
        self.run_worker(self.feed.poll_health(), group="feed", exit_on_error=False)
        for problem in [*self._problems, *([self.options.notice] if self.options.notice else [])]:
            self.notify(problem, severity="warning", timeout=15, markup=False)
        self.set_interval(WARNING_SECONDS, self._keep_warning)
        if not self.is_headless:
            self._watch_terminal()

    def _keep_warning(self) -> None:
        """Every screen over the main one, whose banners say it, has a line while webhooks are not verified, and one
        while the microphone is live."""
        health = self.feed.health
        if not self._screen_stacks.get(self._current_mode):
            return  # the app is being taken down
        if not isinstance(self.screen, MainScreen) and self.screen.is_mounted:
            keep_warning(self.screen, health is not None and not health.verifying)
            main = next((each for each in self.screen_stack if isinstance(each, MainScreen)), None)
            keep_mic_line(self.screen, main.sounding.live_at if main is not None else "")

    def _rebound(self) -> list[str]:
        return [self.registry.get(name).name for name in self.options.keys if name in self.registry]

    def on_ready(self) -> None:
        if not self.is_headless:
            self.call_after_refresh(settle_heap)

    def _watch_terminal(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, self.exit, ExitChoice.TERMINAL_LOST)
        loop.add_signal_handler(signal.SIGTERM, self.exit, ExitChoice.STOP_ENGINE)
        self.set_interval(TERMINAL_CHECK_SECONDS, self._check_terminal)

    def _check_terminal(self) -> None:
        if terminal_is_gone():
            self.exit(ExitChoice.TERMINAL_LOST)

    def action_leave(self) -> None:
        """Ask what to do with live calls, and leave."""
        if isinstance(self.screen, MainScreen):
            self.screen.action_run("quit")
        else:
            self.pop_screen()

    def action_command_palette(self) -> None:
        """Open the palette, where there is room for it."""
        if not (isinstance(self.screen, MainScreen) and self.screen.too_small):
            super().action_command_palette()

    def action_help_quit(self) -> None:
        """ctrl+c: the second time within two seconds leaves."""
        now = time.monotonic()
        if now - self._interrupted_at < TWICE_SECONDS:
            self.action_leave()
        else:
            self.notify("ctrl+c once more leaves; no call ends by itself", timeout=TWICE_SECONDS, markup=False)
        self._interrupted_at = now

    def _handle_exception(self, error: Exception) -> None:
        """Leave with the error in the log, redacted and without local variables, and nothing on the terminal."""
        if self.crash is None:
            self.crash = error
            log.error("the console failed:\n%s", crash_report(error))
        self._return_code = 1
        if self._exception is None:
            self._exception = error
            self._exception_event.set()
        self._close_messages_no_wait()


def settle_heap() -> None:
    """After the first paint: a full collection of a heap that stays would hold every thread for 70 ms."""
    gc.collect()
    gc.freeze()


def run_app(client: EngineClient, options: ConsoleOptions | None = None) -> ExitChoice:
    """Run the console until it is left, and say how. Belongs to the main thread. Does not close `client`."""
    options = options or ConsoleOptions()
    sys.setswitchinterval(SWITCH_SECONDS)
    with private_terminal(options.log_path):
        app = ConsoleApp(client, options)
        try:
            choice = app.run()
        except OSError as error:
            log.warning("the terminal went away: %s", error)
            return ExitChoice.TERMINAL_LOST
        except Exception as error:
            log.error("the console failed:\n%s", crash_report(error))
            return ExitChoice.CRASHED
        finally:
            app.monitor.close()
    if app.crash is not None:
        return ExitChoice.CRASHED
    return choice or ExitChoice.DETACH
