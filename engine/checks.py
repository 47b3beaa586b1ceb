"""What `voicecall setup` looks at: is everything there that the configured engine needs?

All checks are static: nothing is dialled, no account is asked, no port is left open, no file is made. A check that
fails names the way out; one that is merely good to know is `ok` and says so.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from engine.check import Check
from engine.config import DEFAULT, Config, Loaded, has_public_address, ignored, is_loopback, missing
from engine.config.speech import Tts
from engine.exposure.reach import carrier_is_near
from engine.exposure.ready import tunnel_ready
from engine.speech.brains.factory import make_brain
from engine.speech.factory import make_recogniser, make_voice
from engine.speech.local_extra import (
    RECOGNISER_PACKAGES,
    VOICE_PACKAGES,
    require_moonshine_platform,
    require_packages,
)
from engine.speech.ports import SpeechUnavailable
from engine.speech.tts.models import ENDS
from engine.store import DATABASE_NAME, LOCK_NAME, StoreError, open_readonly, read_holder
from engine.store.errors import from_os
from engine.web.ports import who_listens

AUDIO_SECONDS: Final = 10.0
CARRIERS: Final = frozenset({"mock", "twilio", "telnyx", "plivo"})
"""What this version can use. A test holds this against the factory, which would start the simulator."""
_AUDIO_PROBE: Final = """
import sounddevice
kinds = ("input", "output")
print(", ".join(f"{kind}: {sounddevice.query_devices(kind=kind)['name']}" for kind in kinds))
"""


def run_checks(loaded: Loaded, state_dir: Path) -> Iterator[Check]:
    """All checks, in the order in which an engine would need what they look at."""
    config = loaded.config
    yield Check(
        "config", True, f"{loaded.path} is valid" if loaded.path else "no file: simulated carrier, all defaults"
    )
    yield _carrier(config)
    yield _credentials(config)
    yield _recogniser(config)
    yield _voice(config)
    yield _brain(config)
    yield _audio_device()
    yield _public_address(config)
    yield from tunnel_ready(config, state_dir)
    yield _signatures(config)
    yield _port("port", config.serve.bind, config.serve.port, "serve.port", state_dir)
    if config.control.port is not None:
        yield _port("control-port", config.control.bind, config.control.port, "control.port", state_dir)
    yield _state_folder(state_dir)
    yield _inbound(config)
    yield _ignored_settings(loaded)


def missing_speech(config: Config) -> list[Check]:
    """What keeps the configured speech engines from being used on this machine, known without starting them."""
    return [check for check in (_recogniser(config), _voice(config)) if not check.ok]


def _carrier(config: Config) -> Check:
    if config.provider in CARRIERS:
        return Check("carrier", True, "the simulated carrier" if config.provider == "mock" else config.provider)
    return Check(
        "carrier",
        False,
        f"{config.provider} is not available in this version",
        "use provider: mock, or a newer version",
    )


def _credentials(config: Config) -> Check:
    needs = list(missing(config))
    if not needs:
        what = "the simulated carrier needs none" if config.provider == "mock" else f"{config.provider}: complete"
        return Check("credentials", True, what)
    return Check(
        "credentials",
        False,
        "; ".join(f"{need.key} {need.message}" for need in needs),
        "; ".join(need.hint for need in needs if need.hint),
    )


def _recogniser(config: Config) -> Check:
    if not config.in_steps:
        vendor = config.realtime.providers.openai
        return Check(
            "recognition", True, f"{config.realtime.provider} realtime, model {vendor.model}: it hears by itself"
        )
    if not config.media_streams:
        return Check("recognition", True, "streaming is off: the carrier's own recognition")
    try:
        make_recogniser(config)
        chain = [config.streaming.provider, *config.streaming.fallback]
        if "local" in chain:
            require_packages("offline recognition", RECOGNISER_PACKAGES)
            require_moonshine_platform()
        if chain != ["local"]:
            named = [f"{name}, over the network" if name != "local" else "offline recognition" for name in chain]
            return Check("recognition", True, "; then ".join(named))
    except SpeechUnavailable as error:
        return Check("recognition", False, str(error), error.hint)
    return Check("recognition", True, "offline recognition is installed")


def _voice(config: Config) -> Check:
    if not config.media_streams:
        return Check("voice", True, "streaming is off: the carrier's own voice")
    ours = [config.tts, *(route.tts for route in config.numbers.values() if route.tts is not None)]
    named = [[*dict.fromkeys((tts.provider, *tts.fallback))] for tts in ours]
    try:
        name = make_voice(config).name
        if any("local" in names for names in named):
            require_packages("the offline voice", VOICE_PACKAGES)
    except SpeechUnavailable as error:
        return Check("voice", False, str(error), error.hint)
    if named == [["local"]]:
        return Check("voice", True, "the offline voice is installed")
    ends = dict.fromkeys(filter(None, (_end_of(tts) for tts in ours)))
    return Check(
        "voice", True, "; ".join((name, *ends)), "choose another `tts.providers.openai.model`" if ends else ""
    )


def _end_of(tts: Tts) -> str:
    """When OpenAI will end the model that speaks, where that was announced."""
    model = tts.providers.openai.model
    asked = "openai" in (tts.provider, *tts.fallback) and tts.providers.openai.base_url is None
    return f"OpenAI ends {model} on {ENDS[model]}" if asked and model in ENDS else ""


def _brain(config: Config) -> Check:
    response = config.response
    if not config.in_steps:
        return Check("brain", True, f"{config.realtime.provider} realtime: it answers by itself")
    if response.provider == "script" and response.script is not None and not response.script.is_file():
        return Check("brain", False, f"there is no script {response.script}", "correct response.script")
    try:
        make_brain(config)
    except SpeechUnavailable as error:
        return Check("brain", False, str(error), error.hint)
    model = f", model {config.response_model or 'as built in'}" if response.provider == "openai" else ""
    return Check("brain", True, f"{response.provider}{model}")


def _audio_device() -> Check:
    """In a process of its own: PortAudio and ALSA write to the terminal and may hang on broken devices."""
    without = "calls work without one; listening in and the microphone do not"
    try:
        done = subprocess.run(
            [sys.executable, "-c", _AUDIO_PROBE], capture_output=True, text=True, timeout=AUDIO_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return Check("audio-device", True, f"the audio system does not answer; {without}")
    if done.returncode == 0:
        return Check("audio-device", True, done.stdout.strip())
    if "PortAudio library not found" in done.stderr:
        return Check("audio-device", True, f"PortAudio is not installed; {without}", "install libportaudio2")
    return Check("audio-device", True, f"no audio device; {without}")


def _public_address(config: Config) -> Check:
    if config.provider == "mock":
        return Check("public-url", True, "the simulated carrier reaches us on this machine")
    if not has_public_address(config) and carrier_is_near(config):
        base = getattr(config, config.provider).api_base_url
        return Check("public-url", True, f"the stand-in for {config.provider} at {base} reaches us on this machine")
    if not has_public_address(config):
        return Check(
            "public-url",
            False,
            f"{config.provider} can not reach this machine: no public address is configured",
            "set public_url, or tunnel.provider (ngrok, tailscale-funnel, command)",
        )
    if config.public_url is None:
        tailscale = f"tailscale {config.tailscale.mode}"
        return Check("public-url", True, config.tunnel.provider if config.tunnel.provider != "none" else tailscale)
    host = urlsplit(config.public_url).hostname or ""
    if is_private(config.public_url) and not carrier_is_near(config):
        return Check(
            "public-url", False, f"{host} can not be reached from the internet", "set public_url to a public address"
        )
    path = urlsplit(config.public_url).path
    if path != config.serve.path:
        rewritten = f"its path {path or '/'} is not serve.path {config.serve.path}: a proxy must rewrite it"
        return Check("public-url", True, f"{config.public_url}; {rewritten}")
    return Check("public-url", True, config.public_url)


def is_private(url: str) -> bool:
    """Whether nobody on the internet can reach the host of a URL."""
    host = urlsplit(url).hostname or ""
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return is_loopback(host) or host.endswith((".local", ".localhost", ".internal")) or "." not in host


def _signatures(config: Config) -> Check:
    if config.skip_signature_verification:
        return Check(
            "signatures",
            True,
            "webhooks are NOT verified: anybody on this machine can fake calls",
            "remove skip_signature_verification",
        )
    if config.provider == "plivo" and config.plivo.allow_signature_v2:
        weak = "webhooks are verified, weakly: those signed by V2 only may say what they like"
        return Check("signatures", True, weak, "remove plivo.allow_signature_v2 once Plivo signs by V3")
    return Check("signatures", True, "webhooks are verified")


def _port(check: str, bind: str, port: int, key: str, state_dir: Path) -> Check:
    if port == 0:
        return Check(check, True, f"{key} is 0: any free port")
    problem = _bind_problem(bind, port)
    if problem is None:
        return Check(check, True, f"{bind}:{port} is free")
    if problem.errno != errno.EADDRINUSE:
        reason = problem.strerror or str(problem)
        return Check(check, False, f"{bind}:{port} can not be used: {reason}", f"correct {key} or its bind")
    holder = _engine(state_dir)
    who = who_listens(port) or "another program"
    if holder is not None and who.endswith(f"process {holder}"):
        return Check(check, True, f"{bind}:{port} is held by the engine that runs here, process {holder}")
    return Check(check, False, f"{bind}:{port} is taken by {who}", f"stop it, or choose another {key}")


def _bind_problem(bind: str, port: int) -> OSError | None:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(bind, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            # As servers do: a port in TIME_WAIT is free, one that is listened on is not.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        return error
    return None


def _engine(state_dir: Path) -> int | None:
    try:
        holder = read_holder(state_dir / LOCK_NAME)
    except StoreError:
        return None
    return holder.pid if holder is not None else None


def _state_folder(state_dir: Path) -> Check:
    fix = "make it writable for this user, or choose another folder with --state-dir"
    existing = next(folder for folder in (state_dir, *state_dir.parents) if folder.exists())
    if not existing.is_dir():
        return Check("state", False, f"{existing} is a file", "choose another folder with --state-dir")
    if not os.access(existing, os.W_OK | os.X_OK):
        return Check("state", False, f"{existing} can not be written", fix)
    try:
        # Whether something can be made there is known by making it: /proc says yes and means no.
        os.rmdir(tempfile.mkdtemp(prefix=".voicecall-", dir=existing))
    except OSError as error:
        what = f"nothing can be made in {existing}: {error.strerror or error}"
        return Check("state", False, what, from_os(error, "make", existing).hint)
    log = state_dir / DATABASE_NAME
    if log.exists():
        try:
            open_readonly(log).close()
        except StoreError as error:
            return Check("state", False, error.error, error.hint)
    return Check("state", True, str(state_dir) if existing == state_dir else f"{state_dir} will be made")


def _inbound(config: Config) -> Check:
    policy = config.inbound_policy
    if policy == "allowlist" and not config.allow_from:
        return Check("inbound", False, "allow_from is empty: every caller is refused", "add numbers to allow_from")
    return Check(
        "inbound", True, f"inbound_policy is {policy}" + (": calls are refused" if policy == "disabled" else "")
    )


def _ignored_settings(loaded: Loaded) -> Check:
    given = frozenset(key for key, origin in loaded.origins.items() if origin != DEFAULT)
    found = [f"{finding.key} ({finding.message})" for finding in ignored(loaded.config, given)]
    found += [f"{note.key} ({note.message})" for note in loaded.notes]
    if not found:
        return Check("settings", True, "every setting has an effect")
    return Check("settings", True, f"without effect: {', '.join(found)}", "remove them, or choose what uses them")
