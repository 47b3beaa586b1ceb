"""Stands in for the `tailscale` program: status, serve and funnel, with its state in a file.

The file in FAKE_TAILSCALE holds the node's state and what it serves, in the shapes of `tailscale status --json` and
`tailscale serve status --json`; `trouble` names what goes wrong. Every command line is noted in it. Words of refusals
as Tailscale 1.8x prints them.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
import time
from typing import Any

PATH = os.environ["FAKE_TAILSCALE"]
ENABLE = "https://login.tailscale.com/f/funnel?node=nABC123"


def fail(words: str, code: int = 1) -> None:
    print(words, file=sys.stderr, flush=True)
    sys.exit(code)


def main() -> None:
    arguments = sys.argv[1:]
    with open(PATH, "r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        state = json.load(file)
        state["asked"].append(arguments)
        save(file, state)
        trouble = state.get("trouble", "")
        if trouble == "no-daemon":
            fail("failed to connect to local tailscaled; it doesn't appear to be running")
        if arguments[:2] == ["status", "--json"]:
            print(json.dumps(node(state)))
        elif arguments == ["serve", "status", "--json"]:
            print(json.dumps(served(state)))
        elif arguments[0] in ("serve", "funnel"):
            change(state, arguments, trouble)
            save(file, state)
        else:
            fail(f"unknown subcommand: {arguments}", 2)


def save(file: Any, state: dict[str, Any]) -> None:
    file.seek(0)
    file.truncate()
    json.dump(state, file)
    file.flush()


def node(state: dict[str, Any]) -> dict[str, Any]:
    return {"BackendState": state["backend"], "AuthURL": state["auth_url"], "Self": {"DNSName": f"{state['name']}."}}


def served(state: dict[str, Any]) -> dict[str, Any]:
    tcp = {port: {"HTTPS": True} for port in state["routes"]}
    tcp.update({port: {"TCPForward": target} for port, target in state["forwards"].items()})
    web = {
        f"{state['name']}:{port}": {"Handlers": {path: {"Proxy": target} for path, target in there.items()}}
        for port, there in state["routes"].items()
    }
    return {"TCP": tcp, "Web": web, "AllowFunnel": {f"{state['name']}:{port}": True for port in state["funnels"]}}


def change(state: dict[str, Any], arguments: list[str], trouble: str) -> None:
    mode, rest = arguments[0], arguments[1:]
    if not sys.stdin.closed and sys.stdin.read():
        fail("there was something on standard input", 3)
    options = [item for item in rest if item.startswith("--")]
    port = next((item.partition("=")[2] for item in options if item.startswith("--https=")), "443")
    path = rest[rest.index("--set-path") + 1]
    target = rest[-1]
    if target == "off":
        there = state["routes"].get(port, {})
        if there.pop(path, None) is None:
            fail("error: failed to remove web serve: handler does not exist")
        if not there:
            del state["routes"][port]
            state["funnels"] = [each for each in state["funnels"] if each != port]
        return
    refuse(state, mode, path, trouble)
    state["routes"].setdefault(port, {})[path] = target
    state["funnels"] = [each for each in state["funnels"] if each != port]
    if mode == "funnel" and trouble != "policy":
        state["funnels"].append(port)
    print("Available on the internet:" if mode == "funnel" else "Available within your tailnet:")


def refuse(state: dict[str, Any], mode: str, path: str, trouble: str) -> None:
    if trouble == "not-enabled":
        print(f"{mode.title()} is not enabled on your tailnet.\nTo enable, visit:\n\n\t{ENABLE}\n", flush=True)
        time.sleep(600)
    if trouble == "denied":
        fail("error: Access denied: serve config denied\n\nUse 'sudo tailscale serve'.")
    if trouble == "second-fails" and "stream" in path:
        fail("error: something went wrong halfway")
    if trouble == "silent-second" and "stream" in path:
        time.sleep(600)


if __name__ == "__main__":
    main()
