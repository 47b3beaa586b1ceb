"""The example file, the JSON Schema and the shown values all say what the models say."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import get_args

import yaml

from engine.config import Config, effective, example, json_schema, load_config, parse_config
from engine.config.carriers import Manner
from engine.config.load import values
from engine.simulator.people import MANNERS

EXAMPLE = Path(__file__).parents[2] / "config.example.yaml"


def test_the_example_file_is_the_one_that_the_models_write() -> None:
    assert EXAMPLE.read_text() == example(), (
        "run: python -c 'from engine.config import example; print(example(), end=\"\")'"
    )


def test_the_example_is_valid_and_equals_the_defaults() -> None:
    loaded = load_config(EXAMPLE, {})
    assert loaded.config == Config()
    assert not loaded.notes


def test_the_example_holds_every_key_with_a_comment() -> None:
    lines = EXAMPLE.read_text().splitlines()
    for number, line in enumerate(lines):
        if line.strip() and not line.strip().startswith("#"):
            assert lines[number - 1].strip().startswith("#"), line
    given = yaml.safe_load(EXAMPLE.read_text())
    for key, _ in values(Config()):
        if key[0] == "messages":
            continue
        here = given
        for part in key:
            assert part in here, key
            here = here[part]


def test_every_key_of_the_schema_has_words() -> None:
    for definition in [json_schema(), *json_schema()["$defs"].values()]:
        for name, field in definition.get("properties", {}).items():
            assert field.get("description") or "$ref" in field, name
        assert definition.get("description")


def test_the_examples_inside_the_example_are_valid() -> None:
    for name, field in (("numbers", Config.model_fields["numbers"]),):
        assert field.examples
        parse_config(yaml.safe_dump({name: field.examples[0]}).encode(), None, {})
    callers = type(Config().mock).model_fields["callers"].examples
    assert callers
    parse_config(yaml.safe_dump({"mock": {"callers": callers[0]}}).encode(), None, {})


def test_manners_are_those_that_the_simulator_knows() -> None:
    assert set(get_args(Manner)) == set(MANNERS)


def test_shown_values_name_their_origin_and_hide_secrets() -> None:
    text = "provider: twilio\ntwilio: {auth_token: hunter2}\nconsole: {keys: {call.dial: x}}\n"
    sid = "AC11111111111111111111111111111111"
    shown = effective(parse_config(text.encode(), Path("c.yaml"), {"TWILIO_ACCOUNT_SID": sid}))
    assert shown["twilio.auth_token"] == {"value": "********", "origin": "c.yaml:2"}
    assert shown["twilio.account_sid"] == {"value": sid, "origin": "env TWILIO_ACCOUNT_SID"}
    assert shown["serve.port"] == {"value": 3334, "origin": "default"}
    assert shown["console.keys.call.dial"] == {"value": "x", "origin": "c.yaml:3"}
    assert "hunter2" not in json.dumps(shown)


def test_the_schema_is_json_and_knows_the_contract_keys() -> None:
    schema = json.loads(json.dumps(json_schema()))
    assert schema["properties"]["provider"]["default"] == "mock"
    assert schema["additionalProperties"] is False


def test_loading_a_configuration_imports_nothing_heavy() -> None:
    code = (
        "import sys, engine.config as c; c.parse_config(b'', None, {});"
        "print([m for m in ('aiohttp', 'numpy', 'rich', 'textual', 'openai', 'twilio') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout.strip() == "[]"


def test_the_voices_that_can_be_configured_are_the_ones_there_are() -> None:
    from typing import get_args

    from engine.config.speech import LocalTts
    from engine.speech.tts.voices import VOICES

    assert set(get_args(LocalTts.model_fields["voice"].annotation)) == set(VOICES)
