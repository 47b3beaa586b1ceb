"""Makes the carrier that the configuration names."""

from __future__ import annotations

from pathlib import Path

from engine.carriers.base import Carrier, CarrierError
from engine.config import Config
from engine.config.base import reveal
from engine.config.carriers import Twilio


async def make_carrier(config: Config, state_dir: Path) -> Carrier:
    """The carrier of `config.provider`; for `mock`, its simulator is found or started. Raises CarrierError."""
    if config.provider == "mock":
        return await _mock(config, state_dir)
    if config.provider == "twilio":
        return _twilio(config.twilio)
    raise CarrierError(
        f"the carrier {config.provider} is not available in this version; use provider: twilio or mock",
        code="provider_not_ready",
    )


async def _mock(config: Config, state_dir: Path) -> Carrier:
    from engine.carriers.mock import MockCarrier
    from engine.simulator.launch import SimulatorFailed, ensure_simulator

    try:
        address = await ensure_simulator(state_dir, config.mock)
    except SimulatorFailed as error:
        raise CarrierError(str(error), code="simulator_failed") from error
    return MockCarrier(address.base_url, address.api_key, address.signing_secret, ends_with_us=address.ours)


def _twilio(config: Twilio) -> Carrier:
    from engine.carriers.twilio import TwilioCarrier
    from engine.carriers.twilio_account import Access
    from engine.carriers.twilio_signature import SigningKeys

    if not config.account_sid or not config.auth_token:
        raise CarrierError("twilio.account_sid and twilio.auth_token are not set", code="no_credentials")
    access = Access(
        account_sid=config.account_sid,
        auth_token=reveal(config.auth_token),
        region=config.region or "",
        edge=config.edge or "",
        base_url=config.api_base_url or "",
    )
    tokens = [reveal(token) for token in (config.auth_token, config.secondary_auth_token) if token is not None]
    shared = {key: reveal(secret) for key, secret in config.webhook_signing_keys.items()}
    keys = SigningKeys(tuple(tokens), shared)
    return TwilioCarrier(access, keys, voice=config.voice, language=config.language)
