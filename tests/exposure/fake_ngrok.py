"""Stands in for the ngrok agent: the lines it prints, and its interface on this machine, for endpoints and tunnels.

Run as a program. What it was asked is written, one JSON value a line, to the file in FAKE_NGROK_LOG. How it behaves
is in FAKE_NGROK, its version in FAKE_NGROK_VERSION. It renames its endpoints on SIGUSR1 and loses its connection on
SIGUSR2.
Shapes: ngrok.com/docs/agent/api (endpoints), and the same page of agents before 3.16 (tunnels).
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HOW = os.environ.get("FAKE_NGROK", "well")
VERSION = os.environ.get("FAKE_NGROK_VERSION", "3.30.0")
REFUSALS = {
    "bad-token": "authentication failed: The authtoken you specified is invalid.\\r\\n\\r\\nERR_NGROK_107\\r\\n",
    "no-token-at-all": "authentication failed: The authtoken does not look proper. Yours: {token}. ERR_NGROK_105",
    "too-many": "authentication failed: Your account is limited to 1 simultaneous agent session. ERR_NGROK_108",
    "new-code": "authentication failed: something that nobody has heard of. ERR_NGROK_99999",
}
endpoints: dict[str, dict[str, Any]] = {}


def note(**what: Any) -> None:
    path = os.environ.get("FAKE_NGROK_LOG")
    if path:
        with open(path, "a") as file:
            file.write(json.dumps(what) + "\n")


def say(level: str = "info", **fields: str) -> None:
    parts = {"t": "2026-11-22T00:00:00+0000", "lvl": level, **fields}
    print(
        " ".join(f"{key}={json.dumps(value) if ' ' in value else value}" for key, value in parts.items()), flush=True
    )


def free_name() -> str:
    return f"https://{uuid.uuid4().hex[:12]}.ngrok-free.app"


class Interface(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Nothing on standard error."""

    def reply(self, status: int, value: Any = None) -> None:
        body = b"" if value is None else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        kind, name = self.which()
        if not kind:
            self.reply(404, {"status_code": 404, "msg": "no such resource"})
        elif not name:
            self.reply(200, {kind: list(endpoints.values()), "uri": f"/api/{kind}"})
        elif name in endpoints:
            self.reply(200, endpoints[name])
        else:
            self.reply(404, {"error_code": 100, "status_code": 404, "msg": f"{kind} {name} not found"})

    def do_POST(self) -> None:
        kind, _ = self.which()
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        note(post=self.path, body=asked)
        if not kind:
            self.reply(404, {"status_code": 404})
        elif HOW == "taken":
            error = "failed to start tunnel: The endpoint 'https://x' is already online. ERR_NGROK_334"
            self.reply(502, {"error_code": 103, "status_code": 502, "msg": "failed", "details": {"err": error}})
        else:
            endpoints[asked["name"]] = self.made(kind, asked)
            self.reply(201, endpoints[asked["name"]])

    def do_DELETE(self) -> None:
        endpoints.pop(self.which()[1], None)
        self.reply(204)

    def which(self) -> tuple[str, str]:
        parts = self.path.partition("?")[0].strip("/").split("/")
        kind = parts[1] if len(parts) > 1 else ""
        known = kind == "tunnels" or (kind == "endpoints" and HOW != "no-endpoints" and VERSION >= "3.16")
        return (kind if known else ""), (parts[2] if len(parts) > 2 else "")

    def made(self, kind: str, asked: dict[str, Any]) -> dict[str, Any]:
        name, uri = asked["name"], f"/api/{kind}/{asked['name']}"
        domain = asked.get("domain") or asked.get("hostname")
        url = asked.get("url") or (f"https://{domain}" if domain else free_name())
        if kind == "endpoints":
            upstream, bound = asked.get("upstream"), ["public"]
            return {"name": name, "id": "ep_1", "uri": uri, "url": url, "upstream": upstream, "bindings": bound}
        settings = {"addr": asked.get("addr"), "inspect": True}
        return {"name": name, "ID": "1", "uri": uri, "public_url": url, "proto": "https", "config": settings}


def rename(*_: Any) -> None:
    for endpoint in endpoints.values():
        endpoint["url" if "url" in endpoint else "public_url"] = free_name()


def lose(*_: Any) -> None:
    say("warn", msg="session closed, starting reconnect loop", obj="tunnels.session", err="session closed")
    say("eror", msg="failed to reconnect session", obj="tunnels.session", err=REFUSALS["too-many"])


def settings_file() -> str:
    return sys.argv[sys.argv.index("--config") + 1] if "--config" in sys.argv else ""


def main() -> None:
    if sys.argv[1:2] == ["version"]:
        print(f"ngrok version {VERSION}")
        return
    with open(settings_file()) as file:
        text = file.read()
    note(argv=sys.argv, settings=text, pid=os.getpid(), secret=os.environ.get("TWILIO_AUTH_TOKEN"))
    print("a line for the terminal of whoever started this", file=sys.stderr, flush=True)
    if HOW == "silent":
        time.sleep(600)
    if HOW in REFUSALS:
        token = text.partition("authtoken: ")[2].partition("\n")[0]
        say("eror", msg="failed to reconnect session", obj="tunnels.session", err=REFUSALS[HOW].format(token=token))
        sys.exit(1)
    signal.signal(signal.SIGUSR1, rename)
    signal.signal(signal.SIGUSR2, lose)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Interface)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    say(msg="starting web service", obj="web", addr=f"127.0.0.1:{server.server_port}", allow_hosts="[]")
    say(msg="client session established", obj="tunnels.session")
    say(msg="tunnel session started", obj="tunnels.session")
    while True:
        time.sleep(0.1)


if __name__ == "__main__":
    main()
