"""What can be done with a single webhook: look at it, copy it, let it come again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from console.hook_text import hook_rows, replay_rows
from console.keys import Command
from console.paint import Row
from console.screens.ask import Ask, Choice
from console.screens.page import PageScreen
from console.text import clean, count_text
from engine.client import NoEngine, Refusal, ReplayInto

if TYPE_CHECKING:
    from console.screens.desk import DeskScreen

ASK_SECONDS: Final = 10.0
COMMANDS: Final = (
    Command("curl", ("c",), "curl", "Copy it as a curl command, its secrets masked", "view", hint=3),
    Command("curl-secrets", ("C",), "with secrets", "Copy it so that its signature verifies again", "view", hint=7),
    Command("replay", ("r",), "sandbox", "Let it come again to a copy of its call: nothing happens", "view", hint=4),
    Command("replay-live", ("R",), "live", "Let it come again into the engine (asks first)", "view", hint=5),
    Command("mask", ("m",), "mask", "Mask telephone numbers, or show them", "view", hint=8),
    Command("back", ("escape", "q", "w"), "back", "Back", "moving", hint=11, typed=False),
)
_PLAIN: Final = tuple(command for command in COMMANDS if command.name in ("mask", "back"))


async def asked(request: Awaitable[Any]) -> tuple[Any, str]:
    """The answer to a request and, where there is none, why."""
    try:
        async with asyncio.timeout(ASK_SECONDS):
            return await request, ""
    except (Refusal, NoEngine) as error:
        return None, clean(f"{error.error}. {error.hint}" if error.hint else error.error, 200)
    except TimeoutError:
        return None, "the engine does not answer"
    except (KeyError, TypeError, ValueError):
        return None, "what the engine answers can not be read: is it an older one?"


class OneWebhook:
    """Runs these commands for a desk; nothing waits for the engine."""

    def __init__(self, desk: DeskScreen) -> None:
        self._desk = desk

    def do(self, name: str, webhook_id: int) -> None:
        """Run one of the commands."""
        if name == "mask":
            self._desk.mask()
        elif name == "replay":
            self._work(self._replay(webhook_id, "sandbox"))
        elif name == "replay-live":
            self._ask_live(webhook_id)
        else:
            self._work(self._copy(webhook_id, secrets=name == "curl-secrets"))

    def details(self, webhook_id: int) -> None:
        """Show all that is known of it."""
        self._work(self._details(webhook_id))

    def _work(self, work: Awaitable[None]) -> None:
        self._desk.run_worker(work, group="acts", exit_on_error=False)

    async def _details(self, webhook_id: int) -> None:
        whole = await self._told(self._desk.client.webhook(webhook_id))
        if whole is not None:
            self._show(f"webhook {webhook_id}", partial(self._hook_rows, whole), COMMANDS, webhook_id)

    async def _replay(self, webhook_id: int, into: ReplayInto) -> None:
        result = await self._told(self._desk.client.replay_webhook(webhook_id, into))
        if result is not None:
            title = f"webhook {webhook_id}, replayed {'live' if into == 'live' else 'into the sandbox'}"
            self._show(title, partial(self._replay_rows, result), _PLAIN, webhook_id)

    def _ask_live(self, webhook_id: int) -> None:
        def chosen(answer: str | None) -> None:
            if answer == "live":
                self._work(self._replay(webhook_id, "live"))

        choices = (Choice("n", "Leave it", "leave", safe=True), Choice("y", "Replay it live", "live", danger=True))
        words = [
            f"Webhook {webhook_id} goes through the running engine as if the carrier",
            "had sent it now. Bytes that were seen before are a replay.",
        ]
        pause = self._desk.main.options.typing_pause
        self._desk.app.push_screen(Ask("Replay live?", words, choices, pause=pause), chosen)

    async def _copy(self, webhook_id: int, *, secrets: bool) -> None:
        whole = await self._told(self._desk.client.webhook(webhook_id, secrets))
        if whole is None:
            return
        command = whole.get("curl")
        if not isinstance(command, str) or not command:
            self._warn(f"no curl command: {clean(str(whole.get('unfit', '')), 200)}")
            return
        self._desk.app.copy_to_clipboard(command)
        what = "with its signature: whoever has it can send it" if secrets else "its secrets masked"
        said = f"copied as curl, {what} ({count_text(len(command), 'character')})"
        self._desk.notify(said, timeout=4, markup=False)

    async def _told(self, request: Awaitable[Any]) -> Mapping[str, Any] | None:
        answer, trouble = await asked(request)
        if trouble:
            self._warn(trouble)
        return answer if isinstance(answer, Mapping) else None

    def _warn(self, text: str) -> None:
        self._desk.notify(text, severity="warning", timeout=8, markup=False)

    def _hook_rows(self, whole: Mapping[str, Any], width: int) -> Sequence[Row]:
        return hook_rows(whole, width, masked=self._desk.main.masked)

    def _replay_rows(self, result: Mapping[str, Any], width: int) -> Sequence[Row]:
        return replay_rows(result, width, masked=self._desk.main.masked)

    def _show(
        self, title: str, make: Callable[[int], Sequence[Row]], commands: tuple[Command, ...], webhook_id: int
    ) -> None:
        desk = self._desk
        page = PageScreen(title, make, commands, lambda name: self.do(name, webhook_id), desk.run_line)
        page.themes = desk.themes
        desk.app.push_screen(page)
