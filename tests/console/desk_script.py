"""Webhooks for the desk as an engine answers them, and an engine that has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.console.scripted import HEALTH, START, ScriptedClient

NUMBER = "+15550100142"
ACCESS = [
    {
        "path": "/voice/webhook",
        "what": "webhook",
        "who": "public",
        "by": "ngrok → 127.0.0.1:3334",
        "guard": "signature",
    },
    {
        "path": "/voice/stream",
        "what": "media",
        "who": "public",
        "by": "ngrok → 127.0.0.1:3334",
        "guard": "signature and a token for each call",
    },
    {
        "path": "/healthz",
        "what": "health",
        "who": "tailnet",
        "by": "127.0.0.1:3334",
        "guard": "nothing, and it says nothing but ok",
    },
    {
        "path": "/home/operator/.local/state/voicecall/control.sock",
        "what": "control",
        "who": "loopback",
        "by": "a Unix socket",
        "guard": "your user: nobody else may open it",
    },
    {"path": "0.0.0.0:4000", "what": "control", "who": "network", "by": "TCP", "guard": "token"},
]
DESK_HEALTH: Mapping[str, Any] = {
    **HEALTH,
    "exposure": {**HEALTH["exposure"], "access": ACCESS, "webhooks": {"ok": 4, "refused": 1, "replay": 1}},
}


def hook(id_: int, verdict: str = "ok", **more: Any) -> dict[str, Any]:
    """A summary."""
    refused = verdict == "refused"
    return {
        "id": id_,
        "at": START + id_ * 1000,
        "kind": "webhook",
        "method": "POST",
        "path": "/voice/webhook?callId=c1&flow=answer",
        "peer": "203.0.113.7",
        "type": "" if refused else "voice ringing",
        "verdict": verdict,
        "why": "the signature fits https://calls.example.com/hook: set public_url to that" if refused else "ok",
        "status": 401 if refused else 200,
        "ms": 4 + id_,
        "callId": None if refused else "c1",
        "effect": "refused with 401" if refused else "document: connect, after voice ringing",
        "replayed": None,
        **more,
    }


def whole(id_: int, verdict: str = "ok", **more: Any) -> dict[str, Any]:
    """All that is known of one."""
    url = "https://calls.example.com/voice/webhook?callId=c1"
    return {
        **hook(id_, verdict),
        "target": "/voice/webhook?callId=c1&flow=answer",
        "headers": [
            ["Host", "calls.example.com"],
            ["X-Twilio-Signature", "c2lnbm… (28 characters)"],
            ["Cookie", "…"],
        ],
        "body": "CallSid=CA1&From=%2B15550100142&CallStatus=ringing",
        "bodySize": 50,
        "bodyRead": True,
        "whole": True,
        "signed": f"{url}CallSidCA1CallStatusringingFrom{NUMBER}",
        "form": "" if verdict == "refused" else url,
        "tried": [{"url": url, "fits": verdict != "refused"}, {"url": f"{url}&x", "fits": False}],
        "forwarded": "",
        "answer": {
            "type": "text/xml",
            "body": '<?xml version="1.0"?><Response><Say>Hello.</Say><Hangup/></Response>',
        },
        "unfit": "",
        "secrets": False,
        "curl": f"curl --url http://127.0.0.1:3334/{id_}",
        **more,
    }


SANDBOX: Mapping[str, Any] = {
    "into": "sandbox",
    "webhook": 3,
    "verdict": "ok",
    "why": "ok",
    "effect": "document: connect, after voice ringing",
    "live": "live it would be a replay: these bytes were seen within the last ten minutes",
    "against": "the call c1 as it was when the webhook came",
    "events": [{"type": "call.ringing", "data": {}}],
    "instructions": ["hangup"],
    "document": {"status": 200, "type": "text/xml", "body": "<Response><Hangup/></Response>"},
    "state": "ringing",
    "before": "initiated",
    "changes": [{"field": "state", "before": "initiated", "after": "ringing"}],
}


class DeskEngine(ScriptedClient):
    """Has `hooks`, oldest first; answers as the real one filters and pages."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.hooks: list[dict[str, Any]] = []

    async def _request(self, method: str, params: Mapping[str, Any], timeout_s: float = 30.0) -> Any:
        answer = await super()._request(method, params, timeout_s)
        if method != "voicecall.webhooks" or method in self.answers:
            return answer
        found = [
            each
            for each in reversed(self.hooks)
            if (params["after"] is None or each["id"] > params["after"])
            and (params["before"] is None or each["id"] < params["before"])
            and params["verdict"] in (None, each["verdict"])
            and params["callId"] in (None, each["callId"])
            and params["query"] in str(each)
        ]
        return {"webhooks": found[: params["last"]]}
