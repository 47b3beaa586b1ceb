"""What is asked of pyngrok, which blocks: each of these is called in a thread, but for the pure ones."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

from engine.exposure.ngrok_files import NgrokFiles, Version
from engine.exposure.port import Local
from engine.exposure.redact import KnownSecrets

NAME: Final = "voicecall"
ASK_SECONDS: Final = 3.0
"""How long the agent may take for an answer at its interface on this machine."""


class AgentFailed(Exception):
    """pyngrok's errors, in the words that matter."""


def make_settings(files: NgrokFiles, version: Version, api: str, heard: Any, seconds: int) -> Any:
    from pyngrok import conf

    settings = conf.PyngrokConfig(
        ngrok_path=str(files.script),
        config_path=str(files.config),
        log_event_callback=heard,
        startup_timeout=seconds,
        start_new_session=True,
        ngrok_version=str(version[0]),
        config_version=api,
    )
    # It takes a token from the environment by itself and would put it on the command line.
    settings.auth_token = settings.api_key = None
    return settings


def options(local: Local, version: Version, api: str, domain: str) -> Mapping[str, Any]:
    """What is asked of the agent, in the words of its interface: endpoints, tunnels, or an agent of version 2."""
    if api == "3":
        named: dict[str, Any] = {"url": f"https://{domain}"} if domain else {}
    elif version[0] >= 3:
        named = {"schemes": ["https"], **({"domain": domain} if domain else {})}
    else:
        named = {"bind_tls": True, **({"hostname": domain} if domain else {})}
    return {"addr": local.origin, "name": NAME, **named}


def connect(settings: Any, options: Mapping[str, Any]) -> tuple[Any, Any]:
    from pyngrok import ngrok
    from pyngrok.exception import PyngrokError, PyngrokNgrokHTTPError

    try:
        process = ngrok.get_ngrok_process(settings)
        return process, ngrok.connect(pyngrok_config=settings, **options)
    except PyngrokNgrokHTTPError as error:
        raise AgentFailed(str(error.body)) from error
    except PyngrokError as error:
        raise AgentFailed(str(getattr(error, "ngrok_error", None) or error)) from error
    except OSError as error:
        raise AgentFailed(f"the agent can not be started: {error.strerror or error}") from error


def ask_agent(settings: Any, endpoint: Any) -> Mapping[str, Any] | None:
    """Our endpoint as the agent has it now: empty when it has none, None when it does not answer."""
    from pyngrok import ngrok
    from pyngrok.exception import PyngrokError, PyngrokNgrokHTTPError

    try:
        found: object = ngrok.api_request(f"{endpoint.api_url}{endpoint.uri}", method="GET", timeout=ASK_SECONDS)
    except PyngrokNgrokHTTPError as error:
        return {} if error.status_code == 404 else None
    except (PyngrokError, OSError, ValueError):
        return None
    return found if isinstance(found, Mapping) else None


def let_go(settings: Any) -> None:
    """pyngrok forgets the agent, which has ended."""
    from pyngrok import ngrok

    ngrok.kill(settings)


def hide(token: str) -> None:
    """The agent's lines go to the log, without the token, and never to the screen: without a handler, Python prints
    warnings on standard error."""
    for name in ("pyngrok", "pyngrok.process.ngrok", "pyngrok.process", "pyngrok.ngrok"):
        logger = logging.getLogger(name)
        if not any(isinstance(handler, logging.NullHandler) for handler in logger.handlers):
            logger.addHandler(logging.NullHandler())
        if not any(isinstance(known, KnownSecrets) and known.hides(token) for known in logger.filters):
            logger.addFilter(KnownSecrets([token]))
