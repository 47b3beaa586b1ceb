"""G.711 against the published decode tables and the encoding of every 16-bit sample."""

from __future__ import annotations

import array
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from engine.media import g711

REFERENCE: dict[str, Any] = json.loads((Path(__file__).parent.parent / "fixtures/g711_reference.json").read_text())
ALL_SAMPLES = array.array("h", range(-32768, 32768)).tobytes()
ALL_BYTES = bytes(range(256))


def samples(pcm: bytes) -> list[int]:
    return array.array("h", pcm).tolist()


def test_every_mulaw_byte_decodes_as_published() -> None:
    assert samples(g711.mulaw_to_pcm16(ALL_BYTES)) == REFERENCE["ulaw_decode_s16"]


def test_every_alaw_byte_decodes_as_published() -> None:
    assert samples(g711.alaw_to_pcm16(ALL_BYTES)) == REFERENCE["alaw_decode_s16"]


def test_every_sample_encodes_as_published() -> None:
    mulaw, alaw = g711.pcm16_to_mulaw(ALL_SAMPLES), g711.pcm16_to_alaw(ALL_SAMPLES)
    assert hashlib.sha256(mulaw).hexdigest() == REFERENCE["ulaw_encode_all_s16_sha256"]
    assert hashlib.sha256(alaw).hexdigest() == REFERENCE["alaw_encode_all_s16_sha256"]


def test_transcoding_between_the_laws_is_decode_and_encode() -> None:
    assert g711.alaw_to_mulaw(ALL_BYTES) == g711.pcm16_to_mulaw(g711.alaw_to_pcm16(ALL_BYTES))
    assert g711.mulaw_to_alaw(ALL_BYTES) == g711.pcm16_to_alaw(g711.mulaw_to_pcm16(ALL_BYTES))


def test_silence_is_zero_in_both_laws() -> None:
    assert samples(g711.mulaw_to_pcm16(g711.silence(20))) == [0] * 160
    assert samples(g711.alaw_to_pcm16(bytes((g711.ALAW_SILENCE,)))) == [8], (
        "A-law has no zero; 8 is its smallest step"
    )


@pytest.mark.parametrize("encode", [g711.pcm16_to_mulaw, g711.pcm16_to_alaw])
def test_half_a_sample_is_refused(encode: Any) -> None:
    with pytest.raises(ValueError, match="whole number"):
        encode(b"\0\0\0")
