"""config check, show and schema."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from console.keys import Registry
from console.verbs.runner import DONE, INVALID, Session, problems_json
from engine.config import (
    Config,
    ConfigError,
    ConsoleSettings,
    Loaded,
    effective,
    json_schema,
    missing,
    user_config_dir,
)


def run(session: Session) -> int:
    if session.args.what == "schema":
        schema = json_schema()
        session.out.result(schema, json.dumps(schema, indent=2).splitlines())
        return DONE
    if session.args.what == "show":
        loaded = session.load()
        shown = effective(loaded)
        session.out.result({"file": _file(loaded), "values": shown}, _show_lines(loaded, shown))
        return DONE
    return _check(session)


def _check(session: Session) -> int:
    try:
        loaded = session.load()
    except ConfigError as error:
        for problem in error.problems:
            session.out.note(problem.describe(error.path))
        file = str(error.path) if error.path is not None else None
        session.out.result({"ok": False, "file": file, "problems": problems_json(error)}, ["not valid"])
        return INVALID
    for note in loaded.notes:
        session.out.note(f"note: {note.describe(loaded.path)}")
    for warning in _warnings(loaded.config):
        session.out.note(f"note: {warning}")
    needs = [f"{need.key} {need.message}: {need.hint}" for need in missing(loaded.config)]
    screen = list(_screen_problems(loaded.config.console))
    result = {"ok": True, "file": _file(loaded), "problems": [], "missing": needs, "screen": screen}
    result["warnings"] = list(_warnings(loaded.config))
    text = [
        f"{_file(loaded) or 'no file, all defaults'}: valid",
        *(f"still needed: {need}" for need in needs),
        *(f"the console will not follow it: {problem}" for problem in screen),
    ]
    session.out.result(result, text)
    return DONE


def _warnings(config: Config) -> Iterator[str]:
    """What is valid, and hardly what was meant."""
    path = urlsplit(config.public_url or "").path
    if config.public_url and path != config.serve.path:
        rewrites = "webhooks come through only where a proxy rewrites it"
        yield f"public_url: its path {path or '/'} is not serve.path {config.serve.path}: {rewrites}"


def _screen_problems(settings: ConsoleSettings) -> Iterator[str]:
    """Keys and themes that the console can not use; it starts all the same."""
    yield from Registry().with_keys(settings.keys)[1]
    if settings.theme is None:
        return
    from console.theming import load_themes, shipped_folders

    found = load_themes([*shipped_folders(), user_config_dir() / "themes"])
    yield from found.problems
    if settings.theme not in found.themes:
        yield f"console.theme: there is no theme {settings.theme!r}, only {', '.join(sorted(found.themes))}"


def _file(loaded: Loaded) -> str | None:
    return str(loaded.path) if loaded.path is not None else None


def _show_lines(loaded: Loaded, shown: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    yield f"# {_file(loaded) or 'no file: all defaults'}"
    width = max(map(len, shown))
    for key, item in shown.items():
        value = "" if item["value"] is None else json.dumps(item["value"], ensure_ascii=False)
        yield f"{key:<{width}}  {value:<24}  {item['origin']}"
