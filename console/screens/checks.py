"""What `voicecall setup --online` looks at, as a sheet: asked of the engine in the background, each with its fix."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

from textual.binding import Binding
from textual.content import Content
from textual.widgets import Static

from console.acts import Outcome
from console.screens.sheets import Sheet
from console.text import clean
from console.words import mask_numbers

Parts = Iterable[str | tuple[str, str]]
Ask = Callable[[bool], Awaitable[Mapping[str, Any] | Outcome]]
"""Ask the engine; True: the carrier, the vendors and the public address too."""


class ChecksScreen(Sheet):
    """The checks of this machine at once, those that ask others when they are there."""

    heading = "is everything there?"
    BINDINGS: ClassVar = [Binding("r", "again", show=False)]

    def __init__(self, ask: Ask, masked: bool) -> None:
        super().__init__()
        self._ask = ask
        self._masked = masked
        self._found: Mapping[str, Any] | Outcome | None = None
        self._asking = True

    def content(self) -> Content:
        return Content.assemble(*_parts(self._found, self._asking, self._masked))

    def on_mount(self) -> None:
        self.action_again()

    def action_again(self) -> None:
        """Look once more."""
        self.run_worker(self._look(), group="checks", exclusive=True, exit_on_error=False)

    async def _look(self) -> None:
        self._show(self._found, asking=True)
        for online in (False, True):
            found = await self._ask(online)
            failed = isinstance(found, Outcome)
            self._show(found, asking=not online and not failed)
            if failed:
                return

    def _show(self, found: Mapping[str, Any] | Outcome | None, *, asking: bool) -> None:
        self._found, self._asking = found, asking
        self.query_one(".sheet-body", Static).update(self.content())


def _parts(found: Mapping[str, Any] | Outcome | None, asking: bool, masked: bool) -> Parts:
    if isinstance(found, Outcome):
        yield (f" ✗ {clean(found.sentence, 400)}\n", "$text-error")
    elif found is not None:
        checks = [check for check in found.get("checks", ()) if isinstance(check, Mapping)]
        failed = [check for check in checks if not check.get("ok")]
        yield (f" {len(failed)} of {len(checks)} to put right\n\n" if failed else " all is well\n\n", "bold")
        for check in [*failed, *(check for check in checks if check.get("ok"))]:
            yield from _check(check, masked)
    if asking:
        yield ("\n … asking the carrier, the vendors, and our own address from outside\n", "$text-warning")
    else:
        yield ("\n r looks again\n", "$text-muted")


def _check(check: Mapping[str, Any], masked: bool) -> Parts:
    def said(key: str) -> Sequence[str]:
        lines = str(check.get(key) or "").splitlines() or [""]
        return [mask_numbers(clean(line, 400), masked) for line in lines]

    good = bool(check.get("ok"))
    first, *more = said("message")
    yield (" ✓ " if good else " ✗ ", "$text-success" if good else "$text-error")
    yield (f"{clean(str(check.get('id')), 24):<20} ", "bold" if not good else "")
    yield f"{first}\n"
    yield from (f"   {'':<20} {line}\n" for line in more)
    if fix := said("fix")[0]:
        yield (f"   {'':<20} → {fix}\n", "$text-muted" if good else "$text-warning")
