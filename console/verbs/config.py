"""config check, show and schema."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from console.verbs.runner import DONE, INVALID, Session, problems_json
from engine.config import ConfigError, Loaded, effective, json_schema, missing


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
    needs = [f"{need.key} {need.message}: {need.hint}" for need in missing(loaded.config)]
    result = {"ok": True, "file": _file(loaded), "problems": [], "missing": needs}
    text = [f"{_file(loaded) or 'no file, all defaults'}: valid", *(f"still needed: {need}" for need in needs)]
    session.out.result(result, text)
    return DONE


def _file(loaded: Loaded) -> str | None:
    return str(loaded.path) if loaded.path is not None else None


def _show_lines(loaded: Loaded, shown: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    yield f"# {_file(loaded) or 'no file: all defaults'}"
    width = max(map(len, shown))
    for key, item in shown.items():
        value = "" if item["value"] is None else json.dumps(item["value"], ensure_ascii=False)
        yield f"{key:<{width}}  {value:<24}  {item['origin']}"
