"""Makes the carrier that the configuration names."""

from __future__ import annotations

from pathlib import Path

from engine.carriers.base import Carrier, CarrierError
from engine.config import Config


async def make_carrier(config: Config, state_dir: Path) -> Carrier:
    """The carrier of `config.provider`; for `mock`, its simulator is found or started. Raises CarrierError."""
    if config.provider != "mock":
        raise CarrierError(
            f"the carrier {config.provider} is not available in this version; use provider: mock",
            code="provider_not_ready",
        )
    from engine.carriers.mock import MockCarrier
    from engine.simulator.launch import SimulatorFailed, ensure_simulator

    try:
        address = await ensure_simulator(state_dir, config.mock)
    except SimulatorFailed as error:
        raise CarrierError(str(error), code="simulator_failed") from error
    return MockCarrier(address.base_url, address.api_key, address.signing_secret)
