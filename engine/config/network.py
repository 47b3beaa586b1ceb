"""Configuration of what listens and what is reachable from outside."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from engine.config.base import HttpPath, IpAddress, NotNegative, Pattern, Port, Positive, Secret, Section


class Serve(Section):
    """The HTTP server that the carrier talks to."""

    port: Port = Field(default=3334, description="TCP port; 0: any free one.")
    bind: str = Field(default="127.0.0.1", min_length=1, description="Address to listen on.")
    path: HttpPath = Field(default="/voice/webhook", description="Path of the webhook.")


class Tunnel(Section):
    """Ways to be reached from the internet. Environment: NGROK_AUTHTOKEN, NGROK_DOMAIN."""

    provider: Literal["none", "ngrok", "tailscale-serve", "tailscale-funnel", "command"] = Field(
        default="none", description="none, ngrok, tailscale-serve, tailscale-funnel or command."
    )
    ngrok_auth_token: Secret | None = Field(default=None, description="ngrok's token. Environment: NGROK_AUTHTOKEN.")
    ngrok_domain: str | None = Field(
        default=None, description="Reserved ngrok domain; unset: whatever ngrok gives. Environment: NGROK_DOMAIN."
    )
    ngrok_path: str | None = Field(
        default=None, description="The ngrok program; unset: found on PATH. It is never downloaded unasked."
    )
    allow_ngrok_free_tier_loopback_bypass: bool = Field(
        default=False,
        description="Believe forwarded headers from the ngrok agent on this machine. Bad signatures stay refused.",
    )
    command: str | None = Field(
        default=None,
        description=(
            "command: a program that opens a tunnel and prints the public URL. Run without a shell; {port} and "
            "{host} are where our server listens."
        ),
    )
    command_url_pattern: Pattern | None = Field(
        default=None,
        description=(
            "command: a regular expression for the URL in what the program prints, its first group if it has one; "
            "unset: the first https address."
        ),
    )
    update_carrier_number: bool = Field(
        default=False,
        description=(
            "When the tunnel's address is new or changes, have the carrier report calls to from_number and `numbers` "
            "to it. Nothing else in the account is touched."
        ),
    )


class Tailscale(Section):
    """Tailscale in OpenClaw's older spelling."""

    mode: Literal["off", "serve", "funnel"] = Field(default="off", description="off, serve (tailnet only) or funnel.")
    path: HttpPath = Field(default="/voice/webhook", description="Public path of the webhook.")
    port: Port = Field(default=443, description="Public HTTPS port; funnel allows 443, 8443 and 10000.")


class WebhookSecurity(Section):
    """Which address a webhook may claim to have been sent to."""

    allowed_hosts: list[str] = Field(
        default_factory=list, description="Host names that forwarded headers may carry; empty: none are believed."
    )
    trust_forwarding_headers: bool = Field(
        default=False, description="Believe forwarded headers without a list of hosts."
    )
    trusted_proxy_ips: list[IpAddress] = Field(
        default_factory=list, description="Believe forwarded headers only from these addresses; empty: from any."
    )


class Probe(Section):
    """Looks at the public address from outside in: name, TLS, webhook, media socket."""

    every_seconds: NotNegative = Field(default=60, le=86_400, description="Pause between two looks; 0: none at all.")
    failures: Positive = Field(default=2, le=20, description="It is an alert when so many ...")
    of: Positive = Field(default=3, le=20, description="... of the last so many looks failed.")


class Webhooks(Section):
    """How long requests of the carrier are kept, with their headers and bodies, for the webhook desk."""

    keep: NotNegative = Field(
        default=2000, le=100_000, description="Webhooks kept; refused ones are counted by themselves; 0: none."
    )
    keep_days: Positive = Field(default=14, le=3650, description="Days after which they are forgotten.")


class Control(Section):
    """The control door over TCP. The door on the Unix socket is always there."""

    bind: str = Field(default="127.0.0.1", min_length=1, description="Address to listen on.")
    port: Port | None = Field(default=None, description="TCP port; unset: no TCP door.")
    token: Secret | None = Field(default=None, description="What clients must present; needed beyond this machine.")
