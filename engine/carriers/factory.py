"""Makes the carrier that the configuration names."""

from __future__ import annotations

from pathlib import Path

from engine.carriers.base import Carrier, CarrierError
from engine.config import Config
from engine.config.base import reveal
from engine.config.carriers import Plivo, Telnyx, Twilio


async def make_carrier(config: Config, state_dir: Path) -> Carrier:
    """The carrier of `config.provider`; for `mock`, its simulator is found or started. Raises CarrierError."""
    if config.provider == "mock":
        return await _mock(config, state_dir)
    if config.provider == "twilio":
        return _twilio(config.twilio)
    if config.provider == "telnyx":
        return _telnyx(config.telnyx)
    return _plivo(config.plivo)


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


def _telnyx(config: Telnyx) -> Carrier:
    from engine.carriers.telnyx import Manner, TelnyxCarrier
    from engine.carriers.telnyx_account import Access
    from engine.carriers.telnyx_signature import read_key

    if not config.api_key or not config.connection_id or not config.public_key:
        raise CarrierError(
            "telnyx.api_key, telnyx.connection_id and telnyx.public_key are not all set", code="no_credentials"
        )
    try:
        key = read_key(config.public_key)
    except ValueError as error:
        raise CarrierError(
            f"telnyx.public_key can not be used: {error}",
            code="no_credentials",
            hint="copy the public key of the account: Telnyx portal, Account Settings, Keys & Credentials",
        ) from error
    access = Access(reveal(config.api_key), config.connection_id, config.api_base_url or "")
    manner = Manner(
        target_legs=config.stream_target_legs,
        codec=config.stream_codec,
        detection=config.machine_detection,
        voice=config.voice,
        language=config.language,
    )
    return TelnyxCarrier(access, key, manner)


def _plivo(config: Plivo) -> Carrier:
    from engine.carriers.plivo import PlivoCarrier
    from engine.carriers.plivo_account import Access
    from engine.carriers.plivo_signature import Tokens

    if not config.auth_id or not config.auth_token:
        raise CarrierError("plivo.auth_id and plivo.auth_token are not set", code="no_credentials")
    access = Access(config.auth_id, reveal(config.auth_token), config.api_base_url or "")
    tokens = [reveal(token) for token in (config.auth_token, config.main_auth_token) if token is not None]
    return PlivoCarrier(
        access,
        Tokens(tuple(tokens), config.allow_signature_v2),
        voice=config.voice,
        language=config.language,
    )
